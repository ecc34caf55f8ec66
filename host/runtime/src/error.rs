//! What can go wrong with the runtime, always with the place.

use std::path::{Path, PathBuf};

/// An error of the runtime: where, what was expected, what was found, and a hint where there is one.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No ONNX Runtime library was found and none could be fetched.
    #[error("no ONNX Runtime library found: {}\nhint: {hint}", looked.join("; "))]
    Missing {
        /// Each place that was looked in, and what was there.
        looked: Vec<String>,
        /// What to do about it.
        hint: String,
    },
    /// A library that cannot be used.
    #[error("{}: {message}\nhint: {hint}", path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// What was expected and what was found.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// There is no pinned build for this machine.
    #[error(
        "cannot fetch ONNX Runtime {version}: no build is pinned for {}-{}\n\
         hint: install ONNX Runtime and set ORT_DYLIB_PATH to its library",
        std::env::consts::OS,
        std::env::consts::ARCH
    )]
    NotPinned {
        /// The version that was asked for.
        version: &'static str,
    },
    /// ONNX Runtime could not be fetched.
    #[error(transparent)]
    Fetch(#[from] ekphrasis_fetch::FetchError),
    /// The system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A provider that nobody knows, or options that it cannot take.
    #[error("provider `{name}`: {message}\nhint: known providers are tensorrt, cuda and cpu")]
    Provider {
        /// The provider, as written.
        name: String,
        /// What was expected and what was found.
        message: String,
    },
    /// None of the wanted providers took.
    #[error("no provider available: {}\nhint: add \"cpu\" to `providers`", reasons.join("; "))]
    NoProvider {
        /// One reason for each provider.
        reasons: Vec<String>,
    },
    /// A tensor was made before [`Runtime::start`](crate::Runtime::start).
    #[error("ONNX Runtime has not been started\nhint: call `Runtime::start` first")]
    NotStarted,
    /// A tensor that does not fit a port of a graph, or a port that is not there.
    #[error("graph `{graph}`, {side} `{port}`: expected {expected}, found {found}")]
    Port {
        /// Name of the graph.
        graph: String,
        /// `input` or `output`.
        side: &'static str,
        /// Name of the port.
        port: String,
        /// What the graph wants.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A tensor used as what it is not.
    #[error("{context}: expected {expected}, found {found}")]
    Tensor {
        /// What was being done.
        context: String,
        /// What it takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A tensor is being written while somebody else reads or writes it.
    #[error("{context}: the tensor's memory is in use by another run or closure")]
    Busy {
        /// What was being done.
        context: String,
    },
    /// ONNX Runtime refused to do something with a graph.
    #[error("graph `{graph}`: {action}: {message}")]
    Graph {
        /// Name of the graph.
        graph: String,
        /// What was being done, as `running`.
        action: &'static str,
        /// ONNX Runtime's own words.
        message: String,
    },
    /// The graph itself is wrong.
    #[error(transparent)]
    Model(#[from] ekphrasis_graph::GraphError),
    /// ONNX Runtime, or CUDA below it, refused something that has to do with no graph.
    #[error("{action}: {message}")]
    Ort {
        /// What was being done.
        action: &'static str,
        /// Its own words.
        message: String,
    },
}

/// A result whose error is a [`RuntimeError`].
pub type Result<T, E = RuntimeError> = std::result::Result<T, E>;

/// Names what was being done when ONNX Runtime failed.
pub(crate) fn ort(action: &'static str) -> impl Fn(ort::Error) -> RuntimeError {
    move |e| RuntimeError::Ort { action, message: e.message().to_owned() }
}

/// Names the file of a system error.
pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> RuntimeError {
    move |source| RuntimeError::Io { path: path.to_owned(), source }
}

/// The error of a call into ONNX Runtime, if it failed.
///
/// # Safety
/// The status must come from such a call, and be given here once.
pub(crate) unsafe fn checked(status: ort::sys::OrtStatusPtr) -> ort::Result<()> {
    // SAFETY: as the caller promises.
    unsafe { ort::Error::<()>::result_from_status(status) }
}
