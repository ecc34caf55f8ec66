//! How varied a set of captions is, and how often it stutters.

use crate::ngrams::sorted_ngrams;
use serde::Serialize;
use std::collections::HashSet;

/// Diversity of a set of captions; all 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Diversity {
    /// Share of captions in which some trigram occurs twice.
    pub repeated_trigrams: f64,
    /// Distinct unigrams as a share of all.
    pub distinct_1: f64,
    /// Distinct bigrams as a share of all.
    pub distinct_2: f64,
    /// Mean number of tokens.
    pub mean_length: f64,
}

impl Diversity {
    /// Measures captions without padding and end-of-sentence tokens.
    pub fn of<C: AsRef<[u32]>>(captions: &[C]) -> Self {
        if captions.is_empty() {
            return Self::default();
        }
        let mut grams = Vec::new();
        let repeating = captions.iter().filter(|caption| {
            sorted_ngrams(caption.as_ref(), 3, &mut grams);
            grams.windows(2).any(|pair| pair[0] == pair[1])
        });
        let count = captions.len() as f64;
        Self {
            repeated_trigrams: repeating.count() as f64 / count,
            distinct_1: distinct_n(captions, 1),
            distinct_2: distinct_n(captions, 2),
            mean_length: captions.iter().map(|caption| caption.as_ref().len()).sum::<usize>() as f64 / count,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let captions = [vec![1, 2, 3, 1, 2, 3], vec![1, 2, 1, 2], vec![]];
        let diversity = Diversity::of(&captions);
        assert_eq!(diversity.repeated_trigrams, 1.0 / 3.0);
        assert_eq!(diversity.distinct_1, 3.0 / 10.0);
        // 12 23 31 12 23, 12 21 12
        assert_eq!(diversity.distinct_2, 4.0 / 8.0);
        assert_eq!(diversity.mean_length, 10.0 / 3.0);
        // 12312 23123, none
        assert_eq!(distinct_n(&captions, 5), 1.0);
        assert_eq!(distinct_n(&captions, 7), 0.0);
        assert_eq!(distinct_n(&captions, 0), 0.0);
    }

    #[test]
    fn no_captions() {
        assert_eq!(Diversity::of::<Vec<u32>>(&[]), Diversity::default());
    }
}
