//! Tables of arms: mean, spread, interval, and the paired difference to a baseline, for each metric.

use crate::{
    StudyResult,
    statistics::{Difference, Summary, compare, summarize},
};
use ekphrasis_script::Fault;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Arms compared by some metrics.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// The arm that the others are compared with.
    pub baseline: Option<String>,
    /// One block for each metric.
    pub metrics: Vec<Metric>,
}

/// One metric over all arms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Its key in the summaries.
    pub name: String,
    /// The arms in the order of the results.
    pub arms: Vec<Arm>,
}

/// One arm by one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Values by seed.
    pub values: BTreeMap<u64, f64>,
    /// Mean and spread over the seeds.
    #[serde(flatten)]
    pub summary: Summary,
    /// The difference to the baseline over the seeds in both; none for the baseline itself.
    pub difference: Option<Difference>,
}

impl Table {
    /// Compares the arms of some results by metrics, which are dotted keys of their summaries.
    ///
    /// # Errors
    /// An unknown arm or metric with the nearest known one, a value that is not a number, two results with the
    /// same arm and seed.
    pub fn new(results: &[StudyResult], metrics: &[String], baseline: Option<&str>) -> Result<Self, Fault> {
        if results.is_empty() || metrics.is_empty() {
            let what = if results.is_empty() { "result" } else { "metric" };
            return Err(Fault::new(format!("expected at least one {what}, found none")));
        }
        let mut arms: Vec<&str> = vec![];
        for result in results {
            if !arms.contains(&result.arm.as_str()) {
                arms.push(&result.arm);
            }
        }
        if let Some(name) = baseline
            && !arms.contains(&name)
        {
            return Err(Fault::unknown("arm", name, arms));
        }
        let metrics = metrics.iter().map(|m| Metric::new(m, results, &arms, baseline));
        Ok(Self { baseline: baseline.map(str::to_owned), metrics: metrics.collect::<Result<_, _>>()? })
    }

    /// Aligned columns for a terminal.
    pub fn text(&self) -> String {
        let blocks = self.metrics.iter().map(|metric| {
            let rows = self.rows(metric);
            let width =
                |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max();
            let mut out = metric.name.clone();
            for row in &rows {
                let cells = row.iter().enumerate().map(|(i, cell)| {
                    let width = width(i).unwrap_or(0);
                    if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                });
                let line = cells.collect::<Vec<_>>().join("  ");
                out.push_str(&format!("\n  {}", line.trim_end()));
            }
            out
        });
        blocks.collect::<Vec<_>>().join("\n\n")
    }

    /// The same in Markdown.
    pub fn markdown(&self) -> String {
        let blocks = self.metrics.iter().map(|metric| {
            let mut out = format!("**{}**\n", metric.name);
            for (i, row) in self.rows(metric).iter().enumerate() {
                out.push_str(&format!("\n| {} |", row.join(" | ")));
                if i == 0 {
                    out.push_str(&format!("\n|---|{}", "--:|".repeat(row.len() - 1)));
                }
            }
            out
        });
        blocks.collect::<Vec<_>>().join("\n\n") + "\n"
    }

    /// Rows of the CSV form, without its [`CSV_HEADER`]; `number` tells several tables apart.
    pub fn csv(&self, number: usize) -> String {
        let optional = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
        let ends = |i: Option<(f64, f64)>| [optional(i.map(|i| i.0)), optional(i.map(|i| i.1))];
        let mut out = String::new();
        for metric in &self.metrics {
            for arm in &metric.arms {
                let (s, d) = (&arm.summary, arm.difference.as_ref());
                let [low, high] = ends(s.interval);
                let [difference_low, difference_high] = ends(d.and_then(|d| d.summary.interval));
                let cells = [
                    number.to_string(),
                    metric.name.clone(),
                    arm.name.clone(),
                    s.n.to_string(),
                    s.mean.to_string(),
                    optional(s.sd),
                    low,
                    high,
                    d.map_or_else(String::new, |_| self.baseline.clone().unwrap_or_default()),
                    d.map_or_else(String::new, |d| d.summary.n.to_string()),
                    optional(d.map(|d| d.summary.mean)),
                    difference_low,
                    difference_high,
                    optional(d.and_then(|d| d.t)),
                    optional(d.and_then(|d| d.p)),
                ];
                out.push_str(&cells.map(|c| field(&c)).join(","));
                out.push('\n');
            }
        }
        out
    }

