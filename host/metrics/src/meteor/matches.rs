//! Which phrases of two captions may be aligned: METEOR's four matchers.

use super::MeteorModules;
use super::paraphrases::{ParaphraseTable, WordId};
use super::sentence::Sentence;

/// Phrases of hypothesis and reference that mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    /// First word in the reference.
    pub start: u32,
    /// Words in the reference.
    pub length: u32,
    /// First word in the hypothesis.
    pub match_start: u32,
    /// Words in the hypothesis.
    pub match_length: u32,
    /// 0 exact, 1 stem, 2 synonym, 3 paraphrase.
    pub module: u8,
}

/// The matches of a pair of captions, and room for those of the next.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// By first word in the reference, in the order in which the matchers found them.
    pub by_start: Vec<Vec<Match>>,
    /// How many matches cover each word of the hypothesis, of the reference.
    pub coverage: [Vec<u32>; 2],
    /// Words of the paraphrase table that are in the caption at hand, as bits.
    present: Vec<u64>,
}

impl Matches {
    /// Finds the matches of a hypothesis and a reference.
    pub(super) fn find(
        &mut self,
        hypothesis: &Sentence,
        reference: &Sentence,
        modules: MeteorModules,
        table: Option<&ParaphraseTable>,
    ) {
        let (n, m) = (reference.words.len(), hypothesis.words.len());
        self.by_start.iter_mut().for_each(Vec::clear);
        if self.by_start.len() < n {
            self.by_start.resize_with(n, Vec::new);
        }
        for (coverage, length) in self.coverage.iter_mut().zip([m, n]) {
            coverage.clear();
            coverage.resize(length, 0);
        }
        // Captions that are word for word the same are matched by nothing else, and each word with itself is what
        // the search would choose: no other way has all words in one chunk.
        if hypothesis.keys == reference.keys {
            (0..n as u32).for_each(|i| self.push((i, 1), (i, 1), 0));
            return;
        }
        self.words(hypothesis, reference, 0, |_, _| true);
        if modules >= MeteorModules::ExactStem {
            let stems = |i: usize, j: usize| hypothesis.words[j].stem == reference.words[i].stem;
            self.words(hypothesis, reference, 1, stems);
        }
        if modules >= MeteorModules::ExactStemSynonym {
            let synonyms = |i: usize, j: usize| hypothesis.words[j].is_synonym(&reference.words[i]);
            self.words(hypothesis, reference, 2, synonyms);
        }
        if let Some(table) = table.filter(|_| modules >= MeteorModules::All) {
            self.paraphrases(table, reference, hypothesis, |matches, start, length, other, other_length| {
                matches.push((start, length), (other, other_length), 3);
            });
            self.paraphrases(table, hypothesis, reference, |matches, start, length, other, other_length| {
                matches.push((other, other_length), (start, length), 3);
            });
        }
    }

    fn push(&mut self, (start, length): (u32, u32), (match_start, match_length): (u32, u32), module: u8) {
        for (coverage, start, length) in [(0, match_start, match_length), (1, start, length)] {
            for covered in &mut self.coverage[coverage][start as usize..(start + length) as usize] {
                *covered += 1;
            }
        }
        self.by_start[start as usize].push(Match { start, length, match_start, match_length, module });
    }

    /// Matches single words: equal ones by module 0, by others different ones for which `like` holds.
    fn words(
        &mut self,
        hypothesis: &Sentence,
        reference: &Sentence,
        module: u8,
        like: impl Fn(usize, usize) -> bool,
    ) {
        for (i, key) in reference.keys.iter().enumerate() {
            for (j, other) in hypothesis.keys.iter().enumerate() {
                if (key == other) == (module == 0) && like(i, j) {
                    self.push((i as u32, 1), (j as u32, 1), module);
                }
            }
        }
    }

    /// Looks for the paraphrases of one caption's phrases in the other.
    fn paraphrases(
        &mut self,
        table: &ParaphraseTable,
        of: &Sentence,
        within: &Sentence,
        found: impl Fn(&mut Self, u32, u32, u32, u32),
    ) {
        self.present.resize(usize::from(WordId::MAX) / 64 + 1, 0);
        let place = |word: WordId| (usize::from(word / 64), 1u64 << (word % 64));
        for (at, bit) in within.phrase_words.iter().flatten().map(|w| place(*w)) {
            self.present[at] |= bit;
        }
        for &(start, length, phrase) in &of.phrases {
            let paraphrases = table.paraphrases(phrase);
            for (number, head) in paraphrases.heads() {
                let (at, bit) = place(head);
                if self.present[at] & bit == 0 {
                    continue;
                }
                let tail = paraphrases.tail(number);
                for (other, _) in within.phrase_words.iter().enumerate().filter(|(_, w)| **w == Some(head)) {
                    let rest = within.phrase_words[other + 1..].iter();
                    if rest.len() >= tail.len() && rest.zip(tail.clone()).all(|(w, t)| *w == Some(t)) {
                        found(self, start, length, other as u32, tail.len() as u32 + 1);
                    }
                }
            }
        }
        for (at, bit) in within.phrase_words.iter().flatten().map(|w| place(*w)) {
            self.present[at] &= !bit;
        }
    }
}
