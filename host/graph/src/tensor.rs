//! Tensors whose values are known: initializers and constants.

use crate::{DType, GraphError, Result};
use std::sync::Arc;

/// A dense tensor in row-major order, little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    dtype: DType,
    dims: Vec<usize>,
    data: Arc<[u8]>,
}

macro_rules! accessors {
    ($($new:ident $get:ident $scalar:ident $t:ty, $dtype:expr, $name:literal);+) => {$(
        #[doc = concat!("A tensor of ", $name, "; an error when `values` does not fill `dims`.")]
        pub fn $new(dims: &[usize], values: &[$t]) -> Result<Self> {
            let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            Self::new($dtype, dims, data)
        }
        #[doc = concat!("A scalar of ", $name, ".")]
        pub fn $scalar(value: $t) -> Self {
            Self { dtype: $dtype, dims: vec![], data: value.to_le_bytes().to_vec().into() }
        }
        #[doc = concat!("Its values, if it holds ", $name, ".")]
        pub fn $get(&self) -> Option<Vec<$t>> {
            const SIZE: usize = size_of::<$t>();
            (self.dtype == $dtype).then(|| {
                self.data.as_chunks::<SIZE>().0.iter().map(|c| <$t>::from_le_bytes(*c)).collect()
            })
        }
    )+};
}

impl Tensor {
    accessors! {
        from_f32 to_f32 scalar_f32 f32, DType::F32, "f32";
        from_f64 to_f64 scalar_f64 f64, DType::F64, "f64";
        from_i64 to_i64 scalar_i64 i64, DType::I64, "i64";
        from_i32 to_i32 scalar_i32 i32, DType::I32, "i32"
    }

    /// A tensor from its bytes; an error when they do not fill `dims`.
    pub fn new(dtype: DType, dims: &[usize], data: impl Into<Arc<[u8]>>) -> Result<Self> {
        let data = data.into();
        let expected = dims.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d));
        if expected != Some(data.len()) || dtype == DType::Text {
            return Err(GraphError::Tensor {
                name: String::new(),
                message: format!("expected {dims:?} of {dtype}, found {} bytes", data.len()),
            });
        }
        Ok(Self { dtype, dims: dims.to_vec(), data })
    }

    /// A boolean scalar.
    pub fn scalar_bool(value: bool) -> Self {
        Self { dtype: DType::Bool, dims: vec![], data: vec![u8::from(value)].into() }
    }

    /// A scalar of the given float or integer type.
    pub fn scalar(dtype: DType, value: f64) -> Self {
        let data: Vec<u8> = match dtype {
            DType::F32 => (value as f32).to_le_bytes().into(),
            DType::F64 => value.to_le_bytes().into(),
            DType::F16 => half::f16::from_f64(value).to_le_bytes().into(),
            DType::BF16 => half::bf16::from_f64(value).to_le_bytes().into(),
            DType::I64 => (value as i64).to_le_bytes().into(),
            DType::U64 => (value as u64).to_le_bytes().into(),
            DType::I32 => (value as i32).to_le_bytes().into(),
            DType::U32 => (value as u32).to_le_bytes().into(),
            DType::I16 => (value as i16).to_le_bytes().into(),
            DType::U16 => (value as u16).to_le_bytes().into(),
            DType::I8 => (value as i8).to_le_bytes().into(),
            DType::U8 => vec![value as u8],
            DType::Bool | DType::Text => vec![u8::from(value != 0.0)],
        };
        let dtype = if dtype == DType::Text { DType::Bool } else { dtype };
        Self { dtype, dims: vec![], data: data.into() }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, little-endian, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Integer values of any integer type (or bool), as i64.
    pub fn as_ints(&self) -> Option<Vec<i64>> {
        Some(match self.dtype {
            DType::I64 => self.to_i64()?,
            DType::I32 => self.to_i32()?.into_iter().map(i64::from).collect(),
            DType::U8 | DType::Bool => self.data.iter().map(|b| i64::from(*b)).collect(),
            _ => return None,
        })
    }

    /// The value of a float or integer scalar (or one-element tensor), as f64.
    pub fn as_scalar(&self) -> Option<f64> {
        if self.len() != 1 {
            return None;
        }
        match self.dtype {
            DType::F32 => self.to_f32()?.first().map(|v| f64::from(*v)),
            DType::F64 => self.to_f64()?.first().copied(),
            DType::F16 => Some(half::f16::from_le_bytes([self.data[0], self.data[1]]).to_f64()),
            DType::BF16 => Some(half::bf16::from_le_bytes([self.data[0], self.data[1]]).to_f64()),
            _ => self.as_ints()?.first().map(|v| *v as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_must_fill_the_shape() {
        assert!(Tensor::from_f32(&[2, 3], &[0.0; 5]).is_err());
        assert!(Tensor::new(DType::F32, &[usize::MAX, 8], vec![0; 4]).is_err());
        let t = Tensor::from_f32(&[2], &[1.5, -2.0]).unwrap();
        assert_eq!(t.to_f32().unwrap(), [1.5, -2.0]);
        assert_eq!(t.to_i64(), None);
        for dtype in [DType::F16, DType::BF16, DType::F64, DType::I64] {
            assert_eq!(Tensor::scalar(dtype, 2.0).as_scalar(), Some(2.0));
        }
    }
}
