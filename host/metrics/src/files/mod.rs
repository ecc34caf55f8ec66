//! Readers of caption files, and the pairing of candidates with references.
//!
//! [`read`] takes any of the [`FORMS`], told apart by their content and packed by gzip or not. Files are read once,
//! from front to back, so they may be pipes; memory holds the captions and their ids, not the file.
//!
//! ```no_run
//! use ekphrasis_metrics::files::{Wording, pair, read};
//!
//! let references = read("references.json".as_ref(), Wording::Raw)?;
//! let candidates = read("candidates.json".as_ref(), Wording::Raw)?;
//! let pairs = pair(&references, &[&candidates], false)?;
//! println!("{} images, paired by {}", pairs.len(), pairs.paired_by(0));
//! # Ok::<(), ekphrasis_metrics::MetricsError>(())
//! ```

mod coco;
mod forms;
mod json;
mod karpathy;
mod lines;
mod pairs;
mod plain;
mod set;
mod sniff;
mod source;
mod table;

pub use forms::{FORMS, Form};
pub use pairs::{Pairs, pair};
pub use set::CaptionSet;

use crate::error::MetricsError;
use crate::suite::TextFrequencies;
use sniff::Look;
use source::Source;
use std::path::Path;

/// Which wording of a caption to read, where a file has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// As people wrote it, to be tokenised; words joined by spaces where a file has nothing else.
    Raw,
    /// Words already split, joined by spaces; as people wrote it where a file has nothing else.
    Tokens,
}

/// Reads a file of captions.
///
/// Images stand in the order in which the file names them first (COCO annotations: in that of `images`), captions of
/// an image in that of the file. Images without captions are left out.
///
/// # Errors
/// If the file cannot be read, is not UTF-8, has none of the known forms, or is not what its form asks for. The place
/// is named: the line, or the path in the JSON.
pub fn read(path: &Path, wording: Wording) -> Result<CaptionSet, MetricsError> {
    let source = Source::open(path)?;
    let look = sniff::look(&source.beginning);
    read_as(source, &look, wording)
}

fn read_as(mut source: Source, look: &Look, wording: Wording) -> Result<CaptionSet, MetricsError> {
    let Some(form) = FORMS.iter().find(|form| (form.recognised)(look)) else {
        return Err(MetricsError::UnknownForm { file: source.file, found: look.to_string() });
    };
    let builder = (form.read)(&mut source, wording)?;
    builder.finish(&source, form.name)
}

/// What document frequencies come from.
#[derive(Debug, Clone)]
pub enum Training {
    /// Captions to be counted.
    Captions(CaptionSet),
    /// Counts that were saved.
    Frequencies(TextFrequencies),
}

/// Reads a file of captions or of saved document frequencies.
///
/// # Errors
/// As [`read`]; and if saved frequencies are damaged.
pub fn read_training(path: &Path, wording: Wording) -> Result<Training, MetricsError> {
    let mut source = Source::open(path)?;
    let look = sniff::look(&source.beginning);
    let is_saved = matches!(&look, Look::Object(entries) if entries.first().is_some_and(|(key, _)| key == "format"))
        && look.value("words").is_some();
    match is_saved {
        true => Ok(Training::Frequencies(TextFrequencies::read(&source.file.clone(), source.text())?)),
        false => Ok(Training::Captions(read_as(source, &look, wording)?)),
    }
}
