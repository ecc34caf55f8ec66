//! Token ids of many captions, laid end to end.

use crate::interner::Interner;
use std::collections::HashMap;

/// Stands for the end of a caption: no tokeniser gives a line break.
const END: &str = "\n";

/// The words of captions, as BLEU and CIDEr part them and as ROUGE-L does: the former at any white space, the latter
/// at single spaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct WordLists {
    ids: Vec<u32>,
    /// Where each caption ends in `ids`.
    ends: Vec<usize>,
    /// Whether the end of a caption is its last word.
    eos: bool,
    /// ROUGE-L's words, for the few captions where they are others.
    spaced: HashMap<usize, Vec<u32>>,
}

impl WordLists {
    /// The words of each caption, with its end as the last if `eos`.
    pub(crate) fn new<'t>(captions: impl Iterator<Item = &'t str>, eos: bool, words: &mut Interner) -> Self {
        let mut lists = Self { eos, ..Self::default() };
        let end = eos.then(|| words.intern(END));
        for caption in captions {
            if !words.plain_words(caption, &mut lists.ids) {
                lists.spaced.insert(lists.ends.len(), words.space_separated(caption));
                lists.ids.extend(words.words(caption));
            }
            lists.ids.extend(end);
            lists.ends.push(lists.ids.len());
        }
        lists
    }

    /// The words of a caption for BLEU and CIDEr, its end included where it counts.
    pub(crate) fn get(&self, caption: usize) -> &[u32] {
        let start = caption.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[start..self.ends[caption]]
    }

    /// The same without its end.
    pub(crate) fn without_end(&self, caption: usize) -> &[u32] {
        let words = self.get(caption);
        &words[..words.len() - usize::from(self.eos)]
    }

    /// The words of a caption for ROUGE-L, without its end.
    pub(crate) fn spaced(&self, caption: usize) -> &[u32] {
        self.spaced.get(&caption).map_or_else(|| self.without_end(caption), Vec::as_slice)
    }

    /// Number of captions.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}
