//! The Inception Score (Salimans et al. 2016, <https://arxiv.org/abs/1606.03498>).

use crate::{MetricsError, vectors};

/// What the numbers are that a classifier gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassScores {
    /// Probabilities: at least 0, and 1 together.
    Probabilities,
    /// Any numbers, of which softmax makes probabilities.
    Logits,
}

/// How far the sums of probabilities may be from 1: what `f32` softmax leaves, and float16 models.
const SLACK: f64 = 1e-2;

/// The Inception Score of `scores[pictures, classes]`, row-major: `exp` of the mean divergence of a
/// picture's classes from those of all pictures. Gives mean and standard deviation (divided by the number)
/// over `splits` parts of the pictures in their order; the paper has 10 parts. 1 to `classes`.
///
/// # Errors
/// When rows are not whole, not finite, or no probabilities though they should be; when there are fewer
/// pictures than splits, or no split.
pub fn inception_score(
    scores: &[f32],
    classes: usize,
    form: ClassScores,
    splits: usize,
) -> Result<(f64, f64), MetricsError> {
    let count = vectors::count_rows("class scores", scores, classes)?;
    if splits == 0 || count < splits {
        let expected = format!("1 to {count} splits, as there are {count} pictures");
        return Err(MetricsError::vectors("Inception Score", expected, splits.to_string()));
    }
    let probabilities = scores.chunks_exact(classes).enumerate().map(|(i, row)| probabilities(i, row, form));
    let probabilities = probabilities.collect::<Result<Vec<_>, _>>()?;
    let parts = (0..splits).map(|i| &probabilities[i * count / splits..(i + 1) * count / splits]);
    let scores: Vec<f64> = parts.map(|part| score(part, classes)).collect();
    let mean = scores.iter().sum::<f64>() / splits as f64;
    let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / splits as f64;
    Ok((mean, variance.sqrt()))
}

fn probabilities(i: usize, row: &[f32], form: ClassScores) -> Result<Vec<f64>, MetricsError> {
    let top = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let raw: Vec<f64> = match form {
        ClassScores::Probabilities => row.iter().map(|v| f64::from(*v)).collect(),
        ClassScores::Logits => row.iter().map(|v| (f64::from(*v) - top).exp()).collect(),
    };
    let sum: f64 = raw.iter().sum();
    if form == ClassScores::Probabilities && ((sum - 1.0).abs() > SLACK || raw.iter().any(|p| *p < 0.0)) {
        let low = raw.iter().copied().fold(f64::INFINITY, f64::min);
        let found = format!("a sum of {sum} and a least number of {low}");
        let place = format!("class probabilities, row {i}");
        return Err(MetricsError::vectors(place, "numbers from 0 to 1 with a sum of 1", found));
    }
    Ok(raw.into_iter().map(|p| p / sum).collect())
}

fn score(part: &[Vec<f64>], classes: usize) -> f64 {
    let n = part.len() as f64;
    let mut mean = vec![0.0; classes];
    for row in part {
        mean.iter_mut().zip(row).for_each(|(m, p)| *m += p / n);
    }
    let divergence = |row: &Vec<f64>| -> f64 {
        row.iter().zip(&mean).filter(|(p, _)| **p > 0.0).map(|(p, m)| p * (p / m).ln()).sum()
    };
    (part.iter().map(divergence).sum::<f64>() / n).exp()
}
