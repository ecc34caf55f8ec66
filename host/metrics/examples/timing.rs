//! Seconds that each metric takes, for `tests/bench/metrics.py`, which runs the reference tools beside it.
//!
//! ```text
//! timing once CAPTIONS            the whole suite from raw captions, once, METEOR with its data's loading
//! timing each CAPTIONS ROUNDS     the best of some rounds of each metric
//! timing grow CAPTIONS N          N images with captions made of those, all different: seconds of the parts, peak memory
//! ```
//!
//! `CAPTIONS` is a JSON file of `{"hypotheses": ["..."], "references": [["..."]]}`, raw. Prints JSON.

use ekphrasis_metrics::{
    BleuStatistics, Groups, Meteor, MeteorData, Metric, MetricsError, Suite, SystemScores, Texts,
    evaluate_text, tokenize_captions,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::hint::black_box;
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
    evaluate_text(hypotheses, references)?; // From here on nothing is refused.
    // From text: words to ids, references prepared, then the candidates scored.
    let groups = Groups::tokens(references.iter().map(|image| image.iter().map(String::as_str).collect()));
    let texts: Texts = hypotheses.iter().collect();
    let scored = |metrics: &[Metric]| -> SystemScores {
        let suite = Suite::new(groups.clone(), None, false);
        suite.and_then(|mut suite| suite.score(&texts, metrics, None)).expect("these captions were scored")
    };
    let bleu = || {
        let mut total = BleuStatistics::default();
        for statistics in scored(Metric::named("bleu").unwrap_or_default()).bleu {
            black_box(statistics.scores());
            total += statistics;
        }
        black_box(total.scores());
    };
    let mean = |metric| _ = black_box(scored(&[metric]).resampled(metric).map(|each| each.corpus()));
    Ok(json!({
        "tokenize": best(&|| _ = black_box(captions.tokenized())),
        "BLEU": best(&bleu),
        "ROUGE-L": best(&|| mean(Metric::RougeL)),
        "CIDEr": best(&|| mean(Metric::CiderD)),
        "METEOR": best(&|| _ = black_box(meteor.evaluate(hypotheses, references))),
        "all but METEOR": best(&|| _ = black_box(evaluate_text(hypotheses, references))),
    }))
}

/// Makes captions of captions: the beginning of one, the end of another, and a fifth of the words replaced by any of
/// 30,000, of which the first are the most frequent. By a fixed rule.
struct Writer<'c> {
    captions: Vec<Vec<&'c str>>,
    state: u64,
}

impl Writer<'_> {
    /// A number below `limit`, by splitmix64.
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(mixed ^ mixed >> 31) * limit as u128) >> 64) as usize
    }

    fn caption(&mut self) -> String {
        let [first, last] = [(); 2].map(|()| self.below(self.captions.len()));
        let cut = self.below(self.captions[first].len() + 1);
        let rest = self.captions[last].get(cut..).unwrap_or_default();
        let mut words: Vec<String> =
            self.captions[first][..cut].iter().chain(rest).map(|w| (*w).into()).collect();
        for word in &mut words {
            if self.below(5) == 0 {
                let limit = 1 + self.below(30_000);
                *word = format!("word{}", self.below(limit));
            }
        }
        words.join(" ")
    }
}

/// Images of five references each.
fn grow(captions: &Captions, images: usize) -> Result<Value, Box<dyn Error>> {
    let tokenized = captions.tokenized();
    let words = tokenized.references.iter().flatten().map(|caption| caption.split(' ').collect());
    let mut writer = Writer { captions: words.collect(), state: 1 };
    let hypotheses: Texts = (0..images).map(|_| writer.caption()).collect();
    let references = Groups::tokens((0..images).map(|_| (0..5).map(|_| writer.caption()).collect()));
    let meteor = meteor()?;
    let before = peak();
    let text: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| *metric != Metric::Meteor).collect();
    let (counting, suite) = seconds(|| {
        let suite = Suite::new(references, None, false)?;
        suite.frequencies();
        Ok::<_, MetricsError>(suite)
    });
    let mut suite = suite?;
    let distinct = suite.frequencies().frequencies().distinct_ngrams();
    let after_counting = peak();
    let (text, scores) = seconds(|| suite.score(&hypotheses, &text, None));
    scores?;
    let after_text = peak();
    let (meteor, scores) = seconds(|| suite.score(&hypotheses, &[Metric::Meteor], Some(&meteor)));
    scores?;
    Ok(json!({
        "images": images,
        "distinct_ngrams": distinct,
        "seconds": {"words and document frequencies": counting, "all but METEOR": text, "METEOR": meteor},
        "peak_mb": {"input": before, "document frequencies": after_counting, "all but METEOR": after_text, "METEOR": peak()},
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
