//! Metrics of pictures, and of pictures with captions: against numpy's and scipy's answers
//! (`expected.json`, made by `expected.py`), by hand, and what holds of any input.

mod bad_input;
mod image;
mod image_text;

use serde_json::Value;

/// The answers of `expected.py`.
fn expected() -> Value {
    serde_json::from_str(include_str!("expected.json")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

#[track_caller]
fn near(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "expected {expected}, found {found}");
}

/// As `random` in `expected.py`.
fn random(mut seed: u64, rows: usize, width: usize) -> Vec<f32> {
    let mut uniform = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f64 / f64::from(1 << 24)
    };
    (0..rows * width).map(|_| ((0..4).map(|_| uniform()).sum::<f64>() - 2.0) as f32).collect()
}

/// As `shaped` in `expected.py`.
fn shaped(seed: u64, rows: usize, width: usize, shift: f64) -> Vec<f32> {
    let mut values = vec![];
    for row in random(seed, rows, width).chunks(width) {
        let x: Vec<f64> =
            row.iter().enumerate().map(|(j, v)| f64::from(*v) / (1 + j) as f64 + shift).collect();
        values.extend((0..width).map(|j| if j == 0 { x[0] as f32 } else { (x[j] + 0.5 * x[j - 1]) as f32 }));
    }
    values
}
