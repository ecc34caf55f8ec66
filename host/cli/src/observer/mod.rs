//! Who watches a run: the terminal, sample sheets, TensorBoard.

mod preparation;
mod sheets;
mod tensorboard;
mod terminal;

pub use preparation::Preparation;
pub use sheets::Sheets;
pub use tensorboard::TensorBoard;
pub use terminal::Terminal;

use ekphrasis_train::{Observer, SampleSheet};
use std::path::Path;

/// Several observers, told in order.
pub struct All(pub Vec<Box<dyn Observer>>);

impl Observer for All {
    fn note(&mut self, text: &str) {
        self.0.iter_mut().for_each(|o| o.note(text));
    }
    fn phase(&mut self, name: &str, done: u64, steps: u64) {
        self.0.iter_mut().for_each(|o| o.phase(name, done, steps));
    }
    fn step(&mut self, name: &str, step: u64, values: &[(String, f64)]) {
        self.0.iter_mut().for_each(|o| o.step(name, step, values));
    }
    fn phase_end(&mut self, name: &str, seconds: f64) {
        self.0.iter_mut().for_each(|o| o.phase_end(name, seconds));
    }
    fn scalars(&mut self, global_step: u64, values: &[(String, f64)]) {
        self.0.iter_mut().for_each(|o| o.scalars(global_step, values));
    }
    /// All are told, whatever happens to one; the first message counts.
    fn sheet(&mut self, global_step: u64, sheet: &SampleSheet, path: &Path) -> Result<(), String> {
        self.0.iter_mut().map(|o| o.sheet(global_step, sheet, path)).fold(Ok(()), Result::and)
    }
    fn resumed(&mut self, global_step: u64) {
        self.0.iter_mut().for_each(|o| o.resumed(global_step));
    }
    fn flush(&mut self) {
        self.0.iter_mut().for_each(|o| o.flush());
    }
}
