//! Mean and covariance of features that come in batches.

use crate::{MetricsError, vectors};
use nalgebra::{DMatrix, DVector};

/// Rows that are centred together: few enough to stay small, enough for one product of matrices.
const CHUNK: usize = 256;

/// Count, mean and scatter of features, gathered in one pass in `f64`.
///
/// Batches are centred by their own mean and merged (Chan, Golub and LeVeque 1983), so features far from
/// zero lose nothing, and neither order nor batching matters beyond rounding.
#[derive(Clone, Debug)]
pub struct FeatureStatistics {
    count: u64,
    mean: DVector<f64>,
    /// Sum of the outer products of centred features.
    scatter: DMatrix<f64>,
}

impl FeatureStatistics {
    /// Of nothing yet; features have `width` numbers.
    pub fn new(width: usize) -> Self {
        Self { count: 0, mean: DVector::zeros(width), scatter: DMatrix::zeros(width, width) }
    }

    /// Adds features, row-major. `what` is what errors call them.
    ///
    /// # Errors
    /// When they are no whole number of rows, or one is NaN or infinite; then none is added. Rows are
    /// counted from the first of all batches.
    pub fn add(&mut self, what: &str, features: &[f32]) -> Result<(), MetricsError> {
        let width = self.width();
        let what =
            if self.count == 0 { what.to_owned() } else { format!("{what}, after {} rows", self.count) };
        vectors::count_rows(&what, features, width)?;
        for chunk in features.chunks(CHUNK * width) {
            // Rows as they lie in memory are the columns of nalgebra's matrices.
            let mut rows =
                DMatrix::from_iterator(width, chunk.len() / width, chunk.iter().map(|v| f64::from(*v)));
            let mean = rows.column_mean();
            rows.column_iter_mut().for_each(|mut row| row -= &mean);
            self.join(rows.ncols() as u64, &mean);
            self.scatter.gemm(1.0, &rows, &rows.transpose(), 1.0);
        }
        Ok(())
    }

    /// Adds what others have gathered, as from another thread.
    ///
    /// # Errors
    /// When their width is another.
    pub fn merge(&mut self, other: &Self) -> Result<(), MetricsError> {
        vectors::same_width("features to merge", self.width(), other.width())?;
        self.join(other.count, &other.mean);
        self.scatter += &other.scatter;
        Ok(())
    }

    /// Mean, count, and the scatter between the means; the scatter within the others is still to be added.
    fn join(&mut self, count: u64, mean: &DVector<f64>) {
        let total = self.count + count;
        if total == 0 {
            return;
        }
        let apart = mean - &self.mean;
        let share = count as f64 / total as f64;
        self.scatter.ger(self.count as f64 * share, &apart, &apart, 1.0);
        self.mean.axpy(share, &apart, 1.0);
        self.count = total;
    }

    /// Number of rows so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Whether the covariance cannot be of full rank: there are too few rows. Distances are then biased
    /// upwards, and compare only at equal counts.
    pub fn is_singular(&self) -> bool {
        self.count <= self.width() as u64
    }

    pub(super) fn mean(&self) -> &DVector<f64> {
        &self.mean
    }

    /// The unbiased covariance, divided by `count - 1`.
    pub(super) fn covariance(&self) -> Result<DMatrix<f64>, MetricsError> {
        if self.count < 2 {
            let found = self.count.to_string();
            return Err(MetricsError::vectors("covariance of features", "at least 2 rows", found));
        }
        Ok(&self.scatter / (self.count - 1) as f64)
    }
}
