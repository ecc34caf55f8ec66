//! Seconds that each metric takes, for `tests/bench/metrics.py`, which runs the reference tools beside it.
//!
//! ```text
//! timing once CAPTIONS            the whole suite from raw captions, once, METEOR with its data's loading
//! timing each CAPTIONS ROUNDS     the best of some rounds of each metric
//! timing grow CAPTIONS N          N images drawn from the captions: seconds of the parts, peak memory
//! ```
//!
//! `CAPTIONS` is a JSON file of `{"hypotheses": ["..."], "references": [["..."]]}`, raw. Prints JSON.

use ekphrasis_metrics::{
    BleuReferences, BleuStatistics, CiderD, DocumentFrequencies, Interner, Meteor, MeteorData, evaluate_text,
    rouge_l, tokenize_captions,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

#[derive(Deserialize)]
struct Captions {
    hypotheses: Vec<String>,
    references: Vec<Vec<String>>,
}

impl Captions {
    fn tokenized(&self) -> Self {
        let flat: Vec<&String> = self.references.iter().flatten().collect();
        let mut references = tokenize_captions(&flat).into_iter();
        Self {
            hypotheses: tokenize_captions(&self.hypotheses),
            references: self.references.iter().map(|r| references.by_ref().take(r.len()).collect()).collect(),
        }
    }
}

fn meteor() -> Result<Meteor, Box<dyn Error>> {
    Ok(MeteorData::open(&ekphrasis_fetch::default_cache(), false, &|line| eprintln!("{line}"))?.meteor())
}

/// Seconds of one call, and its result.
fn seconds<T>(of: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let result = black_box(of());
    (started.elapsed().as_secs_f64(), result)
}

fn once(captions: &Captions) -> Result<Value, Box<dyn Error>> {
    let (tokenize, tokenized) = seconds(|| captions.tokenized());
    let (suite, scores) = seconds(|| evaluate_text(&tokenized.hypotheses, &tokenized.references));
    let (load, meteor) = seconds(meteor);
    let (meteor_time, meteor) = seconds(|| {
        meteor?.evaluate(&tokenized.hypotheses, &tokenized.references).map_err(Box::<dyn Error>::from)
    });
    let scores: serde_json::Map<String, Value> =
        scores?.named().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    Ok(json!({
        "seconds": {"tokenize": tokenize, "all but METEOR": suite, "METEOR's data": load, "METEOR": meteor_time},
        "scores": scores,
        "meteor": meteor?.corpus,
    }))
}

fn each(captions: &Captions, rounds: usize) -> Result<Value, Box<dyn Error>> {
    let tokenized = captions.tokenized();
    let (hypotheses, references) = (&tokenized.hypotheses, &tokenized.references);
    let meteor = meteor()?;
    let best = |of: &dyn Fn()| (0..rounds).map(|_| seconds(of).0).fold(f64::INFINITY, f64::min);
    // As `evaluate_text` does it, but one metric alone and on one core, from text.
    let ids = || {
        let mut interner = Interner::new();
        let hypotheses: Vec<Vec<u32>> = hypotheses.iter().map(|h| interner.words(h)).collect();
        let references: Vec<Vec<Vec<u32>>> =
            references.iter().map(|image| image.iter().map(|r| interner.words(r)).collect()).collect();
        (hypotheses, references)
    };
    let bleu = || {
        let (hypotheses, references) = ids();
        let mut total = BleuStatistics::default();
        for (hypothesis, references) in hypotheses.iter().zip(&references) {
            let statistics = BleuStatistics::new(hypothesis, &BleuReferences::new(references));
            black_box(statistics.scores());
            total += statistics;
        }
        black_box(total.scores());
    };
    let rouge = || {
        let (hypotheses, references) = ids();
        black_box(hypotheses.iter().zip(&references).map(|(h, r)| rouge_l(h, r)).sum::<f64>());
    };
    let cider = || {
        let (hypotheses, references) = ids();
        let cider = CiderD::new(Arc::new(DocumentFrequencies::from_references(&references)));
        black_box(
            hypotheses.iter().zip(&references).map(|(h, r)| cider.score(h, &cider.prepare(r))).sum::<f64>(),
        );
    };
    Ok(json!({
        "tokenize": best(&|| _ = black_box(captions.tokenized())),
        "BLEU": best(&bleu),
        "ROUGE-L": best(&rouge),
        "CIDEr": best(&cider),
        "METEOR": best(&|| _ = black_box(meteor.evaluate(hypotheses, references))),
        "all but METEOR": best(&|| _ = black_box(evaluate_text(hypotheses, references))),
    }))
}

/// Images drawn again and again from those that there are, by a fixed rule.
fn grow(captions: &Captions, images: usize) -> Result<Value, Box<dyn Error>> {
    let place = |i: usize| i.wrapping_mul(7919) % captions.hypotheses.len();
    let tokenized = captions.tokenized();
    let meteor = meteor()?;
    let hypotheses: Vec<&str> = (0..images).map(|i| tokenized.hypotheses[place(i)].as_str()).collect();
    let references: Vec<Vec<&str>> =
        (0..images).map(|i| tokenized.references[place(i)].iter().map(String::as_str).collect()).collect();
    let before = peak();
    let (text, scores) = seconds(|| evaluate_text(&hypotheses, &references));
    scores?;
    let after_text = peak();
    let (meteor, scores) = seconds(|| meteor.evaluate(&hypotheses, &references));
    scores?;
    Ok(json!({
        "images": images,
        "all but METEOR": text,
        "METEOR": meteor,
        "peak_mb": {"input": before, "all but METEOR": after_text, "METEOR": peak()},
    }))
}

/// The most memory that this process has had, in MB, as Linux tells it.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1000)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let read = |path: &str| -> Result<Captions, Box<dyn Error>> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    };
    let found = match arguments[..] {
        ["once", path] => once(&read(path)?)?,
        ["each", path, rounds] => each(&read(path)?, rounds.parse()?)?,
        ["grow", path, images] => grow(&read(path)?, images.parse()?)?,
        _ => return Err("expected once FILE, each FILE ROUNDS or grow FILE N".into()),
    };
    println!("{found}");
    Ok(())
}
