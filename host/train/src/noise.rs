//! Noise as a pure function of (seed, stream, step), so that a resumed run sees the same.

use ekphrasis_data::stream;
use rand::RngExt;

/// `n` uniform numbers in [0, 1).
pub fn uniform(seed: u64, name: &str, step: u64, n: usize) -> Vec<f32> {
    let mut rng = stream(seed, name, step);
    (0..n).map(|_| rng.random::<f32>()).collect()
}

/// `n` standard normal numbers (Box and Muller 1958).
pub fn normal(seed: u64, name: &str, step: u64, n: usize) -> Vec<f32> {
    let mut rng = stream(seed, name, step);
    let mut out = Vec::with_capacity(n + 1);
    while out.len() < n {
        // 1 - u lies in (0, 1], whose logarithm is finite.
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        out.push((radius * angle.cos()) as f32);
        out.push((radius * angle.sin()) as f32);
    }
    out.truncate(n);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_determinism() {
        let x = normal(1, "a", 2, 20001);
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let var = x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "{mean} {var}");
        assert_eq!(x, normal(1, "a", 2, 20001));
        assert_ne!(uniform(1, "a", 2, 4), uniform(1, "a", 3, 4));
    }
}
