//! Results as people read them: scores, captions, times.

use ekphrasis_report::{Cell, Table};
use serde_json::{Map, Value};

/// Metrics of captions that tables show, with their headings.
const CAPTION_METRICS: [(&str, &str); 4] =
    [("cider_d", "CIDEr-D"), ("bleu_4", "BLEU-4"), ("rouge_l", "ROUGE-L"), ("truth", "truth")];

/// Seconds, minutes or hours.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "?".into(),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 119.5 => format!("{s:.0} s"),
        s if s < 7170.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Bytes in MiB or GiB.
pub fn bytes(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1000.0 { format!("{mib:.0} MiB") } else { format!("{:.2} GiB", mib / 1024.0) }
}

fn number(value: Option<&Value>, decimals: usize) -> Cell {
    value.and_then(Value::as_f64).map_or(Cell::Empty, |value| Cell::Number { value, decimals })
}

fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// `policy_gradient` as `policy gradient`.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// Scores of captions: one row for each split and, in `captioner.<label>.<split>.<metric>`, each label.
///
/// Splits stand together, so that labels can be compared. None if there are no scores.
pub fn caption_scores(captioner: &Map<String, Value>) -> Option<Table> {
    let mut splits: Vec<&String> = vec![];
    for split in captioner.values().filter_map(Value::as_object).flat_map(Map::keys) {
        if !splits.contains(&split) {
            splits.push(split);
        }
    }
    let rows: Vec<_> = splits
        .iter()
        .flat_map(|split| {
            captioner.iter().filter_map(move |(label, all)| Some((split, label, all.get(*split)?)))
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let shown: Vec<_> = CAPTION_METRICS
        .into_iter()
        .filter(|(metric, _)| rows.iter().any(|(_, _, scores)| scores.get(metric).is_some()))
        .collect();
    let labelled = captioner.keys().any(|label| !label.is_empty());
    let mut headings = vec!["split"];
    headings.extend(labelled.then_some("captions after"));
    headings.extend(shown.iter().map(|(_, heading)| *heading));
    let mut table = Table::new(headings);
    for (split, label, scores) in rows {
        let mut cells = vec![Cell::from(split.as_str())];
        cells.extend(labelled.then(|| Cell::from(words(label))));
        cells.extend(shown.iter().map(|(metric, _)| number(scores.get(metric), 3)));
        table.row(cells);
    }
    Some(table)
}

/// R-precision of painted and of real pictures. None if there is none.
pub fn gan_scores(gan: &Value) -> Option<Table> {
    let rows = [
        ("painted by the generator", "r_precision", "r_precision_hard"),
        ("real", "r_precision_real", "r_precision_hard_real"),
    ];
    let known = |name: &str| gan.get(name).is_some();
    if !rows.iter().any(|(_, random, hard)| known(random) || known(hard)) {
        return None;
    }
    let mut table =
        Table::new(["R-precision of pictures", "among ten at random", "differing in one attribute"]);
    for (what, random, hard) in rows {
        table.row([what.into(), number(gan.get(random), 3), number(gan.get(hard), 3)]);
    }
    Some(table)
}

/// Distances of painted from real pictures, each with the encoder that it is taken by. None if there is none.
pub fn distances(gan: &Value) -> Option<Table> {
    let mut table = Table::new(["painted from real pictures, by encoder", "distance"]);
    let named = gan.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with(')'));
    let rows: Vec<_> = named.map(|(name, value)| [name.as_str().into(), number(Some(value), 4)]).collect();
    let some = !rows.is_empty();
    for row in rows {
        table.row(row);
    }
    some.then_some(table)
}

/// What the scorer says on each split. None if nothing.
pub fn scorer_scores(scorer: &Map<String, Value>) -> Option<Table> {
    let headings = ["CLIPScore", "RefCLIPScore", "text R@1", "R@5", "R@10", "image R@1", "R@5", "R@10"];
    let mut table = Table::new(["split", "by encoder"].into_iter().chain(headings));
    for (split, scores) in scorer {
        let encoder = scores.get("encoder").and_then(Value::as_str).unwrap_or("?");
        let mut cells = vec![Cell::from(split.as_str()), Cell::from(encoder)];
        cells.extend(["clip_score", "ref_clip_score"].map(|name| number(scores.get(name), 3)));
        for way in ["image_to_text", "text_to_image"] {
            let ranking = scores.get(way);
            let recall = |k| number(ranking.and_then(|r| r.get(format!("recall@{k}"))), 3);
            cells.extend([1, 5, 10].map(recall));
        }
        table.row(cells);
    }
    (!scorer.is_empty()).then_some(table)
}

/// The first `count` pictures: the human caption, then those after each phase.
pub fn captions(summary: &Value, count: usize) -> String {
    let rows = summary.get("examples").and_then(Value::as_array).into_iter().flatten();
    let rows = rows.filter_map(Value::as_object).take(count);
    let mut text = String::new();
    for (i, row) in rows.enumerate() {
        let width = row.keys().map(String::len).max().unwrap_or(0);
        for (j, (label, caption)) in row.iter().enumerate() {
            let place = if j == 0 { format!("{}.", i + 1) } else { String::new() };
            let caption = caption.as_str().unwrap_or("-");
            text.push_str(&format!("{place:<3} {:<width$}  {caption}\n", words(label)));
        }
    }
    text
}

/// Steps and time of each phase. None if nothing was trained.
pub fn times(summary: &Value) -> Option<Table> {
    let mut table = Table::new(["phase", "steps", "seconds", "ms a step"]);
    let mut total = 0.0;
    for (phase, seconds) in entries(summary, "seconds") {
        let steps = summary.get("steps").and_then(|s| s.get(phase)).and_then(Value::as_f64).unwrap_or(0.0);
        let seconds = seconds.as_f64().unwrap_or(0.0);
        total += seconds;
        let each = if steps > 0.0 {
            Cell::Number { value: seconds * 1e3 / steps, decimals: 1 }
        } else {
            Cell::Empty
        };
        table.row([
            words(phase).into(),
            Cell::from(steps as usize),
            Cell::Number { value: seconds, decimals: 1 },
            each,
        ]);
    }
    let some = entries(summary, "seconds").next().is_some();
    table.row(["together".into(), Cell::Empty, Cell::Number { value: total, decimals: 1 }, Cell::Empty]);
    some.then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ekphrasis_report::Style;
    use serde_json::json;

    fn summary() -> Value {
        json!({
            "captioner": {
                "cross_entropy": { "val": { "cider_d": 3.45, "bleu_4": 0.6, "rouge_l": 0.7 }, "test": { "cider_d": 3.4 } },
                "policy_gradient": { "val": { "cider_d": 3.91, "bleu_4": 0.71, "rouge_l": 0.75 } },
            },
            "gan": { "r_precision": 0.7, "r_precision_real": 0.95, "frechet(dual_encoder)": 12.5 },
            "seconds": { "gan": 30.0 }, "steps": { "gan": 600 },
            "examples": [{ "human": "a red circle", "cross_entropy": "a circle", "policy_gradient": null }],
        })
    }

    #[test]
    fn splits_stand_together() {
        let table = caption_scores(summary()["captioner"].as_object().unwrap()).unwrap();
        let text = table.to_text(Style::Plain);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[2].starts_with("val") && lines[2].contains("cross entropy") && lines[2].contains("3.450")
        );
        assert!(lines[3].starts_with("val") && lines[3].contains("policy gradient"), "{text}");
        assert!(lines[4].starts_with("test") && !text.contains("truth"), "{text}");
        assert!(caption_scores(&Map::new()).is_none());
    }

    #[test]
    fn the_rest_of_a_summary() {
        assert!(gan_scores(&summary()["gan"]).unwrap().to_text(Style::Plain).contains("0.950"));
        let apart = distances(&summary()["gan"]).unwrap().to_text(Style::Plain);
        assert!(apart.contains("frechet(dual_encoder)") && apart.contains("12.5000"), "{apart}");
        assert!(!apart.contains("r_precision") && distances(&json!({ "r_precision": 0.7 })).is_none());
        assert!(gan_scores(&json!({})).is_none() && times(&json!({})).is_none());
        let captions = captions(&summary(), 4);
        assert!(captions.starts_with("1.  human            a red circle\n"), "{captions}");
        assert!(captions.ends_with("    policy gradient  -\n"), "{captions}");
        assert!(times(&summary()).unwrap().to_text(Style::Plain).contains("50.0"));
    }

    #[test]
    fn the_scorer_is_named_beside_its_scores() {
        let ranking = json!({ "recall@1": 0.25, "recall@5": 0.5, "recall@10": 1.0, "median_rank": 3.0 });
        let scores = json!({ "val": {
            "encoder": "dual_encoder", "clip_score": 1.5, "image_to_text": ranking, "text_to_image": ranking,
        } });
        let text = scorer_scores(scores.as_object().unwrap()).unwrap().to_text(Style::Plain);
        let row = text.lines().last().unwrap();
        assert!(row.contains("dual_encoder") && row.contains("1.500") && row.contains("0.250"), "{text}");
        assert!(scorer_scores(&Map::new()).is_none());
    }

    #[test]
    fn units() {
        let all: Vec<String> = [0.25, 45.2, 300.0, 9000.0, f64::NAN].map(seconds).into();
        assert_eq!(all, ["0.2 s", "45 s", "5 min", "2.5 h", "?"]);
        assert_eq!((bytes(300 << 20), bytes(3 << 29)), ("300 MiB".into(), "1.50 GiB".into()));
    }
}
