//! Pooling.

use super::{
    Kind::{Broadcast, Definition, Dense},
    Row,
    gates::one,
    row,
    window::{Window, spatial},
};
use crate::{
    Case, Ctx, Grads,
    case::{any, apart, at},
};
use ekphrasis_graph::{AttrsExt, Dim, Result, Tensor, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("MaxPool", Dense, max_pool, || {
        let case = |k: &[i64]| Case::of([apart(&[2, 2, 4, 5])]).ints("kernel_shape", k);
        vec![
            case(&[2, 2]).ints("strides", &[2, 2]),
            case(&[3, 3]).ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1]),
            case(&[2, 3]).ints("dilations", &[2, 1]),
            case(&[2, 2]).ints("dilations", &[2, 2]).ints("pads", &[1, 0, 0, 1]),
            case(&[2, 2]).ints("strides", &[3, 3]).attr("ceil_mode", 1),
            case(&[3, 2]).ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 0]).attr("ceil_mode", 1),
            case(&[3, 2]).ints("strides", &[2, 2]).attr("auto_pad", "SAME_UPPER"),
            case(&[2, 2]).ints("strides", &[1, 2]).attr("auto_pad", "SAME_LOWER"),
            case(&[2, 2]).attr("auto_pad", "VALID"),
            case(&[2, 2]).attr("storage_order", 1),
            Case::of([apart(&[2, 2, 6])]).ints("kernel_shape", &[2]),
            Case::of([apart(&[2, 2, 3, 2, 4])]).ints("kernel_shape", &[2, 2, 2]).ints("strides", &[1, 1, 2]),
        ]
    }),
    row("AveragePool", Dense, average_pool, || windows(true)),
    row("LpPool", Definition, lp_pool, || {
        let mut cases = windows(false);
        let case =
            |p: i64| Case::of([any(&[2, 2, 4, 6])]).ints("kernel_shape", &[2, 3]).attr("p", p).single();
        cases.extend([case(1), case(3), case(2).ints("dilations", &[2, 1])]);
        // A window of zeros has a gradient of 0.
        let zeros = at(&[1, 1, 4], &[0.0, 0.0, 0.7, -0.4]);
        cases.push(Case::of([zeros]).ints("kernel_shape", &[2]).ints("strides", &[2]).single().once());
        cases
    }),
    row("GlobalAveragePool", Broadcast, global_average, || vec![Case::of([any(&[2, 2, 3, 4])]).single()]),
    row("GlobalMaxPool", Broadcast, global_max, || vec![Case::of([apart(&[2, 2, 3, 4])]).single()]),
    row("GlobalLpPool", Definition, global_lp_pool, || {
        let case = |p: i64| Case::of([apart(&[2, 2, 3, 4])]).attr("p", p).single();
        vec![case(1), case(2), case(3), Case::of([apart(&[2, 3, 4])]).single()]
    }),
];

/// Windows that tile, overlap, leave pixels out, and reach over the edges.
fn windows(average: bool) -> Vec<Case> {
    let case = |k: &[i64]| Case::of([apart(&[2, 2, 4, 6])]).ints("kernel_shape", k).single();
    let mut cases = vec![
        case(&[2, 2]).ints("strides", &[2, 2]),
        case(&[2, 3]),
        case(&[3, 3]).ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1]),
        case(&[2, 2]).ints("strides", &[3, 4]),
        case(&[3, 3]).ints("strides", &[2, 2]).attr("auto_pad", "SAME_UPPER"),
        case(&[3, 3]).ints("strides", &[2, 2]).attr("auto_pad", "SAME_LOWER"),
        case(&[2, 2]).attr("auto_pad", "VALID"),
        case(&[2, 3]).ints("strides", &[3, 2]).attr("ceil_mode", 1),
        case(&[2, 3]).ints("strides", &[2, 2]).ints("pads", &[1, 0, 0, 1]).attr("ceil_mode", 1),
        Case::of([apart(&[2, 2, 6])]).ints("kernel_shape", &[3]).ints("pads", &[1, 0]).single(),
        Case::of([apart(&[2, 2, 3, 2, 4])])
            .ints("kernel_shape", &[2, 2, 2])
            .ints("pads", &[0, 1, 0, 1, 0, 0])
            .single(),
        // Channels are a symbol.
        case(&[2, 3]).symbol(1),
    ];
    if average {
        let case = |k: &[i64]| case(k).attr("count_include_pad", 1);
        cases.push(case(&[3, 3]).ints("pads", &[1, 1, 1, 1]));
        cases.push(case(&[3, 3]).ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1]).attr("ceil_mode", 1));
        cases.push(case(&[2, 3]).ints("strides", &[3, 2]).attr("ceil_mode", 1));
        cases.push(case(&[3, 3]).ints("strides", &[2, 2]).attr("auto_pad", "SAME_UPPER"));
    }
    cases
}

