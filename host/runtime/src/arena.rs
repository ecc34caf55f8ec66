//! Many named tensors in one flat buffer.

use crate::{DeviceTensor, Result, Runtime, RuntimeError};
use ekphrasis_graph::DType;
use std::collections::HashMap;

/// Elements of f32 that each tensor is aligned to: 64 bytes, a cache line.
const ALIGN: usize = 16;

/// Where a tensor of an arena lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Name.
    pub name: String,
    /// First element in the flat buffer.
    pub offset: usize,
    /// Dimensions.
    pub dims: Vec<usize>,
}

impl Slot {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Named tensors of f32 in one flat buffer where the first provider computes, each aligned to 64 bytes,
/// with a view of each that shares the buffer. What lies between them is zero at first.
#[derive(Clone, Debug)]
pub struct Arena {
    flat: DeviceTensor,
    slots: Vec<Slot>,
    views: Vec<DeviceTensor>,
    index: HashMap<String, usize>,
}

impl Arena {
    /// An arena of zeros for tensors with these names and dimensions.
    ///
    /// # Errors
    /// When two have one name, or there is no memory.
    pub fn new(runtime: &Runtime, layout: &[(String, Vec<usize>)]) -> Result<Self> {
        let (slots, len) = place(layout)?;
        let flat = runtime.zeros(DType::F32, &[len])?;
        let views = slots.iter().map(|s| flat.view_at(s.offset, &s.dims)).collect::<Result<_>>()?;
        let index = slots.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect();
        Ok(Self { flat, slots, views, index })
    }

    /// Elements of the flat buffer, padding included.
    pub fn len_padded(&self) -> usize {
        self.flat.len()
    }

    /// The whole buffer, `f32[len_padded]`.
    pub fn flat(&self) -> &DeviceTensor {
        &self.flat
    }

    /// The view of a tensor.
    pub fn view(&self, name: &str) -> Option<&DeviceTensor> {
        self.index.get(name).and_then(|i| self.views.get(*i))
    }

    /// All views with their names, in order.
    pub fn views(&self) -> impl Iterator<Item = (&str, &DeviceTensor)> {
        self.slots.iter().map(|s| s.name.as_str()).zip(&self.views)
    }

    /// Where each tensor lies, in order.
    pub fn offsets(&self) -> &[Slot] {
        &self.slots
    }

    /// The flat buffer's values.
    pub fn read(&self) -> Result<Vec<f32>> {
        self.flat.to_f32()
    }

    /// Overwrites the flat buffer; an error when the length differs.
    pub fn write(&self, values: &[f32]) -> Result<()> {
        self.flat.write_f32(values)
    }

    /// Copies everything from an arena of the same layout.
    pub fn copy_from(&self, other: &Self) -> Result<()> {
        if self.slots != other.slots {
            let expected = "an arena with the same names and dimensions".into();
            let found = "another layout".into();
            return Err(RuntimeError::Tensor { context: "copying an arena".into(), expected, found });
        }
        self.flat.copy_from(&other.flat)
    }
}

/// Puts tensors one after the other, each aligned; the length that they need.
fn place(layout: &[(String, Vec<usize>)]) -> Result<(Vec<Slot>, usize)> {
    let (mut slots, mut end) = (Vec::with_capacity(layout.len()), 0usize);
    let mut names = std::collections::HashSet::new();
    for (name, dims) in layout {
        let error = |expected: &str, found: String| RuntimeError::Tensor {
            context: format!("placing `{name}` in an arena"),
            expected: expected.into(),
            found,
        };
        if !names.insert(name) {
            return Err(error("names that differ", "the name twice".into()));
        }
        let len = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let next = len.and_then(|n| n.checked_next_multiple_of(ALIGN)).and_then(|n| end.checked_add(n));
        let next = next.ok_or_else(|| error("a size that fits into memory", format!("{dims:?}")))?;
        slots.push(Slot { name: name.clone(), offset: end, dims: dims.clone() });
        end = next;
    }
    Ok((slots, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_placed_one_after_the_other_and_aligned() {
        let layout = [("a", vec![3]), ("scalar", vec![]), ("none", vec![2, 0]), ("b", vec![4, 5])]
            .map(|(n, d)| (n.to_owned(), d));
        let (slots, len) = place(&layout).unwrap();
        let offsets: Vec<usize> = slots.iter().map(|s| s.offset).collect();
        assert_eq!((offsets, len), (vec![0, 16, 32, 32], 64));
        let twice = [("a".to_owned(), vec![1]), ("a".to_owned(), vec![2])];
        assert!(place(&twice).unwrap_err().to_string().contains("`a`"));
        assert!(place(&[("big".to_owned(), vec![usize::MAX, 2])]).is_err());
    }
}
