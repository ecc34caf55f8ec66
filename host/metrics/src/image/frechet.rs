//! The Fréchet distance between Gaussians (Dowson and Landau 1982), which is FID over Inception's features
//! (Heusel et al. 2017, <https://arxiv.org/abs/1706.08500>).

use super::FeatureStatistics;
use crate::{MetricsError, vectors};
use nalgebra::DMatrix;

/// Columns of a factor that are found one by one before the rest is updated.
const PANEL: usize = 64;

/// `|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)`, with unbiased covariances as `pytorch-fid` has them.
///
/// This is the *squared* Fréchet distance, as everybody reports it; 0 or more. The last trace is the sum of the square
/// roots of the eigenvalues of `S1^(1/2) S2 S1^(1/2)`, which are the singular values of `L1' L2` for any
/// factors `S = L L'`. Computed like that, from Cholesky factors with pivots, it never takes a root of
/// rounding noise, and singular covariances (fewer pictures than dimensions) are no special case.
///
/// # Errors
/// When widths differ, or a side has less than two rows.
pub fn frechet_distance(a: &FeatureStatistics, b: &FeatureStatistics) -> Result<f64, MetricsError> {
    vectors::same_width("features", a.width(), b.width())?;
    let (s1, s2) = (a.covariance()?, b.covariance()?);
    let means = (a.mean() - b.mean()).norm_squared();
    let traces = s1.trace() + s2.trace();
    let (l1, l2) = (factor(s1), factor(s2));
    let cross = if l1.ncols() == 0 || l2.ncols() == 0 { 0.0 } else { l1.tr_mul(&l2).singular_values().sum() };
    // Below 0 only by rounding.
    Ok((means + traces - 2.0 * cross).max(0.0))
}

/// `L[n, rank]` with `L L' = S` for a positive semidefinite `S`: Cholesky with complete pivoting, stopped
/// where nothing but rounding is left (Higham 2002, section 10.3).
fn factor(mut s: DMatrix<f64>) -> DMatrix<f64> {
    let n = s.nrows();
    let mut left = s.diagonal();
    let limit = left.max() * n as f64 * f64::EPSILON;
    let (mut rank, mut from) = (0, 0);
    // The pivots so far, then the rows that are left.
    let mut order: Vec<usize> = (0..n).collect();
    let mut columns = DMatrix::zeros(n, n);
    while rank < n {
        let (at, pivot) = order[rank..]
            .iter()
            .map(|i| left[*i])
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, now| if now.1 > best.1 { now } else { best });
        if pivot <= limit {
            break;
        }
        if rank - from == PANEL {
            // A product of matrices takes the panel out of what is left, much faster than column by column.
            let panel = columns.columns(from, PANEL);
            s.gemm(-1.0, &panel, &panel.transpose(), 1.0);
            from = rank;
        }
        order.swap(rank, rank + at);
        let chosen = order[rank];
        let (done, mut rest) = columns.columns_range_pair_mut(from..rank, rank..);
        let mut column = s.column_mut(chosen);
        // What the panel so far explains of it.
        column.gemv(-1.0, &done, &done.row(chosen).transpose(), 1.0);
        column /= pivot.sqrt();
        column[chosen] = pivot.sqrt();
        order[..rank].iter().for_each(|i| column[*i] = 0.0);
        for i in &order[rank..] {
            left[*i] -= column[*i] * column[*i];
        }
        rest.column_mut(0).copy_from(&column);
        rank += 1;
    }
    columns.resize_horizontally(rank, 0.0)
}