fn kernel(c: &Ctx) -> Result<Vec<i64>> {
    let kernel = c.attrs().ints("kernel_shape").map(<[i64]>::to_vec);
    kernel.ok_or_else(|| c.error("expected the attribute kernel_shape"))
}

/// The places of the maxima come from the operator itself; equal values go to the first.
fn max_pool(c: &mut Ctx) -> Result<Grads> {
    let (dy, x) = (c.dy()?, c.x(0)?);
    let mut attrs = c.attrs().clone();
    attrs.insert("storage_order".into(), 0.into());
    let out = c.g.add_node("MaxPool", &[Some(x)], attrs, 2)?;
    let [_, places] = *out.as_slice() else { return Err(c.error("expected indices")) };
    let line = c.g.int_list(&[-1]);
    let places = c.g.reshape_to(places, line)?;
    let updates = c.g.reshape_to(dy, line)?;
    let flat = c.g.reshape_to(x, line)?;
    let zeros = c.g.zeros_like(flat)?;
    let sum = c.g.op("ScatterElements", &[zeros, places, updates], &[("reduction", "add".into())])?;
    Ok(vec![Some(c.g.reshape_like(sum, x)?)])
}

fn average_pool(c: &mut Ctx) -> Result<Grads> {
    let (mut dy, x) = (c.dy()?, c.x(0)?);
    let window = Window::of(c, kernel(c)?, x, dy)?;
    let n = window.rank();
    let (large, small) = (spatial(c, x)?, spatial(c, dy)?);
    let area: i64 = window.kernel.iter().product();
    if window.tiles() && (0..n).all(|i| small[i] * window.kernel[i] == large[i]) {
        let share = c.g.scale(dy, 1.0 / area as f64)?;
        return Ok(vec![Some(repeat(c, share, &window.kernel)?)]);
    }
    let over = |i: usize| (small[i] - 1) * window.strides[i] + window.extent(i) - large[i] - window.pads[i];
    let padded = c.attrs().int("count_include_pad", 0) != 0;
    // Padding beyond what the node asks for, which ceil_mode adds, never counts.
    let complete = (0..n).all(|i| over(i) <= if padded { window.pads[i + n] } else { 0 });
    if complete && (padded || window.pads[..n].iter().all(|p| *p == 0)) {
        dy = c.g.scale(dy, 1.0 / area as f64)?;
    } else {
        let counts = counts(&window, &large, &small, padded);
        let dims: Vec<usize> = [1, 1].into_iter().chain(small.iter().map(|s| *s as usize)).collect();
        let counts = c.g.constant(Tensor::from_f32(&dims, &counts)?);
        let dtype = c.g.value(dy).dtype;
        let counts = c.g.cast(counts, dtype)?;
        dy = c.g.div(dy, counts)?;
    }
    // Every pixel collects from the windows that hold it: a transposed convolution with ones.
    let channels = c.g.dims(x)?.get(1).and_then(Dim::known);
    if channels.is_none() {
        dy = planes(c, dy, &small)?;
    }
    let ones = ones(c, dy, channels.unwrap_or(1), &window.kernel)?;
    let attrs = [
        ("group", channels.unwrap_or(1).into()),
        ("strides", window.strides.as_slice().into()),
        ("dilations", window.dilations.as_slice().into()),
    ];
    let sum = c.g.op("ConvTranspose", &[dy, ones], &attrs)?;
    // Without padding the result starts at the padding's start and ends with the last window.
    let amounts: Vec<_> = (0..n).map(|i| (i + 2, -window.pads[i], -over(i))).collect();
    let sum = c.pad(sum, &amounts)?;
    Ok(vec![Some(c.g.reshape_like(sum, x)?)])
}

/// Each channel as a picture of its own.
fn planes(c: &mut Ctx, x: ValueId, size: &[i64]) -> Result<ValueId> {
    let dims: Vec<i64> = [-1, 1].iter().chain(size).copied().collect();
    let dims = c.g.int_list(&dims);
    c.g.reshape_to(x, dims)
}

/// A kernel of ones for so many channels.
fn ones(c: &mut Ctx, like: ValueId, channels: i64, kernel: &[i64]) -> Result<ValueId> {
    let dims: Vec<usize> =
        [channels, 1].iter().chain(kernel).map(|d| usize::try_from(*d).unwrap_or(1)).collect();
    let ones = c.g.constant(Tensor::from_f32(&dims, &vec![1.0; dims.iter().product()])?);
    let dtype = c.g.value(like).dtype;
    c.g.cast(ones, dtype)
}

