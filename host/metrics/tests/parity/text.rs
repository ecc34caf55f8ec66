//! BLEU, ROUGE-L and the CIDErs against `pycocoevalcap` 1.2 and ruotianluo/cider, corpus and image by image.

use crate::reference::{Captions, deviation, floats};
use crate::table::Table;
use ekphrasis_metrics::{Scores, evaluate_text};
use serde_json::Value;

/// Relative. What there is comes of the order of summation.
const TOLERANCE: f64 = 1e-9;

pub fn compare(set: &str, captions: &Captions, corpus: &Value, table: &mut Table) {
    let scores = evaluate_text(&captions.hypotheses, &captions.references).unwrap();
    let statistics = &corpus["bleu_stats"];
    let numbers = |key: &str| -> Vec<u64> {
        statistics[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
    };
    assert_eq!(statistics["testlen"], scores.bleu_statistics.hypothesis_length, "{set}");
    assert_eq!(statistics["reflen"], scores.bleu_statistics.reference_length, "{set}");
    assert_eq!(numbers("guess"), scores.bleu_statistics.guess, "{set}");
    assert_eq!(numbers("correct"), scores.bleu_statistics.correct, "{set}");
    for (metric, whole, each) in metrics(&scores) {
        let whole = deviation(&[whole], &[corpus[metric].as_f64().unwrap()], f64::abs);
        let each = deviation(&each, &floats(&captions.expected[metric]), f64::abs);
        table.scores(metric, set, Some(whole), each, TOLERANCE);
    }
}

/// The reference's name of each metric, our score of the split, our scores of its images.
fn metrics(scores: &Scores) -> Vec<(&'static str, f64, Vec<f64>)> {
    let images = &scores.per_image;
    let bleu = ["Bleu_1", "Bleu_2", "Bleu_3", "Bleu_4"].into_iter().enumerate();
    let mut metrics: Vec<_> =
        bleu.map(|(n, name)| (name, scores.bleu[n], images.bleu.iter().map(|b| b[n]).collect())).collect();
    metrics.push(("ROUGE_L", scores.rouge_l, images.rouge_l.clone()));
    // coco-caption calls CIDEr-D "CIDEr".
    metrics.push(("CIDEr", scores.cider_d, images.cider_d.clone()));
    metrics.push(("CIDEr_D", scores.cider_d, images.cider_d.clone()));
    metrics.push(("CIDEr_plain", scores.cider, images.cider.clone()));
    metrics
}
