//! Element types on both sides of the border.

use crate::{Result, RuntimeError};
use ekphrasis_graph::DType;
use ort::value::TensorElementType as Ort;

/// A number (or bool) that tensors are made of.
pub(crate) trait Element: Copy {
    const DTYPE: DType;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}
impl Element for i64 {
    const DTYPE: DType = DType::I64;
}
impl Element for bool {
    const DTYPE: DType = DType::Bool;
}

const PAIRS: [(DType, Ort); 13] = [
    (DType::F32, Ort::Float32),
    (DType::F64, Ort::Float64),
    (DType::F16, Ort::Float16),
    (DType::BF16, Ort::Bfloat16),
    (DType::I8, Ort::Int8),
    (DType::I16, Ort::Int16),
    (DType::I32, Ort::Int32),
    (DType::I64, Ort::Int64),
    (DType::U8, Ort::Uint8),
    (DType::U16, Ort::Uint16),
    (DType::U32, Ort::Uint32),
    (DType::U64, Ort::Uint64),
    (DType::Bool, Ort::Bool),
];

/// ONNX Runtime's name for a type; an error for text.
pub(crate) fn to_ort(dtype: DType) -> Result<Ort> {
    PAIRS.iter().find(|(ours, _)| *ours == dtype).map(|(_, theirs)| *theirs).ok_or_else(|| {
        let (expected, found) = ("a number or a boolean".into(), dtype.to_string());
        RuntimeError::Tensor { context: "making a tensor".into(), expected, found }
    })
}

/// Our name for a type, if we have one.
pub(crate) fn from_ort(element: Ort) -> Option<DType> {
    PAIRS.iter().find(|(_, theirs)| *theirs == element).map(|(ours, _)| *ours)
}
