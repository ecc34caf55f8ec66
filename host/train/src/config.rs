//! The config of a run: names and numbers, no logic.

use crate::{Alarms, Baseline, Phase, Result, Role, TrainError, error::suggestion};
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A whole config, as `configs/*.toml` holds it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the run; its folder is called after it.
    pub name: String,
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// Threads for ONNX Runtime; all cores when left out.
    pub threads: Option<usize>,
    /// Execution providers, tried in order.
    #[serde(default = "cpu")]
    pub providers: Vec<String>,
    /// Options of single providers, as `[provider.cuda] device_id = 0`.
    #[serde(default)]
    pub provider: BTreeMap<String, BTreeMap<String, toml::Value>>,
    /// Path of ONNX Runtime's library, where it should not be looked for.
    pub onnxruntime: Option<PathBuf>,
    /// The data set: `format` and the settings of that format.
    pub data: serde_json::Map<String, serde_json::Value>,
    /// The most tokens in a caption, its end included.
    #[serde(default = "twenty")]
    pub max_length: usize,
    /// A model plugin for each role.
    pub models: BTreeMap<Role, Choice>,
    /// The schedule that runs it all.
    pub schedule: Choice,
    /// What the schedule can train, by name.
    #[serde(default)]
    pub phases: BTreeMap<String, Phase>,
    /// How models are evaluated.
    #[serde(default)]
    pub evaluation: Evaluation,
    /// When to warn of captions that cheat their reward.
    #[serde(default)]
    pub alarms: Alarms,
    /// Seconds between checkpoints.
    #[serde(default = "twenty_seconds")]
    pub checkpoint_seconds: f64,
    /// Limits for scripts.
    #[serde(default)]
    pub limits: Limits,
}

/// A script or plugin by name, with parameters: `"cider_d"` or `{ script = "mix", params = { ... } }`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// File stem of the script, or folder of the plugin.
    pub script: String,
    /// What it should have instead of its defaults.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub params: serde_json::Map<String, serde_json::Value>,
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            script: String,
            #[serde(default)]
            params: serde_json::Map<String, serde_json::Value>,
        }
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Choice;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name, or a table { script = NAME, params = { ... } }")
            }
            fn visit_str<E>(self, name: &str) -> Result<Choice, E> {
                Ok(Choice { script: name.to_owned(), params: serde_json::Map::new() })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Choice, A::Error> {
                let full = Full::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Choice { script: full.script, params: full.params })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// How models are evaluated.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluation {
    /// The policy that writes the captions.
    pub policy: Choice,
    /// Pictures in a batch.
    pub batch: usize,
    /// Draws of distractors for R-precision.
    pub draws: usize,
    /// Whether captions are scored by METEOR too. Its data are fetched at the first use.
    pub meteor: bool,
}

impl Default for Evaluation {
    fn default() -> Self {
        let policy = Choice { script: "greedy".into(), params: serde_json::Map::new() };
        Self { policy, batch: 100, draws: 5, meteor: false }
    }
}

/// Limits for scripts.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Seconds that one call of a script may take, host calls not counted.
    pub seconds: f64,
    /// Bytes that all scripts of a run may hold, in MiB.
    pub memory_mib: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { seconds: 10.0, memory_mib: 256 }
    }
}

fn cpu() -> Vec<String> {
    vec!["cpu".into()]
}
fn twenty() -> usize {
    20
}
fn twenty_seconds() -> f64 {
    20.0
}

