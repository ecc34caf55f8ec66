//! Reductions, and the softmaxes that are built on them.

use super::{
    Kind::{Broadcast, Dense},
    Row, row, scatter,
};
use crate::{
    Case, Ctx, Grads,
    case::{any, apart, at, list, positive, within},
};
use ekphrasis_graph::{AttrsExt, Result, Tensor, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("ReduceSum", Broadcast, sum, || reductions(any)),
    row("ReduceMean", Broadcast, mean, || reductions(any)),
    row("ReduceMax", Broadcast, extremum, || reductions(apart)),
    row("ReduceMin", Broadcast, extremum, || reductions(apart)),
    row("ReduceSumSquare", Broadcast, sum_square, || reductions(any)),
    row("ReduceL1", Broadcast, l1, || {
        let mut cases = reductions(apart);
        cases.push(Case::of([at(&[2, 2], &[0.0, 0.5, -0.6, 0.8]), list(&[1])]).once());
        cases
    }),
    row("ReduceL2", Broadcast, l2, || {
        let mut cases = reductions(apart);
        // A norm of 0 has a gradient of 0.
        cases.push(Case::of([at(&[2, 2], &[0.0, 0.0, 0.6, -0.8]), list(&[1])]).once());
        cases
    }),
    row("ReduceLogSum", Broadcast, log_sum, || reductions(positive)),
    row("ReduceLogSumExp", Broadcast, log_sum_exp, || {
        let mut cases = reductions(any);
        // Exponentials that would overflow.
        cases.push(Case::of([within(&[2, 3], (800.0, 801.0)), list(&[1])]));
        cases
    }),
    row("ReduceProd", Broadcast, product, || {
        let mut cases = reductions(any);
        // None, one and two zeros among the factors; the number of factors may be a symbol.
        let zeros = || at(&[3, 4], &[0.5, 0.0, -1.5, 0.7, 0.0, 1.2, 0.0, 0.4, -0.6, 0.9, 1.1, -0.3]);
        cases.push(Case::of([zeros(), list(&[1])]));
        cases.push(Case::of([zeros(), list(&[0])]));
        cases.push(Case::of([zeros()]));
        cases
    }),
    row("Softmax", Broadcast, softmax, along_axis),
    row("LogSoftmax", Dense, log_softmax, along_axis),
];

fn reductions(operand: fn(&[usize]) -> crate::case::Operand) -> Vec<Case> {
    let x = || operand(&[2, 3, 4]);
    vec![
        Case::of([x()]),
        Case::of([x()]).attr("keepdims", 0),
        Case::of([x(), list(&[1])]),
        Case::of([x(), list(&[-1, 0])]).attr("keepdims", 0),
        Case::of([x(), list(&[0])]).attr("keepdims", 0),
        Case::of([x()]).attr("noop_with_empty_axes", 1),
    ]
}

fn along_axis() -> Vec<Case> {
    [-1, 0, 1].map(|axis| Case::of([any(&[2, 3, 4])]).attr("axis", axis)).into()
}

/// Whether the node reduces nothing.
fn is_noop(c: &Ctx) -> bool {
    let no_axes = c.input(1).is_none() || matches!(c.literal(1), Ok(Some(axes)) if axes.is_empty());
    no_axes && c.attrs().int("noop_with_empty_axes", 0) != 0
}

/// `v`, which has the shape of the output, with the reduced dimensions as 1.
fn keep(c: &mut Ctx, v: ValueId) -> Result<ValueId> {
    if c.attrs().int("keepdims", 1) != 0 || is_noop(c) {
        return Ok(v);
    }
    let rank = c.g.rank(c.x(0)?)?;
    let axes = match c.literal(1)?.filter(|a| !a.is_empty()) {
        Some(axes) => axes,
        None => (0..rank as i64).collect(),
    };
    let mut axes: Vec<i64> = axes.into_iter().map(|a| c.axis(a, rank) as i64).collect();
    axes.sort_unstable();
    c.g.unsqueeze(v, &axes)
}

/// The gradient and the output, with the reduced dimensions as 1.
fn kept(c: &mut Ctx) -> Result<(ValueId, ValueId)> {
    let (dy, y) = (c.dy()?, c.y(0)?);
    Ok((keep(c, dy)?, keep(c, y)?))
}

