//! The kernel distance, which is KID over Inception's features (Bińkowski et al. 2018,
//! <https://arxiv.org/abs/1801.01401>).

use crate::{MetricsError, parallel, vectors};
use nalgebra::{DMatrix, DMatrixView};

/// Rows that are compared with each other at a time.
const BLOCK: usize = 256;

/// Estimates over subsets.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelDistance {
    /// Mean of the subsets' estimates.
    pub mean: f64,
    /// Their standard deviation (divided by their number), as the reference tools have it.
    pub deviation: f64,
}

/// The unbiased estimate of the squared maximum mean discrepancy with the kernel `(x.y / width + 1)^3`.
///
/// It may be a little below 0, as it is right on average whatever the number of pictures. Takes time with
/// the square of that number, on all cores. Features are row-major.
///
/// # Errors
/// When a side has less than two rows, or rows that are not whole, or one that is not finite.
pub fn kernel_distance(a: &[f32], b: &[f32], width: usize) -> Result<f64, MetricsError> {
    let (a, b) = (columns("first features", a, width)?, columns("second features", b, width)?);
    let (n, m) = (a.ncols() as f64, b.ncols() as f64);
    Ok(within(&a) / (n * (n - 1.0)) + within(&b) / (m * (m - 1.0)) - 2.0 * between(&a, &b) / (n * m))
}

/// [`kernel_distance`] of random subsets, which is how KID is reported (100 subsets of 1000).
///
/// Each subset has `size` rows of each side, drawn without replacement from `seed`.
///
/// # Errors
/// As [`kernel_distance`], and when a side has less than `size` rows, or `size` is less than 2, or there is
/// no subset.
pub fn kernel_distance_of_subsets(
    a: &[f32],
    b: &[f32],
    width: usize,
    subsets: usize,
    size: usize,
    seed: u64,
) -> Result<KernelDistance, MetricsError> {
    let rows = vectors::count_rows("first features", a, width)?;
    let rows = rows.min(vectors::count_rows("second features", b, width)?);
    if subsets == 0 || size < 2 || size > rows {
        let expected = format!("at least 1 subset of 2 to {rows} rows");
        return Err(MetricsError::vectors("kernel distance", expected, format!("{subsets} of {size}")));
    }
    let estimates = parallel::each(subsets, 1, |(), i| {
        let draw = |values: &[f32], side: u64| {
            let mut random = Random(seed ^ ((2 * i as u64 + side) << 32));
            let mut left: Vec<usize> = (0..values.len() / width).collect();
            for at in 0..size {
                let other = at + random.below(left.len() - at);
                left.swap(at, other);
            }
            let chosen = left[..size].iter().flat_map(|row| &values[row * width..(row + 1) * width]);
            DMatrix::from_iterator(width, size, chosen.map(|v| f64::from(*v)))
        };
        let (x, y) = (draw(a, 0), draw(b, 1));
        let n = size as f64;
        (within(&x) + within(&y)) / (n * (n - 1.0)) - 2.0 * between(&x, &y) / (n * n)
    });
    let mean = estimates.iter().sum::<f64>() / subsets as f64;
    let variance = estimates.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / subsets as f64;
    Ok(KernelDistance { mean, deviation: variance.sqrt() })
}

/// Rows as they lie in memory are the columns of nalgebra's matrices.
fn columns(what: &str, values: &[f32], width: usize) -> Result<DMatrix<f64>, MetricsError> {
    let rows = vectors::count_rows(what, values, width)?;
    if rows < 2 {
        return Err(MetricsError::vectors(what, "at least 2 rows", rows.to_string()));
    }
    Ok(DMatrix::from_iterator(width, rows, values.iter().map(|v| f64::from(*v))))
}

/// Sum of the kernel over all pairs of one and another of `x`.
fn within(x: &DMatrix<f64>) -> f64 {
    let diagonal: f64 = x.column_iter().map(|c| kernel(c.norm_squared(), x.nrows())).sum();
    between(x, x) - diagonal
}

/// Sum of the kernel over all pairs of one of `x` and one of `y`.
fn between(x: &DMatrix<f64>, y: &DMatrix<f64>) -> f64 {
    let width = x.nrows();
    let rows = y.transpose();
    let blocks: Vec<&[f64]> = x.as_slice().chunks(BLOCK * width).collect();
    let sums = parallel::each(blocks.len(), 1, |(), b| {
        let products = &rows * DMatrixView::from_slice(blocks[b], width, blocks[b].len() / width);
        products.iter().map(|dot| kernel(*dot, width)).sum::<f64>()
    });
    sums.iter().sum()
}

fn kernel(dot: f64, width: usize) -> f64 {
    (dot / width as f64 + 1.0).powi(3)
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, with a bias of at most `n / 2^64`.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}
