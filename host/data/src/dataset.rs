//! The common result of every format.

use std::collections::BTreeMap;

use crate::{DataError, ImageStore, Scene, Vocabulary};

/// A data set: splits, and the words of its training captions.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name of the format that made it.
    pub format: &'static str,
    /// Splits by name; `train` is always among them.
    pub splits: BTreeMap<String, Split>,
    /// Words of the training captions.
    pub vocabulary: Vocabulary,
    /// Width and height of every picture in pixels.
    pub image_size: usize,
    /// What the user should know: pictures left out, a cache made anew.
    pub notes: Vec<String>,
    /// Names what the pictures were made from and how; equal for equal pictures.
    pub fingerprint: String,
}

impl Dataset {
    /// The split `name`, or an error that names the ones there are.
    pub fn split(&self, name: &str) -> Result<&Split, DataError> {
        self.splits.get(name).ok_or_else(|| DataError::Unknown {
            what: "split",
            found: name.to_owned(),
            known: self.splits.keys().cloned().collect(),
        })
    }
}

/// One part of a data set: `examples[i]` describes picture `i` of `images`.
#[derive(Debug, Clone)]
pub struct Split {
    /// Name of the split.
    pub name: String,
    /// The examples; each has one caption or more.
    pub examples: Vec<Example>,
    /// Their pictures.
    pub images: ImageStore,
}

impl Split {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// The reference captions of example `index` as ids, without begin and end; empty if there is no such one.
    pub fn references(&self, index: usize) -> &[Vec<u32>] {
        self.examples.get(index).map_or(&[], |example| &example.tokens)
    }
}

/// A picture's name and captions.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Unique in the data set: a file name, or split and number.
    pub id: String,
    /// Captions as written.
    pub captions: Vec<String>,
    /// The same captions as ids, without begin and end, of full length.
    pub tokens: Vec<Vec<u32>>,
    /// What is in the picture, where that is known.
    pub scene: Option<Scene>,
}
