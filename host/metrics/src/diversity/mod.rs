//! How varied captions are: over a split, and among the samples of one image.

mod self_cider;

pub use self_cider::self_cider;

use crate::bleu::{BleuReferences, BleuStatistics};
use crate::ngrams::{MAX_ORDER, sorted_ngrams};
use serde::Serialize;
use std::collections::HashSet;
use std::hash::Hash;

/// Diversity of a set of captions, one or more for each image; all 0 for none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diversity {
    /// Share of captions in which some trigram occurs twice.
    pub repeated_trigrams: f64,
    /// Distinct unigrams as a share of all.
    pub distinct_1: f64,
    /// Distinct bigrams as a share of all.
    pub distinct_2: f64,
    /// Number of distinct tokens.
    pub vocabulary: usize,
    /// How long the captions are.
    pub lengths: Lengths,
}

/// How many tokens captions have.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Lengths {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, over all captions rather than a sample of them: divided by their number.
    pub sd: f64,
    /// Number of captions by length, from 0 tokens to the most.
    pub histogram: Vec<usize>,
}

impl Diversity {
    /// Measures captions without padding and end-of-sentence tokens.
    pub fn of<C: AsRef<[u32]>>(captions: &[C]) -> Self {
        let mut grams = Vec::new();
        let repeating = captions.iter().filter(|caption| {
            sorted_ngrams(caption.as_ref(), 3, &mut grams);
            grams.windows(2).any(|pair| pair[0] == pair[1])
        });
        let tokens: HashSet<u32> = captions.iter().flat_map(|caption| caption.as_ref()).copied().collect();
        Self {
            repeated_trigrams: repeating.count() as f64 / captions.len().max(1) as f64,
            distinct_1: distinct_n(captions, 1),
            distinct_2: distinct_n(captions, 2),
            vocabulary: tokens.len(),
            lengths: Lengths::of(captions),
        }
    }
}

impl Lengths {
    /// Counts tokens, without padding and end-of-sentence tokens.
    pub fn of<C: AsRef<[u32]>>(captions: &[C]) -> Self {
        let mut histogram = vec![];
        for caption in captions {
            let length = caption.as_ref().len();
            if histogram.len() <= length {
                histogram.resize(length + 1, 0);
            }
            histogram[length] += 1;
        }
        let count = captions.len().max(1) as f64;
        let mean_of = |value: &dyn Fn(f64) -> f64| {
            let terms = histogram.iter().enumerate().map(|(length, &n)| n as f64 * value(length as f64));
            terms.sum::<f64>() / count
        };
        let mean = mean_of(&|length| length);
        let sd = mean_of(&|length| (length - mean).powi(2)).sqrt();
        Self { mean, sd, histogram }
    }
}

/// Distinct n-grams as a share of all n-grams in the captions (Li et al. 2016, "A Diversity-Promoting
/// Objective Function"); 0 where there is none, or for n = 0.
pub fn distinct_n<C: AsRef<[u32]>>(captions: &[C], n: usize) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let mut distinct = HashSet::new();
    let mut all = 0usize;
    for gram in captions.iter().flat_map(|caption| caption.as_ref().windows(n)) {
        distinct.insert(gram);
        all += 1;
    }
    distinct.len() as f64 / all.max(1) as f64
}

/// Share of captions that are no training caption, word for word; 0 for no captions. Captions are token ids
/// (`&[u32]`) or text.
///
/// Reads the training captions once and keeps none. They should be encoded as the captions are: one with an unknown
/// word is equal to none that a captioner writes, which has no token for it.
pub fn novel_share<C: Copy + Eq + Hash>(captions: &[C], training: impl IntoIterator<Item = C>) -> f64 {
    let mut unseen: HashSet<C> = captions.iter().copied().collect();
    for caption in training {
        unseen.remove(&caption);
    }
    let novel = captions.iter().filter(|caption| unseen.contains(caption)).count();
    novel as f64 / captions.len().max(1) as f64
}

