//! Fréchet and kernel distances, Inception Score.

use crate::{expected, near, number, random, shaped};
use ekphrasis_metrics::{
    ClassScores, FeatureStatistics, frechet_distance, inception_score, kernel_distance,
    kernel_distance_of_subsets,
};

fn statistics(values: &[f32], width: usize, batch: usize) -> FeatureStatistics {
    let mut statistics = FeatureStatistics::new(width);
    for part in values.chunks(batch * width) {
        statistics.add("features", part).unwrap();
    }
    statistics
}

fn frechet(a: &[f32], b: &[f32], width: usize) -> f64 {
    frechet_distance(&statistics(a, width, 1000), &statistics(b, width, 7)).unwrap()
}

#[test]
fn distances_are_those_of_numpy_and_scipy() {
    let cases = [
        ("full", 200, 150, 16, 0.3),
        ("one_singular", 200, 9, 16, 0.3),
        ("singular", 12, 20, 40, 0.3),
        ("far", 300, 200, 16, 100.0),
    ];
    for (name, n, m, width, shift) in cases {
        let (a, b) = (shaped(1, n, width, shift), shaped(2, m, width, shift + 0.1));
        let expected = &expected()[name];
        near(frechet(&a, &b, width), number(&expected["frechet"]), 1e-9);
        near(frechet(&b, &a, width), number(&expected["frechet"]), 1e-9);
        near(kernel_distance(&a, &b, width).unwrap(), number(&expected["kernel"]), 1e-9);
        let few = statistics(&b, width, 4);
        assert_eq!(few.is_singular(), m <= width, "{name}");
    }
}

/// One dimension: `(m1 - m2)^2 + (s1 - s2)^2`; two points have a variance of half their distance squared.
#[test]
fn gaussians_by_hand() {
    near(frechet(&[0.0, 2.0], &[10.0, 16.0], 1), 144.0 + (2f64.sqrt() - 18f64.sqrt()).powi(2), 1e-12);
    // Crossed lines share nothing: the roots of the traces do not meet.
    near(frechet(&[-1.0, 0.0, 1.0, 0.0], &[0.0, -1.0, 0.0, 1.0], 2), 4.0, 1e-12);
    // Points without spread, and a spread against none.
    near(frechet(&[1.0, 1.0], &[4.0, 4.0], 1), 9.0, 1e-12);
    near(frechet(&[1.0, 3.0], &[2.0, 2.0], 1), 2.0, 1e-12);
}

#[test]
fn a_set_is_at_no_distance_from_itself() {
    for (rows, width) in [(100, 12), (8, 30)] {
        let a = shaped(3, rows, width, 5.0);
        let reversed: Vec<f32> = a.chunks(width).rev().flatten().copied().collect();
        let spread: f64 = a.iter().map(|v| f64::from(*v).powi(2)).sum();
        assert!(frechet(&a, &reversed, width) < 1e-12 * spread, "{}", frechet(&a, &reversed, width));
        // The unbiased estimate leaves out the pairs of a row with itself, so it is below 0 here.
        assert!(kernel_distance(&a, &reversed, width).unwrap() < 0.0);
    }
}

/// More dimensions than a panel of the factor has columns. A set and its double: `|m|^2 + tr S`.
#[test]
fn many_dimensions() {
    let (rows, width) = (400, 150);
    let a = shaped(8, rows, width, 0.0);
    let doubled: Vec<f32> = a.iter().map(|v| 2.0 * v).collect();
    let mut mean = vec![0.0; width];
    a.chunks(width).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / 400.0));
    let squares: f64 = a.iter().enumerate().map(|(i, v)| (f64::from(*v) - mean[i % width]).powi(2)).sum();
    let means: f64 = mean.iter().map(|m| m * m).sum();
    // tr S + tr 4S - 2 tr 2S = tr S.
    near(frechet(&a, &doubled, width), means + squares / 399.0, 1e-9);
}

#[test]
fn order_and_batches_do_not_matter() {
    let (a, b) = (shaped(4, 90, 10, 50.0), shaped(5, 700, 10, 50.2));
    let reversed: Vec<f32> = b.chunks(10).rev().flatten().copied().collect();
    let known = frechet(&a, &b, 10);
    for batch in [1, 2, 89, 256, 257, 700] {
        let distance =
            frechet_distance(&statistics(&a, 10, batch), &statistics(&reversed, 10, batch)).unwrap();
        near(distance, known, 1e-8);
    }
    let (mut first, second) = (statistics(&b[..3000], 10, 64), statistics(&b[3000..], 10, 64));
    first.merge(&second).unwrap();
    first.merge(&FeatureStatistics::new(10)).unwrap();
    assert_eq!(first.count(), 700);
    near(frechet_distance(&statistics(&a, 10, 64), &first).unwrap(), known, 1e-8);
    near(kernel_distance(&a, &reversed, 10).unwrap(), kernel_distance(&a, &b, 10).unwrap(), 1e-9);
}

/// Points 0 and 1 against 2 and 3, by hand: k(0,1) = 1, k(2,3) = 343; between 1, 1, 27, 64.
#[test]
fn kernels_by_hand() {
    near(kernel_distance(&[0.0, 1.0], &[2.0, 3.0], 1).unwrap(), 1.0 + 343.0 - 2.0 * 93.0 / 4.0, 1e-12);
}

#[test]
fn subsets_agree_with_the_whole() {
    let (a, b) = (shaped(6, 300, 8, 0.0), shaped(7, 280, 8, 0.2));
    let whole = kernel_distance(&a, &b, 8).unwrap();
    let of = |seed| kernel_distance_of_subsets(&a, &b, 8, 60, 100, seed).unwrap();
    let estimate = of(1);
    assert!((estimate.mean - whole).abs() < 3.0 * estimate.deviation, "{estimate:?}, {whole}");
    assert!(estimate.deviation > 0.0 && of(1) == estimate && of(2) != estimate);
    // A subset of all rows is the whole, in another order: also a check that no row is drawn twice.
    let all = kernel_distance_of_subsets(&a[..2240], &b, 8, 3, 280, 5).unwrap();
    near(all.mean, kernel_distance(&a[..2240], &b, 8).unwrap(), 1e-9);
    assert!(all.deviation < 1e-9 * all.mean);
}

#[test]
fn inception_scores() {
    let logits: Vec<f32> = random(3, 50, 7).iter().map(|v| 4.0 * v).collect();
    let (mean, deviation) = inception_score(&logits, 7, ClassScores::Logits, 4).unwrap();
    near(mean, number(&expected()["inception"][0]), 1e-9);
    near(deviation, number(&expected()["inception"][1]), 1e-9);
    // Sure and evenly spread: as many as there are classes. All alike: 1.
    let sure: Vec<f32> = (0..9).map(|i| if i % 4 == 0 { 1.0 } else { 0.0 }).collect();
    near(inception_score(&sure, 3, ClassScores::Probabilities, 1).unwrap().0, 3.0, 1e-12);
    near(inception_score(&[0.25; 16], 4, ClassScores::Probabilities, 2).unwrap().0, 1.0, 1e-12);
}
