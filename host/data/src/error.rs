//! What can go wrong with data, said with the place, the finding and a hint.

use std::path::{Path, PathBuf};

/// Every error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
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
    /// A name that is not in a list of known names.
    #[error("unknown {what} `{found}`\nhint: {}", suggestion(.found, .known))]
    Unknown {
        /// What the name was to name.
        what: &'static str,
        /// The name.
        found: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A setting with a value that cannot be used.
    #[error("data.{key}: {message}")]
    Setting {
        /// Name of the setting.
        key: String,
        /// What was expected and found.
        message: String,
    },
    /// An annotation or vocabulary file that is not what it says.
    #[error("{file}: {place}: {message}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, or the path inside the JSON.
        place: String,
        /// What was expected and found.
        message: String,
    },
    /// More pictures are missing or damaged than the settings allow.
    #[error(
        "{bad} of {total} pictures in {folder} cannot be used, more than `max_bad` = {max_bad} allows:{}\n\
         hint: complete the folder, or raise `max_bad`", listing(.first, *.bad)
    )]
    BadPictures {
        /// The folder of pictures.
        folder: PathBuf,
        /// How many cannot be used.
        bad: usize,
        /// How many the annotations name.
        total: usize,
        /// The limit, a fraction of `total`.
        max_bad: f64,
        /// The first few, each with its reason.
        first: Vec<String>,
    },
    /// A cache file whose content is not what was written.
    #[error("{path}: {message}\nhint: remove this cache file; it is made again at the next start")]
    DamagedCache {
        /// The cache file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An index or size that does not fit the data.
    #[error("{what}: {found} is out of range, expected less than {limit}")]
    OutOfRange {
        /// What was indexed.
        what: &'static str,
        /// The index.
        found: usize,
        /// The number of things there are.
        limit: usize,
    },
    /// Nothing to take batches from.
    #[error("split `{split}`: {message}")]
    Split {
        /// Name of the split.
        split: String,
        /// What is wrong with it.
        message: String,
    },
    /// The background threads of a prefetcher ended early.
    #[error("the batch prefetcher has stopped after an earlier error")]
    Stopped,
}

impl DataError {
    /// Wraps a system error for use in `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DataError {
        let path = path.to_path_buf();
        move |source| DataError::Io { action, path, source }
    }

    pub(crate) fn setting(key: &str, message: impl Into<String>) -> DataError {
        DataError::Setting { key: key.to_owned(), message: message.into() }
    }

    pub(crate) fn malformed(file: &Path, place: impl Into<String>, message: impl Into<String>) -> DataError {
        DataError::Malformed { file: file.to_path_buf(), place: place.into(), message: message.into() }
    }
}

fn hint_for(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull => "\nhint: free some space, or choose another cache folder",
        std::io::ErrorKind::PermissionDenied => "\nhint: check the permissions, or choose another folder",
        std::io::ErrorKind::NotFound => {
            "\nhint: check the path; a relative path starts at the working folder"
        }
        _ => "",
    }
}

fn suggestion(found: &str, known: &[String]) -> String {
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

fn listing(first: &[String], total: usize) -> String {
    let mut text: String = first.iter().map(|line| format!("\n  {line}")).collect();
    if total > first.len() {
        text.push_str(&format!("\n  and {} more", total - first.len()));
    }
    text
}
