//! Elementwise functions of several values. The driver undoes broadcasting.

use super::{
    Kind::{Definition, Elementwise},
    Row,
    gates::one,
    row,
};
use crate::{
    Case, Ctx, Grads,
    case::{Operand, any, apart, positive, scalar, short},
};
use ekphrasis_graph::{AttrsExt, Result, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("Add", Elementwise, sum, two),
    row("Sub", Elementwise, sub, two),
    row("Mul", Elementwise, mul, two),
    row("Div", Elementwise, div, || {
        vec![Case::of([any(&[2, 3]), positive(&[2, 3])]), Case::of([any(&[3]), positive(&[2, 1])])]
    }),
    row("Pow", Elementwise, pow, || {
        let mut cases = vec![
            Case::of([positive(&[2, 3]), any(&[2, 3])]),
            Case::of([positive(&[2, 3]), any(&[])]),
            Case::of([positive(&[1, 3]), any(&[2, 1])]),
        ];
        // A power of 0 has no slope along its exponent, and one of exponent 0 none along its base.
        cases.push(Case::of([Operand::Literal(vec![3], vec![0.0, 0.0, 2.0]), positive(&[3])]));
        cases.push(Case::of([positive(&[3]), Operand::Literal(vec![3], vec![0.0, 2.0, 3.0])]));
        cases.extend([0.0, 1.0, 2.0, 3.0, 0.5, -1.5].map(|p| Case::of([positive(&[2, 3]), scalar(p)])));
        cases
    }),
    row("Max", Elementwise, extremum, extrema),
    row("Min", Elementwise, extremum, extrema),
    row("Sum", Elementwise, sum, || {
        vec![Case::of([any(&[2, 3]), any(&[3]), any(&[2, 1])]), Case::of([any(&[3])])]
    }),
    row("Mean", Elementwise, mean, || vec![Case::of([any(&[2, 3]), any(&[3]), any(&[2, 1])]).single()]),
    row("Where", Elementwise, select, || {
        let mask = |dims: &[usize], v: &[bool]| Operand::Bools(dims.into(), v.into());
        vec![
            Case::of([mask(&[2, 2], &[true, false, false, true]), any(&[2, 2]), any(&[2, 2])]),
            Case::of([mask(&[2, 1], &[true, false]), any(&[3]), any(&[2, 3])]),
            Case::of([mask(&[3], &[true, false, true]), scalar(0.5), any(&[2, 3])]),
        ]
    }),
    row("DequantizeLinear", Definition, dequantize, || {
        let levels = || short(&[2, 3, 2], &[4, -7, 0, 1, 9, -2, 3, 5, -6, 8, -1, 2]);
        vec![
            Case::of([levels(), positive(&[])]).single(),
            Case::of([levels(), positive(&[3])]).single().known(),
            Case::of([levels(), positive(&[2])]).attr("axis", -1).single().known(),
        ]
    }),
    row("PRelu", Elementwise, prelu, || {
        let slopes: [&[usize]; 4] = [&[3], &[3, 1], &[1], &[2, 3, 3]];
        slopes.map(|s| Case::of([apart(&[2, 3, 3]), positive(s)])).into()
    }),
];

fn two() -> Vec<Case> {
    vec![
        Case::of([any(&[2, 3]), any(&[2, 3])]),
        Case::of([any(&[2, 3]), any(&[3])]),
        Case::of([any(&[2, 1]), any(&[4, 1, 3])]),
        Case::of([any(&[]), any(&[2, 3])]),
        Case::of([any(&[2, 3]), scalar(2.5)]),
    ]
}

fn extrema() -> Vec<Case> {
    vec![
        Case::of([apart(&[2, 3]), scalar(0.0)]),
        Case::of([apart(&[2, 3]), apart(&[3])]),
        Case::of([apart(&[2, 3]), apart(&[3]), apart(&[2, 1])]),
        Case::of([apart(&[3])]),
    ]
}

fn sum(c: &mut Ctx) -> Result<Grads> {
    let dy = c.dy()?;
    Ok(vec![Some(dy); c.arity()])
}

fn mean(c: &mut Ctx) -> Result<Grads> {
    let (dy, n) = (c.dy()?, c.arity());
    let share = c.g.scale(dy, 1.0 / n as f64)?;
    Ok(vec![Some(share); n])
}

fn sub(c: &mut Ctx) -> Result<Grads> {
    let dy = c.dy()?;
    let mut db = None;
    if c.wants(1) {
        let small = c.fit(dy, 1)?;
        db = Some(c.g.neg(small)?);
    }
    Ok(vec![Some(dy), db])
}

fn mul(c: &mut Ctx) -> Result<Grads> {
    let (dy, a, b) = (c.dy()?, c.x(0)?, c.x(1)?);
    let mut grads = vec![None, None];
    if a == b {
        let twice = c.g.scale(dy, 2.0)?;
        return Ok(vec![Some(c.g.mul(twice, a)?), None]);
    }
    for (i, other) in [b, a].into_iter().enumerate() {
        if c.wants(i) {
            grads[i] = Some(c.g.mul(dy, other)?);
        }
    }
    Ok(grads)
}

fn div(c: &mut Ctx) -> Result<Grads> {
    let (dy, b, y) = (c.dy()?, c.x(1)?, c.y(0)?);
    let da = c.g.div(dy, b)?;
    let mut db = None;
    if c.wants(1) {
        let t = c.g.mul(da, y)?;
        let t = c.fit(t, 1)?;
        db = Some(c.g.neg(t)?);
    }
    Ok(vec![Some(da), db])
}

