//! What can go wrong in a study.

use std::path::{Path, PathBuf};

/// Every error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The system refused to read, write or start something.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file or folder is not what it should be.
    #[error("{}: {message}", path.display())]
    Found {
        /// The file or folder.
        path: PathBuf,
        /// What was expected, what was found, and a hint.
        message: String,
    },
    /// Some trials failed; the others are done.
    #[error("{}", failures(.failed, *.total))]
    Trials {
        /// Those that failed.
        failed: Vec<Failure>,
        /// How many trials the call had.
        total: usize,
    },
    /// Somebody asked the study to stop.
    #[error("stopped as asked; start the study again to go on")]
    Stopped,
    /// The study script failed.
    #[error(transparent)]
    Script(Box<ekphrasis_script::ScriptError>),
    /// A config or the journal cannot be used.
    #[error(transparent)]
    Train(Box<ekphrasis_train::TrainError>),
}

/// A trial that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the trial.
    pub trial: String,
    /// How it ended.
    pub message: String,
    /// All that it wrote.
    pub log: PathBuf,
    /// The last lines of that.
    pub tail: String,
}

/// A result whose error is a [`StudyError`].
pub type Result<T, E = StudyError> = std::result::Result<T, E>;

impl From<ekphrasis_script::ScriptError> for StudyError {
    fn from(error: ekphrasis_script::ScriptError) -> Self {
        Self::Script(Box::new(error))
    }
}

impl From<ekphrasis_train::TrainError> for StudyError {
    fn from(error: ekphrasis_train::TrainError) -> Self {
        Self::Train(Box::new(error))
    }
}

impl StudyError {
    /// Wraps a system error for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn found(path: &Path, message: impl Into<String>) -> Self {
        Self::Found { path: path.to_owned(), message: message.into() }
    }
}

fn failures(failed: &[Failure], total: usize) -> String {
    let mut out = format!("{} of {total} trials failed", failed.len());
    for failure in failed {
        out.push_str(&format!(
            "\n  {}: {}\n    log: {}",
            failure.trial,
            failure.message,
            failure.log.display()
        ));
        for line in failure.tail.lines() {
            out.push_str(&format!("\n    | {line}"));
        }
    }
    out.push_str("\nhint: start the study again once the cause is gone; trials that are done stay done");
    out
}
