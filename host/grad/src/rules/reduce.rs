//! Reductions, and the softmaxes that are built on them.

use super::{
    Kind::{Broadcast, Dense},
    Row, row, scatter,
};
use crate::{
    Case, Ctx, Grads,
    case::{any, apart, list, positive},
};
use ekphrasis_graph::{AttrsExt, Result, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("ReduceSum", Broadcast, sum, || reductions(any)),
    row("ReduceMean", Broadcast, mean, || reductions(any)),
    row("ReduceMax", Broadcast, extremum, || reductions(apart)),
    row("ReduceMin", Broadcast, extremum, || reductions(apart)),
    row("ReduceSumSquare", Broadcast, sum_square, || reductions(any)),
    row("ReduceL1", Broadcast, l1, || reductions(apart)),
    row("ReduceL2", Broadcast, l2, || reductions(positive)),
    row("ReduceLogSum", Broadcast, log_sum, || reductions(positive)),
    row("ReduceLogSumExp", Broadcast, log_sum_exp, || reductions(any)),
    row("ReduceProd", Broadcast, product, || reductions(positive)),
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

/// `dy * y / x`: for factors other than 0.
fn product(c: &mut Ctx) -> Result<Grads> {
    let ((dy, y), x) = (kept(c)?, c.x(0)?);
    let t = c.g.mul(dy, y)?;
    Ok(vec![Some(c.g.div(t, x)?), None])
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
