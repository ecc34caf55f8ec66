//! A trial: one run of a config with settings and a seed, in a folder of its own.

use crate::{Result, StudyError, sources::sources};
use ekphrasis_train::{Config, files};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The file that says which trial a folder belongs to.
const CARD: &str = "trial.json";

/// Settings of a config by dotted path, with values as TOML.
pub type Settings = BTreeMap<String, String>;

/// One run of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Name of its folder: arm, seed, and the start of the key.
    pub name: String,
    /// The arm of the study that it belongs to.
    pub arm: String,
    /// Its seed.
    pub seed: u64,
    /// BLAKE3 over the config, the settings, and the scripts and plugins that they name.
    pub key: String,
    /// The config.
    pub config: PathBuf,
    /// What is set in it, the seed included.
    pub settings: Settings,
    /// Its folder, which is also the folder of the run.
    pub folder: PathBuf,
}

/// How far a trial got.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nothing ran yet.
    New,
    /// A run was started and can be resumed.
    Begun,
    /// Done, with the summary of the run, nested by the dots in its keys.
    Done(Map<String, Value>),
}

impl Trial {
    /// Plans a trial of `config` below `trials`; `root` holds `scripts` and `plugins`. Nothing is written.
    ///
    /// # Errors
    /// When the config cannot be read or does not take the settings.
    pub fn plan(
        root: &Path,
        trials: &Path,
        config: &Path,
        arm: &str,
        seed: u64,
        settings: &Settings,
    ) -> Result<Self> {
        let mut settings = settings.clone();
        settings.insert("seed".into(), seed.to_string());
        let listed: Vec<String> = settings.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let resolved = Config::load(config, &listed)?.to_toml()?;
        let files = sources(root, &[&resolved])?;
        // Parsed and sorted, so that comments and layout of the file do not count.
        let mut canonical = json!([read_config(config)?, listed, files]);
        canonical.sort_all_objects();
        let key = blake3::hash(canonical.to_string().as_bytes()).to_hex().to_string();
        let name = format!("{arm}-seed{seed}-{}", &key[..8]);
        let folder = trials.join(&name);
        Ok(Self { name, arm: arm.into(), seed, key, config: config.to_owned(), settings, folder })
    }

    /// How far it got.
    ///
    /// # Errors
    /// When the folder belongs to another trial, or a file in it is not what it should be.
    pub fn state(&self) -> Result<State> {
        let card = self.folder.join(CARD);
        match read_object(&card)? {
            None => return Ok(State::New),
            Some(found) if found.get("key").and_then(Value::as_str) == Some(&self.key) => {}
            Some(found) => {
                let key = found.get("key").unwrap_or(&Value::Null);
                let message = format!(
                    "expected a trial with key {}, found {key}\nhint: move the folder away to run this trial",
                    self.key
                );
                return Err(StudyError::found(&card, message));
            }
        }
        match read_object(&self.folder.join("summary.json"))? {
            Some(summary) => Ok(State::Done(nest(&summary))),
            // A run writes its config last of all that it needs for going on.
            None if self.folder.join("config.toml").is_file() => Ok(State::Begun),
            None => Ok(State::New),
        }
    }

    /// Makes the folder and says in it whose it is.
    pub(crate) fn claim(&self) -> Result<()> {
        let card = json!({
            "name": self.name, "arm": self.arm, "seed": self.seed, "key": self.key,
            "config": self.config, "settings": self.settings,
        });
        files::write(&self.folder.join(CARD), format!("{card:#}\n").as_bytes())?;
        Ok(())
    }

    /// What the trial writes to its standard output and error.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log.txt")
    }
}

/// A config as it is written.
pub(crate) fn read_config(path: &Path) -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(path).map_err(StudyError::io("read", path))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| StudyError::found(path, e.to_string()))?;
    match serde_json::to_value(table) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(StudyError::found(path, "expected a config")),
    }
}

fn read_object(path: &Path) -> Result<Option<Map<String, Value>>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StudyError::io("read", path)(e)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| {
        StudyError::found(
            path,
            format!("expected a JSON object: {e}\nhint: remove the folder to run this trial again"),
        )
    })
}

/// Turns `{"a.b": 1}` into `{"a": {"b": 1}}`. A key below one that is a value itself stays as it is.
pub(crate) fn nest(flat: &Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<_> = flat.iter().collect();
    entries.sort_by_key(|(key, _)| key.matches('.').count());
    let mut out = Map::new();
    for (key, value) in entries {
        let value = match value {
            Value::Object(inner) => Value::Object(nest(inner)),
            other => other.clone(),
        };
        if let Some(value) = place(&mut out, key, value) {
            out.insert(key.clone(), value);
        }
    }
    out
}

/// Puts the value at a dotted path; gives it back when something else stands in the way.
fn place(map: &mut Map<String, Value>, path: &str, value: Value) -> Option<Value> {
    match path.split_once('.') {
        Some((first, rest)) => match map.entry(first).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => place(inner, rest, value),
            _ => Some(value),
        },
        None => match (map.get_mut(path), value) {
            (None, value) => {
                map.insert(path.into(), value);
                None
            }
            (Some(Value::Object(there)), Value::Object(more)) => {
                there.extend(more);
                None
            }
            (Some(_), value) => Some(value),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nests_by_dots_and_keeps_what_stands_in_the_way() {
        let flat = json!({ "a.b.c": 1, "a.b.d": 2, "e.f": 4, "e": 3, "g": { "h.i": 5 }, "g.k": 6 });
        let nested =
            json!({ "a": { "b": { "c": 1, "d": 2 } }, "e": 3, "e.f": 4, "g": { "h": { "i": 5 }, "k": 6 } });
        assert_eq!(Value::Object(nest(flat.as_object().unwrap())), nested);
    }
}
