//! Scores as tables, as JSON, and image by image.

use super::{
    About, Args,
    measured::{Measured, Row, System},
};
use crate::{
    error::{CliError, Result},
    screen,
};
use ekphrasis_metrics::{Interval, Metric, Resampling, Suite};
use ekphrasis_report::{Cell, Table, write_atomically};
use serde_json::{Map, Value, json};
use std::path::Path;

const DECIMALS: usize = 4;

fn number(value: f64) -> Cell {
    Cell::Number { value, decimals: DECIMALS }
}

fn interval(Interval { low, high }: Interval) -> Cell {
    format!("{low:.DECIMALS$} .. {high:.DECIMALS$}").into()
}

/// What tables call a metric.
fn heading(row: &Row) -> String {
    match row.metric {
        Metric::Bleu(order) => format!("BLEU-{order}"),
        Metric::Meteor => row.key.replacen("meteor", "METEOR", 1),
        Metric::RougeL => "ROUGE-L".into(),
        Metric::CiderD => "CIDEr (CIDEr-D)".into(),
        Metric::Cider => "CIDEr, plain".into(),
    }
}

/// The tables that people read.
pub fn tables(measured: &Measured, suite: &Suite, resampling: &Resampling) -> String {
    let percent = format!("{}% interval", (100.0 * resampling.confidence).round());
    let two = measured.systems == 2;
    let mut headings = vec!["metric".to_owned()];
    match two {
        false => headings.extend(["score".into(), percent]),
        true => headings.extend(
            ["first", "second", "first - second", &percent, "p (bootstrap)", "p (randomisation)"]
                .map(str::to_owned),
        ),
    }
    let mut table = Table::new(headings);
    for row in &measured.rows {
        let mut cells = vec![Cell::from(heading(row))];
        cells.extend(row.scores.iter().map(|(score, _)| number(*score)));
        match &row.comparison {
            Some(found) => {
                cells.extend([number(found.difference), interval(found.interval)]);
                cells.extend([number(found.p_bootstrap), number(found.p_randomisation)]);
            }
            None => cells.extend(row.scores.iter().map(|(_, within)| interval(*within))),
        }
        table.row(cells);
    }
    let mut parts = vec![];
    if !measured.rows.is_empty() {
        let text = format!(
            "{}{} images; {} resamples of them, seed {}\n",
            screen::table(&table),
            suite.len(),
            resampling.samples,
            resampling.seed
        );
        parts.push(text);
    }
    parts.extend(diversity(measured));
    parts.join("\n")
}

fn diversity(measured: &Measured) -> Option<String> {
    measured.diversity.first()?;
    let columns: &[&str] = if measured.systems == 2 { &["first", "second"] } else { &["all"] };
    let mut table = Table::new(["captions"].iter().chain(columns).copied());
    let mut row = |name: &str, decimals: usize, of: &dyn Fn(usize) -> f64| {
        let cells = (0..measured.systems).map(|i| Cell::Number { value: of(i), decimals });
        table.row(std::iter::once(Cell::from(name)).chain(cells));
    };
    let of = |i: usize| &measured.diversity[i].0;
    row("distinct words", 0, &|i| of(i).vocabulary as f64);
    row("distinct-1", DECIMALS, &|i| of(i).distinct_1);
    row("distinct-2", DECIMALS, &|i| of(i).distinct_2);
    row("words in a caption, mean", 2, &|i| of(i).lengths.mean);
    row("standard deviation", 2, &|i| of(i).lengths.sd);
    row("share with a trigram twice", DECIMALS, &|i| of(i).repeated_trigrams);
    if measured.diversity.iter().all(|(_, novel)| novel.is_some()) {
        row("share not in the training set", DECIMALS, &|i| measured.diversity[i].1.unwrap_or(f64::NAN));
    }
    Some(screen::table(&table))
}

/// Everything, with all digits.
pub fn json(
    measured: &Measured,
    about: &About,
    suite: &Suite,
    args: &Args,
    resampling: &Resampling,
) -> Result<String> {
    let ends = |Interval { low, high }: Interval| json!([low, high]);
    let mut systems = vec![];
    for (i, (file, form, left_out, empty)) in about.systems.iter().enumerate() {
        let scores: Map<String, Value> = measured
            .rows
            .iter()
            .map(|row| {
                let (score, within) = row.scores[i];
                (row.key.clone(), json!({ "score": score, "interval": ends(within) }))
            })
            .collect();
        let mut system = json!({ "file": file, "form": form, "left_out": left_out, "empty_captions": empty, "scores": scores });
        if let Some((diversity, novel)) = measured.diversity.get(i) {
            system["diversity"] = json!(diversity);
            if let Some(novel) = novel {
                system["diversity"]["novel"] = json!(novel);
            }
        }
        systems.push(system);
    }
    let frequencies = suite.frequencies();
    let (file, form) = &about.references;
    let mut all = json!({
        "images": suite.len(),
        "references": { "file": file, "form": form, "captions": suite.references(), "left_out": about.references_left_out },
        "document_frequencies": {
            "from": args.df.as_ref().map_or("references".into(), |path| path.display().to_string()),
            "images": frequencies.frequencies().images(),
            "eos": frequencies.eos(),
        },
        "resampling": { "samples": resampling.samples, "confidence": resampling.confidence, "seed": resampling.seed },
        "systems": systems,
    });
    let compared: Map<String, Value> = measured
        .rows
        .iter()
        .filter_map(|row| {
            let found = row.comparison?;
            let value = json!({
                "difference": found.difference,
                "interval": ends(found.interval),
                "p_bootstrap": found.p_bootstrap,
                "p_randomisation": found.p_randomisation,
            });
            Some((row.key.clone(), value))
        })
        .collect();
    if !compared.is_empty() {
        all["comparison"] = Value::Object(compared);
    }
    screen::json(&all)
}

/// How the scores of images are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ending {
    Csv,
    Json,
}

/// Which it is by a file's name.
pub fn ending(path: &Path) -> Result<Ending> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(Ending::Csv),
        Some("json") => Ok(Ending::Json),
        _ => Err(CliError::Usage(format!(
            "--per-image {}: expected a name that ends in .csv or .json",
            path.display()
        ))),
    }
}

/// Writes a row for each image; the metrics of a second system are called `compared_...`.
pub fn per_image(path: &Path, ids: &[String], systems: &[System]) -> Result<()> {
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    for (system, prefix) in systems.iter().zip(["", "compared_"]) {
        let of =
            |(metric, key): &(Metric, String)| (format!("{prefix}{key}"), system.scores.per_image(*metric));
        columns.extend(system.metrics.iter().map(of));
    }
    let bytes = match ending(path)? {
        Ending::Csv => {
            csv(ids, &columns).map_err(|e| CliError::Message(format!("{}: {e}", path.display())))?
        }
        Ending::Json => {
            let row = |(i, id): (usize, &String)| {
                let scores = columns.iter().map(|(key, scores)| (key.clone(), json!(scores[i])));
                Value::Object([("image".to_owned(), json!(id))].into_iter().chain(scores).collect())
            };
            screen::json(&ids.iter().enumerate().map(row).collect::<Value>())?.into_bytes()
        }
    };
    Ok(write_atomically(path, &bytes)?)
}

fn csv(ids: &[String], columns: &[(String, Vec<f64>)]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["image"].into_iter().chain(columns.iter().map(|(key, _)| key.as_str())))?;
    for (i, id) in ids.iter().enumerate() {
        writer.write_field(id)?;
        for (_, scores) in columns {
            writer.write_field(scores[i].to_string())?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}
