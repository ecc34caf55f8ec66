//! Captions as METEOR sees them: words with everything that matchers ask about.

use super::lexicon::MeteorLexicon;
use super::normalize::{is_delimiter, normalize};
use super::paraphrases::{ParaphraseTable, WordId};
use crate::interner::Interner;
use rust_stemmers::{Algorithm, Stemmer};
use std::sync::{Arc, PoisonError, RwLock};

/// How many words are kept before all are forgotten: text of any length takes bounded memory.
const KEPT_WORDS: usize = 1 << 20;

/// A word, looked up once.
#[derive(Debug)]
struct Word {
    key: i32,
    stem: i32,
    function: bool,
    synsets: Box<[u32]>,
    phrase_word: Option<WordId>,
}

/// A caption, ready to be aligned: what there is to know of its words, word by word.
#[derive(Debug)]
pub(super) struct Sentence {
    /// Java's hash of each word: words of equal hash are equal for METEOR.
    pub keys: Vec<i32>,
    /// The same of their stems.
    pub stems: Vec<i32>,
    /// Whether they are function words.
    pub functions: Vec<bool>,
    /// Sets of synonyms, each with the place of a word that is in it.
    pub synsets: Vec<(u32, u32)>,
    /// Their numbers in the paraphrase table.
    pub phrase_words: Vec<Option<WordId>>,
    /// Phrases that have paraphrases: start, length, number in the table.
    pub phrases: Vec<(u32, u32, u32)>,
}

impl Sentence {
    fn with_room(words: usize) -> Self {
        Self {
            keys: Vec::with_capacity(words),
            stems: Vec::with_capacity(words),
            functions: Vec::with_capacity(words),
            synsets: Vec::with_capacity(8 * words),
            phrase_words: Vec::with_capacity(words),
            phrases: Vec::with_capacity(2 * words),
        }
    }

    /// Number of words.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    fn push(&mut self, word: &Word) {
        let place = self.len() as u32;
        self.keys.push(word.key);
        self.stems.push(word.stem);
        self.functions.push(word.function);
        self.synsets.extend(word.synsets.iter().map(|set| (*set, place)));
        self.phrase_words.push(word.phrase_word);
    }
}

/// Java's `String.hashCode`, over UTF-16 units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Makes sentences; remembers the words that it saw.
pub(super) struct Reader {
    lexicon: Arc<MeteorLexicon>,
    table: Option<Arc<ParaphraseTable>>,
    stemmer: Stemmer,
    known: RwLock<Known>,
}

/// Words that were looked up, by their ids.
#[derive(Default)]
struct Known {
    ids: Interner,
    words: Vec<Word>,
}

impl Known {
    fn get(&self, token: &str) -> Option<&Word> {
        self.words.get(self.ids.get(token)? as usize)
    }
}

impl Reader {
    pub(super) fn new(lexicon: Arc<MeteorLexicon>, table: Option<Arc<ParaphraseTable>>) -> Self {
        Self { lexicon, table, stemmer: Stemmer::create(Algorithm::English), known: RwLock::default() }
    }

    /// The paraphrase table that is used.
    pub(super) fn table(&self) -> Option<&ParaphraseTable> {
        self.table.as_deref()
    }

    fn look_up(&self, word: &str) -> Word {
        Word {
            key: java_hash(word),
            stem: java_hash(&self.stemmer.stem(word)),
            function: self.lexicon.is_function_word(word),
            synsets: self.lexicon.synsets(word).into_boxed_slice(),
            phrase_word: self.table().and_then(|t| t.word(word)),
        }
    }

    /// The sentence of a line of text.
    pub(super) fn sentence(&self, line: &str) -> Sentence {
        let text = normalize(line, &self.lexicon);
        let mut sentence = Sentence::with_room(text.bytes().filter(|byte| *byte == b' ').count() + 1);
        let mut known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        for token in text.split(is_delimiter).filter(|w| !w.is_empty()) {
            // Another caption's words may take the place of all before this one's word is read.
            while known.get(token).map(|word| sentence.push(word)).is_none() {
                drop(known);
                self.learn(token);
                known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            }
        }
        drop(known);
        if let Some(table) = self.table() {
            for start in 0..sentence.len() {
                let found =
                    |length: usize, phrase| sentence.phrases.push((start as u32, length as u32, phrase));
                table.beginning(&sentence.phrase_words[start..], found);
            }
        }
        sentence
    }

    fn learn(&self, token: &str) {
        let word = self.look_up(token);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.words.len() >= KEPT_WORDS {
            *known = Known::default();
        }
        // Another caption may have had the word in the meantime.
        if known.ids.intern(token) as usize == known.words.len() {
            known.words.push(word);
        }
    }
}
