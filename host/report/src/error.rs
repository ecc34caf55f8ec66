//! What can go wrong with a report, said with the place, the finding and a hint.

use std::path::{Path, PathBuf};

/// Every error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The operating system refused to read or write something.
    #[error("{action} {path}: {source}{}", hint_for(.source))]
    Io {
        /// What was tried, as a verb: "read", "write", "create folder".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file that stands where a new one was to be made.
    #[error("{path} exists already\nhint: resume the run that it belongs to, or choose another folder")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A log with a line that is not what it should be.
    #[error(
        "{path}:{line}: {message}\nhint: only the last line of a log may be incomplete; mend or remove this one"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected and found.
        message: String,
    },
    /// A value that cannot be shown.
    #[error("{place}: {message}")]
    Invalid {
        /// Where it stands: "row 3, picture 1".
        place: String,
        /// What was expected and found.
        message: String,
    },
}

impl ReportError {
    /// Wraps a system error for use in `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ReportError {
        let path = path.to_path_buf();
        move |source| ReportError::Io { action, path, source }
    }

    pub(crate) fn invalid(place: impl Into<String>, message: impl Into<String>) -> ReportError {
        ReportError::Invalid { place: place.into(), message: message.into() }
    }
}

fn hint_for(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull => "\nhint: free some space, or choose another run folder",
        std::io::ErrorKind::PermissionDenied => "\nhint: check the permissions, or choose another folder",
        std::io::ErrorKind::NotFound => {
            "\nhint: check the path; a relative path starts at the working folder"
        }
        _ => "",
    }
}
