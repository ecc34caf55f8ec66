//! Parameters: a script declares names with defaults, a config overrides what is declared.

use crate::{Fault, error::nearest};
use serde_json::Value as Json;

/// The defaults with `overrides` in their place.
///
/// Tables merge name by name; lists are replaced. A number fits a number, text text, and so on; an empty
/// table as default takes anything.
///
/// # Errors
/// A name that is not declared, with the nearest one that is; a value of another kind; always with the
/// path of the field.
pub fn merge(defaults: &Json, overrides: &Json) -> Result<Json, Fault> {
    merge_at("", defaults, overrides)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

fn merge_at(path: &str, default: &Json, given: &Json) -> Result<Json, Fault> {
    let wrong = || {
        let place = if path.is_empty() { "params".into() } else { format!("params.{path}") };
        Err(Fault::new(format!("`{place}`: expected {}, found {given}", kind(default))))
    };
    match (default, given) {
        (_, Json::Null) => Ok(default.clone()),
        (Json::Array(d), Json::Array(_) | Json::Object(_)) if d.is_empty() => Ok(given.clone()),
        // An empty table in Lua may be a list or a table.
        (Json::Object(_), Json::Array(given)) if given.is_empty() => Ok(default.clone()),
        (Json::Object(defaults), Json::Object(given)) => {
            let mut out = defaults.clone();
            for (name, value) in given {
                let place = join(path, name);
                let Some(default) = defaults.get(name) else {
                    let fault = Fault::new(format!("unknown parameter `{place}`"));
                    let near = nearest(name, defaults.keys().map(String::as_str));
                    return Err(match near {
                        Some(near) => fault.hint(format!("did you mean `{}`?", join(path, near))),
                        None => fault.hint(format!(
                            "declared: {}",
                            defaults.keys().cloned().collect::<Vec<_>>().join(", ")
                        )),
                    });
                };
                out.insert(name.clone(), merge_at(&place, default, value)?);
            }
            Ok(Json::Object(out))
        }
        (Json::Array(defaults), Json::Array(given)) => {
            for (i, value) in given.iter().enumerate() {
                if let Some(first) = defaults.first() {
                    merge_at(&join(path, &(i + 1).to_string()), first, value)?;
                }
            }
            Ok(Json::Array(given.clone()))
        }
        (Json::Bool(_), Json::Bool(_))
        | (Json::Number(_), Json::Number(_))
        | (Json::String(_), Json::String(_)) => Ok(given.clone()),
        _ => wrong(),
    }
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn merges_and_refuses() {
        let defaults = json!({ "n": 3, "name": "x", "on": true, "net": { "width": 8, "rate": 0.5 },
            "sizes": [1, 2], "free": [] });
        let merged = merge(&defaults, &json!({ "net": { "rate": 1 }, "sizes": [7], "free": { "a": 1 } }));
        let merged = merged.expect("fits");
        assert_eq!(merged["net"], json!({ "width": 8, "rate": 1 }));
        assert_eq!((&merged["sizes"], &merged["free"]), (&json!([7]), &json!({ "a": 1 })));
        assert_eq!(merged["n"], 3);

        let error = |given: Json| merge(&defaults, &given).expect_err("refused").to_string();
        assert_eq!(
            error(json!({ "net": { "widht": 4 } })),
            "unknown parameter `net.widht`\nhint: did you mean `net.width`?"
        );
        assert_eq!(error(json!({ "n": "three" })), "`params.n`: expected a number, found \"three\"");
        assert_eq!(error(json!({ "sizes": ["a"] })), "`params.sizes.1`: expected a number, found \"a\"");
        assert!(error(json!({ "net": 4 })).contains("`params.net`: expected a table, found 4"));
    }

    #[test]
    fn nothing_declared_takes_nothing() {
        let none = Json::Object(Default::default());
        assert!(merge(&none, &json!({ "a": 1 })).is_err());
        assert_eq!(merge(&none, &json!({})).expect("empty"), none);
    }
}
