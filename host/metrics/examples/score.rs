//! `cargo run --release -p ekphrasis-metrics --example score -- REFS CANDS`: the library alone, from files to scores.

use ekphrasis_metrics::files::{Wording, pair, read};
use ekphrasis_metrics::{Groups, Metric, MetricsError, Suite, Texts};

fn main() -> Result<(), MetricsError> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let [references, candidates] = &files[..] else {
        eprintln!("expected REFS CANDS, two files of captions");
        return Ok(());
    };
    let (references, candidates) =
        (read(references.as_ref(), Wording::Raw)?, read(candidates.as_ref(), Wording::Raw)?);
    let pairs = pair(&references, &[&candidates], false)?;
    let captions: Vec<&str> = pairs.candidates(0).collect();
    let mut suite = Suite::new(Groups::tokenized(pairs.references()), None, false)?;
    let scores = suite.score(&Texts::tokenized(&captions), &Metric::ALL, None)?;
    for metric in Metric::ALL {
        if let Some(each) = scores.resampled(metric) {
            println!("{:<12} {:.4}", metric.key(), each.corpus());
        }
    }
    Ok(())
}
