//! The operator that moves the numbers.

use super::{super::kernel::Shared, NAME};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::Float32,
};
use std::{ops::Range, slice};

/// Numbers that a thread takes at once.
const SHARE: usize = 16 * 1024;

/// Rows and columns that are turned together: their lines of memory stay in the first cache.
const TILE: usize = 16;

/// The operator.
pub(in super::super) struct Transpose;

impl Operator for Transpose {
    type Kernel<'attr> = Permutation;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Permutation> {
        let perm = context.get::<Vec<i64>>("perm").unwrap_or_default();
        let axes: Vec<usize> = perm.iter().filter_map(|axis| usize::try_from(*axis).ok()).collect();
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        match sorted.into_iter().eq(0..perm.len()) {
            true => Ok(Permutation(axes)),
            false => Err(ort::Error::new(format!("expected a permutation, found {perm:?}"))),
        }
    }
}

/// For each axis of the result the one of the input.
pub(in super::super) struct Permutation(Vec<usize>);

impl Kernel for Permutation {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let value = context.input(0)?.ok_or_else(|| ort::Error::new("the input is missing"))?;
        let (shape, data) = value.try_extract_tensor::<f32>()?;
        if shape.len() != self.0.len() {
            return Err(ort::Error::new(format!("{shape:?} has other axes than {:?}", self.0)));
        }
        let dims: Vec<usize> = shape.iter().map(|d| usize::try_from(*d).unwrap_or(0)).collect();
        let result: Vec<i64> = self.0.iter().map(|axis| shape[*axis]).collect();
        let mut value = context.output(0, result)?.ok_or_else(|| ort::Error::new("the result is missing"))?;
        let (_, result) = value.try_extract_tensor_mut::<f32>()?;
        if result.len() != data.len() || dims.iter().product::<usize>() != data.len() {
            return Err(ort::Error::new(format!("expected {shape:?}, found {} numbers", result.len())));
        }
        if data.is_empty() {
            return Ok(());
        }
        let (moves, target) = (&Moves::new(&dims, &self.0), Shared(result.as_mut_ptr()));
        let (count, size) = moves.items();
        let share = (SHARE / size).max(1);
        let run = move |i: usize| {
            let target = target;
            // SAFETY: no two items write the same numbers, all of them the result's, and `par_for` returns when all
            // are done.
            unsafe { moves.run(data, target.0, i * share..((i + 1) * share).min(count)) }
        };
        context.par_for(count.div_ceil(share), 0, run)
    }
}

/// An axis of the result.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    size: usize,
    /// From one to the next in the input, and in the result.
    from: usize,
    to: usize,
}

/// What goes where. Axes that stay beside each other are one.
#[derive(Debug, PartialEq)]
struct Moves {
    outer: Vec<Axis>,
    inner: Inner,
}

#[derive(Debug, PartialEq)]
enum Inner {
    /// The last axis is the last of the input too: rows are copied.
    Rows { row: Axis, len: usize },
    /// It is not: the axes that are the last of the input and of the result change places.
    Turned { rows: Axis, columns: Axis },
}

impl Moves {
    fn new(dims: &[usize], perm: &[usize]) -> Self {
        let stride = |axis: usize| dims[axis + 1..].iter().product::<usize>();
        let mut axes: Vec<Axis> = vec![];
        for axis in perm.iter().copied().filter(|axis| dims[*axis] != 1) {
            let (size, from) = (dims[axis], stride(axis));
            match axes.last_mut() {
                Some(last) if last.from == size * from => {
                    *last = Axis { size: last.size * size, from, to: 1 }
                }
                _ => axes.push(Axis { size, from, to: 1 }),
            }
        }
        for i in (1..axes.len()).rev() {
            axes[i - 1].to = axes[i].to * axes[i].size;
        }
        let one = Axis { size: 1, from: 0, to: 0 };
        let last = axes.pop().unwrap_or(Axis { size: 1, from: 1, to: 1 });
        if last.from == 1 {
            let row = axes.pop().unwrap_or(one);
            return Self { outer: axes, inner: Inner::Rows { row, len: last.size } };
        }
        let place = axes.iter().position(|a| a.from == 1);
        let rows = place.map_or(one, |place| axes.remove(place));
        Self { outer: axes, inner: Inner::Turned { rows, columns: last } }
    }

