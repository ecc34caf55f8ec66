//! Arguments of an operation as Lua gave them: tensors apart, everything else as plain data that can
//! serve as a key.

use crate::{Fault, tensor::Tensor};
use mlua::Value;
use std::collections::BTreeMap;

/// An argument; a tensor is its position in the list of tensors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arg {
    Nil,
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(String),
    List(Vec<Arg>),
    Table(BTreeMap<String, Arg>),
    Tensor(usize),
}

impl Arg {
    /// What it is, for errors.
    pub fn describe(&self) -> String {
        match self {
            Self::Nil => "nil".into(),
            Self::Bool(v) => v.to_string(),
            Self::Int(v) => v.to_string(),
            Self::Number(v) => v.to_string(),
            Self::Text(v) => format!("\"{v}\""),
            Self::List(v) => format!("{{{}}}", v.iter().map(Self::describe).collect::<Vec<_>>().join(", ")),
            Self::Table(v) => format!("a table with {}", v.keys().cloned().collect::<Vec<_>>().join(", ")),
            Self::Tensor(_) => "a tensor".into(),
        }
    }
}

/// All arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub args: Vec<Arg>,
    pub tensors: Vec<Tensor>,
}

impl Parsed {
    /// Reads one more argument.
    pub fn push(&mut self, value: &Value) -> Result<(), Fault> {
        let arg = self.read(value, 0)?;
        self.args.push(arg);
        Ok(())
    }

    fn read(&mut self, value: &Value, depth: usize) -> Result<Arg, Fault> {
        Ok(match value {
            Value::Nil => Arg::Nil,
            Value::Boolean(v) => Arg::Bool(*v),
            Value::Integer(v) => Arg::Int(*v),
            Value::Number(v) => Arg::Number(*v),
            Value::String(v) => Arg::Text(v.to_string_lossy()),
            Value::UserData(_) => {
                let tensor = Tensor::from_value(value)
                    .ok_or_else(|| Fault::new(format!("expected a tensor, found {}", value.type_name())))?;
                self.tensors.push(tensor);
                Arg::Tensor(self.tensors.len() - 1)
            }
            Value::Table(table) if depth < 4 => {
                let n = table.raw_len();
                if n > 0 {
                    let mut list = Vec::with_capacity(n.min(1 << 16));
                    for i in 1..=n {
                        let item: Value = table.raw_get(i).map_err(|e| Fault::new(e.to_string()))?;
                        list.push(self.read(&item, depth + 1)?);
                    }
                    return Ok(Arg::List(list));
                }
                let mut pairs = BTreeMap::new();
                for pair in table.pairs::<Value, Value>() {
                    let (key, item) = pair.map_err(|e| Fault::new(e.to_string()))?;
                    let Value::String(key) = key else {
                        return Err(Fault::new("expected a list without holes, or names as keys"));
                    };
                    pairs.insert(key.to_string_lossy(), item);
                }
                if pairs.is_empty() {
                    return Ok(Arg::List(vec![]));
                }
                let mut options = BTreeMap::new();
                for (key, item) in pairs {
                    let item = self.read(&item, depth + 1)?;
                    options.insert(key, item);
                }
                Arg::Table(options)
            }
            other => {
                return Err(Fault::new(format!(
                    "expected a tensor, number, text, boolean or list, found {}",
                    other.type_name()
                )));
            }
        })
    }
}
