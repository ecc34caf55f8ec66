//! METEOR's paraphrase table: phrases, and for each the phrases that may stand for it.

use super::normalize::is_delimiter;
use super::slices::{self, Slice, bytes_of, u16s};
use super::table::{self, SECTIONS, Table};
use crate::error::MetricsError;
use std::collections::HashMap;
use std::io::BufRead;
use std::ops::Range;

/// A word of the table; words beyond this many have none.
pub(super) type WordId = u16;

/// Pairs of phrases, in a form that needs no parsing when it is read: some 45 MB for the English table.
#[derive(Debug, Clone)]
pub struct ParaphraseTable {
    vocabulary: Table,
    /// For each word, the first phrase that begins with it, and where the last ends. Phrases are sorted.
    by_word: Slice,
    /// Where the words of each phrase begin, and where the last ends.
    phrase_ends: Slice,
    phrases: Slice,
    /// The second word of each phrase plus 1, or 0: what most searches ask for, close together.
    seconds: Vec<WordId>,
    /// Where the paraphrases of each phrase begin, and where the last ends.
    paraphrase_ends: Slice,
    /// The first word of each paraphrase.
    heads: Slice,
    /// How many words follow the first.
    tail_lengths: Slice,
    /// Where the further words of the paraphrases of each phrase begin.
    tail_starts: Slice,
    tails: Slice,
}

/// Paraphrases of one phrase, as they are collected.
#[derive(Default)]
struct Collected {
    heads: Vec<WordId>,
    tail_lengths: Vec<u8>,
    tails: Vec<WordId>,
}

/// The paraphrases of one phrase.
pub(super) struct Paraphrases<'a> {
    heads: &'a [u8],
    tail_lengths: &'a [u8],
    tails: &'a [u8],
}

impl Paraphrases<'_> {
    /// Those whose first word is in a set: their place and that word, in the order of the table.
    pub(super) fn beginning_in(&self, words: &WordSet) -> impl Iterator<Item = (usize, WordId)> {
        // Few are, so eight at a time are passed over.
        let eights = (0..).step_by(8).zip(self.heads.chunks(16));
        let some =
            eights.filter(|(_, heads)| u16s(heads).fold(false, |some, head| some | words.contains(head)));
        let each = some.flat_map(|(place, heads)| (place..).zip(u16s(heads)));
        each.filter(|(_, head)| words.contains(*head))
    }

    /// The words after the first.
    pub(super) fn tail(&self, place: usize) -> impl ExactSizeIterator<Item = WordId> + Clone {
        let before: usize = self.tail_lengths[..place].iter().map(|l| usize::from(*l)).sum();
        let length = usize::from(self.tail_lengths[place]);
        u16s(self.tails.get(2 * before..2 * (before + length)).unwrap_or(&[]))
    }
}

/// A set of the table's words.
#[derive(Debug)]
pub(super) struct WordSet {
    bits: [u64; 1 << (WordId::BITS - 6)],
    words: Vec<WordId>,
}

impl Default for WordSet {
    fn default() -> Self {
        Self { bits: [0; 1 << (WordId::BITS - 6)], words: Vec::new() }
    }
}

impl WordSet {
    /// Takes these words and no others.
    pub(super) fn replace<'w>(&mut self, words: impl Iterator<Item = &'w WordId>) {
        for word in self.words.drain(..) {
            self.bits[usize::from(word >> 6)] = 0;
        }
        for &word in words {
            self.bits[usize::from(word >> 6)] |= 1 << (word & 63);
            self.words.push(word);
        }
    }

    pub(super) fn contains(&self, word: WordId) -> bool {
        self.bits[usize::from(word >> 6)] >> (word & 63) & 1 == 1
    }
}

/// A table's lines, one at a time.
struct Lines<R> {
    reader: R,
    text: String,
    number: usize,
}

impl<R> Lines<R> {
    fn expected(&self, what: &str, found: String) -> MetricsError {
        let place = format!("paraphrase table, line {}", self.number);
        MetricsError::MeteorData { place, expected: what.into(), found }
    }
}

