//! Scores of text against `pycocoevalcap` 1.2 and ruotianluo/cider, corpus and image by image.

use crate::reference::{coco_parity, deviation, floats, json, strings};
use ekphrasis_metrics::{Scores, evaluate_text};
use serde_json::Value;

/// Relative. What is left is the order of summation.
const TOLERANCE: f64 = 1e-11;

struct Split {
    hypotheses: Vec<String>,
    references: Vec<Vec<String>>,
}

fn split(ids: &[String], hypotheses: &Value, references: &Value) -> Split {
    Split {
        hypotheses: ids.iter().map(|id| hypotheses[id].as_str().unwrap().to_owned()).collect(),
        references: ids.iter().map(|id| strings(&references[id])).collect(),
    }
}

/// Compares everything and prints the largest deviation of each metric.
fn compare(name: &str, split: &Split, corpus: &Value, per_image: &Value) {
    let scores = evaluate_text(&split.hypotheses, &split.references).unwrap();
    let statistics = &corpus["bleu_stats"];
    let numbers = |key: &str| -> Vec<u64> {
        statistics[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
    };
    assert_eq!(statistics["testlen"], scores.bleu_statistics.hypothesis_length, "{name}");
    assert_eq!(statistics["reflen"], scores.bleu_statistics.reference_length, "{name}");
    assert_eq!(numbers("guess"), scores.bleu_statistics.guess, "{name}");
    assert_eq!(numbers("correct"), scores.bleu_statistics.correct, "{name}");

    for (metric, whole, each) in metrics(&scores) {
        let whole = deviation(&[whole], &[corpus[metric].as_f64().unwrap()], f64::abs);
        let each = deviation(&each, &floats(&per_image[metric]), f64::abs);
        println!(
            "{name} {metric}: corpus {whole:.1e}, largest of {} images {each:.1e}",
            split.hypotheses.len()
        );
        assert!(whole < TOLERANCE && each < TOLERANCE, "{name} {metric}: corpus {whole:e}, image {each:e}");
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

fn compare_set(name: &str, references_of: &str) {
    let Some(folder) = coco_parity() else { return };
    let expected = json(folder.join(name).join("expected_per_image.json.gz"));
    let split = split(
        &strings(&expected["ids"]),
        &json(folder.join(name).join("cands_tokenized.json.gz")),
        &json(folder.join(references_of).join("refs_tokenized.json.gz")),
    );
    let corpus = &json(folder.join("expected.json"))[name]["corpus"];
    compare(name, &split, corpus, &expected["scores"]);
}

#[test]
fn machine_captions() {
    compare_set("fakecap", "fakecap");
}

#[test]
fn captions_of_other_images() {
    compare_set("mismatch", "fakecap");
}

#[test]
fn human_captions() {
    compare_set("human", "human");
}

#[test]
fn edge_cases() {
    let Some(folder) = coco_parity() else { return };
    let cases = json(folder.join("edge_cases/cases.json"));
    let expected = json(folder.join("edge_cases/expected_per_case.json"));
    let cases = strings(&expected["ids"])
        .into_iter()
        .map(|id| (cases[&id]["cand"].as_str().unwrap().to_owned(), strings(&cases[&id]["refs"])));
    let (hypotheses, references) = cases.unzip();
    let corpus = &json(folder.join("expected.json"))["edge_cases"]["corpus"];
    compare("edge_cases", &Split { hypotheses, references }, corpus, &expected["scores"]);
}
