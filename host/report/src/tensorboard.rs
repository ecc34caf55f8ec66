//! TensorBoard event files: scalars, pictures and texts under a tag and a step.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use prost::Message;

use crate::atomic::{persist, sync_folder, temporary_beside};
use crate::tfrecord::{self, Records};
use crate::{Picture, ReportError};

#[allow(unused_qualifications, clippy::enum_variant_names, reason = "generated code")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/tensorboard.rs"));
}

use proto::summary::value::Value;
use proto::summary_metadata::PluginData;
use proto::{Event, Summary, SummaryMetadata, TensorProto, TensorShapeProto, event::What};

/// What a reader expects in the first record.
const VERSION: &str = "brain.Event:2";
/// TensorFlow's number of the type of strings.
const DT_STRING: i32 = 7;
/// Waiting records are written out when they take more than this.
const BUFFER: usize = 1 << 16;

/// Writes one event file.
///
/// Records wait in memory until [`flush`](Self::flush), 64 KiB, or the end of the writer. A write that
/// fails (a full disk) loses nothing: the same records go to the same place at the next attempt.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
    /// Records not yet in the file.
    waiting: Vec<u8>,
    /// Length of the file's whole records, where `waiting` goes.
    length: u64,
}

/// What [`EventWriter::resume`] found in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resumption {
    /// Records that stay.
    pub kept: usize,
    /// Whole records that `keep` refused.
    pub dropped: usize,
    /// Bytes that were part of no whole record.
    pub damaged_bytes: u64,
}

