//! Words to ids, for metrics on text.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// Gives each distinct word an id: 0, 1, 2, ... in order of first appearance.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    ids: HashMap<Arc<str>, u32, RandomState>,
    words: Vec<Arc<str>>,
}

impl Interner {
    /// An interner that knows no word yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of a word; a new one if the word is new.
    pub fn intern(&mut self, word: &str) -> u32 {
        if let Some(&id) = self.ids.get(word) {
            return id;
        }
        // 2^32 distinct words would not fit in memory.
        let id = self.words.len() as u32;
        let word: Arc<str> = word.into();
        self.words.push(Arc::clone(&word));
        self.ids.insert(word, id);
        id
    }

    /// The word with this id.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.words.get(id as usize).map(AsRef::as_ref)
    }

    /// Number of distinct words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether no word is known yet.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The ids of a caption's words as both [`words`](Self::words) and [`space_separated`](Self::space_separated)
    /// have them, at the end of `ids`; false, and nothing added, if the two differ.
    pub(crate) fn plain_words(&mut self, text: &str, ids: &mut Vec<u32>) -> bool {
        let before = ids.len();
        for word in text.split(' ') {
            if word.is_empty() || word.contains(is_python_space) {
                ids.truncate(before);
                return false;
            }
            ids.push(self.intern(word));
        }
        true
    }

    /// The ids of a caption's words, split at whitespace as Python's `str.split()` does (which the
    /// reference tools use for BLEU and CIDEr): a no-break space separates, runs count as one.
    pub fn words(&mut self, text: &str) -> Vec<u32> {
        text.split(is_python_space).filter(|word| !word.is_empty()).map(|word| self.intern(word)).collect()
    }

    /// The ids of a caption's words, split at every single U+0020 as Python's `str.split(" ")` does
    /// (which the reference tool uses for ROUGE-L): two spaces enclose an empty word, an empty caption
    /// is one empty word, a no-break space does not separate.
    pub fn space_separated(&mut self, text: &str) -> Vec<u32> {
        text.split(' ').map(|word| self.intern(word)).collect()
    }
}

/// Python counts the four information separators as space, Unicode's White_Space does not.
pub(crate) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_up_and_lead_back_to_words() {
        let mut interner = Interner::new();
        assert_eq!(interner.words("a dog and a cat"), [0, 1, 2, 0, 3]);
        assert_eq!(interner.word(1), Some("dog"));
        assert_eq!(interner.word(4), None);
        assert_eq!(interner.len(), 4);
    }

    #[test]
    fn the_two_ways_to_split_differ_where_pythons_do() {
        let mut interner = Interner::new();
        assert_eq!(interner.words(" 23\u{a0}3/4  st\u{1f}x ").len(), 4);
        assert_eq!(interner.space_separated("23\u{a0}3/4  st").len(), 3);
        assert_eq!(interner.words("").len(), 0);
        assert_eq!(interner.space_separated("").len(), 1);
    }
}