fn pow(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, p, y) = (c.dy()?, c.x(0)?, c.x(1)?, c.y(0)?);
    let mut grads = vec![None, None];
    if c.wants(0) {
        let literal = c.g.value(p).tensor().filter(|t| t.dims().is_empty()).and_then(|t| t.as_scalar());
        let factor = match literal {
            Some(0.0) => c.g.scalar_like(x, 0.0),
            Some(1.0) => c.g.scalar_like(x, 1.0),
            Some(2.0) => c.g.scale(x, 2.0)?,
            _ => {
                let p = c.g.cast(p, c.g.value(x).dtype)?;
                let less = c.g.shift(p, -1.0)?;
                let less = if literal.is_some() { less } else { add_where_zero(c, less, p)? };
                let power = c.g.pow(x, less)?;
                c.g.mul(power, p)?
            }
        };
        grads[0] = Some(c.g.mul(dy, factor)?);
    }
    if c.wants(1) {
        let base = add_where_zero(c, x, x)?;
        let log = c.g.log(base)?;
        let t = c.g.mul(y, log)?;
        let t = c.g.mul(dy, t)?;
        let t = c.fit(t, 1)?;
        let dtype = c.g.value(p).dtype;
        grads[1] = Some(c.g.cast(t, dtype)?);
    }
    Ok(grads)
}

/// `x`, and 1 more where `test` is 0: for factors of a product that is 0 there, lest they be infinite.
fn add_where_zero(c: &mut Ctx, x: ValueId, test: ValueId) -> Result<ValueId> {
    let zero = c.g.scalar_like(test, 0.0);
    let at_zero = c.g.equal(test, zero)?;
    let at_zero = c.mask(at_zero, x)?;
    c.g.add(x, at_zero)
}

/// Equal values share the gradient, so that its total stays 1.
fn extremum(c: &mut Ctx) -> Result<Grads> {
    let (dy, n) = (c.dy()?, c.arity());
    match n {
        1 => Ok(vec![Some(dy)]),
        2 => extremum_of_two(c, dy),
        _ => {
            let y = c.y(0)?;
            let mut masks = vec![];
            for i in 0..n {
                let equal = c.g.equal(c.node.inputs[i].unwrap_or(y), y)?;
                masks.push(c.mask(equal, y)?);
            }
            let ties = c.g.op("Sum", &masks, &[])?;
            let share = c.g.div(dy, ties)?;
            masks.into_iter().map(|m| c.g.mul(share, m).map(Some)).collect()
        }
    }
}

fn extremum_of_two(c: &mut Ctx, dy: ValueId) -> Result<Grads> {
    let (a, b) = (c.x(0)?, c.x(1)?);
    let (high, low) = if c.op() == "Max" { (a, b) } else { (b, a) };
    let ahead = c.g.sub(high, low)?;
    let mask = c.step(ahead, 0.5)?;
    let da = c.g.mul(dy, mask)?;
    let db = if c.wants(1) { Some(c.g.sub(dy, da)?) } else { None };
    Ok(vec![Some(da), db])
}

/// A mask and a product: `Where` runs on one thread on the CPU.
fn select(c: &mut Ctx) -> Result<Grads> {
    let (dy, condition, y) = (c.dy()?, c.x(0)?, c.y(0)?);
    let mut grads = vec![None; 3];
    if c.wants(1) {
        let mask = c.mask(condition, y)?;
        grads[1] = Some(c.g.mul(dy, mask)?);
    }
    if c.wants(2) {
        let other = c.g.not(condition)?;
        let mask = c.mask(other, y)?;
        grads[2] = Some(c.g.mul(dy, mask)?);
    }
    Ok(grads)
}

fn prelu(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, slope) = (c.dy()?, c.x(0)?, c.x(1)?);
    let mut grads = vec![None, None];
    if c.wants(0) {
        // slope + (1 - slope) * [x > 0]
        let step = c.step(x, 0.0)?;
        let one = c.g.scalar_like(x, 1.0);
        let rest = c.g.sub(one, slope)?;
        let rest = c.g.mul(step, rest)?;
        let factor = c.g.add(rest, slope)?;
        grads[0] = Some(c.g.mul(dy, factor)?);
    }
    if c.wants(1) {
        let zero = c.g.scalar_like(x, 0.0);
        let negative = c.g.min(x, zero)?;
        grads[1] = Some(c.g.mul(dy, negative)?);
    }
    Ok(grads)
}

/// `(x - zero) * scale`, with one number of each for all, or one along an axis.
fn dequantize(c: &mut Ctx) -> Result<Grads> {
    let (x, scale) = (c.x(0)?, c.x(1)?);
    let rank = c.g.rank(x)?;
    let axis = c.axis(c.attrs().int("axis", 1), rank);
    let dtype = c.g.value(scale).dtype;
    let behind: Vec<i64> = (1..(rank - axis.min(rank)) as i64).collect();
    let along = |c: &mut Ctx, v| if c.g.rank(v)? == 0 { Ok(v) } else { c.g.unsqueeze(v, &behind) };
    let mut levels = c.g.cast(x, dtype)?;
    if let Some(zero) = c.input(2) {
        let zero = c.g.cast(zero, dtype)?;
        let zero = along(c, zero)?;
        levels = c.g.sub(levels, zero)?;
    }
    let scale = along(c, scale)?;
    one(c.g.mul(levels, scale)?)
}
