//! What can be wrong with the input of a metric.

use thiserror::Error;

/// An input that no score can be computed from.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum MetricsError {
    /// A split needs one hypothesis for each image.
    #[error(
        "split to score: expected one hypothesis for each of {references} images with references, found {hypotheses} hypotheses"
    )]
    CountMismatch {
        /// Number of hypotheses given.
        hypotheses: usize,
        /// Number of images that have references.
        references: usize,
    },
    /// An image without a reference has no score.
    #[error(
        "image {image} of the split: expected at least one reference, found none\nhint: drop images without captions before scoring"
    )]
    NoReferences {
        /// Position of the image in the split, from 0.
        image: usize,
    },
    /// Embeddings, features or probabilities that no score can be computed from.
    #[error("{place}: expected {expected}, found {found}")]
    Vectors {
        /// Which vectors, and the row at fault, from 0.
        place: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Stored document frequencies that contradict themselves.
    #[error(
        "stored document frequencies, {place}: expected {expected}, found {found}\nhint: count them again from the references"
    )]
    StoredFrequencies {
        /// The field at fault.
        place: String,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// METEOR's data is not what it should be.
    #[error("METEOR's {place}: expected {expected}, found {found}\nhint: fetch METEOR's data again")]
    MeteorData {
        /// File and line, or part of the index.
        place: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Two systems that cannot be compared image by image.
    #[error(
        "comparison of two systems, {place}: expected {expected}, found {found}\nhint: score both on the same images with the same metric"
    )]
    Comparison {
        /// What is at fault: the metric, the images, or one image.
        place: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A file that cannot be read.
    #[error("read {file}: {message}\nhint: {hint}")]
    Unreadable {
        /// The file.
        file: String,
        /// The system's answer.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// A file of captions whose form is not known.
    #[error("{file}: expected a file of captions in one of these forms, found {found}{}", forms())]
    UnknownForm {
        /// The file.
        file: String,
        /// How it begins.
        found: String,
    },
    /// A file of captions that is not what its form asks for.
    #[error("{place}: expected {expected}, found {found}{}", hint_line(.hint))]
    CaptionFile {
        /// The file, and the line or the path in its JSON.
        place: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
        /// What to do; may be empty.
        hint: String,
    },
    /// Candidates and references that are not of the same images.
    #[error("{candidates}: {found}\nhint: {hint}")]
    Unmatched {
        /// The file of candidates.
        candidates: String,
        /// What is missing on either side, with the first few ids.
        found: String,
        /// What to do.
        hint: String,
    },
    /// METEOR's data is nowhere, and may not be fetched.
    #[error(
        "METEOR's data: none in the cache ({cache}), and fetching is forbidden\n\
         hint: run once without --offline, set EKPHRASIS_METEOR to a meteor-1.5.jar with data/paraphrase-en.gz \
         beside it, or leave METEOR out"
    )]
    NoMeteorData {
        /// The cache folder.
        cache: String,
    },
    /// What the user names as METEOR's data is not that.
    #[error(
        "{path}: {message}\nhint: EKPHRASIS_METEOR must name meteor-1.5.jar, or the folder that holds it and \
         data/paraphrase-en.gz"
    )]
    MeteorSource {
        /// The file or folder.
        path: String,
        /// What was expected and what was found.
        message: String,
    },
    /// METEOR's data could not be fetched, or not be written to the cache: the words of
    /// [`FetchError`](ekphrasis_fetch::FetchError).
    #[error("{0}")]
    Fetch(String),
}

impl From<ekphrasis_fetch::FetchError> for MetricsError {
    fn from(error: ekphrasis_fetch::FetchError) -> Self {
        Self::Fetch(error.to_string())
    }
}

fn hint_line(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("\nhint: {hint}") }
}

fn forms() -> String {
    crate::files::FORMS.iter().map(|form| format!("\n  {:<18} {}", form.name, form.example)).collect()
}

impl MetricsError {
    pub(crate) fn vectors(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Vectors { place: place.into(), expected: expected.into(), found: found.into() }
    }
}
