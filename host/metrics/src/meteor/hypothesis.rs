//! What all references of a hypothesis need of it, found once.

use super::paraphrases::{WordId, WordSet};
use super::sentence::Sentence;
use super::{Matchers, MeteorModules};
use std::iter::successors;
use std::ops::Range;

/// Bits of the hash of a set of synonyms: a caption's words are in some hundred sets.
const HASH_BITS: u32 = 10;

/// A hypothesis by sets of synonyms and by paraphrases. It has room for one after the other.
#[derive(Debug, Default)]
pub(super) struct HypothesisIndex {
    /// By a set's hash the last of the hypothesis' pairs of set and word, plus 1; 0 if there is none.
    last: Vec<u32>,
    /// The pair before each of the same hash, likewise.
    before: Vec<u32>,
    /// Paraphrases of the hypothesis' phrases whose first word is in a reference: start, length, `paraphrase_words`.
    paraphrases: Vec<(u32, u32, Range<usize>)>,
    paraphrase_words: Vec<WordId>,
    /// The hypothesis' words.
    pub words: WordSet,
}

impl HypothesisIndex {
    /// Takes the place of what was there.
    pub(super) fn fill(&mut self, hypothesis: &Sentence, references: &[Sentence], matchers: Matchers<'_>) {
        if matchers.modules >= MeteorModules::ExactStemSynonym {
            self.last.clear();
            self.last.resize(1 << HASH_BITS, 0);
            self.before.clear();
            for (number, (synset, _)) in (1..).zip(&hypothesis.synsets) {
                self.before.push(std::mem::replace(&mut self.last[hash(*synset)], number));
            }
        }
        self.paraphrases.clear();
        self.paraphrase_words.clear();
        if let Some(table) = matchers.table() {
            self.words.replace(references.iter().flat_map(|r| r.phrase_words.iter().flatten()));
            for &(start, length, phrase) in &hypothesis.phrases {
                let paraphrases = table.paraphrases(phrase);
                for (number, head) in paraphrases.beginning_in(&self.words) {
                    let begin = self.paraphrase_words.len();
                    self.paraphrase_words.push(head);
                    self.paraphrase_words.extend(paraphrases.tail(number));
                    self.paraphrases.push((start, length, begin..self.paraphrase_words.len()));
                }
            }
            self.words.replace(hypothesis.phrase_words.iter().flatten());
        }
    }

    /// The words of the hypothesis that are in a set of synonyms.
    pub(super) fn of_synset(&self, hypothesis: &Sentence, synset: u32) -> impl Iterator<Item = u32> {
        let some = |number: u32| (number != 0).then(|| number as usize - 1);
        let pairs = successors(some(self.last[hash(synset)]), move |pair| some(self.before[*pair]));
        pairs.map(|pair| hypothesis.synsets[pair]).filter(move |pair| pair.0 == synset).map(|pair| pair.1)
    }

    /// The phrases of the hypothesis with a paraphrase that may be in a reference: start, length, its words.
    pub(super) fn paraphrases(&self) -> impl Iterator<Item = (u32, u32, &[WordId])> {
        let words = |words: &Range<usize>| &self.paraphrase_words[words.clone()];
        self.paraphrases.iter().map(move |(start, length, of)| (*start, *length, words(of)))
    }
}

/// The upper bits of a multiplicative hash are the well-mixed ones.
fn hash(synset: u32) -> usize {
    (synset.wrapping_mul(0x9e37_79b9) >> (32 - HASH_BITS)) as usize
}
