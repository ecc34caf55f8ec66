//! Normalisations.

use super::{Kind::Dense, Row, row};
use crate::{
    Case, Ctx, Grads,
    broadcast::sum_lead,
    case::{any, positive},
};
use ekphrasis_graph::{AttrsExt, Dim, Result, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("LayerNormalization", Dense, layer_norm, || {
        let x = || any(&[2, 3, 4]);
        vec![
            Case::of([x(), any(&[4]), any(&[4])]).single(),
            Case::of([x(), any(&[4])]).attr("axis", -1).attr("epsilon", 1e-3f32).single(),
            Case::of([x(), any(&[3, 4]), any(&[3, 4])]).attr("axis", 1).single(),
            Case::of([x(), any(&[4]), any(&[4])]).outputs(3).single(),
        ]
    }),
    row("InstanceNormalization", Dense, instance_norm, || {
        vec![Case::of([any(&[2, 3, 4, 2]), positive(&[3]), any(&[3])]).single()]
    }),
    row("BatchNormalization", Dense, batch_norm, || {
        let stats = || [any(&[3]), any(&[3]), any(&[3]), positive(&[3])];
        let case = |x| Case::of([vec![any(x)], stats().to_vec()].concat());
        vec![case(&[4, 3]), case(&[2, 3, 2, 2])]
    }),
];

/// A literal 1 (or 0) in the shape of a weight.
fn filled(c: &mut Ctx, like: ValueId, value: f64) -> Result<ValueId> {
    let one = c.g.scalar_like(like, value);
    c.g.expand_like(one, like)
}

/// With `n = (x - mean) * inv`, `g = dy * scale` and means over the normalised axes,
/// `dx = inv * (g - mean(g) - n * mean(g * n))` (Ba et al. 2016, by the chain rule).
///
/// `n` and `inv` come from the same fused operator with a literal 1 as its scale.
fn layer_norm(c: &mut Ctx) -> Result<Grads> {
    let (x, scale) = (c.x(0)?, c.x(1)?);
    let rank = c.g.rank(x)?;
    let axis = c.axis(c.attrs().int("axis", -1), rank);
    let axes: Vec<i64> = (axis as i64..rank as i64).collect();

    let ones = filled(c, scale, 1.0)?;
    let attrs = c.attrs().clone();
    let fused = c.g.add_node("LayerNormalization", &[Some(x), Some(ones)], attrs, 3)?;
    let [n, _, inv] = *fused.as_slice() else { return Err(c.error("expected three outputs")) };
    let dtype = c.g.value(x).dtype;
    let inv = c.g.cast(inv, dtype)?;

    let mut grads = vec![None; 3];
    let mut dx = None;
    if let Some(dy) = c.grad(0) {
        let weighted = c.g.mul(dy, n)?;
        if c.wants(1) {
            grads[1] = Some(sum_lead(c.g, weighted, axis)?);
        }
        if c.wants(2) {
            grads[2] = Some(sum_lead(c.g, dy, axis)?);
        }
        if c.wants(0) {
            let mean_g = weighted_mean(c, dy, scale, &axes)?;
            let mean_gn = weighted_mean(c, weighted, scale, &axes)?;
            let g = c.g.mul(dy, scale)?;
            let along = c.g.mul(n, mean_gn)?;
            let t = c.g.sub(g, along)?;
            let t = c.g.sub(t, mean_g)?;
            dx = Some(c.g.mul(t, inv)?);
        }
    }
    // d mean / dx = 1 / D and d inv / dx = -inv^2 * n / D.
    for (i, grad) in [(1, c.grad(1)), (2, c.grad(2))] {
        let (Some(grad), true) = (grad, c.wants(0)) else { continue };
        let size = c.count(x, inv)?;
        let grad = c.g.cast(grad, dtype)?;
        let mut t = c.g.div(grad, size)?;
        if i == 2 {
            let square = c.g.mul(inv, inv)?;
            let u = c.g.mul(t, square)?;
            let u = c.g.neg(u)?;
            t = c.g.mul(n, u)?;
        }
        dx = Some(match dx {
            Some(d) => c.g.add(d, t)?,
            None => t,
        });
    }
    grads[0] = dx.map(|d| crate::broadcast::dense(c.g, d, x)).transpose()?;
    Ok(grads)
}