impl<R: BufRead> Lines<R> {
    /// Goes to the next line; false at the end.
    fn next(&mut self) -> Result<bool, MetricsError> {
        self.text.clear();
        self.number += 1;
        let read = self.reader.read_line(&mut self.text);
        read.map(|n| n > 0).map_err(|e| self.expected("a line of text", e.to_string()))
    }
}

/// The words of a table, numbered as they come.
#[derive(Default)]
struct Words {
    ids: HashMap<String, WordId>,
    order: Vec<String>,
}

impl Words {
    /// The words of the line at hand.
    fn phrase<R>(&mut self, line: &Lines<R>) -> Result<Vec<WordId>, MetricsError> {
        let words = line.text.split(is_delimiter).filter(|w| !w.is_empty());
        let ids: Vec<WordId> = words.map(|word| self.id(word, line)).collect::<Result<_, _>>()?;
        match ids.len() {
            1..=255 => Ok(ids),
            n => Err(line.expected("a phrase of 1 to 255 words", format!("{n} words"))),
        }
    }

    fn id<R>(&mut self, word: &str, line: &Lines<R>) -> Result<WordId, MetricsError> {
        if let Some(&id) = self.ids.get(word) {
            return Ok(id);
        }
        let id = WordId::try_from(self.order.len()).ok().filter(|id| *id < WordId::MAX);
        let id = id.ok_or_else(|| line.expected("at most 65,535 words", format!("`{word}` beyond them")))?;
        self.ids.insert(word.to_owned(), id);
        self.order.push(word.to_owned());
        Ok(id)
    }
}

impl ParaphraseTable {
    /// Reads a table as METEOR 1.5 has it, unpacked (three lines a pair: probability, phrase, paraphrase) and
    /// writes the index that [`from_bytes`](Self::from_bytes) reads.
    ///
    /// # Errors
    /// If a line cannot be read or is missing, a phrase is empty, or there are more than 65,535 words.
    pub fn index(reader: impl BufRead) -> Result<Vec<u8>, MetricsError> {
        let mut lines = Lines { reader, text: String::new(), number: 0 };
        let mut words = Words::default();
        let mut collected: HashMap<Vec<WordId>, Collected> = HashMap::new();
        while lines.next()? {
            let mut phrase = || {
                let there = lines.next()?;
                let end = || lines.expected("a phrase", "the end of the file".into());
                if there { words.phrase(&lines) } else { Err(end()) }
            };
            let (source, target) = (phrase()?, phrase()?);
            let of = collected.entry(source).or_default();
            of.heads.push(target[0]);
            of.tail_lengths.push((target.len() - 1) as u8);
            of.tails.extend(&target[1..]);
        }
        Ok(write(&words.order, collected))
    }