    /// How many pieces can be moved each by itself, and about how many numbers one has.
    fn items(&self) -> (usize, usize) {
        let outer: usize = self.outer.iter().map(|a| a.size).product();
        match &self.inner {
            Inner::Rows { row, len } => (outer * row.size, *len),
            Inner::Turned { rows, columns } => (outer * rows.size.div_ceil(TILE), TILE * columns.size),
        }
    }

    /// Where an index of the outer axes begins in the input and in the result.
    fn begin(&self, mut index: usize) -> (usize, usize) {
        let (mut from, mut to) = (0, 0);
        for axis in self.outer.iter().rev() {
            let i = index % axis.size;
            index /= axis.size;
            from += i * axis.from;
            to += i * axis.to;
        }
        (from, to)
    }

    /// Moves a range of items.
    ///
    /// # Safety
    /// `result` has as many numbers as `data`, and nobody else touches those of these items meanwhile.
    unsafe fn run(&self, data: &[f32], result: *mut f32, items: Range<usize>) {
        let mut item = items.start;
        while item < items.end {
            match &self.inner {
                Inner::Rows { row, len } => {
                    let first = item % row.size;
                    let rows = first..row.size.min(first + items.end - item);
                    let (from, to) = self.begin(item / row.size);
                    item += rows.len();
                    for i in rows {
                        let source = &data[from + i * row.from..][..*len];
                        let place = result.wrapping_add(to + i * row.to);
                        // SAFETY: the row lies in the result, and is this item's.
                        let place = unsafe { slice::from_raw_parts_mut(place, *len) };
                        copy(source, place);
                    }
                }
                Inner::Turned { rows, columns } => {
                    let tiles = rows.size.div_ceil(TILE);
                    let (from, to) = self.begin(item / tiles);
                    let first = item % tiles * TILE;
                    let height = TILE.min(rows.size - first);
                    item += 1;
                    for column in (0..columns.size).step_by(TILE) {
                        let width = TILE.min(columns.size - column);
                        let source = &data[from + first + column * columns.from..];
                        let place = result.wrapping_add(to + first * rows.to + column);
                        // SAFETY: the tile lies in the result, and is this item's.
                        unsafe { turn(source, columns.from, place, rows.to, [height, width]) };
                    }
                }
            }
        }
    }
}

/// Short rows do not pay for a call.
fn copy(from: &[f32], to: &mut [f32]) {
    match from.len() {
        ..32 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        _ => to.copy_from_slice(from),
    }
}

/// Writes `[height, width]` numbers, whose columns lie `step` apart in `from` and whose rows `stride` apart in `to`.
///
/// # Safety
/// The rows are valid for writes, and nobody else touches them meanwhile.
unsafe fn turn(from: &[f32], step: usize, to: *mut f32, stride: usize, [height, width]: [usize; 2]) {
    let mut tile = [[0.0; TILE]; TILE];
    for (j, column) in from.chunks(step).take(width).enumerate() {
        match <&[f32; TILE]>::try_from(&column[..height.min(column.len())]) {
            Ok(column) => (0..TILE).for_each(|i| tile[i][j] = column[i]),
            Err(_) => column[..height].iter().enumerate().for_each(|(i, v)| tile[i][j] = *v),
        }
    }
    for (i, row) in tile.iter().take(height).enumerate() {
        // SAFETY: as the caller promised.
        let place = unsafe { slice::from_raw_parts_mut(to.wrapping_add(i * stride), width) };
        copy(&row[..width], place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_stay_together_are_one() {
        let axis = |size, from, to| Axis { size, from, to };
        // Heads: rows of 64 numbers.
        let heads = Moves::new(&[8, 20, 4, 64], &[0, 2, 1, 3]);
        let row = axis(20, 256, 64);
        assert_eq!(heads.outer, [axis(8, 5120, 5120), axis(4, 64, 1280)]);
        assert_eq!(heads.inner, Inner::Rows { row, len: 64 });
        assert_eq!(heads.items(), (8 * 4 * 20, 64));
        // Axes of one are none, and a plain turn has no outer axes.
        let turned = Moves::new(&[5, 1, 3, 7], &[2, 3, 1, 0]);
        assert_eq!(turned.inner, Inner::Turned { rows: axis(21, 1, 5), columns: axis(5, 21, 1) });
        assert_eq!(turned.outer, []);
        // What moves nothing is a row.
        assert_eq!(Moves::new(&[2, 3], &[0, 1]).inner, Inner::Rows { row: axis(1, 0, 0), len: 6 });
    }
}
