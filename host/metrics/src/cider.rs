//! CIDEr and CIDEr-D (Vedantam, Zitnick and Parikh 2015, "CIDEr: Consensus-based Image Description
//! Evaluation"), as ruotianluo/cider and coco-caption compute them.
//!
//! A caption is four vectors, one for each n-gram order, of count times idf. Its score is ten times the
//! cosine between hypothesis and reference, averaged over orders and references.

use crate::document_frequencies::DocumentFrequencies;
use crate::gram_table::GramTable;
use crate::ngrams::{MAX_ORDER, counted, sorted_ngrams};
use std::num::NonZeroUsize;
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

/// The references of one image as vectors; both scorers read them.
///
/// For five references of ten words it takes some 20 kB, and longer to make than ten scores take: keep it
/// for all samples of an image, but prepare a large data set batch by batch.
#[derive(Debug, Clone)]
pub struct PreparedReferences {
    frequencies: Arc<DocumentFrequencies>,
    /// In tokens, for each reference.
    lengths: Vec<usize>,
    /// By order; the n-grams of all references.
    rows: [GramTable<Row>; MAX_ORDER],
    /// For each n-gram its weight in each reference.
    weights: Vec<f64>,
    /// By order, for each reference: 1 / norm, or 0 where the norm is 0.
    inverse_norms: [Vec<f64>; MAX_ORDER],
}

#[derive(Debug, Clone)]
struct Row {
    idf: f64,
    /// Where the row ends in `weights`.
    end: NonZeroUsize,
}

impl PreparedReferences {
    fn new<R: AsRef<[u32]>>(frequencies: Arc<DocumentFrequencies>, references: &[R]) -> Self {
        let lengths: Vec<usize> = references.iter().map(|reference| reference.as_ref().len()).collect();
        let room = lengths.iter().sum();
        let mut prepared = Self {
            frequencies,
            lengths,
            rows: std::array::from_fn(|_| GramTable::with_room(room)),
            weights: Vec::new(),
            inverse_norms: Default::default(),
        };
        let mut grams = Vec::new();
        for order in 0..MAX_ORDER {
            for (j, reference) in references.iter().enumerate() {
                sorted_ngrams(reference.as_ref(), order + 1, &mut grams);
                let mut squares = 0.0;
                for (gram, count) in counted(&grams) {
                    let row = prepared.rows[order].get_or_insert_with(gram, || {
                        let idf = prepared.frequencies.idf(gram, order + 1);
                        prepared.weights.resize(prepared.weights.len() + references.len(), 0.0);
                        // Not zero: a row has a weight for the reference at hand.
                        let end = NonZeroUsize::new(prepared.weights.len()).unwrap_or(NonZeroUsize::MIN);
                        Row { idf, end }
                    });
                    let weight = count as f64 * row.idf;
                    prepared.weights[row.end.get() - references.len() + j] = weight;
                    squares += weight * weight;
                }
                let inverse_norm = if squares > 0.0 { squares.sqrt().recip() } else { 0.0 };
                prepared.inverse_norms[order].push(inverse_norm);
            }
        }
        prepared
    }

    /// Number of references.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are no references.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
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
        let penalties: Vec<f64> = self.lengths.iter().map(|&length| penalty(length)).collect();
        let mut factors = vec![0.0; self.len()];
        let mut grams = Vec::with_capacity(hypothesis.len());
        let mut total = 0.0;
        for (n, (rows, inverse_norms)) in (1..).zip(self.rows.iter().zip(&self.inverse_norms)) {
            for (factor, (penalty, inverse_norm)) in
                factors.iter_mut().zip(penalties.iter().zip(inverse_norms))
            {
                *factor = penalty * inverse_norm;
            }
            sorted_ngrams(hypothesis, n, &mut grams);
            let (mut squares, mut dot) = (0.0, 0.0);
            for (gram, count) in counted(&grams) {
                let count = count as f64;
                // Most n-grams of a good caption are in the references: the large table is for the rest.
                let Some(row) = rows.get(gram) else {
                    let weight = count * self.frequencies.idf(gram, n);
                    squares += weight * weight;
                    continue;
                };
                let weight = count * row.idf;
                squares += weight * weight;
                let weights = &self.weights[row.end.get() - self.len()..row.end.get()];
                for (&of_reference, factor) in weights.iter().zip(&factors) {
                    dot += credit(weight, of_reference) * of_reference * factor;
                }
            }
            if squares > 0.0 {
                total += dot / squares.sqrt();
            }
        }
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
