//! Functions of one value, elementwise: `dx = dy * f'(x)`.

use super::{
    Kind::{Broadcast, Elementwise},
    Row, row,
};
use crate::{
    Case, Ctx, Grads,
    case::{Operand, any, apart, positive, scalar, within},
    context::STEEP,
};
use ekphrasis_graph::{AttrsExt, Result, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("Neg", Broadcast, |c| unary(c, |c, dy| c.g.neg(dy)), one),
    row("Exp", Broadcast, |c| times(c, |c| c.y(0)), one),
    row("Log", Broadcast, log, || vec![Case::of([positive(&[2, 3])])]),
    row("Sqrt", Broadcast, sqrt, || vec![Case::of([positive(&[2, 3])])]),
    row("Tanh", Broadcast, |c| times(c, tanh), one),
    row("Sigmoid", Broadcast, |c| times(c, sigmoid), one),
    row("Relu", Broadcast, |c| times(c, relu), kinked),
    row(
        "LeakyRelu",
        Broadcast,
        |c| times(c, leaky_relu),
        || [0.2f32, 1.5, -0.5].map(|a| Case::of([apart(&[2, 3])]).attr("alpha", a)).into(),
    ),
    row(
        "Elu",
        Broadcast,
        |c| times(c, elu),
        || [1.0f32, 0.5].map(|a| Case::of([apart(&[2, 3])]).attr("alpha", a)).into(),
    ),
    row("Selu", Broadcast, |c| times(c, selu), kinked),
    row("Softplus", Broadcast, |c| times(c, softplus), one),
    row("HardSigmoid", Broadcast, hard_sigmoid, kinked),
    row("Erf", Broadcast, |c| times(c, erf), || vec![Case::of([any(&[2, 3])]).single()]),
    row("Abs", Broadcast, |c| times(c, abs), kinked),
    row("Reciprocal", Broadcast, reciprocal, || vec![Case::of([positive(&[2, 3])])]),
    row("Clip", Elementwise, clip, || {
        vec![
            Case::of([apart(&[3, 4]), scalar(-0.7), scalar(0.7)]),
            Case::of([apart(&[3, 4]), within(&[], (-0.75, -0.71))]),
            Case::of([apart(&[3, 4]), Operand::Absent, within(&[], (0.71, 0.75))]),
            Case::of([apart(&[3, 4]), within(&[], (-0.75, -0.71)), within(&[], (0.41, 0.45))]),
            Case::of([apart(&[3, 4]), within(&[], (-0.75, -0.71)), within(&[], (0.71, 0.75))]),
            Case::of([apart(&[3, 4]), within(&[], (0.71, 0.75)), within(&[], (-0.75, -0.71))]),
        ]
    }),
    row("Identity", Broadcast, |c| unary(c, |_, dy| Ok(dy)), one),
    row("Cast", Broadcast, cast, || vec![Case::of([any(&[2, 3])]).attr("to", 11)]),
    row("Dropout", Broadcast, dropout, one),
];

fn one() -> Vec<Case> {
    vec![Case::of([any(&[2, 3])])]
}

fn kinked() -> Vec<Case> {
    vec![Case::of([apart(&[3, 4])])]
}

pub(super) fn unary(c: &mut Ctx, f: impl Fn(&mut Ctx, ValueId) -> Result<ValueId>) -> Result<Grads> {
    let dy = c.dy()?;
    Ok(vec![Some(f(c, dy)?)])
}

/// `dy` times a factor.
pub(super) fn times(c: &mut Ctx, factor: impl Fn(&mut Ctx) -> Result<ValueId>) -> Result<Grads> {
    unary(c, |c, dy| {
        let f = factor(c)?;
        c.g.mul(dy, f)
    })
}

fn log(c: &mut Ctx) -> Result<Grads> {
    unary(c, |c, dy| {
        let x = c.x(0)?;
        c.g.div(dy, x)
    })
}

fn sqrt(c: &mut Ctx) -> Result<Grads> {
    unary(c, |c, dy| {
        let (half, y) = (c.g.scale(dy, 0.5)?, c.y(0)?);
        c.g.div(half, y)
    })
}

fn tanh(c: &mut Ctx) -> Result<ValueId> {
    let y = c.y(0)?;
    let (square, one) = (c.g.mul(y, y)?, c.g.scalar_like(y, 1.0));
    c.g.sub(one, square)
}

fn sigmoid(c: &mut Ctx) -> Result<ValueId> {
    let y = c.y(0)?;
    let square = c.g.mul(y, y)?;
    c.g.sub(y, square)
}

fn relu(c: &mut Ctx) -> Result<ValueId> {
    let y = c.y(0)?;
    c.step(y, 0.0)
}

/// `above` where `x > 0` and `below` elsewhere, made of a step of 0 and 1.
fn two_levels(c: &mut Ctx, step: ValueId, above: f64, below: f64) -> Result<ValueId> {
    let wide = c.g.scale(step, above - below)?;
    c.g.shift(wide, below)
}

