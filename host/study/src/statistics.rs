//! What a handful of runs with different seeds says: means, spread, intervals, paired differences.
//!
//! Formulas as in any textbook (Student 1908): for `n` values with mean `m` and standard deviation
//! `s = sqrt(sum (x - m)^2 / (n - 1))`, the 95% confidence interval of the mean is
//! `m +- t(0.975, n - 1) * s / sqrt(n)`, where `t(q, d)` is the `q` quantile of Student's t
//! distribution with `d` degrees of freedom. Runs of two arms with the same seed form a pair; the
//! paired t-test takes their differences as the values and tests `t = m / (s / sqrt(n))` against 0,
//! `p = 2 * P(T > |t|)`.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::collections::BTreeMap;

/// Confidence of the intervals.
pub const CONFIDENCE: f64 = 0.95;

/// Mean and spread of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation over `n - 1`; none for a single value.
    pub sd: Option<f64>,
    /// The 95% confidence interval of the mean; none for a single value.
    pub interval: Option<(f64, f64)>,
}

/// How one arm differs from another over the seeds that both have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Mean, spread and interval of the differences, the other arm taken off this one.
    #[serde(flatten)]
    pub summary: Summary,
    /// Student's t; none for a single pair or when all differences are the same.
    pub t: Option<f64>,
    /// Two-sided p of the paired t-test; none where there is no t.
    pub p: Option<f64>,
}

/// Mean, standard deviation and confidence interval; none for no values.
pub fn summarize(values: &[f64]) -> Option<Summary> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let Some(student) = student(n) else { return Some(Summary { n, mean, sd: None, interval: None }) };
    let sd = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt();
    let half = student.inverse_cdf(0.5 + CONFIDENCE / 2.0) * sd / (n as f64).sqrt();
    Some(Summary { n, mean, sd: Some(sd), interval: Some((mean - half, mean + half)) })
}

/// The paired difference `arm - baseline` over the seeds in both; none when they share no seed.
pub fn compare(arm: &BTreeMap<u64, f64>, baseline: &BTreeMap<u64, f64>) -> Option<Difference> {
    let pairs = arm.iter().filter_map(|(seed, x)| baseline.get(seed).map(|y| x - y));
    let differences: Vec<f64> = pairs.collect();
    let summary = summarize(&differences)?;
    let t = summary.sd.filter(|sd| *sd > 0.0).map(|sd| summary.mean / (sd / (summary.n as f64).sqrt()));
    let p = t.zip(student(summary.n)).map(|(t, student)| 2.0 * student.sf(t.abs()));
    Some(Difference { summary, t, p })
}

/// Student's t distribution for the mean of `n` values; none for fewer than two.
fn student(n: usize) -> Option<StudentsT> {
    (n > 1).then(|| StudentsT::new(0.0, 1.0, (n - 1) as f64).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-4, "expected {expected}, found {found}");
    }

    // Table values of t(0.975, d): 12.7062 for 1, 4.3027 for 2, 2.2622 for 9.
    #[test]
    fn interval_of_a_mean_by_the_table_of_t() {
        let s = summarize(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((s.n, s.mean, s.sd), (3, 2.0, Some(1.0)));
        let (low, high) = s.interval.unwrap();
        close(low, 2.0 - 4.302653 / 3f64.sqrt());
        close(high, 2.0 + 4.302653 / 3f64.sqrt());

        let s = summarize(&[0.0, 2.0]).unwrap();
        close(s.sd.unwrap(), 2f64.sqrt());
        close(s.interval.unwrap().1, 1.0 + 12.706205);

        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        let s = summarize(&ten).unwrap();
        close(s.sd.unwrap(), 3.027650);
        close(s.interval.unwrap().0, 5.5 - 2.262157 * 3.027650 / 10f64.sqrt());
    }

    #[test]
    fn one_value_has_no_spread_and_none_has_nothing() {
        assert_eq!(summarize(&[]), None);
        assert_eq!(summarize(&[4.0]), Some(Summary { n: 1, mean: 4.0, sd: None, interval: None }));
    }

    // Student's own data (1908): extra hours of sleep by two drugs in ten patients; the mean
    // difference is 1.58, t = 4.0621 with 9 degrees of freedom, p = 0.002833, 95% interval
    // 0.7001 to 2.4599 (as R's `t.test(..., paired = TRUE)` on its data set `sleep` gives it).
    #[test]
    fn paired_test_on_students_sleep_data() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let by_seed =
            |values: &[f64]| values.iter().copied().enumerate().map(|(i, v)| (i as u64, v)).collect();
        let d = compare(&by_seed(&second), &by_seed(&first)).unwrap();
        close(d.summary.mean, 1.58);
        close(d.t.unwrap(), 4.0621);
        close(d.p.unwrap(), 0.002833);
        let (low, high) = d.summary.interval.unwrap();
        close(low, 0.7001142);
        close(high, 2.4598858);
    }

    #[test]
    fn pairs_are_the_seeds_in_both_arms() {
        let arm = BTreeMap::from([(0, 2.0), (1, 3.5), (7, 100.0)]);
        let baseline = BTreeMap::from([(0, 1.0), (1, 2.0), (8, -100.0)]);
        let d = compare(&arm, &baseline).unwrap();
        assert_eq!((d.summary.n, d.summary.mean), (2, 1.25));
        close(d.t.unwrap(), 5.0);
        // With one degree of freedom, P(T > t) = 1/2 - atan(t) / pi.
        close(d.p.unwrap(), 1.0 - 2.0 * 5f64.atan() / std::f64::consts::PI);
        assert_eq!(compare(&arm, &BTreeMap::from([(9, 1.0)])), None);
        let same = compare(&arm, &arm).unwrap();
        assert_eq!((same.summary.mean, same.t, same.p), (0.0, None, None));
    }
}