    /// From an index.
    ///
    /// # Errors
    /// If it is none, or is cut short.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, MetricsError> {
        let mut sections = slices::split(bytes, SECTIONS + 8)?;
        let rest: Option<[Slice; 8]> = sections.split_off(SECTIONS).try_into().ok();
        match (Table::new(&sections), rest) {
            (Some(vocabulary), Some(rest)) => {
                let [by_word, phrase_ends, phrases, paraphrase_ends, heads, tail_lengths, tail_starts, tails] =
                    rest;
                let ends = phrase_ends.len() / 4;
                let mut table = Self {
                    vocabulary,
                    by_word,
                    phrase_ends,
                    phrases,
                    seconds: Vec::new(),
                    paraphrase_ends,
                    heads,
                    tail_lengths,
                    tail_starts,
                    tails,
                };
                table.seconds = (0..ends.saturating_sub(1)).map(|number| table.word_of(number, 1)).collect();
                Ok(table)
            }
            _ => Err(MetricsError::MeteorData {
                place: "paraphrase index".into(),
                expected: "the sections of a paraphrase table".into(),
                found: "others".into(),
            }),
        }
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.tail_lengths.len()
    }

    /// The table's number of a word.
    pub(super) fn word(&self, word: &str) -> Option<WordId> {
        self.vocabulary.find(word).and_then(|id| WordId::try_from(id).ok())
    }

    fn phrase(&self, number: usize) -> &[u8] {
        let range = self.phrase_ends.u32(number) as usize..self.phrase_ends.u32(number + 1) as usize;
        self.phrases.elements(range, 2)
    }

    /// A word of a phrase plus 1; 0 beyond its end.
    fn word_of(&self, number: usize, place: usize) -> WordId {
        u16s(self.phrase(number)).nth(place).map_or(0, |word| word.saturating_add(1))
    }

    /// Of phrases that are in order and share their first `length` words, the first with a larger word than `word`
    /// there, or the end. Words are as [`word_of`](Self::word_of) has them.
    fn after(&self, range: Range<usize>, length: usize, word: WordId) -> usize {
        if length == 1 {
            let seconds = self.seconds.get(range.clone()).unwrap_or(&[]);
            return range.start + seconds.partition_point(|other| *other <= word);
        }
        let (mut low, mut high) = (range.start, range.end);
        while low < high {
            let middle = low.midpoint(high);
            if self.word_of(middle, length) <= word { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The phrases that `words` begins with, shortest first: their lengths and numbers.
    pub(super) fn beginning(&self, words: &[Option<WordId>], mut found: impl FnMut(usize, u32)) {
        let Some(&Some(first)) = words.first() else { return };
        let first = usize::from(first);
        let (mut from, mut to) = (self.by_word.u32(first) as usize, self.by_word.u32(first + 1) as usize);
        for length in 1.. {
            let word = |number: usize| match length {
                1 => self.seconds.get(number).copied().unwrap_or(0),
                _ => self.word_of(number, length),
            };
            // All phrases in the range share their first `length` words; the one that ends there is first.
            if from < to && word(from) == 0 {
                found(length, from as u32);
                from += 1;
            }
            let Some(&Some(next)) = words.get(length) else { return };
            from = self.after(from..to, length, next);
            if from == to || word(from) != next.saturating_add(1) {
                return;
            }
            to = self.after(from..to, length, next.saturating_add(1));
        }
    }

    /// The paraphrases of a phrase.
    pub(super) fn paraphrases(&self, phrase: u32) -> Paraphrases<'_> {
        let phrase = phrase as usize;
        let range = self.paraphrase_ends.u32(phrase) as usize..self.paraphrase_ends.u32(phrase + 1) as usize;
        let tails = self.tail_starts.u32(phrase) as usize..self.tail_starts.u32(phrase + 1) as usize;
        let (heads, tail_lengths) =
            (self.heads.elements(range.clone(), 2), self.tail_lengths.elements(range, 1));
        let sound = heads.len() == 2 * tail_lengths.len();
        Paraphrases {
            heads: if sound { heads } else { &[] },
            tail_lengths,
            tails: self.tails.elements(tails, 2),
        }
    }
}

/// The index of collected phrases.
fn write(words: &[String], collected: HashMap<Vec<WordId>, Collected>) -> Vec<u8> {
    let mut phrases: Vec<_> = collected.into_iter().collect();
    phrases.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut by_word = vec![0u32; words.len() + 1];
    for (phrase, _) in &phrases {
        by_word[usize::from(phrase[0]) + 1] += 1;
    }
    for i in 1..by_word.len() {
        by_word[i] += by_word[i - 1];
    }
    let (mut phrase_ends, mut paraphrase_ends, mut tail_starts) = (vec![0], vec![0], vec![0]);
    let (mut texts, mut heads, mut lengths, mut tails) = (vec![], vec![], vec![], vec![]);
    let bytes = |ids: &[WordId]| ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>();
    for (phrase, of) in &phrases {
        texts.extend(bytes(phrase));
        heads.extend(bytes(&of.heads));
        lengths.extend(&of.tail_lengths);
        tails.extend(bytes(&of.tails));
        phrase_ends.push(texts.len() as u32 / 2);
        paraphrase_ends.push(lengths.len() as u32);
        tail_starts.push(tails.len() as u32 / 2);
    }
    let mut sections = table::sections(words.iter().map(|word| (word.as_str(), &[][..])));
    sections.extend([
        bytes_of(&by_word),
        bytes_of(&phrase_ends),
        texts,
        bytes_of(&paraphrase_ends),
        heads,
        lengths,
    ]);
    sections.extend([bytes_of(&tail_starts), tails]);
    slices::join(&sections)
}
