//! Input that no score can be computed from is named.

use crate::random;
use ekphrasis_metrics::{
    ClassScores, Embeddings, FeatureStatistics, MetricsError, Trial, clip_scores, frechet_distance,
    inception_score, kernel_distance, kernel_distance_of_subsets, r_precision, ref_clip_scores, retrieval,
};

#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, MetricsError>, parts: &[&str]) {
    let error = result.unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "expected {part:?} in {error:?}");
    }
}

#[test]
fn rows_are_named() {
    let of = |values: &[f32], width| Embeddings::new("captions", values, width).map(|e| e.len());
    says(of(&[1.0, 2.0, f32::NAN, 4.0], 2), &["captions, row 1", "finite", "NaN in column 0"]);
    says(of(&[1.0, f32::INFINITY], 2), &["row 0", "inf in column 1"]);
    says(of(&[1.0, 2.0, 0.0, -0.0], 2), &["captions, row 1", "direction", "zeros"]);
    says(of(&[1.0, 2.0, 3.0], 2), &["captions", "rows of 2", "3 numbers"]);
    says(of(&[], 0), &["at least 1"]);
    let mut statistics = FeatureStatistics::new(2);
    statistics.add("painted", &[1.0, 2.0]).unwrap();
    says(statistics.add("painted", &[1.0, 2.0, 3.0, f32::NAN]), &["painted, after 1 rows, row 1", "NaN"]);
    assert_eq!(statistics.count(), 1, "nothing of a bad batch is added");
    says(statistics.add("painted", &[1.0]), &["rows of 2"]);
    says(kernel_distance(&[1.0, 2.0], &[1.0, f32::NAN], 1), &["second features, row 1"]);
}

#[test]
fn sets_must_fit_each_other() {
    let values = random(1, 6, 2);
    let of = |rows: usize, width| Embeddings::new("rows", &values[..rows * width], width).unwrap();
    says(clip_scores(&of(3, 2), &of(4, 2)), &["3 rows", "found 4"]);
    says(clip_scores(&of(3, 2), &of(3, 1)), &["rows of 2 numbers", "rows of 1"]);
    says(ref_clip_scores(&of(2, 2), &of(2, 2), &of(3, 2), &[0, 0, 0]), &["row 1", "at least one", "none"]);
    says(retrieval(&of(2, 2), &of(3, 2), &[0, 1]), &["owners of rows", "3, one for each", "found 2"]);
    says(retrieval(&of(2, 2), &of(3, 2), &[0, 1, 2]), &["owner of rows, row 2", "below 2"]);
    says(retrieval(&of(0, 2), &of(0, 2), &[]), &["at least one picture"]);
    let trial = Trial { image: 0, own: 0, others: vec![7] };
    says(r_precision(&of(2, 2), &of(3, 2), &[trial]), &["trial 0", "below 3", "found 7"]);
    says(r_precision(&of(2, 2), &of(3, 2), &[]), &["at least one trial"]);
    says(FeatureStatistics::new(2).merge(&FeatureStatistics::new(3)), &["rows of 2", "rows of 3"]);
    says(frechet_distance(&FeatureStatistics::new(2), &FeatureStatistics::new(3)), &["rows of 2"]);
}

#[test]
fn too_few_rows() {
    let mut one = FeatureStatistics::new(1);
    one.add("features", &[1.0]).unwrap();
    says(frechet_distance(&one, &one), &["covariance", "at least 2 rows", "found 1"]);
    says(kernel_distance(&[1.0, 2.0], &[1.0], 1), &["second features", "at least 2 rows"]);
    for (subsets, size) in [(0, 2), (1, 1), (1, 4)] {
        let result = kernel_distance_of_subsets(&[1.0, 2.0, 3.0], &[1.0, 2.0, 4.0], 1, subsets, size, 0);
        says(result, &["2 to 3 rows", &format!("{subsets} of {size}")]);
    }
    says(inception_score(&[1.0, 1.0], 1, ClassScores::Probabilities, 3), &["1 to 2 splits", "found 3"]);
    says(inception_score(&[1.0], 1, ClassScores::Probabilities, 0), &["1 to 1 splits"]);
}

#[test]
fn probabilities_must_be_some() {
    let of = |values: &[f32]| inception_score(values, 2, ClassScores::Probabilities, 1);
    says(of(&[0.5, 0.5, 0.7, 0.6]), &["class probabilities, row 1", "sum of 1"]);
    says(of(&[1.2, -0.2]), &["row 0", "from 0 to 1"]);
    says(inception_score(&[f32::NAN, 1.0], 2, ClassScores::Logits, 1), &["class scores, row 0", "NaN"]);
}