    /// Header and one row for each arm, ready to show.
    fn rows(&self, metric: &Metric) -> Vec<Vec<String>> {
        let mut header: Vec<String> = ["arm", "n", "mean ± sd", "95% interval"].map(str::to_owned).into();
        if let Some(baseline) = &self.baseline {
            header.extend([format!("minus {baseline}"), "95% interval".into(), "p".into()]);
        }
        let interval = |i: Option<(f64, f64)>| match i {
            Some((low, high)) => format!("[{}, {}]", shown(low), shown(high)),
            None => "-".into(),
        };
        let spread = |s: &Summary| match s.sd {
            Some(sd) => format!("{} ± {}", shown(s.mean), shown(sd)),
            None => shown(s.mean),
        };
        let mut rows = vec![header];
        for arm in &metric.arms {
            let s = &arm.summary;
            let mut row = vec![arm.name.clone(), s.n.to_string(), spread(s), interval(s.interval)];
            match (&self.baseline, &arm.difference) {
                (None, _) => {}
                (Some(baseline), None) if *baseline == arm.name => {
                    row.extend(["baseline".into(), "".into(), "".into()])
                }
                (Some(_), None) => row.extend(["no shared seed".into(), "".into(), "".into()]),
                (Some(_), Some(d)) => {
                    let sign = if d.summary.mean >= 0.0 { "+" } else { "" };
                    let p = d
                        .p
                        .map_or("-".into(), |p| if p < 0.001 { "<0.001".into() } else { format!("{p:.3}") });
                    let spread = format!("{sign}{}", spread(&d.summary));
                    row.extend([spread, interval(d.summary.interval), p]);
                }
            }
            rows.push(row);
        }
        rows
    }
}

/// First line of the CSV form.
pub const CSV_HEADER: &str = "table,metric,arm,n,mean,sd,low_95,high_95,baseline,pairs,difference,\
                              difference_low_95,difference_high_95,t,p\n";

impl Metric {
    fn new(
        name: &str,
        results: &[StudyResult],
        arms: &[&str],
        baseline: Option<&str>,
    ) -> Result<Self, Fault> {
        let mut values: BTreeMap<&str, BTreeMap<u64, f64>> = BTreeMap::new();
        for result in results {
            let value = number(&result.summary, name).map_err(|f| f.at(&format!("trial {}", result.name)))?;
            if values.entry(&result.arm).or_default().insert(result.seed, value).is_some() {
                return Err(Fault::new(format!(
                    "arm `{}` has two results with seed {}",
                    result.arm, result.seed
                ))
                .hint("give the trials of each call arm names of their own"));
            }
        }
        let base = baseline.and_then(|b| values.get(b));
        let arms = arms.iter().filter_map(|arm| {
            let by_seed = values.get(arm)?;
            let summary = summarize(&by_seed.values().copied().collect::<Vec<_>>())?;
            let other = base.filter(|_| baseline != Some(*arm));
            let difference = other.and_then(|base| compare(by_seed, base));
            Some(Arm { name: (*arm).into(), values: by_seed.clone(), summary, difference })
        });
        Ok(Self { name: name.into(), arms: arms.collect() })
    }
}

/// The number at a dotted key of a summary, which may be flat or nested or in between.
fn number(summary: &Map<String, Value>, key: &str) -> Result<f64, Fault> {
    match lookup(summary, key) {
        Some(Value::Number(n)) => Ok(n.as_f64().unwrap_or(f64::NAN)),
        Some(other) => Err(Fault::new(format!("metric `{key}`: expected a number, found {other}"))),
        None => {
            let mut known = vec![];
            keys(summary, "", &mut known);
            Err(Fault::unknown("metric", key, known.iter().map(String::as_str)))
        }
    }
}

