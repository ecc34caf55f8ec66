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
use sniff::Look;
use source::Source;
use std::io::BufRead;
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
    let mut source = Source::open(path)?;
    let look = sniff::look(&source.beginning);
    let Some(form) = FORMS.iter().find(|form| (form.recognised)(&look)) else {
        return Err(MetricsError::UnknownForm { file: source.file, found: look.to_string() });
    };
    let builder = (form.read)(&mut source, wording)?;
    builder.finish(&source, form.name)
}

/// The text of a file if it holds saved document frequencies.
pub(crate) fn saved_frequencies(path: &Path) -> Result<Option<impl BufRead + use<>>, MetricsError> {
    let mut source = Source::open(path)?;
    let look = sniff::look(&source.beginning);
    let is_saved = ["format", "words"].iter().all(|key| look.value(key).is_some())
        && matches!(&look, Look::Object(entries) if entries[0].0 == "format");
    Ok(is_saved.then(|| source.text()))
}
