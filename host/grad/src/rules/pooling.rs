//! Pooling and resizing.

use super::{
    Kind::{Broadcast, Dense},
    Row, row,
    window::{Window, spatial},
};
use crate::{
    Case, Ctx, Grads,
    case::{Operand, any, apart, list},
};
use ekphrasis_graph::{AttrsExt, Dim, Result, Tensor, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("MaxPool", Dense, max_pool, || {
        let case = |k: &[i64]| Case::of([apart(&[2, 2, 4, 5])]).ints("kernel_shape", k);
        vec![
            case(&[2, 2]).ints("strides", &[2, 2]),
            case(&[3, 3]).ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1]),
            case(&[2, 3]).ints("dilations", &[2, 1]),
            Case::of([apart(&[2, 2, 6])]).ints("kernel_shape", &[2]),
        ]
    }),
    row("AveragePool", Dense, average_pool, || {
        let case = |k: &[i64]| Case::of([any(&[2, 2, 4, 6])]).ints("kernel_shape", k).single();
        vec![
            case(&[2, 2]).ints("strides", &[2, 2]),
            case(&[2, 3]),
            case(&[3, 3]).ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1]),
            case(&[3, 3]).ints("pads", &[1, 1, 1, 1]).attr("count_include_pad", 1),
            case(&[2, 2]).ints("strides", &[3, 4]),
        ]
    }),
    row("GlobalAveragePool", Broadcast, global_average, || vec![Case::of([any(&[2, 2, 3, 4])]).single()]),
    row("GlobalMaxPool", Broadcast, global_max, || vec![Case::of([apart(&[2, 2, 3, 4])]).single()]),
    row("Resize", Dense, resize, || {
        let scales = |v: &[f32]| Operand::Single(vec![v.len()], v.into());
        let case = |s: &[f32]| Case::of([any(&[2, 2, 3, 2]), Operand::Absent, scales(s)]).single();
        vec![
            case(&[1.0, 1.0, 2.0, 3.0]).attr("mode", "nearest"),
            case(&[1.0, 1.0, 2.0, 2.0])
                .attr("mode", "nearest")
                .attr("coordinate_transformation_mode", "asymmetric")
                .attr("nearest_mode", "floor"),
            Case::of([any(&[2, 2, 3, 2]), Operand::Absent, Operand::Absent, list(&[2, 2, 6, 8])])
                .attr("mode", "nearest")
                .single()
                .known(),
        ]
    }),
];

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
    let covered = |i: usize| (small[i] - 1) * window.strides[i] + window.extent(i);
    let over = |i: usize| covered(i) - large[i] - window.pads[i];
    if (0..n).any(|i| over(i) > window.pads[i + n]) {
        return Err(c.error("ceil_mode with windows that reach past the padding"));
    }
    if c.attrs().int("count_include_pad", 0) != 0 || window.pads.iter().all(|p| *p == 0) {
        dy = c.g.scale(dy, 1.0 / area as f64)?;
    } else {
        let counts = counts(&window, &large, &small);
        let dims: Vec<usize> = [1, 1].into_iter().chain(small.iter().map(|s| *s as usize)).collect();
        let counts = c.g.constant(Tensor::from_f32(&dims, &counts)?);
        let dtype = c.g.value(dy).dtype;
        let counts = c.g.cast(counts, dtype)?;
        dy = c.g.div(dy, counts)?;
    }
    // Every pixel collects from the windows that hold it: a transposed convolution with ones.
    let channels = c.g.dims(x)?.get(1).and_then(Dim::known);
    let channels = channels.ok_or_else(|| c.error("expected a known number of channels"))?;
    let dims: Vec<usize> =
        [channels, 1].iter().chain(&window.kernel).map(|d| usize::try_from(*d).unwrap_or(1)).collect();
    let ones = c.g.constant(Tensor::from_f32(&dims, &vec![1.0; dims.iter().product()])?);
    let dtype = c.g.value(dy).dtype;
    let ones = c.g.cast(ones, dtype)?;
    let attrs = [
        ("group", channels.into()),
        ("strides", window.strides.as_slice().into()),
        ("dilations", window.dilations.as_slice().into()),
    ];
    let sum = c.g.op("ConvTranspose", &[dy, ones], &attrs)?;
    // Without padding the result starts at the padding's start and ends with the last window.
    let amounts: Vec<_> = (0..n).map(|i| (i + 2, -window.pads[i], -over(i))).collect();
    Ok(vec![Some(c.pad(sum, &amounts)?)])
}

/// How many pixels each window holds, padding left out.
fn counts(window: &Window, large: &[i64], small: &[i64]) -> Vec<f32> {
    let along = |i: usize, at: i64| {
        let start = at * window.strides[i] - window.pads[i];
        let inside = |k: &i64| (0..large[i]).contains(&(start + k * window.dilations[i]));
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

/// Nearest neighbours at whole scales repeat each pixel; the repeats are summed, as an average.
fn resize(c: &mut Ctx) -> Result<Grads> {
    let (dy, x) = (c.dy()?, c.x(0)?);
    let scales = scales(c, x, dy)?;
    let mode = c.attrs().text("mode", "nearest");
    let place = c.attrs().text("coordinate_transformation_mode", "half_pixel");
    let rounding = c.attrs().text("nearest_mode", "round_prefer_floor");
    let repeats = match (place, rounding) {
        ("half_pixel", r) => r.starts_with("round"),
        ("asymmetric", "floor") => true,
        ("asymmetric", "round_prefer_floor") => scales.iter().all(|s| *s <= 2),
        _ => false,
    };
    if mode != "nearest" || !repeats || scales.iter().take(2).any(|s| *s != 1) {
        return Err(c.error(format!(
            "expected nearest neighbours at whole scales, found {mode}, {place}, {rounding}"
        )));
    }
    let kernel = &scales[2..];
    let attrs = [("kernel_shape", kernel.into()), ("strides", kernel.into())];
    let mean = c.g.op("AveragePool", &[dy], &attrs)?;
    let area: i64 = kernel.iter().product();
    Ok(vec![Some(c.g.scale(mean, area as f64)?), None, None, None])
}

fn scales(c: &Ctx, x: ValueId, dy: ValueId) -> Result<Vec<i64>> {
    let given = c.input(2).and_then(|s| c.g.value(s).tensor().and_then(|t| t.to_f32()));
    let whole = match given.filter(|s| !s.is_empty()) {
        Some(s) => s.iter().map(|s| (s.fract() == 0.0 && *s >= 1.0).then_some(*s as i64)).collect(),
        None => {
            let pairs = c.g.dims(x)?.iter().zip(c.g.dims(dy)?);
            pairs.map(|(x, y)| y.div_exact(x).and_then(|d| d.known())).collect::<Option<Vec<_>>>()
        }
    };
    whole.filter(|s| s.len() >= 3).ok_or_else(|| c.error("expected whole scales"))
}
