//! Curves and sample sheets for TensorBoard, in an event file in the run folder.

use crate::screen::Screen;
use ekphrasis_report::{EventWriter, ReportError};
use ekphrasis_train::{Observer, SampleSheet};
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The file is `events.out.tfevents.ekphrasis`.
const NAME: &str = "ekphrasis";

/// Records every number at its global step. Pictures are taken from the files that observers before
/// this one have drawn.
pub struct TensorBoard {
    folder: PathBuf,
    screen: Screen,
    state: State,
}

enum State {
    /// Nothing is recorded yet; what the file holds from steps after this one is to go.
    Waiting(u64),
    Writing(EventWriter),
    /// The user has been told; the run goes on without.
    Failed,
}

impl TensorBoard {
    /// Records into `folder`, where an earlier part of the run may have recorded too.
    pub fn new(folder: &Path, screen: &Screen) -> Self {
        Self { folder: folder.to_owned(), screen: screen.clone(), state: State::Waiting(0) }
    }

    fn write(&mut self, record: impl FnOnce(&mut EventWriter, f64) -> Result<(), ReportError>) {
        if let Err(error) = self.try_write(record) {
            self.screen.say(&format!("TensorBoard records end here: {error}"));
            self.state = State::Failed;
        }
    }

    fn try_write(
        &mut self,
        record: impl FnOnce(&mut EventWriter, f64) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        if let State::Waiting(last) = self.state {
            let (writer, _) = EventWriter::resume(&self.folder, NAME, now, |_, step| step <= last)?;
            self.state = State::Writing(writer);
        }
        match &mut self.state {
            State::Writing(writer) => record(writer, now),
            State::Waiting(_) | State::Failed => Ok(()),
        }
    }
}

impl Observer for TensorBoard {
    fn note(&mut self, _: &str) {}
    fn phase(&mut self, _: &str, _: u64, _: u64) {}
    fn step(&mut self, _: &str, _: u64, _: &[(String, f64)]) {}
    fn phase_end(&mut self, _: &str, _: f64) {}
    fn scalars(&mut self, global_step: u64, values: &[(String, f64)]) {
        self.write(|writer, now| {
            for (tag, value) in values {
                writer.scalar(tag, global_step, now, *value)?;
            }
            // Those who watch a run live see it at once, and a kill loses nothing.
            writer.flush()
        });
    }
    fn sheet(&mut self, global_step: u64, _: &SampleSheet, path: &Path) -> Result<(), String> {
        let tag = path.file_stem().map_or("samples".into(), |s| format!("samples/{}", s.to_string_lossy()));
        let at = |e: String| format!("{}: {e}", path.display());
        let png = std::fs::read(path).map_err(|e| at(e.to_string()))?;
        let size = image::image_dimensions(path).map_err(|e| at(e.to_string()))?;
        self.write(|writer, now| writer.image_png(&tag, global_step, now, &png, size));
        Ok(())
    }
    fn resumed(&mut self, global_step: u64) {
        self.state = State::Waiting(global_step);
    }
    fn flush(&mut self) {
        if let State::Writing(_) = self.state {
            self.write(|writer, _| writer.sync());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(folder: &Path) -> Vec<u64> {
        let mut steps = vec![];
        let seen = std::cell::RefCell::new(&mut steps);
        // Looking at a copy, since looking rewrites the file.
        let copy = tempfile::tempdir().unwrap();
        let file = format!("events.out.tfevents.{NAME}");
        std::fs::copy(folder.join(&file), copy.path().join(&file)).unwrap();
        let keep = |_: &str, step: u64| {
            seen.borrow_mut().push(step);
            true
        };
        EventWriter::resume(copy.path(), NAME, 0.0, keep).unwrap();
        steps
    }

    #[test]
    fn a_resumed_run_drops_what_it_will_record_again() {
        let folder = tempfile::tempdir().unwrap();
        let observer = || TensorBoard::new(folder.path(), &Screen::new());
        let mut first = observer();
        for step in [10, 20, 30] {
            first.scalars(step, &[("gan/loss".into(), 0.5)]);
        }
        std::mem::forget(first); // as a kill does
        assert_eq!(recorded(folder.path()), [10, 20, 30]);

        let mut second = observer();
        second.resumed(20);
        second.scalars(30, &[("gan/loss".into(), 0.4)]);
        assert_eq!(recorded(folder.path()), [10, 20, 30]);

        let mut from_the_start = observer();
        from_the_start.scalars(10, &[("gan/loss".into(), 0.3)]);
        assert_eq!(recorded(folder.path()), [10]);
    }
}
