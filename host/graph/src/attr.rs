//! Attributes of nodes.

use crate::{DType, Tensor};
use std::collections::BTreeMap;

/// The attributes of a node by name.
pub type Attrs = BTreeMap<String, Attr>;

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// Text.
    Text(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
    /// Several texts.
    Texts(Vec<String>),
    /// A tensor.
    Tensor(Tensor),
}

impl From<i64> for Attr {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}
impl From<bool> for Attr {
    fn from(v: bool) -> Self {
        Self::Int(v.into())
    }
}
impl From<f32> for Attr {
    fn from(v: f32) -> Self {
        Self::Float(v)
    }
}
impl From<&str> for Attr {
    fn from(v: &str) -> Self {
        Self::Text(v.into())
    }
}
impl From<&[i64]> for Attr {
    fn from(v: &[i64]) -> Self {
        Self::Ints(v.to_vec())
    }
}
impl From<Vec<i64>> for Attr {
    fn from(v: Vec<i64>) -> Self {
        Self::Ints(v)
    }
}
impl From<Vec<f32>> for Attr {
    fn from(v: Vec<f32>) -> Self {
        Self::Floats(v)
    }
}
impl From<DType> for Attr {
    fn from(v: DType) -> Self {
        Self::Int(v as i64)
    }
}
impl From<Tensor> for Attr {
    fn from(v: Tensor) -> Self {
        Self::Tensor(v)
    }
}

impl Attr {
    /// Writes the exact value into a key for comparing nodes: floats by their bits.
    pub(crate) fn key(&self, out: &mut String) {
        use std::fmt::Write;
        let _ = match self {
            Self::Float(v) => write!(out, "f{:x}", v.to_bits()),
            Self::Floats(v) => write!(out, "{:?}", v.iter().map(|v| v.to_bits()).collect::<Vec<_>>()),
            other => write!(out, "{other:?}"),
        };
    }
}

/// Reading attributes with the defaults of the operator's definition.
pub trait AttrsExt {
    /// An integer attribute, or the default.
    fn int(&self, name: &str, default: i64) -> i64;
    /// A float attribute, or the default.
    fn float(&self, name: &str, default: f32) -> f32;
    /// A text attribute, or the default.
    fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str;
    /// A list of integers, if it is there.
    fn ints(&self, name: &str) -> Option<&[i64]>;
}

impl AttrsExt for Attrs {
    fn int(&self, name: &str, default: i64) -> i64 {
        match self.get(name) {
            Some(Attr::Int(v)) => *v,
            _ => default,
        }
    }
    fn float(&self, name: &str, default: f32) -> f32 {
        match self.get(name) {
            Some(Attr::Float(v)) => *v,
            _ => default,
        }
    }
    fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        match self.get(name) {
            Some(Attr::Text(v)) => v,
            _ => default,
        }
    }
    fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.get(name) {
            Some(Attr::Ints(v)) => Some(v),
            _ => None,
        }
    }
}