fn lookup<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).or_else(|| {
        key.match_indices('.').find_map(|(dot, _)| match map.get(&key[..dot]) {
            Some(Value::Object(inner)) => lookup(inner, &key[dot + 1..]),
            _ => None,
        })
    })
}

/// Dotted keys of all numbers.
fn keys(map: &Map<String, Value>, before: &str, out: &mut Vec<String>) {
    for (key, value) in map {
        match value {
            Value::Object(inner) => keys(inner, &format!("{before}{key}."), out),
            Value::Number(_) => out.push(format!("{before}{key}")),
            _ => {}
        }
    }
}

/// Four digits after the point for small numbers, fewer for large ones.
fn shown(x: f64) -> String {
    match x.abs() {
        a if a < 10.0 => format!("{x:.4}"),
        a if a < 1000.0 => format!("{x:.2}"),
        _ => format!("{x:.0}"),
    }
}

/// A field of CSV (RFC 4180).
fn field(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(arm: &str, seed: u64, score: f64) -> StudyResult {
        let Value::Object(summary) = json!({ "val": { "score": score, "text": "x" } }) else {
            unreachable!()
        };
        StudyResult { name: format!("{arm}-seed{seed}"), arm: arm.into(), seed, summary }
    }

    fn results() -> Vec<StudyResult> {
        let all = [("b", 0, 2.0), ("b", 1, 3.5), ("a", 0, 1.0), ("a", 1, 2.0), ("c", 7, 5.0)];
        all.map(|(arm, seed, score)| result(arm, seed, score)).into()
    }

    #[test]
    fn shows_means_and_differences() {
        let table = Table::new(&results(), &["val.score".into()], Some("a")).unwrap();
        let expected = "\
val.score
  arm  n        mean ± sd       95% interval          minus a       95% interval      p
  b    2  2.7500 ± 1.0607  [-6.7797, 12.28]  +1.2500 ± 0.3536  [-1.9266, 4.4266]  0.126
  a    2  1.5000 ± 0.7071  [-4.8531, 7.8531]         baseline
  c    1           5.0000                  -   no shared seed";
        let squeeze = |s: &str| {
            s.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(squeeze(&table.text()), squeeze(expected));
        let ends: Vec<usize> = table.text().lines().skip(1).take(2).map(|l| l.chars().count()).collect();
        assert_eq!(ends[0], ends[1], "columns stand below one another:\n{}", table.text());
        let markdown = table.markdown();
        assert!(
            markdown.contains("\n|---|--:|--:|--:|--:|--:|--:|\n| b | 2 | 2.7500 ± 1.0607 |"),
            "{markdown}"
        );
        let csv = table.csv(1);
        let first: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
        assert_eq!(first.len(), CSV_HEADER.split(',').count());
        assert_eq!(first[..5], ["1", "val.score", "b", "2", "2.75"]);
        assert_eq!(first[8..11], ["a", "2", "1.25"]);
    }

    #[test]
    fn refuses_what_it_cannot_compare() {
        let error = |results: &[StudyResult], metric: &str, baseline| {
            Table::new(results, &[metric.to_owned()], baseline).unwrap_err().to_string()
        };
        assert_eq!(
            error(&results(), "val.scor", None),
            "trial b-seed0: unknown metric `val.scor`\nhint: did you mean `val.score`?"
        );
        assert_eq!(
            error(&results(), "val.text", None),
            "trial b-seed0: metric `val.text`: expected a number, found \"x\""
        );
        assert!(error(&results(), "val.score", Some("z")).starts_with("unknown arm `z`"));
        let twice = [result("a", 0, 1.0), result("a", 0, 2.0)];
        assert!(error(&twice, "val.score", None).starts_with("arm `a` has two results with seed 0"));
        assert!(error(&[], "val.score", None).contains("expected at least one result"));
    }
}
