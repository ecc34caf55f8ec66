//! What a run leaves for people to look at: TensorBoard event files, sample sheets, learning curves and
//! tables. Everything takes plain values; nothing here knows how they came about.
//!
//! Files are written to a temporary file beside their place, synced and renamed
//! ([`write_atomically`]); only an event file grows in place, record by record, and [`EventWriter::resume`]
//! mends it after a kill.

mod atomic;
mod canvas;
mod error;
mod font;
mod metrics_log;
mod plot;
mod sheet;
mod table;
mod tensorboard;
mod tfrecord;

pub use atomic::write_atomically;
pub use canvas::Picture;
pub use error::ReportError;
pub use metrics_log::MetricsLog;
pub use plot::{Curves, Panel, Series};
pub use sheet::{Row, Sheet};
pub use table::{Cell, Style, Table};
pub use tensorboard::{EventWriter, Resumption};
