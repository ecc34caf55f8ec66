//! What can go wrong while fetching.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// Something could not be fetched, or is not what was pinned.
#[derive(Debug, Error)]
pub enum FetchError {
    /// pip, the index or the wheel.
    #[error("cannot fetch {title} {version}: {message}\nhint: {hint}")]
    Failed {
        /// What was to be fetched.
        title: String,
        /// The version that was asked for.
        version: String,
        /// What went wrong.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// A fetched file that is not the pinned one.
    #[error(
        "{file}: expected SHA-256 {expected}, found {found}; nothing was kept\n\
         hint: the package index serves another file than the pinned one; {instead}"
    )]
    Hash {
        /// The file within the wheel.
        file: String,
        /// The pinned hash, in hexadecimal.
        expected: String,
        /// The hash of what came, in hexadecimal.
        found: String,
        /// What to do instead of fetching.
        instead: String,
    },
    /// The system refused to read or write.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
}

/// Names the file of a system error.
pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> FetchError {
    move |source| FetchError::Io { path: path.to_owned(), source }
}
