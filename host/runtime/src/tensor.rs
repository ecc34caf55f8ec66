//! Tensors in ONNX Runtime's memory.

use crate::{
    Result, RuntimeError, cuda,
    element::Element,
    error::{checked, ort},
    memory::{Claim, Memory},
    runtime,
};
use ekphrasis_graph::{DType, Tensor};
use ort::{
    AsPointer,
    memory::{Allocator, MemoryInfo},
    value::{DynTensor, Shape},
};
use std::{fmt, ptr::NonNull, slice, sync::Arc};

/// A dense tensor in memory that ONNX Runtime allocated, on the host or on a device. Clones share the
/// memory, and so do views of it; a write through one is seen by all and by every binding.
///
/// Reading while somebody writes is refused with [`RuntimeError::Busy`], never a race.
#[derive(Clone)]
pub struct DeviceTensor(Arc<Inner>);

struct Inner {
    /// The value of a view; a tensor that owns its memory uses the memory's own.
    view: Option<DynTensor>,
    memory: Arc<Memory>,
    dtype: DType,
    dims: Vec<usize>,
    /// First byte; dangling (and aligned) for a tensor without elements.
    data: NonNull<u8>,
}

// SAFETY: `data` points into `memory`, which lives as long as the tensor, and is only followed while a
// `Claim` on that memory is held, which admits many readers or one writer across threads.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl DeviceTensor {
    /// A tensor of zeros on the host.
    ///
    /// # Errors
    /// [`RuntimeError::NotStarted`] before the runtime is started; [`RuntimeError::Ort`] without memory.
    pub fn zeros(dtype: DType, dims: &[usize]) -> Result<Self> {
        runtime::started()?;
        Self::allocate(&Allocator::default(), dtype, dims)
    }

    /// A tensor of `dtype` from an allocator; zeros where the host can reach it.
    pub(crate) fn allocate(allocator: &Allocator, dtype: DType, dims: &[usize]) -> Result<Self> {
        let bytes = dims.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d));
        if bytes.is_none_or(|n| isize::try_from(n).is_err()) {
            let expected = "a size that fits into memory".to_owned();
            let context = "making a tensor".to_owned();
            return Err(RuntimeError::Tensor { context, expected, found: describe(dtype, dims) });
        }
        let element = crate::element::to_ort(dtype)?;
        let shape: Shape = dims.iter().map(|d| *d as i64).collect();
        DynTensor::new(allocator, element, shape)
            .map_err(ort("making a tensor"))
            .and_then(|value| Self::adopt(value, dtype, dims.to_vec()))
    }

    /// A tensor over a value that owns its memory.
    pub(crate) fn adopt(value: DynTensor, dtype: DType, dims: Vec<usize>) -> Result<Self> {
        let data =
            NonNull::new(value.data_ptr().cast_mut().cast()).unwrap_or(NonNull::<u64>::dangling().cast());
        Ok(Self(Arc::new(Inner { view: None, memory: Memory::new(value), dtype, dims, data })))
    }

    /// A tensor of f32 on the host; an error when `values` does not fill `dims`.
    pub fn from_f32(dims: &[usize], values: Vec<f32>) -> Result<Self> {
        Self::from_slice(dims, &values)
    }

    /// A tensor of i64 on the host; an error when `values` does not fill `dims`.
    pub fn from_i64(dims: &[usize], values: Vec<i64>) -> Result<Self> {
        Self::from_slice(dims, &values)
    }

    /// A tensor of booleans on the host; an error when `values` does not fill `dims`.
    pub fn from_bool(dims: &[usize], values: Vec<bool>) -> Result<Self> {
        Self::from_slice(dims, &values)
    }

    /// A copy of a graph's tensor on the host.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let new = Self::zeros(tensor.dtype(), tensor.dims())?;
        new.change(|bytes| bytes.copy_from_slice(tensor.bytes()))?;
        Ok(new)
    }

    fn from_slice<T: Element>(dims: &[usize], values: &[T]) -> Result<Self> {
        if dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) != Some(values.len()) {
            let found = format!("{} values", values.len());
            let expected = describe(T::DTYPE, dims);
            return Err(RuntimeError::Tensor { context: "making a tensor".into(), expected, found });
        }
        let new = Self::zeros(T::DTYPE, dims)?;
        new.write(values)?;
        Ok(new)
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0.dims
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.dims.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the host can read and write it without a copy.
    pub fn is_on_host(&self) -> bool {
        self.0.memory.host
    }

    /// `f32[2, 3]`, as errors print it.
    pub fn describe(&self) -> String {
        describe(self.dtype(), self.dims())
    }

    /// Its values, if it holds f32.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        self.with_f32(<[f32]>::to_vec)
    }

    /// Its values, if it holds i64.
    pub fn to_i64(&self) -> Result<Vec<i64>> {
        self.with_slice(<[i64]>::to_vec)
    }

    /// Its values, if it holds booleans.
    pub fn to_bool(&self) -> Result<Vec<bool>> {
        self.expect_dtype(DType::Bool, "reading")?;
        self.read(|bytes| bytes.iter().map(|b| *b != 0).collect())
    }

    /// A copy for use in a graph.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let bytes = self.read(<[u8]>::to_vec)?;
        Ok(Tensor::new(self.dtype(), self.dims(), bytes)?)
    }

    /// Lends its values, if it holds f32; without a copy where the host can read them.
    pub fn with_f32<R>(&self, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
        self.with_slice(f)
    }

    /// Lends its values, if it holds i64; without a copy where the host can read them.
    pub fn with_i64<R>(&self, f: impl FnOnce(&[i64]) -> R) -> Result<R> {
        self.with_slice(f)
    }

    fn with_slice<T: Element, R>(&self, f: impl FnOnce(&[T]) -> R) -> Result<R> {
        self.expect_dtype(T::DTYPE, "reading")?;
        self.read(|bytes| {
            let len = bytes.len() / size_of::<T>();
            // SAFETY: the bytes hold whole elements of this type (checked above), any bit pattern of which
            // is a value (`Element` is implemented for numbers, and for bool, which is never read this way),
            // and ONNX Runtime aligns allocations to 64 bytes, views to their element.
            f(unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), len) })
        })
    }

    /// Overwrites its values in place; an error when type or number do not match.
    pub fn write_f32(&self, values: &[f32]) -> Result<()> {
        self.write(values)
    }

    /// Overwrites its values in place; an error when type or number do not match.
    pub fn write_i64(&self, values: &[i64]) -> Result<()> {
        self.write(values)
    }

    fn write<T: Element>(&self, values: &[T]) -> Result<()> {
        self.expect_dtype(T::DTYPE, "writing")?;
        if values.len() != self.len() {
            let found = format!("{} values", values.len());
            return Err(RuntimeError::Tensor { context: "writing".into(), expected: self.describe(), found });
        }
        // SAFETY: any value of these types may be seen as its bytes; none has padding.
        let bytes = unsafe { slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        self.change(|own| own.copy_from_slice(bytes))
    }

    /// Copies all of `source` into this tensor, between devices where they differ.
    pub fn copy_from(&self, source: &Self) -> Result<()> {
        if (self.dtype(), self.dims()) != (source.dtype(), source.dims()) {
            let (expected, found) = (self.describe(), source.describe());
            return Err(RuntimeError::Tensor { context: "copying".into(), expected, found });
        }
        if self.is_empty() {
            return Ok(());
        }
        let memories = [(source.0.memory.clone(), false), (self.0.memory.clone(), true)];
        let _claim = Claim::new(&memories, || format!("copying {}", source.describe()))?;
        if self.is_on_host() && source.is_on_host() {
            // SAFETY: both are host memory of this size; the claims (which two views of one memory
            // cannot both get) rule out overlap and other users.
            unsafe { self.0.data.copy_from_nonoverlapping(source.0.data, self.byte_len()) };
            return Ok(());
        }
        // SAFETY: both are of this size, and claimed as above.
        unsafe { cuda::copy(self.0.data.as_ptr(), source.0.data.as_ptr(), self.byte_len()) }
    }

    /// The same memory with other dimensions; an error when the number of elements differs.
    pub fn reshaped(&self, dims: &[usize]) -> Result<Self> {
        if dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) != Some(self.len()) {
            let (expected, found) = (format!("{} elements", self.len()), describe(self.dtype(), dims));
            return Err(RuntimeError::Tensor { context: "reshaping".into(), expected, found });
        }
        self.view_at(0, dims)
    }

    /// A view of the elements from `offset` on; the caller has checked that they are there.
    pub(crate) fn view_at(&self, offset: usize, dims: &[usize]) -> Result<Self> {
        let elements: usize = dims.iter().product();
        if offset.checked_add(elements).is_none_or(|end| end > self.len()) {
            let found = format!("{} at {offset}", describe(self.dtype(), dims));
            return Err(RuntimeError::Tensor { context: "viewing".into(), expected: self.describe(), found });
        }
        // SAFETY: the offset lies within the allocation (checked above), or at its end for no elements.
        let data = unsafe { self.0.data.add(offset * self.dtype().size()) };
        let whole = Inner {
            view: None,
            memory: self.0.memory.clone(),
            dtype: self.dtype(),
            dims: dims.to_vec(),
            data,
        };
        let view = Self(Arc::new(whole));
        let value = view.alias(dims)?;
        let memory = self.0.memory.clone();
        let dims = dims.to_vec();
        Ok(Self(Arc::new(Inner { view: Some(value), memory, dtype: self.dtype(), dims, data })))
    }

    /// Another value over the same bytes. It owns nothing: whoever keeps it keeps this tensor too.
    fn alias(&self, dims: &[usize]) -> Result<DynTensor> {
        let shape: Vec<i64> = dims.iter().map(|d| *d as i64).collect();
        let element = crate::element::to_ort(self.dtype())?;
        let info = self.0.memory.value.memory_info();
        let mut value = std::ptr::null_mut();
        let action = "viewing a tensor";
        // SAFETY: the bytes live as long as the memory that the result is stored beside, and there are
        // as many as the shape needs; `info` says where they are.
        unsafe {
            checked((ort::api().CreateTensorWithDataAsOrtValue)(
                info.ptr(),
                self.0.data.as_ptr().cast(),
                self.byte_len(),
                shape.as_ptr(),
                shape.len(),
                element.into(),
                &mut value,
            ))
        }
        .map_err(ort(action))?;
        let value = NonNull::new(value).ok_or_else(|| ort(action)(ort::Error::new("no value made")))?;
        // SAFETY: a fresh value, which the result owns. It names no allocator of its own (its memory is
        // not its own), so that any allocator's handle will do.
        Ok(unsafe { DynTensor::from_ptr(value, Some(&Allocator::default())) })
    }

    fn byte_len(&self) -> usize {
        self.len() * self.dtype().size()
    }

    fn expect_dtype(&self, dtype: DType, context: &str) -> Result<()> {
        if self.dtype() == dtype {
            return Ok(());
        }
        let (expected, found) = (dtype.to_string(), self.describe());
        Err(RuntimeError::Tensor { context: context.into(), expected, found })
    }

    /// Lends its bytes.
    fn read<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Result<R> {
        if !self.is_on_host() {
            return self.to_host()?.read(f);
        }
        let memories = [(self.0.memory.clone(), false)];
        let _claim = Claim::new(&memories, || format!("reading {}", self.describe()))?;
        // SAFETY: host memory of this many bytes that nobody writes while the claim is held.
        Ok(f(unsafe { slice::from_raw_parts(self.0.data.as_ptr(), self.byte_len()) }))
    }

    /// Lends its bytes for writing; on a device, through a copy.
    fn change(&self, f: impl FnOnce(&mut [u8])) -> Result<()> {
        if !self.is_on_host() {
            let host = Self::zeros(self.dtype(), self.dims())?;
            host.change(f)?;
            return self.copy_from(&host);
        }
        let memories = [(self.0.memory.clone(), true)];
        let _claim = Claim::new(&memories, || format!("writing {}", self.describe()))?;
        // SAFETY: host memory of this many bytes that nobody else uses while the claim is held.
        f(unsafe { slice::from_raw_parts_mut(self.0.data.as_ptr(), self.byte_len()) });
        Ok(())
    }

    /// A copy on the host.
    fn to_host(&self) -> Result<Self> {
        let host = Self::zeros(self.dtype(), self.dims())?;
        host.copy_from(self)?;
        Ok(host)
    }

    pub(crate) fn value(&self) -> &DynTensor {
        self.0.view.as_ref().unwrap_or(&self.0.memory.value)
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.0.memory
    }

    pub(crate) fn memory_info(&self) -> &MemoryInfo<'_> {
        self.0.memory.value.memory_info()
    }

    /// First and last address, for finding overlaps.
    pub(crate) fn range(&self) -> (usize, usize) {
        let start = self.0.data.as_ptr() as usize;
        (start, start + self.byte_len())
    }
}

impl fmt::Debug for DeviceTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.describe(), self.memory_info().allocation_device().as_str())
    }
}

pub(crate) fn describe(dtype: DType, dims: &[usize]) -> String {
    format!("{dtype}{dims:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Runtime};

    #[test]
    fn a_copy_reaches_the_memory_behind_a_view() {
        Runtime::start(&Config::default(), &|line| eprintln!("{line}")).unwrap();
        let whole = DeviceTensor::zeros(DType::F32, &[6]).unwrap();
        let view = whole.view_at(2, &[2, 2]).unwrap();
        let source = DeviceTensor::from_f32(&[2, 2], vec![1., 2., 3., 4.]).unwrap();
        view.copy_from(&source).unwrap();
        assert_eq!(whole.to_f32().unwrap(), [0., 0., 1., 2., 3., 4.]);
        assert!(whole.view_at(3, &[4]).is_err());
    }
}