impl Config {
    /// Reads a config file and applies `key=value` settings, whose keys are dotted paths.
    ///
    /// # Errors
    /// Name the file, the line or the field, and the nearest known key for one that is not known.
    pub fn load(path: &Path, settings: &[String]) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
        let mut table: toml::Table = toml::from_str(&text).map_err(|e| TrainError::Config {
            file: Some(path.to_owned()),
            field: String::new(),
            message: e.to_string(),
        })?;
        for setting in settings {
            apply(&mut table, setting)?;
        }
        Self::from_table(table).map_err(|e| match e {
            TrainError::Config { field, message, .. } => {
                let file = Some(path.to_owned());
                let field = match line_of(&text, &field) {
                    Some(line) => format!("line {line}: {field}"),
                    None => field,
                };
                TrainError::Config { file, field, message }
            }
            other => other,
        })
    }

    /// Reads a config from a table.
    pub fn from_table(table: toml::Table) -> Result<Self> {
        let config: Self = serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|e| {
            let (path, message) = (e.path().to_string(), e.inner().to_string());
            explain(path, message.trim())
        })?;
        config.check()?;
        Ok(config)
    }

    /// The config as TOML, with every default filled in.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| TrainError::config("", e.to_string()))
    }

    fn check(&self) -> Result<()> {
        let expect = |ok: bool, field: String, message: &str| match ok {
            true => Ok(()),
            false => Err(TrainError::config(field, message)),
        };
        expect(self.max_length >= 2, "max_length".into(), "expected 2 or more")?;
        expect(self.checkpoint_seconds > 0.0, "checkpoint_seconds".into(), "expected more than 0")?;
        expect(self.evaluation.batch > 0, "evaluation.batch".into(), "expected 1 or more")?;
        expect(self.limits.seconds > 0.0, "limits.seconds".into(), "expected more than 0")?;
        expect(self.limits.memory_mib > 0, "limits.memory_mib".into(), "expected 1 or more")?;
        self.alarms.check()?;
        for (name, phase) in &self.phases {
            let at = |field: &str| format!("phases.{name}.{field}");
            expect(phase.steps > 0, at("steps"), "expected 1 or more")?;
            expect(phase.batch > 0, at("batch"), "expected 1 or more")?;
            expect(phase.accumulate > 0, at("accumulate"), "expected 1 or more")?;
            let scale = phase.loss_scale;
            let message = "expected a number of 1 or more";
            expect(scale.initial >= 1.0 && scale.initial.is_finite(), at("loss_scale.initial"), message)?;
            expect(scale.interval > 0, at("loss_scale.interval"), "expected 1 or more")?;
            let share = 0.0..=1.0;
            expect(
                share.contains(&phase.generated_pictures),
                at("generated_pictures"),
                "expected a share from 0 to 1",
            )?;
            expect(
                share.contains(&phase.sampled_captions),
                at("sampled_captions"),
                "expected a share from 0 to 1",
            )?;
            let own = phase.optimizers.iter().map(|(role, o)| (format!("optimizers.{role}"), o));
            for (table, optimizer) in own.chain([("optimizer".to_owned(), &phase.optimizer)]) {
                for (pattern, rate) in &optimizer.rates {
                    let message = format!(
                        "expected a number above 0 for `{pattern}`, found {rate}\nhint: what should not move goes into `freeze`"
                    );
                    expect(*rate > 0.0 && rate.is_finite(), at(&format!("{table}.rates")), &message)?;
                }
            }
            if let Some(rollout) = &phase.rollout {
                let fewest = if rollout.baseline == Baseline::LeaveOneOut { 2 } else { 1 };
                let message = format!("expected {fewest} or more, found {}", rollout.samples);
                expect(rollout.samples >= fewest, at("rollout.samples"), &message)?;
            }
        }
        Ok(())
    }

    /// The phase called `name`, or an error that names the ones there are.
    pub fn phase(&self, name: &str) -> Result<&Phase> {
        self.phases.get(name).ok_or_else(|| {
            let known = self.phases.keys().map(String::as_str);
            TrainError::config(
                format!("phases.{name}"),
                format!("is not in the config\n{}", suggestion(name, known)),
            )
        })
    }
}

/// Sets `a.b.c=value` in a table; the value is read as TOML, or taken as text where it is not TOML.
fn apply(table: &mut toml::Table, setting: &str) -> Result<()> {
    let (key, value) = setting.split_once('=').ok_or_else(|| {
        TrainError::config(
            format!("--set {setting}"),
            "expected key=value, as in `--set phases.gan.steps=100`",
        )
    })?;
    let value = format!("v = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut at = table;
    for part in &parts {
        let entry = at.entry((*part).to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        // A plain name becomes a table, so that parameters of a script can be set.
        if let toml::Value::String(script) = entry {
            *entry =
                toml::Value::Table(toml::Table::from_iter([("script".to_owned(), script.clone().into())]));
        }
        at = entry.as_table_mut().ok_or_else(|| {
            TrainError::config(format!("--set {setting}"), format!("`{part}` is a value, not a table"))
        })?;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

/// Turns serde's words about unknown fields into a place and a suggestion.
fn explain(path: String, message: &str) -> TrainError {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let Some((found, known)) = quoted.split_first()
        && (message.starts_with("unknown field") || message.starts_with("unknown variant"))
    {
        let place = if path.ends_with(found) { path.clone() } else { format!("{path}.{found}") };
        let what = if message.starts_with("unknown field") { "unknown key" } else { "unknown name" };
        let place = place.trim_start_matches("..").trim_start_matches('.').to_owned();
        return TrainError::config(
            place,
            format!("{what} `{found}`\n{}", suggestion(found, known.iter().copied())),
        );
    }
    TrainError::config(path, message)
}

/// The line (from 1) on which the last key of a dotted path is set, if exactly one is.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let key = path.rsplit('.').next()?;
    let mut found = text.lines().enumerate().filter(|(_, line)| {
        let line = line.trim_start();
        let bare = line
            .strip_prefix('[')
            .map_or(line, |l| l.trim_end_matches([']', ' ']).rsplit('.').next().unwrap_or(l));
        bare.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with('='))
            || line.contains(&format!("{{ {key} ="))
            || line.contains(&format!(", {key} ="))
    });
    let (line, _) = found.next()?;
    found.next().is_none().then_some(line + 1)
}
