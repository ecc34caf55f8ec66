//! What a run tells whoever watches it; nothing here influences the run.

use std::path::Path;

/// Somebody who watches a run: a terminal, a log, TensorBoard.
pub trait Observer {
    /// A line for the user.
    fn note(&mut self, text: &str);
    /// A phase of `steps` steps goes on after `done` of them.
    fn phase(&mut self, name: &str, done: u64, steps: u64);
    /// Step `step` (from 1) of the phase is done; `values` are those worth a look.
    fn step(&mut self, name: &str, step: u64, values: &[(String, f64)]);
    /// The phase is over.
    fn phase_end(&mut self, name: &str, seconds: f64);
    /// Numbers at a global step, for curves.
    fn scalars(&mut self, global_step: u64, values: &[(String, f64)]);
    /// A sheet of samples to draw; its file should be `path`.
    ///
    /// # Errors
    /// A message when it could not be drawn; the run goes on.
    fn sheet(&mut self, global_step: u64, sheet: &SampleSheet, path: &Path) -> Result<(), String>;
    /// The run goes on from a checkpoint at this global step; later numbers will come again.
    fn resumed(&mut self, global_step: u64);
    /// Everything so far should be safe on disk.
    fn flush(&mut self);
}

/// Rows of pictures with captions.
#[derive(Clone, Debug, Default)]
pub struct SampleSheet {
    /// Headings of the pictures.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<SampleRow>,
}

/// One row of a sheet.
#[derive(Clone, Debug, Default)]
pub struct SampleRow {
    /// Square pictures, RGB bytes: their side in pixels and the bytes.
    pub pictures: Vec<(usize, Vec<u8>)>,
    /// Captions, each with a label.
    pub captions: Vec<(String, String)>,
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {
    fn note(&mut self, _: &str) {}
    fn phase(&mut self, _: &str, _: u64, _: u64) {}
    fn step(&mut self, _: &str, _: u64, _: &[(String, f64)]) {}
    fn phase_end(&mut self, _: &str, _: f64) {}
    fn scalars(&mut self, _: u64, _: &[(String, f64)]) {}
    fn sheet(&mut self, _: u64, _: &SampleSheet, _: &Path) -> Result<(), String> {
        Ok(())
    }
    fn resumed(&mut self, _: u64) {}
    fn flush(&mut self) {}
}
