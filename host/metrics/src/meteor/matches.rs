//! Which phrases of two captions may be aligned: METEOR's four matchers.

use super::hypothesis::HypothesisIndex;
use super::paraphrases::ParaphraseTable;
use super::sentence::Sentence;
use super::{Matchers, MeteorModules};
use crate::overlap::places;

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
    /// Pairs of words of the reference and the hypothesis that are synonyms.
    pairs: Vec<(u32, u32)>,
}

impl Matches {
    /// Finds the matches of a hypothesis, indexed for this reference among others, and the reference.
    pub(super) fn find(
        &mut self,
        hypothesis: &Sentence,
        index: &HypothesisIndex,
        reference: &Sentence,
        matchers: Matchers<'_>,
    ) {
        let (n, m) = (reference.len(), hypothesis.len());
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
        self.words(hypothesis, reference, matchers.modules >= MeteorModules::ExactStem);
        if matchers.modules >= MeteorModules::ExactStemSynonym {
            self.synonyms(hypothesis, index, reference);
        }
        if let Some(table) = matchers.table() {
            self.paraphrases_of_reference(table, hypothesis, index, reference);
            self.paraphrases_of_hypothesis(index, reference);
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

    /// Matches equal words, and other words of equal stem.
    fn words(&mut self, hypothesis: &Sentence, reference: &Sentence, stems: bool) {
        for (i, (key, stem)) in (0..).zip(reference.keys.iter().zip(&reference.stems)) {
            for (block, keys) in (0..).step_by(64).zip(hypothesis.keys.chunks(64)) {
                each_bit(places(keys, *key), |j| self.push((i, 1), (block + j, 1), 0));
            }
            let blocks = hypothesis.keys.chunks(64).zip(hypothesis.stems.chunks(64)).filter(|_| stems);
            for (block, (keys, stems)) in (0..).step_by(64).zip(blocks) {
                each_bit(places(stems, *stem) & !places(keys, *key), |j| {
                    self.push((i, 1), (block + j, 1), 1)
                });
            }
        }
    }

    /// Matches different words that are in a common set of synonyms.
    fn synonyms(&mut self, hypothesis: &Sentence, index: &HypothesisIndex, reference: &Sentence) {
        let mut pairs = std::mem::take(&mut self.pairs);
        for &(set, i) in &reference.synsets {
            let key = reference.keys[i as usize];
            let others = index.of_synset(hypothesis, set);
            pairs.extend(others.filter(|j| hypothesis.keys[*j as usize] != key).map(|j| (i, j)));
        }
        pairs.sort_unstable();
        pairs.dedup();
        for (i, j) in pairs.drain(..) {
            self.push((i, 1), (j, 1), 2);
        }
        self.pairs = pairs;
    }

    /// Looks for the paraphrases of the reference's phrases in the hypothesis.
    fn paraphrases_of_reference(
        &mut self,
        table: &ParaphraseTable,
        hypothesis: &Sentence,
        index: &HypothesisIndex,
        reference: &Sentence,
    ) {
        for &(start, length, phrase) in &reference.phrases {
            let paraphrases = table.paraphrases(phrase);
            for (number, head) in paraphrases.beginning_in(&index.words) {
                let tail = paraphrases.tail(number);
                let words = tail.len() as u32 + 1;
                for (other, _) in
                    hypothesis.phrase_words.iter().enumerate().filter(|(_, w)| **w == Some(head))
                {
                    let rest = hypothesis.phrase_words[other + 1..].iter();
                    if rest.len() >= tail.len() && rest.zip(tail.clone()).all(|(w, t)| *w == Some(t)) {
                        self.push((start, length), (other as u32, words), 3);
                    }
                }
            }
        }
    }

    /// Looks for the paraphrases of the hypothesis' phrases in the reference.
    fn paraphrases_of_hypothesis(&mut self, index: &HypothesisIndex, reference: &Sentence) {
        for (start, length, words) in index.paraphrases() {
            for (other, there) in (0..).zip(reference.phrase_words.windows(words.len())) {
                if there.iter().zip(words).all(|(w, word)| *w == Some(*word)) {
                    self.push((other, words.len() as u32), (start, length), 3);
                }
            }
        }
    }
}

/// The places of the bits that are set, from the lowest.
fn each_bit(mut bits: u64, mut of: impl FnMut(u32)) {
    while bits != 0 {
        of(bits.trailing_zeros());
        bits &= bits - 1;
    }
}
