//! Time of a caption's score in a reward: real samples against five references, five samples an image. Run with
//! `cargo test --release -p ekphrasis-metrics --test parity -- --ignored --nocapture`.

use crate::reference::{coco_parity, json};
use crate::scst::{EOS, SAMPLES, frequencies, rows};
use ekphrasis_metrics::{BleuReferences, BleuStatistics, CiderD, rouge_l, until_eos};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 51;

/// Prints the best and the median nanoseconds per call over some rounds; returns the best.
fn measure<T>(what: &str, calls: usize, of: impl Fn(usize) -> T) -> f64 {
    let round = |_| {
        let started = Instant::now();
        for i in 0..calls {
            black_box(of(i));
        }
        started.elapsed().as_nanos() as f64 / calls as f64
    };
    let mut rounds: Vec<f64> = (0..ROUNDS).map(round).collect();
    rounds.sort_by(f64::total_cmp);
    println!("{what}: {:.0} ns, median {:.0}", rounds[0], rounds[ROUNDS / 2]);
    rounds[0]
}

#[test]
#[ignore = "a measurement, meaningful in release only"]
fn nanoseconds_per_caption() {
    let Some(folder) = coco_parity() else { return };
    let data = json(folder.join("scst/scst.json.gz"));
    let frequencies = frequencies(&data["vocab"], &json(folder.join("human/refs_tokenized.json.gz")));
    let cider = CiderD::new(Arc::new(frequencies));
    let padded = rows(&data["samples"]);
    let samples: Vec<&[u32]> = padded.iter().map(|row| until_eos(row, EOS)).collect();
    let images: Vec<Vec<Vec<u32>>> = data["refs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| rows(image).iter().map(|row| until_eos(row, EOS).to_vec()).collect())
        .collect();
    let tokens: usize = samples.iter().map(|sample| sample.len()).sum();
    let mean = tokens as f64 / samples.len() as f64;
    println!("{} samples of {} images, {mean:.1} tokens each with the end", samples.len(), images.len());

    let for_cider: Vec<_> = images.iter().map(|image| cider.prepare(image)).collect();
    let for_bleu: Vec<_> = images.iter().map(|image| BleuReferences::new(image)).collect();
    measure("prepare an image for CIDEr-D", images.len(), |i| cider.prepare(&images[i]));
    measure("prepare an image for BLEU", images.len(), |i| BleuReferences::new(&images[i]));
    let count = samples.len();
    let score = measure("CIDEr-D of a sample", count, |i| cider.score(samples[i], &for_cider[i / SAMPLES]));
    measure("BLEU of a sample", count, |i| BleuStatistics::new(samples[i], &for_bleu[i / SAMPLES]).scores());
    measure("ROUGE-L of a sample", count, |i| rouge_l(samples[i], &images[i / SAMPLES]));
    let all = |_| -> f64 { (0..count).map(|i| cider.score(samples[i], &for_cider[i / SAMPLES])).sum() };
    let batch = measure("CIDEr-D of all samples, on one core", 1, all);
    assert!(batch < 5e6, "a reward of {count} samples took {batch:.0} ns, expected under 5 ms");
    // Ten times the 3 us aimed at: a machine that shares its caches with others is that uneven.
    assert!(score < 30_000.0, "CIDEr-D took {score:.0} ns per caption, expected under 30000");
}
