//! Reading `metrics.jsonl`: one JSON object a line, `{"step": 12, "phase": "gan", "loss": 0.7, ...}`.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use crate::ReportError;
use crate::plot::{Curves, Panel, Series};

/// The numbers of a log as series, in the order in which they first appear.
#[derive(Debug, Clone, Default)]
pub struct MetricsLog {
    /// Phase, then name of the number, to (step, value) in the order of the file. A `null`, which is how
    /// JSON writes a number that is none, is NaN.
    pub series: IndexMap<String, IndexMap<String, Vec<(u64, f64)>>>,
    /// Whether the last line was cut off, and so left out.
    pub torn: bool,
}

impl MetricsLog {
    /// Reads a log. An incomplete last line, as a kill leaves it, is left out; any other line that is not
    /// an object with a `step` is an error. Without a `phase`, it is the empty string. Strings, lists and
    /// objects are passed over.
    pub fn read(path: &Path) -> Result<MetricsLog, ReportError> {
        let bytes = std::fs::read(path).map_err(ReportError::io("read", path))?;
        let mut log = MetricsLog::default();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        for (n, line) in lines.enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
            match log.add(line) {
                Ok(()) => {}
                Err(_) if !line.ends_with(b"\n") => log.torn = true,
                Err(message) => {
                    return Err(ReportError::Malformed { path: path.to_path_buf(), line: n + 1, message });
                }
            }
        }
        Ok(log)
    }

    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let Value::Object(fields) = value else {
            return Err("expected a JSON object".into());
        };
        let step = match fields.get("step") {
            Some(step) => step.as_u64().ok_or(format!("`step`: expected a whole number, found {step}"))?,
            None => return Err("expected a field `step`, found none".into()),
        };
        let phase = match fields.get("phase") {
            Some(Value::String(phase)) => phase.as_str(),
            Some(other) => return Err(format!("`phase`: expected a string, found {other}")),
            None => "",
        };
        let series = self.series.entry(phase.to_owned()).or_default();
        for (name, value) in fields.iter().filter(|(name, _)| *name != "step" && *name != "phase") {
            let number = if value.is_null() { Some(f64::NAN) } else { value.as_f64() };
            if let Some(number) = number {
                series.entry(name.clone()).or_default().push((step, number));
            }
        }
        Ok(())
    }

    /// The learning curves of this log: a panel for each name that `show` wants, a line for each phase.
    pub fn curves(&self, title: &str, show: impl Fn(&str) -> bool) -> Curves {
        let mut panels: IndexMap<&str, Vec<Series>> = IndexMap::new();
        for (phase, numbers) in &self.series {
            for (name, points) in numbers.iter().filter(|(name, _)| show(name)) {
                let series = Series { name: phase.clone(), points: points.clone() };
                panels.entry(name).or_default().push(series);
            }
        }
        let panels =
            panels.into_iter().map(|(name, series)| Panel { title: name.to_owned(), series }).collect();
        Curves { title: title.to_owned(), panels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<MetricsLog, ReportError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, text).unwrap();
        MetricsLog::read(&path)
    }

    const LOG: &str = concat!(
        "{\"step\":1,\"phase\":\"gan\",\"loss\":0.5,\"note\":\"x\"}\n",
        "{\"step\":2,\"phase\":\"gan\",\"loss\":null,\"rate\":3}\n",
        "\n",
        "{\"step\":1,\"phase\":\"xe\",\"loss\":2.5}\n",
    );

    #[test]
    fn numbers_become_series() {
        let log = read(LOG).unwrap();
        assert_eq!(log.series.keys().collect::<Vec<_>>(), ["gan", "xe"]);
        let gan = &log.series["gan"];
        assert_eq!(gan["loss"][0], (1, 0.5));
        assert!(gan["loss"][1].0 == 2 && gan["loss"][1].1.is_nan());
        assert_eq!(gan["rate"], [(2, 3.0)]);
        assert_eq!(gan.len(), 2, "a string is no series");
        assert!(!log.torn);
        let curves = log.curves("run", |name| name == "loss");
        assert_eq!(curves.panels.len(), 1);
        assert_eq!(
            curves.panels[0].series.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            ["gan", "xe"]
        );
    }

    #[test]
    fn a_log_cut_anywhere_is_read_up_to_there() {
        let whole = read(LOG).unwrap().series["gan"]["loss"].len();
        for cut in 0..LOG.len() {
            let log = read(&LOG[..cut]).unwrap();
            let found = log.series.get("gan").and_then(|gan| gan.get("loss")).map_or(0, Vec::len);
            let lines = LOG[..cut].matches('\n').count();
            assert!(found >= lines.min(whole), "cut at {cut}");
        }
        assert!(read(&LOG[..20]).unwrap().torn);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (line, expected) in [
            ("{\"step\":1,", "EOF"),
            ("[1]", "object"),
            ("{\"loss\":1}", "`step`"),
            ("{\"step\":-1}", "-1"),
            ("{\"step\":1,\"phase\":2}", "`phase`"),
        ] {
            let error = read(&format!("{{\"step\":1}}\n{line}\n{{\"step\":2}}\n")).unwrap_err().to_string();
            assert!(error.contains("metrics.jsonl:2: ") && error.contains(expected), "{error}");
        }
        assert!(matches!(MetricsLog::read(Path::new("no/such/file")), Err(ReportError::Io { .. })));
    }
}
