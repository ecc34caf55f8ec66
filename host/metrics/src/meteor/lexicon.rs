//! What METEOR knows about words: which are function words, which end in a period, what WordNet says.

use super::slices::{self, Slice};
use super::table::{self, Table};
use crate::error::MetricsError;
use std::collections::BTreeMap;

/// The endings that WordNet's `morphy` takes off an inflected word, and what it puts in their place, in the
/// order in which they are tried.
const DETACHMENTS: [(&str, &str); 20] = [
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
    ("ies", "y"),
    ("es", "e"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
    ("er", "e"),
    ("est", "e"),
];

/// When a word that ends in a period keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Always, as "Mr.".
    Any,
    /// Before a number, as "No. 5".
    BeforeNumber,
}

/// The texts in METEOR's jar that its English scores need.
#[derive(Debug, Clone, Copy)]
pub struct MeteorFiles<'a> {
    /// `function/english.words`: a word a line.
    pub function_words: &'a str,
    /// `nonbreaking/english.prefixes`: a word a line, `#NUMERIC_ONLY#` behind some, comments with `#`.
    pub prefixes: &'a str,
    /// `synonym/english.exceptions`: a base form, and on the next line its irregular forms.
    pub exceptions: &'a str,
    /// `synonym/english.synsets`: a word, and on the next line the numbers of its sets of synonyms.
    pub synsets: &'a str,
}

/// METEOR's words, ready for use; [`as_bytes`](Self::as_bytes) can be kept in a file, which loads at once.
#[derive(Debug, Clone)]
pub struct MeteorLexicon {
    function_words: Table,
    prefixes: Table,
    /// Sets of synonyms of a base form.
    synsets: Table,
    /// Sets of synonyms of an irregular form: those of its base forms.
    irregular: Table,
}

fn damaged(place: &str, expected: &str, found: &str) -> MetricsError {
    MetricsError::MeteorData { place: place.into(), expected: expected.into(), found: format!("`{found}`") }
}

/// A file of pairs of lines.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut lines = text.lines();
    std::iter::from_fn(move || Some((lines.next()?, lines.next().unwrap_or(""))))
}

impl MeteorLexicon {
    /// Reads the texts of the jar and writes the index that [`from_bytes`](Self::from_bytes) reads.
    ///
    /// # Errors
    /// If the number of a set of synonyms is none.
    pub fn index(files: &MeteorFiles) -> Result<Vec<u8>, MetricsError> {
        let mut synsets: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (word, sets) in pairs(files.synsets) {
            let numbers = sets.split_whitespace().map(|set| {
                set.parse().map_err(|_| damaged("english.synsets", "numbers of sets of synonyms", set))
            });
            let mut numbers: Vec<u32> = numbers.collect::<Result<_, _>>()?;
            numbers.sort_unstable();
            numbers.dedup();
            synsets.insert(word, numbers);
        }
        let mut irregular: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (base, forms) in pairs(files.exceptions) {
            for form in forms.split_whitespace() {
                irregular.entry(form).or_default().extend(synsets.get(base).into_iter().flatten());
            }
        }
        for sets in irregular.values_mut() {
            sets.sort_unstable();
            sets.dedup();
        }
        let function_words = files.function_words.lines().map(|word| (word, vec![])).collect();
        let prefixes = files.prefixes.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let prefix = words.next().filter(|w| !w.starts_with('#'))?;
            Some((prefix, vec![u32::from(words.next() == Some("#NUMERIC_ONLY#"))]))
        });
        let tables: [BTreeMap<&str, Vec<u32>>; 4] = [function_words, prefixes.collect(), synsets, irregular];
        let sections = tables.iter().flat_map(|t| table::sections(t.iter().map(|(k, v)| (*k, v.as_slice()))));
        Ok(slices::join(&sections.collect::<Vec<_>>()))
    }

    /// From an index.
    ///
    /// # Errors
    /// If it is none, or is cut short.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, MetricsError> {
        let sections = slices::split(bytes, 4 * table::SECTIONS)?;
        let tables: Option<Vec<Table>> =
            sections.chunks(table::SECTIONS).map(|s: &[Slice]| Table::new(s)).collect();
        match tables.and_then(|t| <[Table; 4]>::try_from(t).ok()) {
            Some([function_words, prefixes, synsets, irregular]) => {
                Ok(Self { function_words, prefixes, synsets, irregular })
            }
            None => Err(damaged("index", "tables of METEOR's words", "other sections")),
        }
    }

    /// Whether METEOR weighs the lower-cased word as a function word.
    pub(super) fn is_function_word(&self, word: &str) -> bool {
        self.function_words.find(word).is_some()
    }

    /// Whether the word before a period keeps it.
    pub(super) fn prefix(&self, word: &str) -> Option<Prefix> {
        let numeric = self.prefixes.get(word)?;
        Some(if numeric == [1] { Prefix::BeforeNumber } else { Prefix::Any })
    }

    /// The sets of synonyms that a word is in: its own and those of its base form, sorted, distinct.
    pub(super) fn synsets(&self, word: &str) -> Vec<u32> {
        let mut sets = self.synsets.get(word).unwrap_or_default();
        match self.irregular.get(word) {
            Some(of_bases) => sets.extend(of_bases),
            None => {
                sets.extend(self.base_form(word).and_then(|base| self.synsets.get(&base)).unwrap_or_default())
            }
        }
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    /// The base form of a regularly inflected word, if WordNet has it. `None` also for a word of one or two
    /// UTF-16 units or one in "ss", which count as base forms.
    fn base_form(&self, word: &str) -> Option<String> {
        if word.ends_with("ss") || word.encode_utf16().take(3).count() < 3 {
            return None;
        }
        let bases = DETACHMENTS
            .iter()
            .filter_map(|(end, instead)| Some(word.strip_suffix(end)?.to_owned() + instead));
        bases.into_iter().find(|base| self.synsets.find(base).is_some())
    }
}
