//! Studies: durable Lua programs that run trials (a config with settings and a seed, each in a folder of its own),
//! here as child processes, and compare what came out.
//!
//! ```text
//! studies/rewards/
//!   journal.jsonl               finished calls of the script
//!   trials/bleu-seed0-1f2e3d4c/ run folders, with trial.json and log.txt
//!   results.json                settings and summary of each trial, and the tables
//!   table.md  table.csv         the tables
//! ```

mod error;
mod host;
mod launcher;
mod observer;
mod process;
mod record;
mod request;
mod sources;
pub mod statistics;
mod study;
mod table;
mod trial;

pub use error::{Failure, Result, StudyError};
pub use host::{Planned, docs};
pub use launcher::{Launcher, Local, Outcome};
pub use observer::{Counts, Observer, Silent};
pub use process::end_with_parent;
pub use study::{StudyOptions, StudyReport, run, run_with};
pub use table::{Arm, CSV_HEADER, Metric, Table};
pub use trial::{Settings, State, Trial};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What came out of a trial.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct StudyResult {
    /// Name of the trial.
    pub name: String,
    /// The arm that it belongs to.
    pub arm: String,
    /// Its seed.
    pub seed: u64,
    /// The summary of its run, nested by the dots in its keys.
    pub summary: Map<String, Value>,
}
