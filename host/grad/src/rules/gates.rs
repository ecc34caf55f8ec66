//! Activations made of a gate or of pieces.

use super::{
    Kind::{Broadcast, Definition, Elementwise},
    Row,
    activations::times,
    row,
};
use crate::{
    Case, Ctx, Grads,
    case::{any, apart, positive},
};
use ekphrasis_graph::{AttrsExt, Result, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("HardSwish", Definition, hard_swish, || {
        vec![
            Case::of([apart(&[3, 4])]).single(),
            Case::of([crate::case::within(&[2, 3], (-5.0, 5.0))]).single(),
        ]
    }),
    row("Mish", Definition, mish, || vec![Case::of([any(&[2, 3])]).single()]),
    row("Celu", Definition, celu, || {
        [1.0f32, 0.7].map(|a| Case::of([apart(&[2, 3])]).attr("alpha", a).single()).into()
    }),
    row(
        "ThresholdedRelu",
        Broadcast,
        |c| times(c, thresholded),
        || [1.0f32, 0.5, -0.5].map(|a| Case::of([apart(&[3, 4])]).attr("alpha", a).single()).into(),
    ),
    row(
        "Shrink",
        Broadcast,
        |c| times(c, shrink),
        || {
            vec![
                Case::of([apart(&[3, 4])]).single(),
                Case::of([apart(&[3, 4])]).attr("lambd", 0.9f32).attr("bias", 0.3f32).single(),
            ]
        },
    ),
    row("Softsign", Broadcast, |c| times(c, softsign), || vec![Case::of([apart(&[2, 3])]).single()]),
    row("Mod", Elementwise, modulo, || {
        let case = |x: &[usize]| Case::of([apart(x), positive(&[2, 3])]).attr("fmod", 1);
        vec![case(&[2, 3]), case(&[3])]
    }),
];

/// One output of a definition.
pub(super) fn one(y: ValueId) -> Result<Grads> {
    Ok(vec![Some(y)])
}

/// `x * max(0, min(1, x / 6 + 1 / 2))`.
fn hard_swish(c: &mut Ctx) -> Result<Grads> {
    let x = c.x(0)?;
    let gate = c.g.op("HardSigmoid", &[x], &[("alpha", (1.0f32 / 6.0).into()), ("beta", 0.5f32.into())])?;
    one(c.g.mul(x, gate)?)
}

/// `x * tanh(softplus(x))`.
fn mish(c: &mut Ctx) -> Result<Grads> {
    let x = c.x(0)?;
    let soft = c.g.softplus(x)?;
    let gate = c.g.tanh(soft)?;
    one(c.g.mul(x, gate)?)
}

/// `alpha * elu(x / alpha)`.
fn celu(c: &mut Ctx) -> Result<Grads> {
    let (x, alpha) = (c.x(0)?, f64::from(c.attrs().float("alpha", 1.0)));
    let scaled = c.g.scale(x, 1.0 / alpha)?;
    let y = c.g.op("Elu", &[scaled], &[])?;
    one(c.g.scale(y, alpha)?)
}

fn thresholded(c: &mut Ctx) -> Result<ValueId> {
    let (x, alpha) = (c.x(0)?, f64::from(c.attrs().float("alpha", 1.0)));
    let above = c.g.shift(x, -alpha)?;
    c.step(above, 0.0)
}

/// 1 outside of `[-lambd, lambd]`.
fn shrink(c: &mut Ctx) -> Result<ValueId> {
    let (x, lambd) = (c.x(0)?, f64::from(c.attrs().float("lambd", 0.5)));
    let size = c.g.abs(x)?;
    let above = c.g.shift(size, -lambd)?;
    c.step(above, 0.0)
}

/// `(1 - |y|)^2`.
fn softsign(c: &mut Ctx) -> Result<ValueId> {
    let y = c.y(0)?;
    let (size, one) = (c.g.abs(y)?, c.g.scalar_like(y, 1.0));
    let rest = c.g.sub(one, size)?;
    c.g.mul(rest, rest)
}

/// `a - b * trunc(a / b)`, of which the quotient is constant but for jumps.
fn modulo(c: &mut Ctx) -> Result<Grads> {
    let (dy, a, b) = (c.dy()?, c.x(0)?, c.x(1)?);
    let mut grads = vec![Some(dy), None];
    if c.wants(1) {
        let y = c.y(0)?;
        let whole = c.g.sub(y, a)?;
        let minus = c.g.div(whole, b)?;
        // An exact integer, but for rounding.
        let minus = c.g.op("Round", &[minus], &[])?;
        grads[1] = Some(c.g.mul(dy, minus)?);
    }
    Ok(grads)
}
