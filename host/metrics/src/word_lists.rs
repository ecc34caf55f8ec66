//! Token ids of many captions, laid end to end.

use crate::interner::Interner;
use crate::token_lists::TokenLists;
use std::collections::HashMap;

/// Stands for the end of a caption: no tokeniser gives a line break.
const END: &str = "\n";

/// The words of captions, as BLEU and CIDEr part them and as ROUGE-L does: the former at any white space, the latter
/// at single spaces.
#[derive(Debug, Clone, Default)]
pub(crate) struct WordLists {
    lists: TokenLists,
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
            let place = lists.lists.len();
            lists.lists.push_with(|ids| {
                if !words.plain_words(caption, ids) {
                    lists.spaced.insert(place, words.space_separated(caption));
                    ids.extend(words.words(caption));
                }
                ids.extend(end);
            });
        }
        lists
    }

    /// The words of a caption for BLEU and CIDEr, its end included where it counts.
    pub(crate) fn get(&self, caption: usize) -> &[u32] {
        self.lists.get(caption)
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
        self.lists.len()
    }
}
