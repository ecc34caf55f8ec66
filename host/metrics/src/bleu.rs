//! BLEU (Papineni et al. 2002) as `pycocoevalcap`'s `bleu_scorer.py` computes it, option "closest".

use crate::ngrams::MAX_ORDER;
use crate::overlap::{Counts, Overlap};
use crate::token_lists::TokenLists;
use serde::Serialize;
use std::ops::AddAssign;

/// Added to numerators and denominators by the reference, so that nothing divides by zero and a missing
/// order leaves a score that is tiny but not 0.
const TINY: f64 = 1e-15;
const SMALL: f64 = 1e-9;

/// The references of one image, ready to be scored against any number of times.
#[derive(Debug, Clone)]
pub struct BleuReferences(TokenLists);

impl BleuReferences {
    /// Takes one image's references.
    pub fn new<R: AsRef<[u32]>>(references: &[R]) -> Self {
        Self(references.iter().collect())
    }

    /// Length of the reference closest in length, the shorter of two equally close; 0 without references.
    fn closest_length(&self, length: usize) -> usize {
        let lengths = self.0.iter().map(<[u32]>::len);
        lengths.min_by_key(|&of| (of.abs_diff(length), of)).unwrap_or(0)
    }
}

/// What BLEU is computed from. Those of a split are the sum of those of its images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BleuStatistics {
    /// Tokens in the hypotheses.
    pub hypothesis_length: u64,
    /// Tokens in the references closest in length.
    pub reference_length: u64,
    /// n-grams in the hypotheses, by order.
    pub guess: [u64; MAX_ORDER],
    /// n-grams that are in a reference, each counted at most as often as one reference has it.
    pub correct: [u64; MAX_ORDER],
}

impl BleuStatistics {
    /// The statistics of one hypothesis.
    pub fn new(hypothesis: &[u32], references: &BleuReferences) -> Self {
        let mut statistics = Self {
            hypothesis_length: hypothesis.len() as u64,
            reference_length: references.closest_length(hypothesis.len()) as u64,
            ..Self::default()
        };
        let mut overlap = Overlap::default();
        // By order, for the first place of each n-gram: its largest count in any one reference.
        let mut most = vec![Counts::default(); hypothesis.len()];
        for reference in references.0.iter() {
            for (most, counts) in most.iter_mut().zip(overlap.count(hypothesis, reference)) {
                *most = std::array::from_fn(|order| most[order].max(counts[order]));
            }
        }
        for (most, own) in most.iter().zip(overlap.count(hypothesis, hypothesis)) {
            for order in 0..MAX_ORDER {
                statistics.guess[order] += u64::from(own[order]);
                statistics.correct[order] += u64::from(own[order].min(most[order]));
            }
        }
        statistics
    }

    /// BLEU-1 to BLEU-4, each 0 to 1, with the reference's constants in place of smoothing.
    pub fn scores(&self) -> [f64; MAX_ORDER] {
        let ratio = (self.hypothesis_length as f64 + TINY) / (self.reference_length as f64 + SMALL);
        let brevity_penalty = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        let mut scores = [0.0; MAX_ORDER];
        for (order, score) in scores.iter_mut().enumerate() {
            product *= (self.correct[order] as f64 + TINY) / (self.guess[order] as f64 + SMALL);
            *score = product.powf(1.0 / (order + 1) as f64) * brevity_penalty;
        }
        scores
    }
}

impl AddAssign for BleuStatistics {
    fn add_assign(&mut self, other: Self) {
        self.hypothesis_length += other.hypothesis_length;
        self.reference_length += other.reference_length;
        for order in 0..MAX_ORDER {
            self.guess[order] += other.guess[order];
            self.correct[order] += other.correct[order];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn papineni_s_example_is_clipped() {
        // "the the the the the the the" against "the cat is on the mat" and "there is a cat on the mat".
        let references = BleuReferences::new(&[vec![0, 1, 2, 3, 0, 4], vec![5, 2, 6, 1, 3, 0, 4]]);
        let statistics = BleuStatistics::new(&[0; 7], &references);
        assert_eq!(statistics.guess, [7, 6, 5, 4]);
        assert_eq!(statistics.correct, [2, 0, 0, 0]);
        assert_eq!(statistics.reference_length, 7);
        assert!((statistics.scores()[0] - 2.0 / 7.0).abs() < 1e-9);
        assert!(statistics.scores()[3] < 1e-3);
    }

    #[test]
    fn the_shorter_of_two_equally_close_references_counts() {
        let references = BleuReferences::new(&[vec![0; 7], vec![0; 3], vec![0; 9]]);
        assert_eq!(references.closest_length(5), 3);
        assert_eq!(references.closest_length(6), 7);
        let no_references: [&[u32]; 0] = [];
        assert_eq!(BleuReferences::new(&no_references).closest_length(5), 0);
    }

    #[test]
    fn brevity_by_hand() {
        // Two of four words, all right: exp(1 - 4 / 2).
        let scores = BleuStatistics::new(&[1, 2], &BleuReferences::new(&[[1, 2, 3, 4]])).scores();
        assert!((scores[0] - (-1f64).exp()).abs() < 1e-8);
        assert!((scores[1] - (-1f64).exp()).abs() < 1e-8);
    }

    #[test]
    fn statistics_add_up() {
        let references = BleuReferences::new(&[[1, 2, 3]]);
        let mut sum = BleuStatistics::new(&[1, 2], &references);
        sum += BleuStatistics::new(&[3, 9, 9, 9], &references);
        assert_eq!((sum.hypothesis_length, sum.reference_length), (6, 6));
        assert_eq!((sum.guess, sum.correct), ([6, 4, 2, 1], [3, 1, 0, 0]));
    }
}