/// How many pixels each window holds, those of the padding counted or not.
fn counts(window: &Window, large: &[i64], small: &[i64], padded: bool) -> Vec<f32> {
    let along = |i: usize, at: i64| {
        let start = at * window.strides[i] - window.pads[i];
        let (before, after) = if padded { (window.pads[i], window.pads[i + window.rank()]) } else { (0, 0) };
        let inside = |k: &i64| (-before..large[i] + after).contains(&(start + k * window.dilations[i]));
        (0..window.kernel[i]).filter(inside).count() as f32
    };
    (0..small.len()).fold(vec![1.0], |all, i| {
        all.iter().flat_map(|a| (0..small[i]).map(move |at| a * along(i, at))).collect()
    })
}

/// Every pixel repeated `times` along each spatial dimension.
fn repeat(c: &mut Ctx, x: ValueId, times: &[i64]) -> Result<ValueId> {
    let dims = c.g.dims(x)?.to_vec();
    let between: Vec<i64> = (0..times.len() as i64).map(|i| 3 + 2 * i).collect();
    let apart = c.g.unsqueeze(x, &between)?;
    let mut target = vec![1, 1];
    let mut joined = dims[..2.min(dims.len())].to_vec();
    for (d, n) in dims.iter().skip(2).zip(times) {
        target.extend([1, *n]);
        joined.push(d.mul(&Dim::Known(*n)));
    }
    let target = c.g.int_list(&target);
    let wide = c.g.expand_to(apart, target)?;
    c.g.reshape(wide, &joined)
}

fn global_average(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, y) = (c.dy()?, c.x(0)?, c.y(0)?);
    let n = c.count(x, y)?;
    Ok(vec![Some(c.g.div(dy, n)?)])
}

/// The root of the sum of powers: under each window by a convolution with ones.
fn lp_pool(c: &mut Ctx) -> Result<Grads> {
    let (x, y) = (c.x(0)?, c.y(0)?);
    let window = Window::of(c, kernel(c)?, x, y)?;
    let n = window.rank();
    let (large, small) = (spatial(c, x)?, spatial(c, y)?);
    let powers = power(c, x)?;
    let planes = planes(c, powers, &large)?;
    let ones = ones(c, x, 1, &window.kernel)?;
    let ends = (0..n)
        .map(|i| (small[i] - 1) * window.strides[i] + window.extent(i) - large[i] - window.pads[i])
        .map(|e| e.max(0));
    let pads: Vec<i64> = window.pads[..n].iter().copied().chain(ends).collect();
    let attrs = [
        ("pads", pads.into()),
        ("strides", window.strides.as_slice().into()),
        ("dilations", window.dilations.as_slice().into()),
    ];
    let sum = c.g.op("Conv", &[planes, ones], &attrs)?;
    let sum = c.g.reshape_like(sum, y)?;
    one(root(c, sum)?)
}

fn global_lp_pool(c: &mut Ctx) -> Result<Grads> {
    let x = c.x(0)?;
    let axes: Vec<i64> = (2..c.g.rank(x)? as i64).collect();
    let powers = power(c, x)?;
    let sum = c.g.reduce_sum(powers, &axes, true)?;
    one(root(c, sum)?)
}

/// `|x|^p`.
fn power(c: &mut Ctx, x: ValueId) -> Result<ValueId> {
    match c.attrs().int("p", 2) {
        2 => c.g.mul(x, x),
        p => {
            let size = c.g.abs(x)?;
            let p = c.g.scalar_like(x, p as f64);
            c.g.pow(size, p)
        }
    }
}

/// The p-th root, whose gradient is 0 where the sum is 0.
fn root(c: &mut Ctx, sum: ValueId) -> Result<ValueId> {
    let p = c.attrs().int("p", 2);
    if p == 1 {
        return Ok(sum);
    }
    let tiny = c.g.scalar_like(sum, 1e-30);
    let sum = c.g.max(sum, tiny)?;
    match p {
        2 => c.g.sqrt(sum),
        _ => {
            let p = c.g.scalar_like(sum, 1.0 / p as f64);
            c.g.pow(sum, p)
        }
    }
}

/// Equal values share the gradient, so that its total stays 1.
fn global_max(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, y) = (c.dy()?, c.x(0)?, c.y(0)?);
    let axes: Vec<i64> = (2..c.g.rank(x)? as i64).collect();
    let equal = c.g.equal(x, y)?;
    let mask = c.mask(equal, x)?;
    let ties = c.g.reduce_sum(mask, &axes, true)?;
    let share = c.g.div(dy, ties)?;
    Ok(vec![Some(c.g.mul(mask, share)?)])
}