/// mBLEU-1 to mBLEU-4 (Shetty et al. 2017, "Speaking the Same Language") of the samples of one image: the mean of
/// each sample's BLEU against the others as references. 0 to 1, and the lower the more diverse.
///
/// As in the code of Wang and Chan 2019 each sample is scored alone, with [`BleuStatistics::scores`] and its
/// constants in place of smoothing; over a split, take the mean over images. `None` for less than two samples.
pub fn mutual_bleu<C: AsRef<[u32]>>(samples: &[C]) -> Option<[f64; MAX_ORDER]> {
    if samples.len() < 2 {
        return None;
    }
    let mut sums = [0.0; MAX_ORDER];
    for (i, sample) in samples.iter().enumerate() {
        let others = samples.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other.as_ref());
        let references = BleuReferences::new(&others.collect::<Vec<_>>());
        let scores = BleuStatistics::new(sample.as_ref(), &references).scores();
        sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
    }
    Some(sums.map(|sum| sum / samples.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let captions = [vec![1, 2, 3, 1, 2, 3], vec![1, 2, 1, 2], vec![]];
        let diversity = Diversity::of(&captions);
        assert_eq!(diversity.repeated_trigrams, 1.0 / 3.0);
        assert_eq!((diversity.distinct_1, diversity.vocabulary), (3.0 / 10.0, 3));
        // 12 23 31 12 23, 12 21 12
        assert_eq!(diversity.distinct_2, 4.0 / 8.0);
        assert_eq!(diversity.lengths.mean, 10.0 / 3.0);
        let lengths = Lengths::of(&captions);
        assert_eq!(lengths.histogram, [1, 0, 0, 0, 1, 0, 1]);
        // (36 + 16 + 0) / 3 - (10 / 3)^2 = 56 / 9
        assert!((lengths.sd - 56f64.sqrt() / 3.0).abs() < 1e-12);
        // 12312 23123, none
        assert_eq!(distinct_n(&captions, 5), 1.0);
        assert_eq!(distinct_n(&captions, 7), 0.0);
        assert_eq!(distinct_n(&captions, 0), 0.0);
    }

    #[test]
    fn no_captions() {
        assert_eq!(Diversity::of::<Vec<u32>>(&[]), Diversity::default());
        assert_eq!(novel_share::<&[u32]>(&[], []), 0.0);
        assert_eq!(mutual_bleu::<Vec<u32>>(&[]), None);
        assert_eq!(mutual_bleu(&[vec![1, 2]]), None);
    }

    #[test]
    fn novel_captions_are_counted_each_time() {
        let captions: [&[u32]; 5] = [&[1, 2], &[1, 2], &[3], &[1], &[]];
        let training: [&[u32]; 4] = [&[3], &[1, 2, 4], &[1], &[3]];
        assert_eq!(novel_share(&captions, training), 3.0 / 5.0);
    }

    #[test]
    fn mutual_bleu_by_hand() {
        let same = mutual_bleu(&[[1, 2, 3, 4, 5]; 3]).unwrap();
        assert!(same.iter().all(|bleu| (bleu - 1.0).abs() < 1e-6), "{same:?}");
        let apart = mutual_bleu(&[[1, 2, 3, 4], [5, 6, 7, 8]]).unwrap();
        assert!(apart.iter().all(|bleu| *bleu < 1e-3), "{apart:?}");
        // "1 2 3 4" and "1 2 3 9": 3 of 4 words, 2 of 3 bigrams, each way; "7 7 7 7" shares nothing with them.
        let some = mutual_bleu(&[[1, 2, 3, 4], [1, 2, 3, 9], [7; 4]]).unwrap();
        assert!((some[0] - 2.0 * 0.75 / 3.0).abs() < 1e-6, "{some:?}");
        assert!((some[1] - 2.0 * (0.75f64 * 2.0 / 3.0).sqrt() / 3.0).abs() < 1e-4, "{some:?}");
    }
}