impl EventWriter {
    /// Starts `events.out.tfevents.<name>` in `folder`, which is made if there is none. It is an error if
    /// the file is there already. `wall_time`, here and below, is in seconds since 1970.
    pub fn create(folder: &Path, name: &str, wall_time: f64) -> Result<EventWriter, ReportError> {
        let path = event_path(folder, name)?;
        std::fs::create_dir_all(folder).map_err(ReportError::io("create folder", folder))?;
        let file =
            OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| {
                match error.kind() {
                    ErrorKind::AlreadyExists => ReportError::Exists { path: path.clone() },
                    _ => ReportError::io("create", &path)(error),
                }
            })?;
        let mut writer = EventWriter { file, path, waiting: version_record(wall_time), length: 0 };
        writer.sync()?;
        sync_folder(&writer.path)?;
        Ok(writer)
    }

    /// Goes on with the event file of a run that was stopped at any instant.
    ///
    /// The file is written anew (temporary file, rename) with only its whole records whose tag and step
    /// satisfy `keep`, byte for byte and in order; so a torn last record goes, and so do records from after
    /// the checkpoint from which the run continues. Where there is no file, one is started.
    pub fn resume(
        folder: &Path,
        name: &str,
        wall_time: f64,
        keep: impl Fn(&str, u64) -> bool,
    ) -> Result<(EventWriter, Resumption), ReportError> {
        let path = event_path(folder, name)?;
        let old = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok((EventWriter::create(folder, name, wall_time)?, Resumption::default()));
            }
            other => other.map_err(ReportError::io("open", &path))?,
        };
        let length = old.metadata().map_err(ReportError::io("read", &path))?.len();
        let mut records = Records::new(BufReader::new(old), length);
        let mut found = Resumption::default();

        let mut temporary = temporary_beside(&path)?;
        let mut output = BufWriter::new(temporary.as_file_mut());
        let mut framed = version_record(wall_time);
        let mut length = 0;
        let mut first = true;
        while let Some(record) = records.next().map_err(ReportError::io("read", &path))? {
            match Event::decode(record.as_slice()) {
                Ok(event) if kept(&event, &keep) => {
                    // The first record tells the version; where that one was lost, a new one goes before.
                    if first && matches!(event.what, Some(What::FileVersion(_))) {
                        framed.clear();
                    }
                    first = false;
                    found.kept += 1;
                    tfrecord::append(&mut framed, &record);
                    output.write_all(&framed).map_err(ReportError::io("write", &path))?;
                    length += framed.len() as u64;
                    framed.clear();
                }
                Ok(_) => found.dropped += 1,
                Err(_) => found.damaged_bytes += record.len() as u64 + tfrecord::FRAME,
            }
        }
        output.write_all(&framed).map_err(ReportError::io("write", &path))?;
        length += framed.len() as u64;
        output.flush().map_err(ReportError::io("write", &path))?;
        drop(output);
        found.damaged_bytes += records.damaged();
        let file = persist(temporary, &path)?;
        Ok((EventWriter { file, path, waiting: Vec::new(), length }, found))
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records a number, in single precision.
    pub fn scalar(&mut self, tag: &str, step: u64, wall_time: f64, value: f64) -> Result<(), ReportError> {
        self.put(tag, step, wall_time, None, Value::SimpleValue(value as f32))
    }

    /// Records an RGB picture that is already encoded as PNG, `width` by `height` pixels.
    pub fn image_png(
        &mut self,
        tag: &str,
        step: u64,
        wall_time: f64,
        png: &[u8],
        (width, height): (u32, u32),
    ) -> Result<(), ReportError> {
        let side = |side: u32| {
            i32::try_from(side).map_err(|_| {
                ReportError::invalid(
                    format!("picture `{tag}`"),
                    format!("{side} pixels on a side are too many"),
                )
            })
        };
        let image = proto::summary::Image {
            height: side(height)?,
            width: side(width)?,
            colorspace: 3,
            encoded_image_string: png.to_vec(),
        };
        self.put(tag, step, wall_time, None, Value::Image(image))
    }

    /// Records a picture.
    pub fn picture(
        &mut self,
        tag: &str,
        step: u64,
        wall_time: f64,
        picture: &Picture,
    ) -> Result<(), ReportError> {
        let png = picture.to_png()?;
        self.image_png(tag, step, wall_time, &png, (picture.width(), picture.height()))
    }

    /// Records a text, which TensorBoard shows as Markdown.
    pub fn text(&mut self, tag: &str, step: u64, wall_time: f64, text: &str) -> Result<(), ReportError> {
        let plugin = PluginData { plugin_name: "text".to_owned(), content: Vec::new() };
        let tensor = TensorProto {
            dtype: DT_STRING,
            tensor_shape: Some(TensorShapeProto { dim: Vec::new() }),
            string_val: vec![text.as_bytes().to_vec()],
        };
        let metadata = SummaryMetadata { plugin_data: Some(plugin) };
        self.put(tag, step, wall_time, Some(metadata), Value::Tensor(tensor))
    }

    /// Hands all records to the operating system: they survive the end of this process, however it ends.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.file.write_all_at(&self.waiting, self.length).map_err(ReportError::io("write", &self.path))?;
        self.length += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Flushes and waits until the records are on the disk: they survive a power cut. To be called before a
    /// checkpoint that counts on them.
    pub fn sync(&mut self) -> Result<(), ReportError> {
        self.flush()?;
        self.file.sync_data().map_err(ReportError::io("sync", &self.path))
    }

    fn put(
        &mut self,
        tag: &str,
        step: u64,
        wall_time: f64,
        metadata: Option<SummaryMetadata>,
        value: Value,
    ) -> Result<(), ReportError> {
        let value = proto::summary::Value { tag: tag.to_owned(), metadata, value: Some(value) };
        let event = Event {
            wall_time,
            step: i64::try_from(step).unwrap_or(i64::MAX),
            what: Some(What::Summary(Summary { value: vec![value] })),
        };
        tfrecord::append(&mut self.waiting, &event.encode_to_vec());
        if self.waiting.len() > BUFFER { self.flush() } else { Ok(()) }
    }
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        // Nobody is left to tell; whoever must know calls `flush`.
        let _ = self.flush();
    }
}

