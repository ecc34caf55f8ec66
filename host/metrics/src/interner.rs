//! Words to ids, for metrics on text.

use crate::gram_table::GramTable;
use crate::texts::Texts;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Gives each distinct word an id: 0, 1, 2, ... in order of first appearance.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    /// Words of at most 15 bytes, as numbers: nearly all.
    short: GramTable<u128, u32>,
    long: HashMap<Box<str>, u32, RandomState>,
    words: Texts,
}

impl Interner {
    /// An interner that knows no word yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of a word; a new one if the word is new.
    pub fn intern(&mut self, word: &str) -> u32 {
        self.id(word, packed(word))
    }

    /// The id of a word that is known.
    pub(crate) fn get(&self, word: &str) -> Option<u32> {
        match packed(word) {
            Some(number) => self.short.get(number),
            None => self.long.get(word),
        }
        .copied()
    }

    /// As [`intern`](Self::intern), given the word as a number if it is short.
    fn id(&mut self, word: &str, number: Option<u128>) -> u32 {
        // 2^32 distinct words would not fit in memory.
        let new = self.words.len() as u32;
        let id = match number {
            Some(number) => *self.short.get_or_insert_with(number, || new),
            None => match self.long.get(word) {
                Some(id) => *id,
                None => *self.long.entry(word.into()).or_insert(new),
            },
        };
        if id == new {
            self.words.push(word);
        }
        id
    }

    /// The word with this id.
    pub fn word(&self, id: u32) -> Option<&str> {
        let id = id as usize;
        (id < self.words.len()).then(|| self.words.get(id))
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
        // Of printable ASCII there is no other white space. (A fold is done many bytes at a time.)
        let printable = text.bytes().fold(true, |all, byte| all & (b' '..=b'~').contains(&byte));
        let before = ids.len();
        let mut rest = text;
        loop {
            let (word, number, after) = first_word(rest);
            if word.is_empty() || (!printable && word.contains(is_python_space)) {
                ids.truncate(before);
                return false;
            }
            ids.push(self.id(word, number));
            match after {
                Some(after) => rest = after,
                None => return true,
            }
        }
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

/// Bytes of a number.
const ROOM: usize = size_of::<u128>();
/// 1 in each byte.
const ONES: u128 = u128::MAX / 255;

/// The bytes of a word and, as the highest, how many they are; none if they do not fit.
fn packed(word: &str) -> Option<u128> {
    let mut bytes = [0; ROOM];
    bytes.get_mut(..word.len())?.copy_from_slice(word.as_bytes());
    pack(bytes, word.len())
}

fn pack(bytes: [u8; ROOM], length: usize) -> Option<u128> {
    let number = u128::from_le_bytes(bytes) & !(u128::MAX << (8 * length as u32 % u128::BITS));
    (length < ROOM).then_some(number | (length as u128) << (8 * (ROOM - 1)))
}

/// The word up to the first space, itself as [`packed`] has it, and what follows the space.
fn first_word(text: &str) -> (&str, Option<u128>, Option<&str>) {
    let mut bytes = [b' '; ROOM];
    match text.as_bytes().first_chunk() {
        Some(whole) => bytes = *whole,
        None => bytes[..text.len()].copy_from_slice(text.as_bytes()),
    }
    // The lowest byte that is 0 without its spaces has its highest bit set here, and none below it.
    let others = u128::from_le_bytes(bytes) ^ (ONES * u128::from(b' '));
    let spaces = others.wrapping_sub(ONES) & !others & (ONES << 7);
    let mut length = spaces.trailing_zeros() as usize / 8;
    if length == ROOM {
        length = text.find(' ').unwrap_or(text.len());
    }
    (&text[..length], pack(bytes, length), text.get(length + 1..))
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
    fn words_that_begin_alike_differ() {
        let mut interner = Interner::new();
        let words = [
            "",
            "\0",
            "\0\0",
            "a",
            "\0a",
            "fifteen-letters",
            "sixteen--letters",
            "sixteen--letters\0",
            "éééééééé",
        ];
        for (id, word) in (0..).zip(words).chain((0..).zip(words)) {
            assert_eq!((interner.intern(word), interner.word(id)), (id, Some(word)));
        }
    }

    #[test]
    fn words_are_parted_at_spaces() {
        let long = "a word-of-fifteen. a word-of-sixteen.. é and-one-far-longer-than-that end";
        for text in ["", " ", "a", " a  b ", "dog é  ", "fifteen-letters", "sixteen--letters", long] {
            let mut rest = Some(text);
            let words = std::iter::from_fn(|| {
                let (word, number, after) = first_word(rest?);
                assert_eq!(number, packed(word), "{word}");
                rest = after;
                Some(word)
            });
            assert!(words.eq(text.split(' ')), "{text:?}");
        }
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
