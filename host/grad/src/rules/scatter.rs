//! Scattering gradients back to where values were taken from.

use crate::Ctx;
use ekphrasis_graph::{AttrsExt, DType, Dim, Graph, Origin, Result, ValueId};

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
    let base = zeros(c.g, x, &to_front)?;
    let coordinates = c.g.cast(indices, DType::I64)?;
    let coordinates = c.g.unsqueeze(coordinates, &[depth as i64])?;
    let sum = add_slices(c.g, base, coordinates, dy)?;
    c.g.transpose(sum, &Ctx::inverse(&to_front))
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
