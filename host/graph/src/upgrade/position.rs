//! Operators about positions that came after opset 18, by their definitions.

use super::{Form, Outputs, element, fail, need, size};
use crate::{Attr, AttrsExt, Graph, Result, Tensor, ValueId};

/// `RotaryEmbedding` (opset 23; Su et al. 2021): pairs of features are turned by angles that grow with the
/// position. `x`: `[B, H, T, E]` or `[B, T, H * E]`; cosines and sines `[B, T, R / 2]`, or `[P, R / 2]` with
/// positions `[B, T]`. Of the `E` features the first `R` are turned.
pub(super) fn rotary_embedding(graph: &mut Graph, form: Form) -> Outputs {
    let [x, cos, sin] = [0, 1, 2].map(|i| need(graph, &form, i));
    let (x, mut cos, mut sin) = (x?, cos?, sin?);
    let (rank, heads) = (graph.rank(x)?, form.attrs.int("num_heads", 0));
    // Heads behind positions, as cosines and sines broadcast.
    let mut turned = match rank {
        4 => graph.transpose(x, &[0, 2, 1, 3])?,
        3 if heads > 0 => {
            let shape = graph.int_list(&[0, 0, heads, -1]);
            graph.reshape_to(x, shape)?
        }
        _ => {
            let message = format!("expected 4 dimensions, or 3 and `num_heads`, found {rank} and {heads}");
            return Err(fail(graph, &form, message));
        }
    };
    if let Some(positions) = form.inputs.get(3).copied().flatten() {
        (cos, sin) = (graph.gather(cos, positions, 0)?, graph.gather(sin, positions, 0)?);
    }
    (cos, sin) = (graph.unsqueeze(cos, &[2])?, graph.unsqueeze(sin, &[2])?);
    let half = graph.dims(cos)?.last().and_then(crate::Dim::known);
    let half = half.ok_or_else(|| fail(graph, &form, "expected cosines of a known last dimension"))?;
    let width = match form.attrs.int("rotary_embedding_dim", 0) {
        0 => graph.dims(turned)?.last().and_then(crate::Dim::known),
        given => Some(given),
    };
    if width != Some(2 * half) {
        let found = width.map_or("an unknown number".into(), |n| n.to_string());
        return Err(fail(graph, &form, format!("expected {} features to turn, found {found}", 2 * half)));
    }
    let part =
        |graph: &mut Graph, from: i64, to: i64, step: i64| graph.slice(turned, &[3], &[from], &[to], &[step]);
    let interleaved = form.attrs.int("interleaved", 0) != 0;
    let (a, b) = match interleaved {
        true => (part(graph, 0, 2 * half, 2)?, part(graph, 1, 2 * half, 2)?),
        false => (part(graph, 0, half, 1)?, part(graph, half, 2 * half, 1)?),
    };
    let rest = part(graph, 2 * half, i64::MAX, 1)?;
    let mut product = |x, y| graph.mul(x, y);
    let products = [product(a, cos)?, product(b, sin)?, product(a, sin)?, product(b, cos)?];
    let (real, imaginary) = (graph.sub(products[0], products[1])?, graph.add(products[2], products[3])?);
    let pairs = match interleaved {
        true => {
            let both = [graph.unsqueeze(real, &[4])?, graph.unsqueeze(imaginary, &[4])?];
            let both = graph.concat(&both, 4)?;
            let shape = graph.int_list(&[0, 0, 0, 2 * half]);
            graph.reshape_to(both, shape)?
        }
        false => graph.concat(&[real, imaginary], 3)?,
    };
    let whole = graph.dims(turned)?.last().is_some_and(|d| d.is(2 * half));
    turned = if whole { pairs } else { graph.concat(&[pairs, rest], 3)? };
    let out = match rank {
        4 => graph.transpose(turned, &[0, 2, 1, 3])?,
        _ => graph.reshape_like(turned, x)?,
    };
    Ok(vec![Some(out)])
}

/// `CumProd` (opset 26): products of all up to each place, in steps that double (Hillis and Steele 1986).
pub(super) fn cumulative_product(graph: &mut Graph, form: Form) -> Outputs {
    let (mut x, axis) = (need(graph, &form, 0)?, need(graph, &form, 1)?);
    let axis = graph.value(axis).tensor().and_then(|t| t.as_ints()?.first().copied());
    let axis = axis.ok_or_else(|| fail(graph, &form, "expected a literal axis"))?;
    let rank = graph.rank(x)?;
    let at = crate::infer::axis(axis, rank).map_err(|message| fail(graph, &form, message))?;
    let n = graph.dims(x)?[at].known();
    let n = n.ok_or_else(|| fail(graph, &form, format!("expected a known size of axis {axis}")))?;
    let at = at as i64;
    let flip = |graph: &mut Graph, x| graph.slice(x, &[at], &[-1], &[i64::MIN + 1], &[-1]);
    let reverse = form.attrs.int("reverse", 0) != 0;
    if reverse {
        x = flip(graph, x)?;
    }
    if form.attrs.int("exclusive", 0) != 0 {
        x = shifted(graph, x, rank, at, 1)?;
    }
    let mut step = 1;
    while step < n {
        let before = shifted(graph, x, rank, at, step)?;
        x = graph.mul(x, before)?;
        step = step.saturating_mul(2);
    }
    if reverse {
        x = flip(graph, x)?;
    }
    Ok(vec![Some(x)])
}

