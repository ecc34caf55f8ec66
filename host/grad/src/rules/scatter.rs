//! Scattering gradients back to where values were taken from.

use crate::Ctx;
use ekphrasis_graph::{AttrsExt, DType, Dim, Graph, Origin, Result, Tensor, ValueId};

/// Adds `updates` to `base` at `indices` along `axis`, elementwise.
pub(super) fn add_elements(
    g: &mut Graph,
    base: ValueId,
    indices: ValueId,
    updates: ValueId,
    axis: i64,
) -> Result<ValueId> {
    g.op("ScatterElements", &[base, indices, updates], &[("axis", axis.into()), ("reduction", "add".into())])
}

/// Values scattered into zeros.
pub(super) struct Picked {
    pub indices: ValueId,
    pub updates: ValueId,
}

/// What `grad` scatters along `axis` into zeros, if that is how it was made.
pub(super) fn picked(g: &Graph, grad: ValueId, axis: i64) -> Option<Picked> {
    let (_, node) = g.producer(grad)?;
    let rank = g.rank(grad).ok()? as i64;
    let own = node.attrs.int("axis", 0);
    let own = if own < 0 { own + rank } else { own };
    let adds = node.op == "ScatterElements" && node.attrs.text("reduction", "none") == "add" && own == axis;
    let [Some(base), Some(indices), Some(updates)] = *node.inputs.as_slice() else { return None };
    (adds && is_zero(g, base)).then_some(Picked { indices, updates })
}

/// Whether a value is an expanded literal 0.
fn is_zero(g: &Graph, v: ValueId) -> bool {
    let source = match g.producer(v) {
        Some((_, node)) if node.op == "Expand" => node.inputs.first().copied().flatten().unwrap_or(v),
        _ => v,
    };
    let value = g.value(source);
    matches!(&value.origin, Origin::Constant(t) if t.as_scalar() == Some(0.0))
}

/// The gradient of taking rows of `x` at integer `indices` along `axis`, where `dy` has the
/// dimensions of the indices in place of that axis.
pub(super) fn rows(c: &mut Ctx, dy: ValueId, x: ValueId, indices: ValueId, axis: usize) -> Result<ValueId> {
    let rank = c.g.rank(x)?;
    let depth = c.g.rank(indices)?;
    // The dimensions of the indices come first, the axis of x too.
    let order = |at: usize, n: usize, total: usize| -> Vec<i64> {
        let block = at..at + n;
        block.clone().chain((0..total).filter(|i| !block.contains(i))).map(|i| i as i64).collect()
    };
    let front = order(axis, depth, rank - 1 + depth);
    let dy = c.g.transpose(dy, &front)?;
    let to_front = order(axis, 1, rank);
    let coordinates = c.g.cast(indices, DType::I64)?;
    let count = size(c.g, x, &to_front[..1])?;
    let width = size(c.g, x, &to_front[1..])?;
    let sum = sum_rows(c.g, dy, coordinates, count, width)?;
    let shape = sizes(c.g, x, &to_front)?;
    let sum = c.g.reshape_to(sum, shape)?;
    c.g.transpose(sum, &Ctx::inverse(&to_front))
}

