//! Captions in groups, and document frequencies with the words that their ids stand for.

use crate::document_frequencies::DocumentFrequencies;
use crate::error::MetricsError;
use crate::interner::Interner;
use crate::texts::Texts;
use crate::word_lists::WordLists;
use serde::{Deserialize, Serialize};
use std::io::BufRead;
use std::sync::Arc;

/// Document frequencies of text: those of token ids, and the words that these stand for.
#[derive(Debug, Clone)]
pub struct TextFrequencies {
    pub(super) words: Interner,
    pub(super) frequencies: Arc<DocumentFrequencies>,
    pub(super) eos: bool,
    /// How many words the counted captions have: later ones are of other captions.
    pub(super) counted: usize,
}

/// The form on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    version: u32,
    eos: bool,
    words: Vec<String>,
    frequencies: DocumentFrequencies,
}

const FORMAT: &str = "ekphrasis document frequencies";
const VERSION: u32 = 1;

impl TextFrequencies {
    /// Counts tokenised captions, one group for each image. With `eos` the end of a caption counts as a word, as in
    /// the SCST reference.
    pub fn count(captions: &Groups, eos: bool) -> Self {
        let mut words = Interner::new();
        let lists = WordLists::new(captions.texts.iter(), eos, &mut words);
        Self { counted: words.len(), words, frequencies: Arc::new(count(&lists, captions)), eos }
    }

    /// The frequencies, by token id.
    pub fn frequencies(&self) -> &Arc<DocumentFrequencies> {
        &self.frequencies
    }

    /// Whether the end of a caption was counted as a word.
    pub fn eos(&self) -> bool {
        self.eos
    }

    /// What [`read_training`](crate::files::read_training) reads: JSON.
    ///
    /// # Errors
    /// Never, in practice: if JSON cannot be made of it.
    pub fn to_json(&self) -> Result<Vec<u8>, MetricsError> {
        let words = (0..self.counted as u32).filter_map(|id| self.words.word(id).map(str::to_owned));
        let stored = Stored {
            format: FORMAT.into(),
            version: VERSION,
            eos: self.eos,
            words: words.collect(),
            frequencies: DocumentFrequencies::clone(&self.frequencies),
        };
        serde_json::to_vec(&stored).map_err(|error| damaged("document frequencies", &error.to_string()))
    }

    /// Reads what [`TextFrequencies::to_json`] makes; `file` is what messages call it.
    pub(crate) fn read(file: &str, text: impl BufRead) -> Result<Self, MetricsError> {
        let stored: Stored = serde_json::from_reader(text).map_err(|error| {
            let message = error.to_string();
            // Its own errors have a hint.
            damaged(file, message.split("\nhint: ").next().unwrap_or_default())
        })?;
        if stored.format != FORMAT || stored.version != VERSION {
            return Err(damaged(file, &format!("`{}`, version {}", stored.format, stored.version)));
        }
        let mut words = Interner::new();
        for (id, word) in (0..).zip(&stored.words) {
            if words.intern(word) != id {
                return Err(damaged(file, &format!("the word `{word}` twice")));
            }
        }
        if let Some(id) = stored.frequencies.largest_token().filter(|id| *id as usize >= words.len()) {
            return Err(damaged(file, &format!("the token {id} of {} words", words.len())));
        }
        let frequencies = Arc::new(stored.frequencies);
        Ok(Self { counted: words.len(), words, frequencies, eos: stored.eos })
    }
}

/// The document frequencies of groups of captions.
pub(super) fn count(lists: &WordLists, captions: &Groups) -> DocumentFrequencies {
    DocumentFrequencies::count(captions.len(), |image, take| {
        captions.range(image).for_each(|caption| take(lists.get(caption)));
    })
}

fn damaged(file: &str, found: &str) -> MetricsError {
    MetricsError::CaptionFile {
        place: file.into(),
        expected: format!("{FORMAT}, version {VERSION}"),
        found: found.into(),
        hint: "count and save them again".into(),
    }
}

/// Captions in groups, one for each image.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    pub(super) texts: Texts,
    /// Where each group ends in `texts`.
    ends: Vec<usize>,
}

impl Groups {
    /// Captions that are tokenised already.
    pub fn tokens<C: AsRef<str>>(images: impl IntoIterator<Item = Vec<C>>) -> Self {
        let mut groups = Self::default();
        for image in images {
            image.iter().for_each(|caption| groups.texts.push(caption.as_ref()));
            groups.ends.push(groups.texts.len());
        }
        groups
    }

    /// The tokens of captions, all tokenised together in this order, as coco-caption does.
    pub fn tokenized<'t>(images: impl IntoIterator<Item = Vec<&'t str>>) -> Self {
        let (mut captions, mut ends) = (Vec::new(), Vec::new());
        for image in images {
            captions.extend(image);
            ends.push(captions.len());
        }
        Self { texts: Texts::tokenized(&captions), ends }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number of captions.
    pub fn captions(&self) -> usize {
        self.texts.len()
    }

    /// The captions of a group, from 0.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn group(&self, group: usize) -> impl ExactSizeIterator<Item = &str> {
        self.range(group).map(|i| self.texts.get(i))
    }

    pub(super) fn range(&self, group: usize) -> std::ops::Range<usize> {
        group.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[group]
    }
}
