//! CIDEr and CIDEr-D (Vedantam, Zitnick and Parikh 2015, "CIDEr: Consensus-based Image Description
//! Evaluation"), as ruotianluo/cider and coco-caption compute them.
//!
//! A caption is four vectors, one for each n-gram order, of count times idf. Its score is ten times the
//! cosine between hypothesis and reference, averaged over orders and references.

use crate::document_frequencies::DocumentFrequencies;
use crate::ngrams::MAX_ORDER;
use crate::overlap::{Counts, Overlap};
use crate::token_lists::TokenLists;
use std::sync::Arc;

/// Standard deviation of CIDEr-D's length penalty, in tokens.
///
/// The reference implementation measures length in bigrams. The difference of two lengths is the same,
/// unless one caption is empty, and then nothing is left to penalise.
const SIGMA: f64 = 6.0;

/// CIDEr-D: a hypothesis gets no credit for an n-gram beyond its weight in the reference, and a Gaussian
/// penalty on the difference in length. This is what coco-caption reports as "CIDEr".
#[derive(Debug, Clone)]
pub struct CiderD {
    frequencies: Arc<DocumentFrequencies>,
}

/// CIDEr as first published: the plain cosine, which a caption can inflate by repetition.
#[derive(Debug, Clone)]
pub struct Cider {
    frequencies: Arc<DocumentFrequencies>,
}

impl CiderD {
    /// A scorer that weighs n-grams by these frequencies.
    pub fn new(frequencies: Arc<DocumentFrequencies>) -> Self {
        Self { frequencies }
    }

    /// The references of one image, ready to be scored against any number of times.
    pub fn prepare<R: AsRef<[u32]>>(&self, references: &[R]) -> PreparedReferences {
        PreparedReferences::new(Arc::clone(&self.frequencies), references)
    }

    /// The score of a hypothesis, 0 to 10; 0 if there are no references.
    ///
    /// The weights are those that `references` were prepared with.
    pub fn score(&self, hypothesis: &[u32], references: &PreparedReferences) -> f64 {
        let penalty = |length: usize| {
            let delta = hypothesis.len().abs_diff(length) as f64;
            (-(delta * delta) / (2.0 * SIGMA * SIGMA)).exp()
        };
        references.similarity(hypothesis, penalty, f64::min)
    }
}

impl Cider {
    /// A scorer that weighs n-grams by these frequencies.
    pub fn new(frequencies: Arc<DocumentFrequencies>) -> Self {
        Self { frequencies }
    }

    /// The references of one image, ready to be scored against any number of times.
    pub fn prepare<R: AsRef<[u32]>>(&self, references: &[R]) -> PreparedReferences {
        PreparedReferences::new(Arc::clone(&self.frequencies), references)
    }

    /// The score of a hypothesis, 0 to 10; 0 if there are no references.
    ///
    /// The weights are those that `references` were prepared with.
    pub fn score(&self, hypothesis: &[u32], references: &PreparedReferences) -> f64 {
        references.similarity(hypothesis, |_| 1.0, |weight, _| weight)
    }
}

/// A weight for each order, unigrams first.
type Weights = [f64; MAX_ORDER];

/// The references of one image with the lengths of their vectors; both scorers read them.
#[derive(Debug, Clone)]
pub struct PreparedReferences {
    frequencies: Arc<DocumentFrequencies>,
    references: TokenLists,
    /// For each reference: 1 / norm, or 0 where the norm is 0.
    inverse_norms: Vec<Weights>,
}

/// Counts times idf, place by place.
fn weigh<'a>(counts: &'a [Counts], idfs: &'a [Weights]) -> impl Iterator<Item = Weights> + 'a {
    let weigh = |(counts, idfs): (&Counts, &Weights)| -> Weights {
        std::array::from_fn(|order| f64::from(counts[order]) * idfs[order])
    };
    counts.iter().zip(idfs).map(weigh)
}

fn squares(weights: impl Iterator<Item = Weights>) -> Weights {
    weights.fold(Weights::default(), |sums, weights| {
        std::array::from_fn(|order| sums[order] + weights[order] * weights[order])
    })
}

impl PreparedReferences {
    fn new<R: AsRef<[u32]>>(frequencies: Arc<DocumentFrequencies>, references: &[R]) -> Self {
        let (mut overlap, mut idfs) = (Overlap::default(), Vec::new());
        let inverse_norms = references.iter().map(|reference| {
            let reference = reference.as_ref();
            frequencies.idfs(reference, &mut idfs);
            squares(weigh(overlap.count(reference, reference), &idfs))
                .map(|square| if square > 0.0 { square.sqrt().recip() } else { 0.0 })
        });
        let inverse_norms = inverse_norms.collect();
        Self { frequencies, references: references.iter().collect(), inverse_norms }
    }

