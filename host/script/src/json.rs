//! Lua values as JSON and back: how parameters travel between configs, scripts and the journal.

use crate::Fault;
use mlua::{Lua, Value};
use serde_json::{Map, Number, Value as Json};

/// What a value is, for errors: short values in full.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        Value::Boolean(v) => v.to_string(),
        Value::Integer(v) => v.to_string(),
        Value::Number(v) => v.to_string(),
        Value::String(v) => format!("\"{}\"", v.to_string_lossy().chars().take(60).collect::<String>()),
        Value::Table(t) => match t.raw_len() {
            0 => "a table".into(),
            n => format!("a list of {n}"),
        },
        other => match crate::Tensor::from_value(other) {
            Some(t) => format!("{t:?}"),
            None => format!("a {}", other.type_name()),
        },
    }
}

/// A JSON value as Lua: objects and arrays become tables.
pub fn to_lua(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(v) => Value::Boolean(*v),
        Json::Number(n) => match n.as_i64() {
            Some(v) => Value::Integer(v),
            None => Value::Number(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(v) => Value::String(lua.create_string(v)?),
        Json::Array(list) => {
            let table = lua.create_table()?;
            for (i, v) in list.iter().enumerate() {
                table.raw_set(i + 1, to_lua(lua, v)?)?;
            }
            Value::Table(table)
        }
        Json::Object(map) => {
            let table = lua.create_table()?;
            for (k, v) in map {
                table.raw_set(k.as_str(), to_lua(lua, v)?)?;
            }
            Value::Table(table)
        }
    })
}

/// A Lua value as JSON: numbers, booleans, text, lists and tables with names as keys, sorted by name.
///
/// # Errors
/// For anything else, with the path of the field.
pub fn from_lua(value: &Value) -> Result<Json, Fault> {
    read(value, &mut vec![])
}

fn read(value: &Value, path: &mut Vec<String>) -> Result<Json, Fault> {
    let at = |path: &[String], message: String| {
        let place = path.join(".");
        Fault::new(if place.is_empty() { message } else { format!("`{place}`: {message}") })
    };
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Boolean(v) => Json::Bool(*v),
        Value::Integer(v) => Json::Number((*v).into()),
        Value::Number(v) => match Number::from_f64(*v) {
            Some(n) => Json::Number(n),
            None => return Err(at(path, format!("expected a finite number, found {v}"))),
        },
        Value::String(v) => match v.to_str() {
            Ok(s) => Json::String(s.to_owned()),
            Err(_) => return Err(at(path, "expected UTF-8 text".into())),
        },
        Value::Table(_) if path.len() >= 16 => return Err(at(path, "nested too deep".into())),
        Value::Table(table) => {
            let n = table.raw_len();
            let mut map = std::collections::BTreeMap::new();
            let mut list = vec![];
            for pair in table.pairs::<Value, Value>() {
                let (key, item) = pair.map_err(|e| at(path, e.to_string()))?;
                match key {
                    Value::Integer(i) if i >= 1 && i as usize <= n => list.push((i, item)),
                    Value::String(k) => {
                        map.insert(k.to_string_lossy(), item);
                    }
                    other => {
                        return Err(at(path, format!("a key must be a name, found {}", describe(&other))));
                    }
                }
            }
            if !map.is_empty() && !list.is_empty() {
                return Err(at(path, "expected a list or names as keys, found both".into()));
            }
            if map.is_empty() {
                list.sort_by_key(|(i, _)| *i);
                let mut out = vec![];
                for (i, item) in list {
                    path.push(i.to_string());
                    out.push(read(&item, path)?);
                    path.pop();
                }
                return Ok(Json::Array(out));
            }
            let mut out = Map::new();
            for (key, item) in map {
                path.push(key.clone());
                out.insert(key, read(&item, path)?);
                path.pop();
            }
            Json::Object(out)
        }
        other => return Err(at(path, format!("expected plain data, found {}", describe(other)))),
    })
}
