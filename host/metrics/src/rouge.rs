//! ROUGE-L (Lin 2004) as `pycocoevalcap`'s `rouge.py` computes it.

use crate::overlap::places;

/// Weight of recall against precision.
const BETA: f64 = 1.2;

/// F-measure (beta 1.2) of the longest common subsequence, 0 to 1: the best precision over all references
/// with the best recall over all references, be they of the same reference or not. 0 without references.
///
/// An empty caption counts as one empty word, as the reference has it: it matches an empty reference only.
pub fn rouge_l<R: AsRef<[u32]>>(hypothesis: &[u32], references: &[R]) -> f64 {
    let mut row = Vec::new();
    let (mut precision, mut recall) = (0f64, 0f64);
    for reference in references {
        let reference = reference.as_ref();
        let common = match (hypothesis, reference) {
            ([], []) => 1,
            _ => longest_common_subsequence(hypothesis, reference, &mut row),
        } as f64;
        precision = precision.max(common / hypothesis.len().max(1) as f64);
        recall = recall.max(common / reference.len().max(1) as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    let beta_squared = BETA * BETA;
    (1.0 + beta_squared) * precision * recall / (recall + beta_squared * precision)
}

/// Length of the longest common subsequence, by a row of the usual table at a time: a bit of `row` is 0 where a
/// value of the table is larger than the one before (Hyyro 2004, "Bit-Parallel LCS-length Computation Revisited").
fn longest_common_subsequence(a: &[u32], b: &[u32], row: &mut Vec<u64>) -> u32 {
    row.clear();
    row.resize(a.len().div_ceil(64), u64::MAX);
    for &token in b {
        let mut carried = false;
        for (bits, words) in row.iter_mut().zip(a.chunks(64)) {
            let matched = *bits & places(words, token);
            let (sum, over) = bits.overflowing_add(matched);
            let (sum, over_by_one) = sum.overflowing_add(u64::from(carried));
            *bits = sum | (*bits - matched);
            carried = over | over_by_one;
        }
    }
    row.iter().map(|bits| bits.count_zeros()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lcs(a: &[u32], b: &[u32]) -> u32 {
        longest_common_subsequence(a, b, &mut Vec::new())
    }

    #[test]
    fn subsequences_by_hand() {
        assert_eq!(lcs(&[1, 2, 3, 2, 4, 1, 2], &[2, 4, 3, 1, 2, 1]), 4);
        assert_eq!(lcs(&[1, 2, 3], &[3, 2, 1]), 1);
        assert_eq!(lcs(&[], &[1]), 0);
        assert_eq!(lcs(&[1, 1, 1], &[1, 1]), 2);
    }

    #[test]
    fn long_subsequences_are_those_of_the_whole_table() {
        let table = |a: &[u32], b: &[u32]| {
            let mut row = vec![0; a.len() + 1];
            for token in b {
                let before = row.clone();
                for i in 0..a.len() {
                    row[i + 1] = if a[i] == *token { before[i] + 1 } else { before[i + 1].max(row[i]) };
                }
            }
            row[a.len()]
        };
        let caption = |length: u32, step: u32| (0..length).map(|i| i * i / step % 11).collect::<Vec<u32>>();
        for (a, b) in [(63, 65), (64, 64), (65, 300), (130, 129), (300, 20), (1, 200)] {
            for (a, b) in
                [(caption(a, 3), caption(b, 5)), (caption(a, 3), caption(b, 3)), (vec![0; 65], vec![0; 70])]
            {
                assert_eq!(lcs(&a, &b), table(&a, &b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn precision_and_recall_may_come_from_different_references() {
        // Precision 2/2 from the first, recall 1/1 from the second.
        assert!((rouge_l(&[1, 2], &[vec![1, 2, 3, 4], vec![1]]) - 1.0).abs() < 1e-15);
        // P = 1, R = 1/2: 2.44 * 0.5 / (0.5 + 1.44).
        assert!((rouge_l(&[1, 2], &[[1, 2, 3, 4]]) - 1.22 / 1.94).abs() < 1e-15);
    }

    #[test]
    fn nothing_matches_nothing() {
        let none: [&[u32]; 0] = [];
        assert_eq!(rouge_l(&[], &[[1]]), 0.0);
        assert_eq!(rouge_l(&[1], &[[]]), 0.0);
        assert_eq!(rouge_l(&[1], &none), 0.0);
        assert!((rouge_l(&[], &[[]]) - 1.0).abs() < 1e-15);
    }
}