fn sum(c: &mut Ctx) -> Result<Grads> {
    let dy = c.dy()?;
    Ok(vec![Some(keep(c, dy)?), None])
}

fn mean(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, y) = (c.dy()?, c.x(0)?, c.y(0)?);
    let n = c.count(x, y)?;
    let dy = keep(c, dy)?;
    Ok(vec![Some(c.g.div(dy, n)?), None])
}

/// Equal values share the gradient, so that its total stays 1.
fn extremum(c: &mut Ctx) -> Result<Grads> {
    let ((dy, y), x) = (kept(c)?, c.x(0)?);
    if is_noop(c) {
        return Ok(vec![Some(dy), None]);
    }
    let equal = c.g.equal(x, y)?;
    let mask = c.mask(equal, x)?;
    let mut inputs = vec![Some(mask)];
    inputs.extend(c.input(1).map(Some));
    let ties = c.g.add_node("ReduceSum", &inputs, [("keepdims".to_owned(), 1.into())].into(), 1)?;
    let share = c.g.div(dy, ties[0])?;
    Ok(vec![Some(c.g.mul(mask, share)?), None])
}

fn sum_square(c: &mut Ctx) -> Result<Grads> {
    let (dy, x) = (c.dy()?, c.x(0)?);
    let dy = keep(c, dy)?;
    let twice = c.g.scale(dy, 2.0)?;
    Ok(vec![Some(c.g.mul(x, twice)?), None])
}

fn l1(c: &mut Ctx) -> Result<Grads> {
    let (dy, x) = (c.dy()?, c.x(0)?);
    let (dy, sign) = (keep(c, dy)?, c.sign(x)?);
    Ok(vec![Some(c.g.mul(sign, dy)?), None])
}

/// `x * dy / y`; 0 where the norm is 0.
fn l2(c: &mut Ctx) -> Result<Grads> {
    let ((dy, y), x) = (kept(c)?, c.x(0)?);
    let tiny = c.g.scalar_like(y, 1e-30);
    let y = c.g.max(y, tiny)?;
    let share = c.g.div(dy, y)?;
    Ok(vec![Some(c.g.mul(x, share)?), None])
}

fn log_sum(c: &mut Ctx) -> Result<Grads> {
    let (dy, y) = kept(c)?;
    let sum = c.g.exp(y)?;
    Ok(vec![Some(c.g.div(dy, sum)?), None])
}

fn log_sum_exp(c: &mut Ctx) -> Result<Grads> {
    let ((dy, y), x) = (kept(c)?, c.x(0)?);
    let shifted = c.g.sub(x, y)?;
    let weight = c.g.exp(shifted)?;
    Ok(vec![Some(c.g.mul(weight, dy)?), None])
}

/// Each factor's gradient is the product of the others, zeros or not: by a tree of products over a known
/// number of factors, and otherwise by a product in which each in turn is 1.
fn product(c: &mut Ctx) -> Result<Grads> {
    let ((dy, _), x) = (kept(c)?, c.x(0)?);
    if is_noop(c) {
        return Ok(vec![Some(dy), None]);
    }
    let dims = c.g.dims(x)?.to_vec();
    let rank = dims.len();
    let reduced: Vec<usize> = match c.literal(1)?.filter(|a| !a.is_empty()) {
        Some(axes) => axes.into_iter().map(|a| c.axis(a, rank)).collect(),
        None => (0..rank).collect(),
    };
    if reduced.iter().any(|i| dims[*i].is(0)) {
        // No factors, no gradient.
        return Ok(vec![None, None]);
    }
    let (last, first): (Vec<usize>, Vec<usize>) = (0..rank).partition(|i| reduced.contains(i));
    let perm: Vec<i64> = first.iter().chain(&last).map(|i| *i as i64).collect();
    let own: Vec<i64> = first.iter().map(|_| 0).chain([-1]).collect();
    let line = c.g.int_list(&own);
    // [..., n] and [..., 1]
    let factors = c.g.transpose(x, &perm)?;
    let apart = factors;
    let factors = c.g.reshape_to(factors, line)?;
    let dy = c.g.transpose(dy, &perm)?;
    let dy = c.g.reshape_to(dy, line)?;
    let count = last.iter().map(|i| dims[*i].known()).product::<Option<i64>>();
    let dx = match count {
        Some(n) => products_of_others(c, factors, n, dy)?,
        None => {
            let others = others_by_mask(c, factors)?;
            c.g.mul(others, dy)?
        }
    };
    let dx = c.g.reshape_like(dx, apart)?;
    Ok(vec![Some(c.g.transpose(dx, &Ctx::inverse(&perm))?), None])
}

