//! What scripts give back, checked.

use crate::{Fault, Tensor, json};
use ekphrasis_graph::DType;
use mlua::{MultiValue, Table, Value};
use std::collections::BTreeMap;

/// The numbers of a reward: `n` finite numbers, from a tensor `f32[n]` or a list.
///
/// # Errors
/// When there are more or fewer, or one is not a finite number, with its index (from 1) and value.
pub fn check_scores(value: &Value, n: usize) -> Result<Vec<f32>, Fault> {
    let expected =
        |found: String| Fault::new(format!("expected {n} numbers, one for each caption, found {found}"));
    let scores = match value {
        Value::Table(list) => {
            let found = list.raw_len();
            if found != n {
                return Err(expected(found.to_string()));
            }
            let mut scores = Vec::with_capacity(n);
            for i in 1..=n {
                scores.push(match list.raw_get(i).map_err(|e| Fault::new(e.to_string()))? {
                    Value::Integer(v) => v as f32,
                    Value::Number(v) => v as f32,
                    other => {
                        let found = json::describe(&other);
                        return Err(Fault::new(format!(
                            "number {i} of {n}: expected a number, found {found}"
                        )));
                    }
                });
            }
            scores
        }
        other => {
            let tensor = Tensor::from_value(other).ok_or_else(|| expected(json::describe(other)))?;
            let numbers = tensor.eager("a reward")?;
            if numbers.dims() != [n] {
                return Err(
                    expected(tensor.describe()).hint("one dimension: x:reshape({ -1 }) or x:squeeze(axis)")
                );
            }
            let all = match numbers.dtype() {
                DType::F32 => numbers.to_f32(),
                DType::I64 => numbers.to_i64().map(|v| v.iter().map(|v| *v as f32).collect()),
                DType::Bool => numbers.to_bool().map(|v| v.iter().map(|v| f32::from(u8::from(*v))).collect()),
                _ => return Err(expected(tensor.describe()).hint("convert with x:float()")),
            };
            all.map_err(|e| Fault::new(e.to_string()))?
        }
    };
    match scores.iter().position(|v| !v.is_finite()) {
        Some(i) => {
            Err(Fault::new(format!("number {} of {n}: expected a finite number, found {}", i + 1, scores[i]))
                .hint("a division by zero or the log of 0 gives nan or inf"))
        }
        None => Ok(scores),
    }
}

/// A named part of a reward.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its weight in the sum.
    pub weight: f64,
    /// One number for each caption.
    pub values: Vec<f32>,
}

/// What a reward gives: the numbers, and its parts by name where it names them.
pub fn check_reward(values: &MultiValue, n: usize) -> Result<(Vec<f32>, Vec<Component>), Fault> {
    let scores = check_scores(values.front().unwrap_or(&Value::Nil), n)?;
    let parts = match values.get(1) {
        None | Some(Value::Nil) => return Ok((scores, vec![])),
        Some(Value::Table(parts)) => parts,
        Some(other) => {
            let found = json::describe(other);
            return Err(Fault::new(format!("second result: expected a table of components, found {found}")));
        }
    };
    let mut components = vec![];
    for (name, part) in sorted(parts)? {
        let read = || -> mlua::Result<(Value, f64)> {
            let part = part.as_table().ok_or_else(|| Fault::new("expected { value =, weight = }"))?;
            Ok((part.raw_get("value")?, part.raw_get::<Option<f64>>("weight")?.unwrap_or(1.0)))
        };
        let place = format!("component `{name}`");
        let (value, weight) = read().map_err(|e| Fault::new(e.to_string()).at(&place))?;
        let values = check_scores(&value, n).map_err(|f| f.at(&place))?;
        components.push(Component { name, weight, values });
    }
    Ok((scores, components))
}

/// What a loss gives: the scalar to minimise, and more scalars to log by name.
pub fn check_loss(values: &MultiValue) -> Result<(Tensor, BTreeMap<String, Tensor>), Fault> {
    let first = values.front().unwrap_or(&Value::Nil);
    let scalar = |name: &str, value: &Value| {
        let wrong =
            |found: String| Err(Fault::new(format!("`{name}`: expected a scalar tensor, found {found}")));
        match Tensor::from_value(value) {
            Some(t) if t.shape()?.is_empty() => Ok(t),
            Some(t) => {
                wrong(t.describe()).map_err(|f| f.hint("x:mean() or x:sum() makes one number of many"))
            }
            None => wrong(json::describe(value)),
        }
    };
    let Value::Table(table) = first else { return Ok((scalar("loss", first)?, BTreeMap::new())) };
    let mut all = BTreeMap::new();
    for (name, value) in sorted(table)? {
        let tensor = scalar(&name, &value)?;
        all.insert(name, tensor);
    }
    let loss = all
        .remove("loss")
        .ok_or_else(|| Fault::new("expected a table with `loss`, the scalar to minimise"))?;
    Ok((loss, all))
}

fn sorted(table: &Table) -> Result<BTreeMap<String, Value>, Fault> {
    let mut all = BTreeMap::new();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|e| Fault::new(e.to_string()))?;
        match &key {
            Value::String(name) => all.insert(name.to_string_lossy(), value),
            other => {
                return Err(Fault::new(format!("expected names as keys, found {}", json::describe(other))));
            }
        };
    }
    Ok(all)
}
