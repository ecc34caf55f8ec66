//! Cases on disk: `NAME.onnx`, and `NAME.safetensors` with its tensors.

use ekphrasis_graph::{DType, Tensor};
use safetensors::{Dtype, SafeTensors};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// A case that a script wrote.
pub struct Case {
    /// Name of its files.
    pub name: String,
    /// The ONNX model.
    pub model: PathBuf,
    /// Its tensors by name, `in/...` and `out/...` among them.
    pub tensors: BTreeMap<String, Tensor>,
    /// What the script says of it besides.
    pub about: HashMap<String, String>,
}

impl Case {
    /// The tensors of a group (`in`, say), without its prefix.
    pub fn group(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let own = |(name, t): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.strip_prefix('/')?.to_owned(), t.clone()))
        };
        self.tensors.iter().filter_map(own).collect()
    }

    /// What the script says under `key`, as a number.
    pub fn number(&self, key: &str) -> Result<f64, String> {
        let text = self.about.get(key).ok_or_else(|| format!("expected `{key}` in the case, found none"))?;
        text.parse().map_err(|_| format!("expected a number as `{key}`, found `{text}`"))
    }
}

/// The cases of a folder, by name.
pub fn cases(folder: &Path) -> Result<Vec<Case>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    paths.sort();
    paths.iter().map(|path| read(path).map_err(|e| format!("{}: {e}", path.display()))).collect()
}

/// The case whose tensors are in a file.
pub fn read(path: &Path) -> Result<Case, String> {
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
    let about = header.metadata().clone().unwrap_or_default();
    let mut tensors = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?.iter() {
        let dtype = dtype(view.dtype()).ok_or_else(|| format!("`{name}` has a type that is not ours"))?;
        let tensor = Tensor::new(dtype, view.shape(), view.data()).map_err(|e| e.to_string())?;
        tensors.insert(name.to_owned(), tensor);
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Case { name, model: path.with_extension("onnx"), tensors, about })
}

fn dtype(theirs: Dtype) -> Option<DType> {
    Some(match theirs {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::U16 => DType::U16,
        Dtype::I16 => DType::I16,
        Dtype::U32 => DType::U32,
        Dtype::I32 => DType::I32,
        Dtype::U64 => DType::U64,
        Dtype::I64 => DType::I64,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        _ => return None,
    })
}

/// The elements of a tensor of floats.
pub fn floats(t: &Tensor) -> Result<Vec<f64>, String> {
    let halves = || t.bytes().as_chunks::<2>().0.iter();
    Ok(match t.dtype() {
        DType::F32 => t.to_f32().unwrap_or_default().into_iter().map(f64::from).collect(),
        DType::F64 => t.to_f64().unwrap_or_default(),
        DType::F16 => halves().map(|b| half::f16::from_le_bytes(*b).to_f64()).collect(),
        DType::BF16 => halves().map(|b| half::bf16::from_le_bytes(*b).to_f64()).collect(),
        other => return Err(format!("expected floats, found {other}")),
    })
}

/// A tensor of `dtype`, f32 or f64.
pub fn tensor(dtype: DType, dims: &[usize], values: &[f64]) -> Result<Tensor, String> {
    match dtype {
        DType::F64 => Tensor::from_f64(dims, values),
        _ => Tensor::from_f32(dims, &values.iter().map(|v| *v as f32).collect::<Vec<_>>()),
    }
    .map_err(|e| e.to_string())
}

/// How close floats must be: `|found - expected| <= absolute + relative * |expected|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    pub relative: f64,
    pub absolute: f64,
}

/// Whether two tensors agree: floats closely, all else exactly. The message says where they do not.
pub fn agree(found: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<(), String> {
    let describe = |t: &Tensor| format!("{}{:?}", t.dtype(), t.dims());
    if (found.dtype(), found.dims()) != (expected.dtype(), expected.dims()) {
        return Err(format!("expected {}, found {}", describe(expected), describe(found)));
    }
    if !found.dtype().is_float() {
        let place = found.bytes().iter().zip(expected.bytes()).position(|(a, b)| a != b);
        return match place {
            Some(at) => Err(format!("element {} of {} differs", at / found.dtype().size(), describe(found))),
            None => Ok(()),
        };
    }
    for (i, (f, e)) in floats(found)?.into_iter().zip(floats(expected)?).enumerate() {
        let close = (f - e).abs() <= tolerance.absolute + tolerance.relative * e.abs();
        if !(close || f == e || (f.is_nan() && e.is_nan())) {
            return Err(format!("element {i} of {}: expected {e}, found {f}", describe(found)));
        }
    }
    Ok(())
}