/// `dy` times the product of all but each of the `n` elements along the last axis.
fn products_of_others(c: &mut Ctx, factors: ValueId, n: i64, dy: ValueId) -> Result<ValueId> {
    if n < 2 {
        return Ok(dy);
    }
    let half = n / 2;
    let part = |c: &mut Ctx, v, from, to| c.g.slice(v, &[-1], &[from], &[to], &[1]);
    let (a, b) = (part(c, factors, 0, half)?, part(c, factors, half, 2 * half)?);
    let mut pairs = c.g.mul(a, b)?;
    if n % 2 == 1 {
        let odd = part(c, factors, n - 1, n)?;
        pairs = c.g.concat(&[pairs, odd], -1)?;
    }
    let up = products_of_others(c, pairs, n - half, dy)?;
    let paired = if n == 2 { up } else { part(c, up, 0, half)? };
    let mut parts = vec![c.g.mul(paired, b)?, c.g.mul(paired, a)?];
    if n % 2 == 1 {
        parts.push(part(c, up, half, half + 1)?);
    }
    c.g.concat(&parts, -1)
}

/// The same for a number that is not known, without `dy`.
fn others_by_mask(c: &mut Ctx, factors: ValueId) -> Result<ValueId> {
    let (shape, last) = (c.g.shape_of(factors)?, c.g.int_list(&[-1]));
    let n = c.g.op("Gather", &[shape, last], &[])?;
    let n = c.g.squeeze(n, &[0])?;
    let (zero, one) = (c.g.constant(Tensor::scalar_i64(0)), c.g.constant(Tensor::scalar_i64(1)));
    let numbers = c.g.op("Range", &[zero, n, one], &[])?;
    let (column, row) = (c.g.unsqueeze(numbers, &[1])?, c.g.unsqueeze(numbers, &[0])?);
    let own = c.g.equal(column, row)?;
    let one = c.g.scalar_like(factors, 1.0);
    let rows = c.g.unsqueeze(factors, &[-2])?;
    let masked = c.g.select(own, one, rows)?;
    let axes = c.g.int_list(&[-1]);
    c.g.op("ReduceProd", &[masked, axes], &[("keepdims", false.into())])
}

fn axis(c: &Ctx) -> Result<i64> {
    let rank = c.g.rank(c.x(0)?)?;
    Ok(c.axis(c.attrs().int("axis", -1), rank) as i64)
}

/// `y * (dy - sum(dy * y))`.
fn softmax(c: &mut Ctx) -> Result<Grads> {
    let (dy, y, axis) = (c.dy()?, c.y(0)?, axis(c)?);
    let t = c.g.mul(dy, y)?;
    let sum = c.g.reduce_sum(t, &[axis], true)?;
    let centred = c.g.sub(dy, sum)?;
    Ok(vec![Some(c.g.mul(centred, y)?)])
}

/// `dy - softmax * sum(dy)`.
///
/// Cross entropy picks a few log-probabilities, so that `dy` is a scatter into zeros: then the few
/// values are scattered onto `-softmax * sum` directly, and the zeros are never made or read.
fn log_softmax(c: &mut Ctx) -> Result<Grads> {
    let (dy, y, axis) = (c.dy()?, c.y(0)?, axis(c)?);
    let p = c.g.exp(y)?;
    if let Some(sparse) = scatter::picked(c.g, dy, axis) {
        let sum = c.g.reduce_sum(sparse.updates, &[axis], true)?;
        let minus = c.g.neg(sum)?;
        let base = c.g.mul(p, minus)?;
        return Ok(vec![Some(scatter::add_elements(c.g, base, sparse.indices, sparse.updates, axis)?)]);
    }
    let sum = c.g.reduce_sum(dy, &[axis], true)?;
    let expected = c.g.mul(p, sum)?;
    Ok(vec![Some(c.g.sub(dy, expected)?)])
}