fn leaky_relu(c: &mut Ctx) -> Result<ValueId> {
    let (x, alpha) = (c.x(0)?, f64::from(c.attrs().float("alpha", 0.01)));
    let step = c.step(x, 0.0)?;
    if (0.0..1.0).contains(&alpha) {
        // One pass instead of two: the step is raised to the slope where it is 0.
        let low = c.g.scalar_like(x, alpha);
        return c.g.op("Clip", &[step, low], &[]);
    }
    two_levels(c, step, 1.0, alpha)
}

/// `y` where it is negative, else 0.
fn negative_part(c: &mut Ctx) -> Result<ValueId> {
    let y = c.y(0)?;
    let zero = c.g.scalar_like(y, 0.0);
    c.g.min(y, zero)
}

fn elu(c: &mut Ctx) -> Result<ValueId> {
    let alpha = f64::from(c.attrs().float("alpha", 1.0));
    exponential_slope(c, 1.0, alpha)
}

fn selu(c: &mut Ctx) -> Result<ValueId> {
    let alpha = f64::from(c.attrs().float("alpha", 1.673_263_2));
    let gamma = f64::from(c.attrs().float("gamma", 1.050_701));
    exponential_slope(c, gamma, gamma * alpha)
}

/// The slope of `above * x` for positive x and `below * (exp(x) - 1)` otherwise.
fn exponential_slope(c: &mut Ctx, above: f64, below: f64) -> Result<ValueId> {
    let negative = negative_part(c)?;
    if above == below {
        return c.g.shift(negative, below);
    }
    let y = c.y(0)?;
    let step = c.step(y, 0.0)?;
    let levels = two_levels(c, step, above, below)?;
    c.g.add(negative, levels)
}

fn softplus(c: &mut Ctx) -> Result<ValueId> {
    let x = c.x(0)?;
    c.g.sigmoid(x)
}

fn hard_sigmoid(c: &mut Ctx) -> Result<Grads> {
    let alpha = c.attrs().float("alpha", 0.2);
    if alpha >= STEEP {
        return Ok(vec![None]);
    }
    times(c, |c| {
        // 1 inside (0, 1), which is where y is neither of its bounds: y * (1 - y) > 0.
        let inside = sigmoid(c)?;
        let inside = c.step(inside, 0.0)?;
        c.g.scale(inside, f64::from(alpha))
    })
}

/// `2 / sqrt(pi) * exp(-x^2)`, as one exponential.
fn erf(c: &mut Ctx) -> Result<ValueId> {
    let x = c.x(0)?;
    let square = c.g.mul(x, x)?;
    let log = c.g.scalar_like(x, std::f64::consts::FRAC_2_SQRT_PI.ln());
    let exponent = c.g.sub(log, square)?;
    c.g.exp(exponent)
}

fn abs(c: &mut Ctx) -> Result<ValueId> {
    let x = c.x(0)?;
    c.sign(x)
}

fn reciprocal(c: &mut Ctx) -> Result<Grads> {
    unary(c, |c, dy| {
        let (dy, y) = (c.g.neg(dy)?, c.y(0)?);
        let once = c.g.mul(dy, y)?;
        c.g.mul(once, y)
    })
}

/// Inside the bounds, the bounds included, `dx = dy`; outside, the bound takes it.
fn clip(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, y) = (c.dy()?, c.x(0)?, c.y(0)?);
    let mut grads = vec![None; 3];
    if c.wants(0) {
        let inside = c.g.equal(x, y)?;
        let inside = c.mask(inside, x)?;
        grads[0] = Some(c.g.mul(dy, inside)?);
    }
    for (i, grad) in grads.iter_mut().enumerate().skip(1) {
        if c.wants(i) {
            let bound = c.x(i)?;
            let out = if i == 1 { c.g.less(x, bound)? } else { c.g.greater(x, bound)? };
            let out = match (c.input(1), c.input(2)) {
                // A lower bound above the upper one has no say.
                (Some(low), Some(high)) => {
                    let crossed = c.g.greater(low, high)?;
                    match i {
                        1 => {
                            let straight = c.g.not(crossed)?;
                            c.g.op("And", &[out, straight], &[])?
                        }
                        _ => c.g.op("Or", &[out, crossed], &[])?,
                    }
                }
                _ => out,
            };
            let out = c.mask(out, x)?;
            *grad = Some(c.g.mul(dy, out)?);
        }
    }
    Ok(grads)
}

fn cast(c: &mut Ctx) -> Result<Grads> {
    unary(c, |c, dy| {
        let dtype = c.g.value(c.x(0)?).dtype;
        c.g.cast(dy, dtype)
    })
}

/// Inference is the identity; in training the mask that it gave out is used again.
fn dropout(c: &mut Ctx) -> Result<Grads> {
    let literal = |c: &Ctx, i| c.input(i).and_then(|v| c.g.value(v).tensor().and_then(|t| t.as_scalar()));
    if c.input(2).is_none() || literal(c, 2) == Some(0.0) {
        return unary(c, |_, dy| Ok(dy));
    }
    let ratio = match (c.input(1), literal(c, 1)) {
        (None, _) => 0.5,
        (_, Some(ratio)) => ratio,
        _ => return Err(c.error("expected a literal ratio")),
    };
    let keep = c.y(1)?;
    times(c, |c| {
        let x = c.x(0)?;
        let mask = c.mask(keep, x)?;
        c.g.scale(mask, 1.0 / (1.0 - ratio))
    })
}
