//! What the user decides about the runtime.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// An execution provider to try, with its options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// `tensorrt`, `cuda` or `cpu`.
    pub name: String,
    /// Options as ONNX Runtime names them, as `device_id = "0"`; handed over unchanged.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Provider {
    /// A provider without options.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), options: BTreeMap::new() }
    }

    /// Sets an option.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.options.insert(key.into(), value.into());
        self
    }
}

/// How to find and start ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The library, or a folder that holds it; found or fetched when absent.
    pub library: Option<PathBuf>,
    /// Where a fetched library is kept.
    pub cache: PathBuf,
    /// Forbids fetching.
    pub offline: bool,
    /// Execution providers in order of preference.
    pub providers: Vec<Provider>,
    /// Threads that work on one operator, shared by all sessions; by default one for each core.
    pub threads: Option<usize>,
    /// Whether idle threads spin for a moment before they sleep; by default only where there is a core
    /// to spare. See [`Config::spins`].
    pub spin: Option<bool>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            library: None,
            cache: Self::default_cache(),
            offline: false,
            providers: vec![Provider::new("cpu")],
            threads: None,
            spin: None,
        }
    }
}

impl Config {
    /// The user's cache folder, see [`ekphrasis_fetch::default_cache`].
    pub fn default_cache() -> PathBuf {
        ekphrasis_fetch::default_cache()
    }

    /// The number of threads that work on one operator, the caller's own included.
    pub fn thread_count(&self) -> usize {
        self.threads.filter(|n| *n > 0).unwrap_or_else(cores)
    }

    /// Whether idle threads spin. Measured on two cores with two threads, a small training step takes
    /// a tenth less time with spinning on an idle machine, but 1.7 times as long beside a thread that
    /// works too, as one that decodes pictures does; hence only where a core is left for such threads.
    pub fn spins(&self) -> bool {
        self.spin.unwrap_or(self.thread_count() < cores())
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