/// The mean of `v * scale` over the last `axes`, kept as 1. Over one axis of known size it is a
/// matrix times a column, which reads `v` once and writes nothing of its size.
fn weighted_mean(c: &mut Ctx, v: ValueId, scale: ValueId, axes: &[i64]) -> Result<ValueId> {
    if let (1, Some(n)) = (axes.len(), c.g.dims(scale)?.first().and_then(Dim::known)) {
        let share = c.g.scale(scale, 1.0 / n as f64)?;
        let column = c.g.unsqueeze(share, &[1])?;
        return c.g.matmul(v, column);
    }
    let t = c.g.mul(v, scale)?;
    c.g.reduce_mean(t, axes, true)
}

/// A value for each channel, shaped to broadcast over `[N, C, ...]`.
fn per_channel(c: &mut Ctx, v: ValueId, rank: usize) -> Result<ValueId> {
    let spatial: Vec<i64> = (1..rank as i64 - 1).collect();
    c.g.unsqueeze(v, &spatial)
}

fn instance_norm(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, scale) = (c.dy()?, c.x(0)?, c.x(1)?);
    let rank = c.g.rank(x)?;
    let spatial: Vec<i64> = (2..rank as i64).collect();
    let every: Vec<i64> = std::iter::once(0).chain(spatial.clone()).collect();
    let epsilon = f64::from(c.attrs().float("epsilon", 1e-5));

    let mean = c.g.reduce_mean(x, &spatial, true)?;
    let centred = c.g.sub(x, mean)?;
    let square = c.g.mul(centred, centred)?;
    let variance = c.g.reduce_mean(square, &spatial, true)?;
    let safe = c.g.shift(variance, epsilon)?;
    let deviation = c.g.sqrt(safe)?;
    let n = c.g.div(centred, deviation)?;

    let weighted = c.g.mul(dy, n)?;
    let mut grads = vec![None; 3];
    if c.wants(1) {
        grads[1] = Some(c.g.reduce_sum(weighted, &every, false)?);
    }
    if c.wants(2) {
        grads[2] = Some(c.g.reduce_sum(dy, &every, false)?);
    }
    if c.wants(0) {
        let mean_dy = c.g.reduce_mean(dy, &spatial, true)?;
        let mean_weighted = c.g.reduce_mean(weighted, &spatial, true)?;
        let along = c.g.mul(n, mean_weighted)?;
        let t = c.g.sub(dy, mean_dy)?;
        let t = c.g.sub(t, along)?;
        let scale = per_channel(c, scale, rank)?;
        let factor = c.g.div(scale, deviation)?;
        grads[0] = Some(c.g.mul(t, factor)?);
    }
    Ok(grads)
}

/// In inference, `y = (x - mean) * k + bias` with `k = scale / sqrt(variance + epsilon)`.
fn batch_norm(c: &mut Ctx) -> Result<Grads> {
    if c.attrs().int("training_mode", 0) != 0 {
        return Err(
            c.error("training-mode batch normalisation\nhint: decompose it first (`batch_norm_training`)")
        );
    }
    let (dy, x, scale, mean, variance) = (c.dy()?, c.x(0)?, c.x(1)?, c.x(3)?, c.x(4)?);
    let rank = c.g.rank(x)?;
    let every: Vec<i64> = (0..rank as i64).filter(|i| *i != 1).collect();
    let epsilon = f64::from(c.attrs().float("epsilon", 1e-5));
    let safe = c.g.shift(variance, epsilon)?;
    let deviation = c.g.sqrt(safe)?;
    let k = c.g.div(scale, deviation)?;

    let mut grads = vec![None; 5];
    if c.wants(0) {
        let k = per_channel(c, k, rank)?;
        grads[0] = Some(c.g.mul(dy, k)?);
    }
    if !(1..5).any(|i| c.wants(i)) {
        return Ok(grads);
    }
    let dbias = c.g.reduce_sum(dy, &every, false)?;
    // sum(dy * (x - mean)) without making x - mean.
    let t = c.g.mul(dy, x)?;
    let moment = c.g.reduce_sum(t, &every, false)?;
    let shift = c.g.mul(mean, dbias)?;
    let centred = c.g.sub(moment, shift)?;
    let dscale = c.g.div(centred, deviation)?;
    grads[1] = Some(dscale);
    grads[2] = Some(dbias);
    if c.wants(3) {
        let t = c.g.mul(k, dbias)?;
        grads[3] = Some(c.g.neg(t)?);
    }
    if c.wants(4) {
        let t = c.g.mul(dscale, scale)?;
        let t = c.g.div(t, safe)?;
        grads[4] = Some(c.g.scale(t, -0.5)?);
    }
    Ok(grads)
}