/// Whether `keep` wants every value of an event; an event without values stays.
fn kept(event: &Event, keep: impl Fn(&str, u64) -> bool) -> bool {
    let step = u64::try_from(event.step).unwrap_or(0);
    match &event.what {
        Some(What::Summary(summary)) => summary.value.iter().all(|value| keep(&value.tag, step)),
        _ => true,
    }
}

fn version_record(wall_time: f64) -> Vec<u8> {
    let event = Event { wall_time, step: 0, what: Some(What::FileVersion(VERSION.to_owned())) };
    let mut record = Vec::new();
    tfrecord::append(&mut record, &event.encode_to_vec());
    record
}

fn event_path(folder: &Path, name: &str) -> Result<PathBuf, ReportError> {
    if name.is_empty() || name.contains(['/', '\\', '\0']) {
        let message = "expected a part of a file name, neither empty nor with a slash";
        return Err(ReportError::invalid(format!("event file name `{}`", name.escape_debug()), message));
    }
    Ok(folder.join(format!("events.out.tfevents.{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Logged = (String, u64, String);

    /// (tag, step, value) of each value in a file, all of whose records must be whole.
    fn logged(path: &Path) -> Vec<Logged> {
        let bytes = std::fs::read(path).unwrap();
        let mut records = Records::new(bytes.as_slice(), bytes.len() as u64);
        let mut found = Vec::new();
        while let Some(record) = records.next().unwrap() {
            let event = Event::decode(record.as_slice()).unwrap();
            match event.what.unwrap() {
                What::FileVersion(version) => found.push((version, event.step as u64, String::new())),
                What::Summary(summary) => {
                    for value in summary.value {
                        let shown = match value.value.unwrap() {
                            Value::SimpleValue(number) => number.to_string(),
                            Value::Image(image) => {
                                format!("{}x{} {:?}", image.width, image.height, image.encoded_image_string)
                            }
                            Value::Tensor(tensor) => {
                                assert_eq!(value.metadata.unwrap().plugin_data.unwrap().plugin_name, "text");
                                String::from_utf8(tensor.string_val[0].clone()).unwrap()
                            }
                        };
                        found.push((value.tag, event.step as u64, shown));
                    }
                }
            }
        }
        assert_eq!(records.damaged(), 0);
        found
    }

    fn entry(tag: &str, step: u64, value: &str) -> Logged {
        (tag.to_owned(), step, value.to_owned())
    }

    fn all(_: &str, _: u64) -> bool {
        true
    }

    #[test]
    fn what_is_written_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&folder.path().join("run"), "7", 1.5).unwrap();
        writer.scalar("loss", 1, 2.0, 0.25).unwrap();
        writer.image_png("sample", 2, 3.0, &[1, 2], (4, 5)).unwrap();
        writer.text("caption", 3, 4.0, "a réd circle").unwrap();
        let path = writer.path().to_owned();
        assert_eq!(logged(&path).len(), 1, "records wait for a flush");
        drop(writer);
        assert_eq!(path, folder.path().join("run/events.out.tfevents.7"));
        let expected = [
            entry(VERSION, 0, ""),
            entry("loss", 1, "0.25"),
            entry("sample", 2, "4x5 [1, 2]"),
            entry("caption", 3, "a réd circle"),
        ];
        assert_eq!(logged(&path), expected);
    }

    #[test]
    fn an_existing_file_is_not_touched_by_create() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path(), "7", 0.0).unwrap();
        writer.scalar("loss", 1, 0.0, 1.0).unwrap();
        let path = writer.path().to_owned();
        drop(writer);
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(EventWriter::create(folder.path(), "7", 0.0), Err(ReportError::Exists { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(matches!(EventWriter::create(folder.path(), "../7", 0.0), Err(ReportError::Invalid { .. })));
    }

    #[test]
    fn a_run_cut_anywhere_and_resumed_has_the_bytes_of_one_that_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = |writer: &mut EventWriter, steps: std::ops::Range<u64>| {
            for step in steps {
                writer.scalar("loss", step, 9.0, 1.0 / step as f64).unwrap();
                writer.text("caption", step, 9.0, &"a dog ".repeat(step as usize)).unwrap();
            }
            writer.flush().unwrap();
        };
        let mut whole = EventWriter::create(folder.path(), "whole", 0.0).unwrap();
        log(&mut whole, 1..4);
        let checkpoint = std::fs::metadata(whole.path()).unwrap().len() as usize;
        log(&mut whole, 4..7);
        let bytes = std::fs::read(whole.path()).unwrap();
        for cut in checkpoint..=bytes.len() {
            let path = folder.path().join("events.out.tfevents.cut");
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let (mut writer, found) =
                EventWriter::resume(folder.path(), "cut", 0.0, |_, step| step < 4).unwrap();
            assert_eq!(found.kept, 7);
            log(&mut writer, 4..7);
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "cut at {cut}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn a_failed_write_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path(), "7", 0.0).unwrap();
        let path = writer.path().to_owned();
        let writable = std::mem::replace(&mut writer.file, File::open(&path).unwrap());
        writer.scalar("a", 1, 0.0, 1.0).unwrap();
        let error = writer.flush().unwrap_err().to_string();
        assert!(error.contains("events.out.tfevents.7"), "{error}");
        // As after a full disk: part of the records is there.
        writable.write_all_at(&[7; 9], writer.length).unwrap();
        writer.file = writable;
        writer.scalar("a", 2, 0.0, 2.0).unwrap();
        drop(writer);
        assert_eq!(logged(&path), [entry(VERSION, 0, ""), entry("a", 1, "1"), entry("a", 2, "2")]);
    }

    #[test]
    fn records_are_kept_by_tag_and_step_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path(), "7", 0.0).unwrap();
        for step in 0..3 {
            writer.scalar("a", step, 0.0, 1.0).unwrap();
            writer.scalar("b", step, 0.0, 2.0).unwrap();
        }
        let path = writer.path().to_owned();
        drop(writer);
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend_from_slice(&[7; 5]);
        std::fs::write(&path, torn).unwrap();
        let limit = |tag: &str, step| step < if tag == "a" { 2 } else { 1 };
        let (writer, found) = EventWriter::resume(folder.path(), "7", 0.0, limit).unwrap();
        assert_eq!(found, Resumption { kept: 4, dropped: 3, damaged_bytes: 5 });
        drop(writer);
        let expected = [entry(VERSION, 0, ""), entry("a", 0, "1"), entry("b", 0, "2"), entry("a", 1, "1")];
        assert_eq!(logged(&path), expected);
    }

    #[test]
    fn a_missing_or_empty_file_becomes_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("events.out.tfevents.empty"), "").unwrap();
        for name in ["missing", "empty"] {
            let (writer, found) = EventWriter::resume(folder.path(), name, 0.0, all).unwrap();
            assert_eq!(found, Resumption::default());
            assert_eq!(logged(writer.path()), [entry(VERSION, 0, "")], "{name}");
        }
    }

    #[test]
    fn a_lost_version_record_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path(), "7", 0.0).unwrap();
        writer.scalar("a", 1, 0.0, 1.0).unwrap();
        let path = writer.path().to_owned();
        drop(writer);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[14] ^= 1; // inside the first record's content
        std::fs::write(&path, bytes).unwrap();
        let (mut writer, found) = EventWriter::resume(folder.path(), "7", 0.0, all).unwrap();
        assert_eq!(found.kept, 1);
        writer.scalar("a", 2, 0.0, 2.0).unwrap();
        drop(writer);
        assert_eq!(logged(&path), [entry(VERSION, 0, ""), entry("a", 1, "1"), entry("a", 2, "2")]);
    }
}
