//! Captions as METEOR sees them: words with everything that matchers ask about.

use super::lexicon::MeteorLexicon;
use super::normalize::{is_delimiter, normalize};
use super::paraphrases::{ParaphraseTable, WordId};
use rust_stemmers::{Algorithm, Stemmer};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// How many words are kept before all are forgotten: text of any length takes bounded memory.
const KEPT_WORDS: usize = 1 << 20;

/// A word, looked up once.
#[derive(Debug)]
pub(super) struct Word {
    /// Java's hash of the word: words of equal hash are equal for METEOR.
    pub key: i32,
    /// The same of its stem.
    pub stem: i32,
    pub function: bool,
    /// Sorted.
    pub synsets: Box<[u32]>,
    /// A bit for each set of synonyms, hashed: words with no common bit have no common set.
    pub synset_bits: u64,
    /// Its number in the paraphrase table.
    pub phrase_word: Option<WordId>,
}

/// A caption, ready to be aligned.
#[derive(Debug)]
pub(super) struct Sentence {
    pub words: Vec<Arc<Word>>,
    /// Keys of the words.
    pub keys: Vec<i32>,
    /// Numbers of the words in the paraphrase table.
    pub phrase_words: Vec<Option<WordId>>,
    /// Phrases that have paraphrases: start, length, number in the table.
    pub phrases: Vec<(u32, u32, u32)>,
}

/// Java's `String.hashCode`, over UTF-16 units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

impl Word {
    /// Whether the two are in a common set of synonyms.
    pub(super) fn is_synonym(&self, other: &Self) -> bool {
        if self.synset_bits & other.synset_bits == 0 {
            return false;
        }
        let (mut a, mut b) = (self.synsets.iter().peekable(), other.synsets.iter().peekable());
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            match x.cmp(y) {
                std::cmp::Ordering::Less => _ = a.next(),
                std::cmp::Ordering::Greater => _ = b.next(),
                std::cmp::Ordering::Equal => return true,
            }
        }
        false
    }
}

/// Makes sentences; remembers the words that it saw.
pub(super) struct Reader {
    lexicon: Arc<MeteorLexicon>,
    table: Option<Arc<ParaphraseTable>>,
    stemmer: Stemmer,
    words: RwLock<HashMap<Box<str>, Arc<Word>>>,
}

impl Reader {
    pub(super) fn new(lexicon: Arc<MeteorLexicon>, table: Option<Arc<ParaphraseTable>>) -> Self {
        Self { lexicon, table, stemmer: Stemmer::create(Algorithm::English), words: RwLock::default() }
    }

    /// The paraphrase table that is used.
    pub(super) fn table(&self) -> Option<&ParaphraseTable> {
        self.table.as_deref()
    }

    fn look_up(&self, word: &str) -> Word {
        let synsets = self.lexicon.synsets(word).into_boxed_slice();
        // The upper bits of a multiplicative hash are the well-mixed ones.
        let bit = |set: &u32| 1u64 << (set.wrapping_mul(0x9e37_79b9) >> 26);
        Word {
            key: java_hash(word),
            stem: java_hash(&self.stemmer.stem(word)),
            function: self.lexicon.is_function_word(word),
            synset_bits: synsets.iter().fold(0, |bits, set| bits | bit(set)),
            synsets,
            phrase_word: self.table().and_then(|t| t.word(word)),
        }
    }

    /// The sentence of a line of text.
    pub(super) fn sentence(&self, line: &str) -> Sentence {
        let text = normalize(line, &self.lexicon);
        let tokens = || text.split(is_delimiter).filter(|w| !w.is_empty());
        let known = self.words.read().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<_> = tokens().map(|token| known.get(token).cloned().ok_or(token)).collect();
        drop(known);
        let words: Vec<Arc<Word>> =
            words.into_iter().map(|word| word.unwrap_or_else(|token| self.learn(token))).collect();

        let phrase_words: Vec<_> = words.iter().map(|w| w.phrase_word).collect();
        let mut phrases = Vec::new();
        if let Some(table) = self.table() {
            for start in 0..words.len() {
                let found = |length: usize, phrase| phrases.push((start as u32, length as u32, phrase));
                table.beginning(&phrase_words[start..], found);
            }
        }
        Sentence { keys: words.iter().map(|w| w.key).collect(), words, phrase_words, phrases }
    }

    fn learn(&self, token: &str) -> Arc<Word> {
        let word = Arc::new(self.look_up(token));
        let mut words = self.words.write().unwrap_or_else(PoisonError::into_inner);
        if words.len() >= KEPT_WORDS {
            words.clear();
        }
        words.insert(token.into(), Arc::clone(&word));
        word
    }
}