/// `x` moved along an axis by so many places, with ones moved in.
fn shifted(graph: &mut Graph, x: ValueId, rank: usize, axis: i64, by: i64) -> Result<ValueId> {
    let kept = graph.slice(x, &[axis], &[0], &[-by], &[1])?;
    let mut pads = vec![0; 2 * rank];
    pads[axis as usize] = by;
    let (pads, one) = (graph.int_list(&pads), graph.scalar_like(x, 1.0));
    graph.op("Pad", &[kept, pads, one], &[])
}

/// `AffineGrid` (opset 20): places from -1 to 1 along each axis of a picture or volume, last axis first, moved by
/// the affine maps `theta`, `[N, 2, 3]` or `[N, 3, 4]`.
pub(super) fn affine_grid(graph: &mut Graph, form: Form) -> Outputs {
    let (theta, size) = (need(graph, &form, 0)?, need(graph, &form, 1)?);
    let axes = match graph.dims(theta)? {
        [_, n, _] if n.is(2) => 2,
        [_, n, _] if n.is(3) => 3,
        _ => {
            let message = format!("expected [N, 2, 3] or [N, 3, 4], found {}", graph.value(theta).describe());
            return Err(fail(graph, &form, message));
        }
    };
    let corners = form.attrs.int("align_corners", 0) != 0;
    let dtype = graph.value(theta).dtype;
    let spatial = graph.slice(size, &[0], &[2], &[i64::MAX], &[1])?;
    let (zero, one) = (graph.constant(Tensor::scalar_i64(0)), graph.constant(Tensor::scalar_i64(1)));
    let mut places = vec![];
    for i in (0..axes).rev() {
        let n = element(graph, spatial, i)?;
        let numbers = graph.op("Range", &[zero, n, one], &[])?;
        let (numbers, n) = (graph.cast(numbers, dtype)?, graph.cast(n, dtype)?);
        // Corners: 2 i / (n - 1) - 1. Edges: (2 i + 1) / n - 1.
        let twice = graph.scale(numbers, 2.0)?;
        let (above, below) = match corners {
            true => (twice, graph.shift(n, -1.0)?),
            false => (graph.shift(twice, 1.0)?, n),
        };
        let place = graph.div(above, below)?;
        let place = graph.shift(place, -1.0)?;
        let others: Vec<i64> = (0..axes).filter(|j| *j != i).collect();
        let place = graph.unsqueeze(place, &others)?;
        let place = graph.expand_to(place, spatial)?;
        places.push(graph.unsqueeze(place, &[axes])?);
    }
    // Homogeneous coordinates as rows.
    let all = graph.concat(&places, axes)?;
    let rows = graph.int_list(&[-1, axes]);
    let all = graph.reshape_to(all, rows)?;
    let parts = |graph: &mut Graph, from: i64, to: i64| graph.slice(theta, &[2], &[from], &[to], &[1]);
    let (linear, offset) = (parts(graph, 0, axes)?, parts(graph, axes, axes + 1)?);
    let turned = graph.transpose(linear, &[0, 2, 1])?;
    let moved = graph.matmul(all, turned)?;
    let offset = graph.transpose(offset, &[0, 2, 1])?;
    let moved = graph.add(moved, offset)?;
    let (whole, last) = (graph.int_list(&[-1]), graph.int_list(&[axes]));
    let shape = graph.concat(&[whole, spatial, last], 0)?;
    Ok(vec![Some(graph.op("Reshape", &[moved, shape], &[("allowzero", Attr::Int(0))])?)])
}

/// `TensorScatter` (opset 24): `update` `[B, .., L, ..]` takes the place of what stands in `past` `[B, .., S, ..]` from
/// each row's own position on; in the mode `circular` it goes on at the start.
pub(super) fn tensor_scatter(graph: &mut Graph, form: Form) -> Outputs {
    let (past, update) = (need(graph, &form, 0)?, need(graph, &form, 1)?);
    let (rank, axis) = (graph.rank(past)?, form.attrs.int("axis", -2));
    let at = crate::infer::axis(axis, rank).map_err(|message| fail(graph, &form, message))? as i64;
    if at == 0 {
        return Err(fail(graph, &form, "expected another axis than the first, which is that of the batch"));
    }
    let [zero, one] = [0, 1].map(|n| graph.constant(Tensor::scalar_i64(n)));
    let shape = graph.shape_of(past)?;
    let (all, new) = (size(graph, past, at)?, size(graph, update, at)?);
    // Where each place of the result stands in the update, `[B, S]`.
    let mut place = graph.op("Range", &[zero, all, one], &[])?;
    place = graph.unsqueeze(place, &[0])?;
    if let Some(start) = form.inputs.get(2).copied().flatten() {
        let start = graph.unsqueeze(start, &[1])?;
        place = graph.sub(place, start)?;
    }
    match form.attrs.text("mode", "linear") {
        "linear" => {}
        "circular" => place = graph.op("Mod", &[place, all], &[])?,
        other => {
            let message = format!("expected the `mode` linear or circular, found `{other}`");
            return Err(fail(graph, &form, message));
        }
    }
    let others: Vec<i64> = (1..rank as i64).filter(|i| *i != at).collect();
    place = graph.unsqueeze(place, &others)?;
    let (from, below) = (graph.greater_equal(place, zero)?, graph.less(place, new)?);
    let written = graph.and(from, below)?;
    // Elsewhere any place of the update will do.
    let inside = graph.op("Mod", &[place, new], &[])?;
    let inside = graph.expand_to(inside, shape)?;
    let taken = graph.op("GatherElements", &[update, inside], &[("axis", at.into())])?;
    Ok(vec![Some(graph.select(written, taken, past)?)])
}
