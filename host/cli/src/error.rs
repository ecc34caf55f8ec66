//! What can go wrong at the command line.

use std::path::{Path, PathBuf};

/// Every error that a command ends with. The libraries' errors say where, what was expected, what was
/// found, and give hints on lines of their own.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments do not go together.
    #[error("{0}")]
    Usage(String),
    /// Something else that the user should know.
    #[error("{0}")]
    Message(String),
    /// The system refused to read or write.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The run was asked to stop, and its state is saved.
    #[error("stopped; everything up to here is saved\nhint: go on with `ekphrasis run --resume {}`", .0.display())]
    Stopped(PathBuf),
    #[error(transparent)]
    Train(#[from] ekphrasis_train::TrainError),
    #[error(transparent)]
    Study(#[from] ekphrasis_study::StudyError),
    #[error(transparent)]
    Data(#[from] ekphrasis_data::DataError),
    #[error(transparent)]
    Graph(#[from] ekphrasis_graph::GraphError),
    #[error(transparent)]
    Grad(#[from] ekphrasis_grad::GradError),
    #[error(transparent)]
    Metrics(#[from] ekphrasis_metrics::MetricsError),
    #[error(transparent)]
    Runtime(#[from] ekphrasis_runtime::RuntimeError),
    #[error(transparent)]
    Report(#[from] ekphrasis_report::ReportError),
    #[error(transparent)]
    Script(#[from] ekphrasis_script::ScriptError),
}

/// A result whose error is a [`CliError`].
pub type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// 2 for a wrong command line, 130 after Ctrl-C (as shells have it), 1 for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Stopped(_) | Self::Study(ekphrasis_study::StudyError::Stopped) => 130,
            _ => 1,
        }
    }

    /// Wraps a system error for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// `hint: did you mean ...?` for a name near a known one; else the known ones.
pub fn suggestion<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(found, known.iter().copied()) {
        Some(name) => format!("hint: did you mean `{name}`?"),
        None => format!("hint: known are {}", known.join(", ")),
    }
}

/// The known name that `found` was probably meant to be.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}
