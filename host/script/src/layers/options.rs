//! The table of options that a script gives a layer.

use crate::{Fault, json};
use mlua::{Table, Value};

/// Options of a layer by name.
pub(super) struct Options(Option<Table>);

impl Options {
    pub(super) fn read(value: &Value, known: &[&str]) -> Result<Self, Fault> {
        let table = match value {
            Value::Nil => return Ok(Self(None)),
            Value::Table(t) => t.clone(),
            other => {
                return Err(Fault::new(format!(
                    "expected a table of options, found {}",
                    json::describe(other)
                )));
            }
        };
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair.map_err(|e| Fault::new(e.to_string()))?;
            let key = key.to_string().unwrap_or_default();
            if !known.contains(&key.as_str()) {
                return Err(Fault::unknown("option", &key, known.iter().copied()));
            }
        }
        Ok(Self(Some(table)))
    }

    pub(super) fn get(&self, name: &str) -> Value {
        self.0.as_ref().and_then(|t| t.raw_get(name).ok()).unwrap_or(Value::Nil)
    }

    pub(super) fn wrong<T>(&self, name: &str, expected: &str) -> Result<T, Fault> {
        let found = json::describe(&self.get(name));
        Err(Fault::new(format!("option `{name}`: expected {expected}, found {found}")))
    }

    pub(super) fn count(&self, name: &str, default: Option<usize>) -> Result<usize, Fault> {
        match (self.get(name), default) {
            (Value::Nil, Some(n)) => Ok(n),
            (Value::Integer(n), _) if n >= 0 => Ok(n as usize),
            (Value::Number(n), _) if n >= 0.0 && n.fract() == 0.0 => Ok(n as usize),
            _ => self.wrong(name, "a whole number"),
        }
    }

    pub(super) fn number(&self, name: &str, default: f64) -> Result<f64, Fault> {
        match self.get(name) {
            Value::Nil => Ok(default),
            Value::Integer(n) => Ok(n as f64),
            Value::Number(n) => Ok(n),
            _ => self.wrong(name, "a number"),
        }
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Fault> {
        match self.get(name) {
            Value::Nil => Ok(default),
            Value::Boolean(v) => Ok(v),
            _ => self.wrong(name, "true or false"),
        }
    }
}
