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
