//! Tensors of a model: their bytes in the file, or in files beside it.

use super::Step;
use crate::{Attr, Attrs, AttrsExt, DType, Tensor, infer, proto};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// Reads tensors, and the external data of those that have some.
pub(super) struct External<'a> {
    /// Where external data may lie.
    folder: Option<&'a Path>,
    /// Regions that were read, so that tensors which share one share memory.
    regions: HashMap<(PathBuf, u64, u64), Arc<[u8]>>,
    /// Bytes read of each file; no more than it holds.
    taken: HashMap<PathBuf, u64>,
}

impl<'a> External<'a> {
    pub fn new(folder: Option<&'a Path>) -> Self {
        Self { folder, regions: HashMap::new(), taken: HashMap::new() }
    }

    /// The tensor, once its shape and its data agree.
    pub fn tensor(&mut self, t: proto::TensorProto) -> Step<Tensor> {
        let dtype = DType::expect_onnx(t.data_type)?;
        if dtype == DType::Text {
            return Err("tensors of text are not supported".into());
        }
        if t.dims.len() > infer::MAX_RANK {
            return Err(format!("expected at most {} dimensions, found {}", infer::MAX_RANK, t.dims.len()));
        }
        let sizes: Option<Vec<usize>> = t.dims.iter().map(|d| usize::try_from(*d).ok()).collect();
        let dims = sizes.ok_or_else(|| format!("expected sizes of 0 or more, found {:?}", t.dims))?;
        let length = dims.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d));
        let length = length.ok_or_else(|| format!("{dims:?} of {dtype} is larger than any memory"))?;
        if t.data_location == proto::tensor_proto::DataLocation::External as i32 {
            let data = self.read(&t.external_data, length as u64)?;
            return Tensor::new(dtype, &dims, data).map_err(|e| e.to_string());
        }
        let data: Arc<[u8]> = match t.raw_data {
            // Any other byte than 0 and 1 would be no boolean.
            Some(raw) if dtype == DType::Bool && raw.iter().any(|b| *b > 1) => {
                return Err("expected booleans of 0 or 1, found other bytes".into());
            }
            Some(raw) if !raw.is_empty() => raw.into(),
            _ => typed(dtype, &t)?.into(),
        };
        if data.len() != length {
            return Err(format!("expected {length} bytes for {dims:?} of {dtype}, found {}", data.len()));
        }
        Tensor::new(dtype, &dims, data).map_err(|e| e.to_string())
    }

    fn read(&mut self, entries: &[proto::StringStringEntryProto], expected: u64) -> Step<Arc<[u8]>> {
        let entry = |key: &str| entries.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| match entry(key) {
            Some(v) => {
                v.parse::<u64>().map(Some).map_err(|_| format!("expected a number as `{key}`, found `{v}`"))
            }
            None => Ok(None),
        };
        let location =
            entry("location").filter(|l| !l.is_empty()).ok_or("expected a `location`, found none")?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?.unwrap_or(expected));
        if length != expected {
            return Err(format!("expected {expected} bytes, found a `length` of {length}"));
        }
        let path = self.locate(location)?;
        let key = (path, offset, length);
        if let Some(region) = self.regions.get(&key) {
            return Ok(region.clone());
        }
        let path = &key.0;
        let failed = |e: std::io::Error| format!("external data `{location}`: {e}");
        let mut file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        let end = offset.checked_add(length).filter(|end| *end <= meta.len());
        if !meta.is_file() || end.is_none() {
            return Err(format!(
                "expected {length} bytes at {offset} in `{location}`, which has {}\nhint: was it cut short?",
                meta.len()
            ));
        }
        let taken = self.taken.entry(path.clone()).or_default();
        *taken = taken.saturating_add(length);
        if *taken > meta.len() {
            return Err(format!("expected tensors that do not overlap in `{location}`, found some that do"));
        }
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut data = vec![0; usize::try_from(length).map_err(|e| e.to_string())?];
        file.read_exact(&mut data).map_err(failed)?;
        let region: Arc<[u8]> = data.into();
        self.regions.insert(key, region.clone());
        Ok(region)
    }

    /// The file that a location means, if it lies in the folder of the model.
    fn locate(&self, location: &str) -> Step<PathBuf> {
        let folder = self.folder.ok_or_else(|| {
            format!("the data lie in `{location}`, but a model from memory has no folder\nhint: load it from its file")
        })?;
        let outside = || format!("external data must lie in the folder of the model, found `{location}`");
        let inside =
            Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !inside || location.contains('\\') {
            return Err(outside());
        }
        let real = |p: &Path| fs::canonicalize(p).map_err(|e| format!("external data `{location}`: {e}"));
        let (folder, path) = (real(folder)?, real(&folder.join(location))?);
        if path.starts_with(&folder) { Ok(path) } else { Err(outside()) }
    }
}

/// The tensor of a `Constant` node.
pub(super) fn literal(attrs: &Attrs) -> Step<Tensor> {
    let tensor = match attrs.iter().next() {
        Some((_, Attr::Tensor(t))) => Ok(t.clone()),
        Some((name, Attr::Float(v))) if name == "value_float" => Ok(Tensor::scalar_f32(*v)),
        Some((name, Attr::Int(_))) if name == "value_int" => {
            Ok(Tensor::scalar_i64(attrs.int("value_int", 0)))
        }
        Some((name, Attr::Floats(v))) if name == "value_floats" => Tensor::from_f32(&[v.len()], v),
        Some((name, Attr::Ints(v))) if name == "value_ints" => Tensor::from_i64(&[v.len()], v),
        Some((name, _)) => return Err(format!("a constant by `{name}` is not supported")),
        None => return Err("expected a value, found no attribute".into()),
    };
    if attrs.len() != 1 {
        return Err(format!("expected one attribute, found {}", attrs.len()));
    }
    tensor.map_err(|e| e.to_string())
}

/// The bytes of a tensor whose elements are written one by one.
fn typed(dtype: DType, t: &proto::TensorProto) -> Step<Vec<u8>> {
    let wide = |bytes: usize| {
        t.int32_data.iter().flat_map(move |v| v.to_le_bytes().into_iter().take(bytes)).collect()
    };
    Ok(match dtype {
        DType::F32 => t.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::F64 => t.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::I64 => t.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::U64 => t.uint64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        DType::U32 => t
            .uint64_data
            .iter()
            .map(|v| u32::try_from(*v).map_err(|_| format!("{v} does not fit {dtype}")))
            .collect::<Step<Vec<_>>>()?
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect(),
        DType::Bool => t.int32_data.iter().map(|v| u8::from(*v != 0)).collect(),
        // Narrow types, halves among them, are written as the low bits of 32-bit integers.
        DType::I32 | DType::I16 | DType::U16 | DType::I8 | DType::U8 | DType::F16 | DType::BF16 => {
            let range = match dtype {
                DType::I16 => i64::from(i16::MIN)..=i64::from(i16::MAX),
                DType::I8 => i64::from(i8::MIN)..=i64::from(i8::MAX),
                DType::U8 => 0..=i64::from(u8::MAX),
                DType::I32 => i64::from(i32::MIN)..=i64::from(i32::MAX),
                _ => 0..=i64::from(u16::MAX),
            };
            if let Some(v) = t.int32_data.iter().find(|v| !range.contains(&i64::from(**v))) {
                return Err(format!("{v} does not fit {dtype}"));
            }
            wide(dtype.size())
        }
        DType::Text => vec![],
    })
}
