//! Element types.

use std::fmt;

/// The element type of a tensor; numbers as in ONNX's `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum DType {
    /// 32-bit float.
    F32 = 1,
    /// Unsigned byte.
    U8 = 2,
    /// Signed byte.
    I8 = 3,
    /// Unsigned 16-bit integer.
    U16 = 4,
    /// 16-bit integer.
    I16 = 5,
    /// 32-bit integer.
    I32 = 6,
    /// 64-bit integer.
    I64 = 7,
    /// Text.
    Text = 8,
    /// Boolean, one byte.
    Bool = 9,
    /// IEEE half.
    F16 = 10,
    /// 64-bit float.
    F64 = 11,
    /// Unsigned 32-bit integer.
    U32 = 12,
    /// Unsigned 64-bit integer.
    U64 = 13,
    /// Brain float.
    BF16 = 16,
}

impl DType {
    /// All element types.
    pub const ALL: [DType; 14] = [
        Self::F32,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::Text,
        Self::Bool,
        Self::F16,
        Self::F64,
        Self::U32,
        Self::U64,
        Self::BF16,
    ];

    /// The type with this number in ONNX, if it is one of ours.
    pub fn from_onnx(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|d| *d as i32 == number)
    }

    /// The type with this number in ONNX; an error that names the one that it is.
    pub(crate) fn expect_onnx(number: i32) -> Result<Self, String> {
        Self::from_onnx(number).ok_or_else(|| {
            let name = match number {
                14 | 15 => "complex numbers",
                17..=20 | 24 => "8-bit floats",
                21 | 22 => "4-bit integers",
                23 => "4-bit floats",
                25 | 26 => "2-bit integers",
                _ => "an unknown type",
            };
            format!("element type {number} ({name}) is not supported")
        })
    }

    /// Bytes of one element; 0 for text.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Text => 0,
        }
    }

    /// Whether gradients exist for this type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::BF16)
    }

    /// The name that users see and write: `f32`, `i64`, `bool`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Text => "text",
            Self::Bool => "bool",
            Self::F16 => "f16",
            Self::F64 => "f64",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::BF16 => "bf16",
        }
    }

    /// The type that users call by this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
