//! The ports of a graph: names, types and shapes.

use crate::{DeviceTensor, Result, RuntimeError, element};
use ekphrasis_graph::DType;
use ort::value::{Outlet, ValueType};
use std::ffi::CString;

/// An input or output of a session.
#[derive(Clone, Debug)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions; `None` is one that the caller chooses. A port of unknown rank looks like a scalar.
    pub shape: Vec<Option<usize>>,
    /// The name of each dimension that the caller chooses, where it has one.
    pub(crate) symbols: Vec<String>,
    pub(crate) c_name: CString,
}

impl Port {
    pub(crate) fn new(graph: &str, side: &'static str, outlet: &Outlet) -> Result<Self> {
        let name = outlet.name().to_owned();
        let error = |found: String| RuntimeError::Port {
            graph: graph.into(),
            side,
            port: outlet.name().into(),
            expected: "a tensor of numbers or booleans".into(),
            found,
        };
        let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
            return Err(error(outlet.dtype().to_string()));
        };
        let dtype = element::from_ort(*ty).ok_or_else(|| error(outlet.dtype().to_string()))?;
        let shape = shape.iter().map(|d| usize::try_from(*d).ok()).collect();
        let symbols = dimension_symbols.iter().map(ToString::to_string).collect();
        let c_name = CString::new(name.as_str()).map_err(|_| error("a name with a zero byte".into()))?;
        Ok(Self { name, dtype, shape, symbols, c_name })
    }

    /// `f32[B, 4]`, as errors print it.
    pub fn describe(&self) -> String {
        let dims = self.shape.iter().enumerate().map(|(i, d)| match (d, self.symbol(i)) {
            (Some(n), _) => n.to_string(),
            (None, Some(symbol)) => symbol.to_owned(),
            (None, None) => "?".into(),
        });
        format!("{}[{}]", self.dtype, dims.collect::<Vec<_>>().join(", "))
    }

    pub(crate) fn symbol(&self, axis: usize) -> Option<&str> {
        self.symbols.get(axis).map(String::as_str).filter(|s| !s.is_empty())
    }

    /// Whether a tensor may stand at this port.
    pub(crate) fn accepts(&self, tensor: &DeviceTensor) -> bool {
        let ranks = self.shape.is_empty() || self.shape.len() == tensor.dims().len();
        let dims = self.shape.iter().zip(tensor.dims()).all(|(own, d)| own.is_none_or(|own| own == *d));
        self.dtype == tensor.dtype() && ranks && dims
    }
}
