//! ROUGE-L (Lin 2004) as `pycocoevalcap`'s `rouge.py` computes it.

/// Weight of recall against precision.
const BETA: f64 = 1.2;

/// F-measure (beta 1.2) of the longest common subsequence, 0 to 1: the best precision over all references
/// with the best recall over all references, be they of the same reference or not. 0 without references.
///
/// An empty caption counts as one empty word, as the reference has it: it matches an empty reference only.
pub fn rouge_l<R: AsRef<[u32]>>(hypothesis: &[u32], references: &[R]) -> f64 {
    let mut row = Vec::with_capacity(hypothesis.len() + 1);
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

/// Length of the longest common subsequence, by one row of the usual table at a time.
fn longest_common_subsequence(a: &[u32], b: &[u32], row: &mut Vec<u32>) -> u32 {
    row.clear();
    row.resize(a.len() + 1, 0);
    for token in b {
        // `row[i]`: of the first i tokens of `a` with the tokens of `b` so far.
        let (mut diagonal, mut left) = (0, 0);
        for (cell, other) in row[1..].iter_mut().zip(a) {
            let above = *cell;
            left = if token == other { diagonal + 1 } else { above.max(left) };
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
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
