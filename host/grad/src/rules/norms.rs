//! Normalisations by a norm or a neighbourhood, as their formulas.

use super::{Kind::Definition, Row, gates::one, row};
use crate::{
    Case, Ctx, Grads,
    case::{any, apart},
};
use ekphrasis_graph::{AttrsExt, Dim, Result, Tensor, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("LRN", Definition, local_response, || {
        let case = |size: i64| Case::of([any(&[2, 5, 2, 3])]).attr("size", size).single();
        vec![
            case(3),
            case(3).attr("alpha", 0.5f32).attr("beta", 0.6f32).attr("bias", 2.0f32),
            case(5).attr("alpha", 0.9f32),
            case(1).attr("alpha", 0.9f32),
        ]
    }),
    row("LpNormalization", Definition, lp_normalization, || {
        let case = |p: i64| Case::of([apart(&[2, 3, 4])]).attr("p", p);
        vec![case(1), case(2), case(2).attr("axis", 1), Case::of([apart(&[3, 4])]).attr("axis", 0)]
    }),
    row("MeanVarianceNormalization", Definition, mean_variance, || {
        let x = || any(&[2, 3, 2, 4]);
        vec![Case::of([x()]).single(), Case::of([x()]).ints("axes", &[2, 3]).single()]
    }),
];

/// `x / (bias + alpha / size * s)^beta` with `s` the sum of squares over `size` channels around each
/// (Krizhevsky et al. 2012), which is a product with a matrix of ones and zeros.
fn local_response(c: &mut Ctx) -> Result<Grads> {
    let x = c.x(0)?;
    let channels = c.g.dims(x)?.get(1).and_then(Dim::known).and_then(|n| usize::try_from(n).ok());
    let channels = channels.ok_or_else(|| c.error("expected a known number of channels"))?;
    let size = usize::try_from(c.attrs().int("size", 0)).ok().filter(|s| *s > 0);
    let size = size.ok_or_else(|| c.error("expected a size of 1 or more"))?;
    let (before, after) = ((size - 1) / 2, size / 2);
    let near = |i: usize, j: usize| i <= j + before && j <= i + after;
    let band: Vec<f32> =
        (0..channels * channels).map(|k| f32::from(u8::from(near(k / channels, k % channels)))).collect();
    let band = c.g.constant(Tensor::from_f32(&[channels, channels], &band)?);
    let band = c.g.cast(band, c.g.value(x).dtype)?;
    let square = c.g.mul(x, x)?;
    let lines = c.g.int_list(&[0, 0, -1]);
    let square = c.g.reshape_to(square, lines)?;
    let sum = c.g.matmul(band, square)?;
    let sum = c.g.reshape_like(sum, x)?;
    let number = |name: &str, default| f64::from(c.attrs().float(name, default));
    let (alpha, beta, bias) = (number("alpha", 1e-4), number("beta", 0.75), number("bias", 1.0));
    let base = c.g.scale(sum, alpha / size as f64)?;
    let base = c.g.shift(base, bias)?;
    let power = c.g.scalar_like(x, -beta);
    let factor = c.g.pow(base, power)?;
    one(c.g.mul(x, factor)?)
}

/// What is divided by, kept away from 0.
fn safe(c: &mut Ctx, x: ValueId) -> Result<ValueId> {
    let tiny = c.g.scalar_like(x, 1e-30);
    c.g.max(x, tiny)
}

fn lp_normalization(c: &mut Ctx) -> Result<Grads> {
    let (x, axis) = (c.x(0)?, c.attrs().int("axis", -1));
    let op = match c.attrs().int("p", 2) {
        1 => "ReduceL1",
        2 => "ReduceL2",
        other => return Err(c.error(format!("expected p 1 or 2, found {other}"))),
    };
    let axes = c.g.int_list(&[axis]);
    let norm = c.g.op(op, &[x, axes], &[("keepdims", true.into())])?;
    let norm = safe(c, norm)?;
    one(c.g.div(x, norm)?)
}

/// `(x - mean) / (deviation + 1e-9)`.
fn mean_variance(c: &mut Ctx) -> Result<Grads> {
    let x = c.x(0)?;
    let axes = c.attrs().ints("axes").map_or(vec![0, 2, 3], <[i64]>::to_vec);
    let mean = c.g.reduce_mean(x, &axes, true)?;
    let centred = c.g.sub(x, mean)?;
    let square = c.g.mul(centred, centred)?;
    let variance = c.g.reduce_mean(square, &axes, true)?;
    let variance = safe(c, variance)?;
    let deviation = c.g.sqrt(variance)?;
    let deviation = c.g.shift(deviation, 1e-9)?;
    one(c.g.div(centred, deviation)?)
}
