//! What a study script asks for: arms, settings and seeds, read from its tables.

use crate::{Settings, trial::read_config};
use ekphrasis_script::Fault;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Trials of one call: every arm with every seed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub config: PathBuf,
    pub arms: Vec<(String, Settings)>,
    pub seeds: Vec<u64>,
}

/// The fields of a table that a script gave.
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Refuses fields other than `known`.
    pub fn new(what: &str, value: Value, known: &[&str]) -> Result<Self, Fault> {
        let map = object(what, value)?;
        match map.keys().find(|k| !known.contains(&k.as_str())) {
            Some(name) => Err(Fault::unknown(&format!("field of {what}"), name, known.iter().copied())),
            None => Ok(Self(map)),
        }
    }

    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|v| !v.is_null())
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Fault::new(format!("`{name}`: expected text, found {other}"))),
        }
    }
}

impl Request {
    /// Reads `{ config =, name =, set =, vary =, seeds = }`.
    pub fn trials(root: &Path, value: Value) -> Result<Self, Fault> {
        let mut fields = Fields::new("trials", value, &["config", "name", "set", "vary", "seeds"])?;
        let (config, name, set) = Self::common(root, &mut fields)?;
        let vary = fields.take("vary");
        let seeds = match fields.take("seeds") {
            None => vec![seed_of(&config)?],
            Some(Value::Array(list)) if !list.is_empty() => {
                list.iter().map(|s| whole("seeds", s)).collect::<Result<_, _>>()?
            }
            Some(other) => {
                return Err(Fault::new(format!("`seeds`: expected a list of whole numbers, found {other}")));
            }
        };
        if let Some(i) = (1..seeds.len()).find(|i| seeds[..*i].contains(&seeds[*i])) {
            return Err(Fault::new(format!("`seeds`: {} stands there twice", seeds[i])));
        }
        let arms = match vary {
            None => vec![(name, set)],
            Some(vary) => product(&set, object("`vary`", vary)?)?,
        };
        Ok(Self { config, arms, seeds })
    }

    /// Reads `{ config =, name =, set =, seed = }`.
    pub fn trial(root: &Path, value: Value) -> Result<Self, Fault> {
        let mut fields = Fields::new("trial", value, &["config", "name", "set", "seed"])?;
        let (config, name, set) = Self::common(root, &mut fields)?;
        let seed = match fields.take("seed") {
            None => seed_of(&config)?,
            Some(seed) => whole("seed", &seed)?,
        };
        Ok(Self { config, arms: vec![(name, set)], seeds: vec![seed] })
    }

    fn common(root: &Path, fields: &mut Fields) -> Result<(PathBuf, String, Settings), Fault> {
        let config = fields.text("config")?.ok_or_else(|| {
            Fault::new("missing `config`")
                .hint("config = \"configs/quickstart.toml\", from the project's folder")
        })?;
        let config = root.join(config);
        let stem = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = fields.text("name")?.unwrap_or(stem);
        safe_name(&name)?;
        let set = fields.take("set").map_or_else(|| Ok(Settings::new()), |set| settings("`set`", set))?;
        Ok((config, name, set))
    }
}

/// Every combination of one arm from each factor, sorted by name; later factors win where both set a key.
fn product(set: &Settings, factors: Map<String, Value>) -> Result<Vec<(String, Settings)>, Fault> {
    let mut arms = vec![(String::new(), set.clone())];
    let mut factors: Vec<_> = factors.into_iter().collect();
    factors.sort_by(|a, b| a.0.cmp(&b.0));
    for (factor, choices) in factors {
        let place = format!("`vary.{factor}`");
        let mut choices: Vec<_> = object(&place, choices)?.into_iter().collect();
        choices.sort_by(|a, b| a.0.cmp(&b.0));
        if choices.is_empty() {
            return Err(Fault::new(format!("{place}: expected at least one arm, found none")));
        }
        let mut next = vec![];
        for (name, base) in &arms {
            for (choice, more) in &choices {
                safe_name(choice)?;
                let mut all = base.clone();
                all.extend(settings(&format!("`vary.{factor}.{choice}`"), more.clone())?);
                next.push((if name.is_empty() { choice.clone() } else { format!("{name}+{choice}") }, all));
            }
        }
        arms = next;
    }
    if arms.len() == 1 && arms.iter().any(|(name, _)| name.is_empty()) {
        return Err(Fault::new("`vary`: expected at least one factor, found none").hint(
            "vary = { reward = { bleu = { [\"phases.policy_gradient.rollout.reward\"] = \"bleu\" } } }",
        ));
    }
    Ok(arms)
}