    /// Number of references.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// Whether there are no references.
    pub fn is_empty(&self) -> bool {
        self.references.len() == 0
    }

    /// Ten times the mean over orders and references of the cosine, times `penalty` of the reference's
    /// length. `credit` says how much of a hypothesis' weight counts, given the reference's.
    fn similarity(
        &self,
        hypothesis: &[u32],
        penalty: impl Fn(usize) -> f64,
        credit: impl Fn(f64, f64) -> f64,
    ) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let (mut overlap, mut idfs) = (Overlap::default(), Vec::new());
        self.frequencies.idfs(hypothesis, &mut idfs);
        let weights: Vec<Weights> = weigh(overlap.count(hypothesis, hypothesis), &idfs).collect();
        let mut dots = Weights::default();
        for (reference, inverse_norms) in self.references.iter().zip(&self.inverse_norms) {
            let mut dot = Weights::default();
            let others = weigh(overlap.count(hypothesis, reference), &idfs);
            for (weight, other) in weights.iter().zip(others) {
                for order in 0..MAX_ORDER {
                    dot[order] += credit(weight[order], other[order]) * other[order];
                }
            }
            let penalty = penalty(reference.len());
            for order in 0..MAX_ORDER {
                dots[order] += dot[order] * penalty * inverse_norms[order];
            }
        }
        let cosines = dots.iter().zip(squares(weights.into_iter()));
        let total: f64 =
            cosines.filter(|(_, square)| *square > 0.0).map(|(dot, square)| dot / square.sqrt()).sum();
        10.0 * total / (MAX_ORDER * self.len()) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images. Of their words 1 and 2 are in one, 3 in both.
    fn frequencies() -> Arc<DocumentFrequencies> {
        Arc::new(DocumentFrequencies::from_references(&[vec![vec![1, 2, 3]], vec![vec![3, 4], vec![3]]]))
    }

    #[test]
    fn a_word_in_every_image_weighs_nothing() {
        let cider = CiderD::new(frequencies());
        assert_eq!(cider.score(&[3], &cider.prepare(&[[3]])), 0.0);
        // Unigrams agree perfectly, there are no longer n-grams: one order of four.
        assert!((cider.score(&[1], &cider.prepare(&[[1]])) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn the_same_caption_scores_ten() {
        let cider = CiderD::new(frequencies());
        let caption = [1, 2, 4, 1];
        assert!((cider.score(&caption, &cider.prepare(&[caption])) - 10.0).abs() < 1e-12);
    }

    #[test]
    fn cider_d_by_hand() {
        let cider = CiderD::new(frequencies());
        // Hypothesis "1 1", reference "1 2": unigrams (2) and (1, 1) times ln 2, clipped at 1:
        // 1 * 1 / (2 * sqrt 2). No common bigram, equal length.
        let expected = 10.0 / 4.0 / (2.0 * 2f64.sqrt());
        assert!((cider.score(&[1, 1], &cider.prepare(&[[1, 2]])) - expected).abs() < 1e-12);
        // Reference "1 2 4 9": two tokens longer, unigrams (1, 1, 1, 1), norm 2.
        let expected = 10.0 / 4.0 / (2.0 * 2.0) * (-4.0f64 / 72.0).exp();
        assert!((cider.score(&[1, 1], &cider.prepare(&[[1, 2, 4, 9]])) - expected).abs() < 1e-12);
    }

    #[test]
    fn plain_cider_by_hand() {
        let cider = Cider::new(frequencies());
        let expected = 10.0 / 4.0 * 2.0 / (2.0 * 2f64.sqrt());
        assert!((cider.score(&[1, 1], &cider.prepare(&[[1, 2]])) - expected).abs() < 1e-12);
    }

    #[test]
    fn an_empty_reference_counts_in_the_mean() {
        let cider = CiderD::new(frequencies());
        let with_empty = cider.score(&[1], &cider.prepare(&[vec![1], vec![]]));
        assert!((with_empty - 1.25).abs() < 1e-12);
        let no_references: [&[u32]; 0] = [];
        assert_eq!(cider.score(&[1], &cider.prepare(&no_references)), 0.0);
    }
}
