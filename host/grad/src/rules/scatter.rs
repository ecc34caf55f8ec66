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

/// Adds slices `updates` to `base` at `indices`, whose last dimension are coordinates.
pub(super) fn add_slices(
    g: &mut Graph,
    base: ValueId,
    indices: ValueId,
    updates: ValueId,
) -> Result<ValueId> {
    g.op("ScatterND", &[base, indices, updates], &[("reduction", "add".into())])
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
    let dims = c.g.dims(x)?;
    let ordered: Vec<Dim> = to_front.iter().filter_map(|o| dims.get(*o as usize).cloned()).collect();
    let sum = match ordered.iter().map(Dim::known).collect::<Option<Vec<i64>>>() {
        Some(dims) => known_rows(c.g, dy, coordinates, &dims)?,
        None => {
            let base = zeros(c.g, x, &to_front)?;
            let coordinates = c.g.unsqueeze(coordinates, &[depth as i64])?;
            add_slices(c.g, base, coordinates, dy)?
        }
    };
    c.g.transpose(sum, &Ctx::inverse(&to_front))
}

/// Tables up to this many rows get their gradient by a product.
const SMALL_TABLE: i64 = 256;

/// Sums the slices of `dy` that belong to one row of a table of known size `dims`.
///
/// `ScatterND` would be the fastest, but ONNX Runtime adds on several threads in any order, and a run
/// must give the same bits each time.
fn known_rows(g: &mut Graph, dy: ValueId, indices: ValueId, dims: &[i64]) -> Result<ValueId> {
    let (count, width) = (dims.first().copied().unwrap_or(1), dims.iter().skip(1).product::<i64>());
    let line = g.int_list(&[-1]);
    let indices = g.reshape_to(indices, line)?;
    let column = g.unsqueeze(indices, &[1])?;
    let matrix = g.int_list(&[-1, width]);
    let dy = g.reshape_to(dy, matrix)?;
    let sum = if count <= SMALL_TABLE {
        // Indices may count from the end.
        let size = g.constant(Tensor::scalar_i64(count));
        let column = g.op("Mod", &[column, size], &[])?;
        let all: Vec<i64> = (0..count).collect();
        let all = g.int_list(&all);
        let hot = g.equal(column, all)?;
        let hot = g.cast(hot, g.value(dy).dtype)?;
        g.op("Gemm", &[hot, dy], &[("transA", 1i64.into())])?
    } else {
        let zero = g.scalar_like(dy, 0.0);
        let shape = g.int_list(&[count, width]);
        let base = g.expand_to(zero, shape)?;
        let indices = g.expand_like(column, dy)?;
        add_elements(g, base, indices, dy, 0)?
    };
    let shape = g.int_list(dims);
    g.reshape_to(sum, shape)
}

/// Zeros of the shape of `x` with its dimensions in another order.
fn zeros(g: &mut Graph, x: ValueId, order: &[i64]) -> Result<ValueId> {
    let dims = g.dims(x)?.to_vec();
    let zero = g.scalar_like(x, 0.0);
    let known: Option<Vec<i64>> = order.iter().map(|o| dims.get(*o as usize).and_then(Dim::known)).collect();
    let shape = match known {
        Some(dims) => g.int_list(&dims),
        None => {
            let (shape, order) = (g.shape_of(x)?, g.int_list(order));
            g.op("Gather", &[shape, order], &[])?
        }
    };
    g.expand_to(zero, shape)
}
