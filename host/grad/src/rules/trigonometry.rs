//! Trigonometric and hyperbolic functions.

use super::{
    Kind::Broadcast,
    Row,
    activations::{times, unary},
    row,
};
use crate::{
    Case, Ctx, Grads,
    case::{any, within},
};
use ekphrasis_graph::{Result, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("Sin", Broadcast, |c| times(c, sin), || vec![Case::of([any(&[2, 3])])]),
    row("Cos", Broadcast, |c| times(c, cos), || vec![Case::of([any(&[2, 3])])]),
    row("Tan", Broadcast, |c| times(c, tan), || small(any)),
    row("Asin", Broadcast, |c| over_root(c, 1.0, -1.0, 1.0), || small(inside)),
    row("Acos", Broadcast, |c| over_root(c, -1.0, -1.0, 1.0), || small(inside)),
    row("Atan", Broadcast, |c| over(c, 1.0), || small(any)),
    row("Sinh", Broadcast, |c| times(c, sinh), || small(any)),
    row("Cosh", Broadcast, |c| times(c, cosh), || small(any)),
    row("Asinh", Broadcast, |c| over_root(c, 1.0, 1.0, 1.0), || small(any)),
    row("Acosh", Broadcast, |c| over_root(c, 1.0, 1.0, -1.0), || small(|d| within(d, (1.5, 2.5)))),
    row("Atanh", Broadcast, |c| over(c, -1.0), || small(inside)),
];

/// ONNX Runtime has these in single precision only.
fn small(operand: fn(&[usize]) -> crate::Operand) -> Vec<Case> {
    vec![Case::of([operand(&[2, 3])]).single()]
}

fn inside(dims: &[usize]) -> crate::Operand {
    within(dims, (-0.7, 0.7))
}

fn sin(c: &mut Ctx) -> Result<ValueId> {
    let x = c.x(0)?;
    c.g.cos(x)
}

fn cos(c: &mut Ctx) -> Result<ValueId> {
    let x = c.x(0)?;
    let sin = c.g.sin(x)?;
    c.g.neg(sin)
}

/// `1 + tan(x)^2`.
fn tan(c: &mut Ctx) -> Result<ValueId> {
    let y = c.y(0)?;
    let square = c.g.mul(y, y)?;
    c.g.shift(square, 1.0)
}

fn sinh(c: &mut Ctx) -> Result<ValueId> {
    let x = c.x(0)?;
    c.g.op("Cosh", &[x], &[])
}

fn cosh(c: &mut Ctx) -> Result<ValueId> {
    let x = c.x(0)?;
    c.g.op("Sinh", &[x], &[])
}

/// `a x^2 + b`.
fn parabola(c: &mut Ctx, a: f64, b: f64) -> Result<ValueId> {
    let x = c.x(0)?;
    let square = c.g.mul(x, x)?;
    let scaled = c.g.scale(square, a)?;
    c.g.shift(scaled, b)
}

/// `dy / (1 + a x^2)`.
fn over(c: &mut Ctx, a: f64) -> Result<Grads> {
    unary(c, |c, dy| {
        let below = parabola(c, a, 1.0)?;
        c.g.div(dy, below)
    })
}

/// `sign * dy / sqrt(a x^2 + b)`.
fn over_root(c: &mut Ctx, sign: f64, a: f64, b: f64) -> Result<Grads> {
    unary(c, |c, dy| {
        let below = parabola(c, a, b)?;
        let root = c.g.sqrt(below)?;
        let dy = c.g.scale(dy, sign)?;
        c.g.div(dy, root)
    })
}