/// Settings by dotted path, their values as TOML.
fn settings(place: &str, value: Value) -> Result<Settings, Fault> {
    let mut out = Settings::new();
    for (key, value) in object(place, value)? {
        if key.is_empty() || key.contains(|c: char| c == '=' || c.is_whitespace()) {
            return Err(Fault::new(format!(
                "{place}: expected the dotted path of a config field, found \"{key}\""
            )));
        }
        if key == "seed" {
            return Err(Fault::new(format!("{place}: `seed` is set by the study")).hint("seeds = { 0, 1 }"));
        }
        let text = toml::Value::try_from(&value).map(|v| v.to_string());
        out.insert(key.clone(), text.map_err(|e| Fault::new(format!("{place}: `{key}`: {value}: {e}")))?);
    }
    Ok(out)
}

/// The seed that a config has by itself.
fn seed_of(config: &Path) -> Result<u64, Fault> {
    let table = read_config(config).map_err(|e| Fault::new(e.to_string()))?;
    table.get("seed").map_or(Ok(0), |seed| whole("seed", seed))
}

fn whole(name: &str, value: &Value) -> Result<u64, Fault> {
    value
        .as_u64()
        .ok_or_else(|| Fault::new(format!("`{name}`: expected a whole number from 0, found {value}")))
}

/// A table with names as keys; an empty table has no kind in Lua.
fn object(what: &str, value: Value) -> Result<Map<String, Value>, Fault> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Array(list) if list.is_empty() => Ok(Map::new()),
        other => Err(Fault::new(format!("{what}: expected a table with names, found {other}"))),
    }
}

/// Names of arms are parts of folder names.
fn safe_name(name: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-+.".contains(c);
    match !name.is_empty() && name.len() <= 80 && !name.starts_with('.') && name.chars().all(fits) {
        true => Ok(()),
        false => {
            Err(Fault::new(format!("arm \"{name}\": expected a name of letters, digits, `_`, `-`, `+`, `.`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trials(value: Value) -> Result<Request, String> {
        Request::trials(Path::new("/root"), value).map_err(|f| f.to_string())
    }

    #[test]
    fn combines_factors_and_writes_values_as_toml() {
        let request = trials(json!({
            "config": "configs/a.toml", "set": { "phases.gan.steps": 100, "x": "one" }, "seeds": [3, 1],
            "vary": { "b": { "long": { "n": 2.5 }, "short": [] }, "a": { "on": { "x": true, "r": { "script": "mix" } } } },
        }));
        let request = request.unwrap();
        assert_eq!(request.config, Path::new("/root/configs/a.toml"));
        assert_eq!(request.seeds, [3, 1]);
        let names: Vec<&str> = request.arms.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["on+long", "on+short"]);
        let listed: Vec<String> = request.arms[0].1.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(listed, ["n=2.5", "phases.gan.steps=100", "r={ script = \"mix\" }", "x=true"]);
    }

    #[test]
    fn says_what_is_wrong() {
        let with = |key: &str, value: Value| {
            let mut all = json!({ "config": "a.toml", "seeds": [0] });
            all[key] = value;
            trials(all).unwrap_err()
        };
        assert_eq!(trials(json!([])).unwrap_err().lines().next(), Some("missing `config`"));
        assert!(
            with("varry", json!({})).contains("unknown field of trials `varry`\nhint: did you mean `vary`?")
        );
        assert_eq!(with("seeds", json!([0, 1, 0])), "`seeds`: 0 stands there twice");
        assert_eq!(with("seeds", json!([0.5])), "`seeds`: expected a whole number from 0, found 0.5");
        assert!(with("set", json!({ "seed": 3 })).contains("`seed` is set by the study"));
        assert!(with("set", json!(["phases"])).contains("`set`: expected a table with names"));
        assert!(with("vary", json!({ "r": { "../x": {} } })).contains("arm \"../x\": expected a name"));
        assert!(with("vary", json!({ "r": {} })).contains("`vary.r`: expected at least one arm"));
        assert!(with("vary", json!({})).contains("expected at least one factor"));
    }
}
