//! Rewards on token ids against ImageCaptioning.pytorch's `rewards.py`, the end of a caption counted.

use crate::reference::{deviation, floats, json, strings};
use crate::table::Table;
use ekphrasis_metrics::{
    BleuReferences, BleuStatistics, CiderD, DocumentFrequencies, Interner, until_eos, with_eos,
};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

pub const EOS: u32 = 0;
pub const SAMPLES: usize = 5;

pub fn rows(value: &Value) -> Vec<Vec<u32>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

/// Counted over the `human` references in the vocabulary's ids: id k + 1 is its k-th word.
pub fn frequencies(vocabulary: &Value, references: &Value) -> DocumentFrequencies {
    let mut interner = Interner::new();
    interner.intern("<eos>");
    for word in strings(vocabulary) {
        interner.intern(&word);
    }
    let images = references.as_object().unwrap().values();
    let ended: Vec<Vec<Vec<u32>>> = images
        .map(|image| strings(image).iter().map(|text| with_eos(&interner.words(text), EOS)).collect())
        .collect();
    DocumentFrequencies::from_references(&ended)
}

/// Relative for scores, absolute for advantages.
const TOLERANCE: f64 = 1e-9;

pub fn compare(folder: &Path, table: &mut Table) {
    let data = json(folder.join("scst/scst.json.gz"));
    let frequencies = frequencies(&data["vocab"], &json(folder.join("human/refs_tokenized.json.gz")));
    assert_eq!(data["df_images"], frequencies.images());
    assert_eq!(data["df_distinct_ngrams"], frequencies.distinct_ngrams());

    let cider = CiderD::new(Arc::new(frequencies));
    let (samples, greedy) = (rows(&data["samples"]), rows(&data["greedy"]));
    let (mut of_samples, mut of_greedy) = (Vec::new(), Vec::new());
    for (i, references) in data["refs"].as_array().unwrap().iter().enumerate() {
        let padded = rows(references);
        let references: Vec<&[u32]> = padded.iter().map(|row| until_eos(row, EOS)).collect();
        let (for_cider, for_bleu) = (cider.prepare(&references), BleuReferences::new(&references));
        let score = |row: &Vec<u32>| {
            let hypothesis = until_eos(row, EOS);
            let bleu = BleuStatistics::new(hypothesis, &for_bleu).scores();
            (cider.score(hypothesis, &for_cider), bleu[3])
        };
        of_samples.extend(samples[SAMPLES * i..][..SAMPLES].iter().map(score));
        of_greedy.push(score(&greedy[i]));
    }
    assert_eq!(of_samples.len(), samples.len());

    for (weighting, weight_cider, weight_bleu) in
        [("cider1_bleu0", 1.0, 0.0), ("cider0_bleu1", 0.0, 1.0), ("cider1_bleu0.5", 1.0, 0.5)]
    {
        let weighed = |scores: &[(f64, f64)]| -> Vec<f64> {
            scores.iter().map(|(cider, bleu)| weight_cider * cider + weight_bleu * bleu).collect()
        };
        let (samples, greedy) = (weighed(&of_samples), weighed(&of_greedy));
        let of_image = |i: usize| &samples[SAMPLES * (i / SAMPLES)..][..SAMPLES];
        let self_critical: Vec<f64> =
            samples.iter().enumerate().map(|(i, score)| score - greedy[i / SAMPLES]).collect();
        let leave_one_out: Vec<f64> = samples
            .iter()
            .enumerate()
            .map(|(i, score)| score - (of_image(i).iter().sum::<f64>() - score) / (SAMPLES - 1) as f64)
            .collect();

        let expected = &data["expected"][weighting];
        let scores = deviation(&samples, &floats(&expected["sample_scores"]), f64::abs);
        // Differences may cancel: their error is absolute.
        let self_critical = deviation(&self_critical, &floats(&expected["self_critical_reward"]), |_| 1.0);
        let leave_one_out =
            deviation(&leave_one_out, &floats(&expected["new_self_critical_advantage"]), |_| 1.0);
        for (what, difference) in
            [("reward", scores), ("self-critical", self_critical), ("leave-one-out", leave_one_out)]
        {
            table.scores(&format!("{what} {weighting}"), "scst", None, difference, TOLERANCE);
        }
    }
}