/// The gradient of taking slices of `x` at the coordinates that the last dimension of `indices` holds,
/// behind `batch` dimensions that both share (`GatherND`).
///
/// Coordinates become numbers of rows: `ScatterND` that adds is not the same on every run.
pub(super) fn slices(
    c: &mut Ctx,
    dy: ValueId,
    x: ValueId,
    indices: ValueId,
    batch: usize,
) -> Result<ValueId> {
    let rank = c.g.rank(x)?;
    let depth = c.g.dims(indices)?.last().and_then(Dim::known);
    let depth = depth.and_then(|d| usize::try_from(d).ok()).filter(|d| *d > 0 && batch + d <= rank);
    let depth = depth.ok_or_else(|| {
        c.error(format!("expected coordinates of known number, found {}", c.g.value(indices).describe()))
    })?;
    let axes: Vec<i64> = (0..rank as i64).collect();
    let (lead, rest) = axes.split_at(batch + depth);
    let (shared, own) = lead.split_at(batch);

    let bounds = sizes(c.g, x, own)?;
    let coordinates = c.g.cast(indices, DType::I64)?;
    // They may count from the end.
    let coordinates = c.g.op("Mod", &[coordinates, bounds], &[])?;
    let mut strides = vec![];
    for i in 1..=depth {
        strides.push(size(c.g, x, &own[i..])?.value);
    }
    let strides = c.g.concat(&strides, 0)?;
    let places = c.g.mul(coordinates, strides)?;
    let mut places = c.g.reduce_sum(places, &[-1], false)?;
    if batch > 0 {
        let (many, each) = (size(c.g, x, shared)?, size(c.g, x, own)?);
        let total = c.g.mul(many.value, each.value)?;
        let ends = [c.g.int_list(&[0]), total, each.value];
        let ends = ends.into_iter().map(|v| c.g.squeeze(v, &[0])).collect::<Result<Vec<_>>>()?;
        let starts = c.g.op("Range", &ends, &[])?;
        let free = c.g.int_list(&[-1]);
        let apart = c.g.concat(&[many.value, free], 0)?;
        places = c.g.reshape_to(places, apart)?;
        let starts = c.g.unsqueeze(starts, &[1])?;
        places = c.g.add(places, starts)?;
    }
    let (count, width) = (size(c.g, x, lead)?, size(c.g, x, rest)?);
    let sum = sum_rows(c.g, dy, places, count, width)?;
    c.g.reshape_like(sum, x)
}

/// How many elements some dimensions hold together.
#[derive(Clone, Copy)]
struct Size {
    known: Option<i64>,
    /// The same as `i64[1]`.
    value: ValueId,
}

fn size(g: &mut Graph, x: ValueId, axes: &[i64]) -> Result<Size> {
    let dims = g.dims(x)?;
    let known = axes.iter().map(|a| dims.get(*a as usize)?.known()).product::<Option<i64>>();
    let value = match (known, axes) {
        (Some(n), _) => g.int_list(&[n]),
        (None, [_]) => sizes(g, x, axes)?,
        _ => {
            let all = sizes(g, x, axes)?;
            g.op("ReduceProd", &[all], &[("keepdims", true.into())])?
        }
    };
    Ok(Size { known, value })
}

/// The sizes of some dimensions as a list; a literal where all are known.
fn sizes(g: &mut Graph, x: ValueId, axes: &[i64]) -> Result<ValueId> {
    let (shape, axes) = (g.shape_of(x)?, g.int_list(axes));
    g.op("Gather", &[shape, axes], &[])
}

/// Tables up to this many rows get their gradient by a product.
const SMALL_TABLE: i64 = 256;

/// A table `[count, width]` in which each row is the sum of those rows of `dy` that have its number.
///
/// `ScatterND` would be the fastest, but ONNX Runtime adds on several threads in any order, and a run
/// must give the same bits each time.
fn sum_rows(g: &mut Graph, dy: ValueId, indices: ValueId, count: Size, width: Size) -> Result<ValueId> {
    let free = g.int_list(&[-1]);
    let line = g.reshape_to(indices, free)?;
    let column = g.unsqueeze(line, &[1])?;
    let matrix = g.concat(&[free, width.value], 0)?;
    let dy = g.reshape_to(dy, matrix)?;
    if let Some(count) = count.known.filter(|n| *n <= SMALL_TABLE) {
        // Indices may count from the end.
        let modulus = g.constant(Tensor::scalar_i64(count));
        let column = g.op("Mod", &[column, modulus], &[])?;
        let all: Vec<i64> = (0..count).collect();
        let all = g.int_list(&all);
        let hot = g.equal(column, all)?;
        let hot = g.cast(hot, g.value(dy).dtype)?;
        return g.op("Gemm", &[hot, dy], &[("transA", 1i64.into())]);
    }
    let zero = g.scalar_like(dy, 0.0);
    let shape = g.concat(&[count.value, width.value], 0)?;
    let base = g.expand_to(zero, shape)?;
    let indices = g.expand_like(column, dy)?;
    add_elements(g, base, indices, dy, 0)
}
