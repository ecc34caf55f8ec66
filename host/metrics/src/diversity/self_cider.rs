//! Self-CIDEr (Wang and Chan 2019, "Describing like Humans: on Diversity in Image Captioning").

use crate::cider::Cider;
use nalgebra::DMatrix;

/// Diversity of the samples of one image, 0 (all say the same) to 1 (no two have anything in common).
///
/// With `l` the eigenvalues of the matrix of the samples' CIDEr against each other, over 10, and `m` samples:
/// `-ln(r) / ln(m)` with `r = sqrt(max l) / sum sqrt(l)`. The paper takes CIDEr as first published, whose matrix is
/// that of a kernel; so does ruotianluo's evaluation code. (The authors' code has coco-caption's, which is CIDEr-D,
/// and then takes singular values.) Over a split, take the mean over images.
///
/// `None` for less than two samples. Samples in which no n-gram weighs anything, as empty ones, are all the same.
pub fn self_cider<C: AsRef<[u32]>>(cider: &Cider, samples: &[C]) -> Option<f64> {
    let count = samples.len();
    if count < 2 {
        return None;
    }
    let mut kernel = DMatrix::zeros(count, count);
    for (j, reference) in samples.iter().enumerate() {
        let prepared = cider.prepare(std::slice::from_ref(reference));
        for i in 0..=j {
            kernel[(i, j)] = cider.score(samples[i].as_ref(), &prepared) / 10.0;
            kernel[(j, i)] = kernel[(i, j)];
        }
    }
    let values = kernel.symmetric_eigenvalues();
    let roots = values.iter().map(|value| value.max(0.0).sqrt());
    let (largest, sum) = roots.fold((0.0f64, 0.0), |(largest, sum), root| (largest.max(root), sum + root));
    if sum == 0.0 {
        return Some(0.0);
    }
    // Rounding may leave a trace beyond either end.
    Some((-(largest / sum).ln() / (count as f64).ln()).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document_frequencies::DocumentFrequencies;
    use std::sync::Arc;

    /// Every n-gram weighs ln 3.
    fn cider() -> Cider {
        Cider::new(Arc::new(DocumentFrequencies::from_references(&vec![Vec::<Vec<u32>>::new(); 3])))
    }

    fn close(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-7), "{found:?}, not {expected}");
    }

    #[test]
    fn ends_of_the_scale() {
        let cider = cider();
        close(self_cider(&cider, &[[1, 2, 3, 4]; 5]), 0.0);
        close(self_cider(&cider, &[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]), 1.0);
        close(self_cider(&cider, &[vec![], vec![]] as &[Vec<u32>]), 0.0);
        // Short ones too: their own CIDEr is 2.5.
        close(self_cider(&cider, &[[1], [2]]), 1.0);
        assert_eq!(self_cider(&cider, &[[1]]), None);
        assert_eq!(self_cider::<Vec<u32>>(&cider, &[]), None);
    }

    #[test]
    fn two_samples_by_hand() {
        // "1 2 3 4" and "1 2 3 9" have 3 of 4 words, 2 of 3 bigrams, 1 of 2 trigrams in common: CIDEr / 10 is
        // k = (3/4 + 2/3 + 1/2) / 4, and the eigenvalues of (1 k; k 1) are 1 + k and 1 - k.
        let k = (3.0 / 4.0 + 2.0 / 3.0 + 1.0 / 2.0) / 4.0f64;
        let (large, small) = ((1.0 + k).sqrt(), (1.0 - k).sqrt());
        let expected = -(large / (large + small)).ln() / 2f64.ln();
        close(self_cider(&cider(), &[[1, 2, 3, 4], [1, 2, 3, 9]]), expected);
    }

    #[test]
    fn groups_of_equal_samples_count_once() {
        // Eigenvalues 2, 2, 0, 0: two kinds among four samples are half of the logarithm of four.
        let samples = [[1, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8], [5, 6, 7, 8]];
        close(self_cider(&cider(), &samples), 0.5);
    }
}
