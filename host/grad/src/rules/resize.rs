//! `Resize`: along each axis a matrix of interpolation weights, whose transpose brings the gradient back.

use super::{Kind::Dense, Row, row};
use crate::{
    Case, Ctx, Grads,
    case::{Operand, any, list},
};
use ekphrasis_graph::{AttrsExt, DType, Result, Tensor, ValueId};

pub(super) const ROWS: &[Row] = &[row("Resize", Dense, resize, domain)];

fn domain() -> Vec<Case> {
    let single = |v: &[f32]| Operand::Single(vec![v.len()], v.into());
    let scaled = |mode: &str, s: &[f32]| {
        Case::of([any(&[2, 2, 3, 4]), Operand::Absent, single(s)]).attr("mode", mode).single()
    };
    let place = "coordinate_transformation_mode";
    let sized = |mode: &str, s: &[i64]| {
        let inputs = [any(&[2, 2, 3, 4]), Operand::Absent, Operand::Absent, list(s)];
        Case::of(inputs).attr("mode", mode).single()
    };
    let mut cases = vec![
        // Whole scales, where pixels repeat.
        scaled("nearest", &[1.0, 1.0, 2.0, 3.0]),
        scaled("nearest", &[1.0, 1.0, 2.0, 2.0]).attr(place, "asymmetric").attr("nearest_mode", "floor"),
        sized("nearest", &[2, 2, 6, 8]).known(),
    ];
    for rounding in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"] {
        for (how, scales) in [
            ("half_pixel", [1.0, 1.0, 1.5, 0.7]),
            ("asymmetric", [1.0, 1.0, 2.0, 2.5]),
            ("align_corners", [1.0, 1.0, 0.6, 2.0]),
        ] {
            cases.push(scaled("nearest", &scales).attr(place, how).attr("nearest_mode", rounding));
        }
    }
    for mode in ["linear", "cubic"] {
        for how in ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"] {
            cases.push(scaled(mode, &[1.0, 1.0, 2.0, 0.6]).attr(place, how));
        }
        cases.push(sized(mode, &[2, 2, 5, 3]).known());
        cases.push(sized(mode, &[1, 7]).ints("axes", &[2, 3]).attr(place, "pytorch_half_pixel"));
        let crop = [0.0, 0.0, 0.3, -0.2, 1.0, 1.0, 0.9, 0.8];
        let inputs = [any(&[2, 2, 3, 4]), single(&crop), Operand::Absent, list(&[2, 2, 4, 3])];
        let case = Case::of(inputs).attr("mode", mode).attr(place, "tf_crop_and_resize").single().known();
        cases.push(case.attr("extrapolation_value", 0.5f32));
    }
    for policy in ["not_larger", "not_smaller"] {
        let case = sized("linear", &[7, 6]).ints("axes", &[2, 3]);
        cases.push(case.attr("keep_aspect_ratio_policy", policy));
    }
    cases.push(scaled("cubic", &[1.0, 1.0, 2.0, 1.5]).attr("cubic_coeff_a", -0.5f32));
    cases.push(scaled("cubic", &[1.0, 1.0, 0.8, 1.5]).attr("exclude_outside", 1));
    for mode in ["linear", "cubic"] {
        let inputs = [any(&[1, 2, 5, 6]), Operand::Absent, single(&[1.0, 1.0, 0.6, 0.5])];
        let case = Case::of(inputs).attr("mode", mode).attr("antialias", 1).single().known();
        cases.push(case.clone());
        cases.push(case.attr("exclude_outside", 1).attr("cubic_coeff_a", -0.5f32));
    }
    let flat = Case::of([any(&[3, 4]), Operand::Absent, single(&[2.0, 1.5])]).attr("mode", "linear");
    cases.push(flat.single().known());
    cases
}

/// One axis: sizes before and after, and what stretches it.
struct Axis {
    at: usize,
    from: i64,
    to: i64,
    scale: f32,
    /// Where the picture begins and ends, as shares of the whole (`tf_crop_and_resize`).
    crop: (f32, f32),
}

fn resize(c: &mut Ctx) -> Result<Grads> {
    let mut dy = c.dy()?;
    if let Some(kernel) = repeats(c)? {
        // The repeats of each pixel are summed, as an average.
        let attrs = [("kernel_shape", kernel.as_slice().into()), ("strides", kernel.as_slice().into())];
        let mean = c.g.op("AveragePool", &[dy], &attrs)?;
        let area: i64 = kernel.iter().product();
        return Ok(vec![Some(c.g.scale(mean, area as f64)?), None, None, None]);
    }
    // The last axis first, where the product needs no transposition.
    for axis in axes(c)?.iter().rev() {
        if let Some(weights) = weights(c, axis)? {
            dy = contract(c, dy, axis, &weights)?;
        }
    }
    Ok(vec![Some(dy), None, None, None])
}

fn floats(c: &Ctx, i: usize) -> Option<Vec<f32>> {
    c.input(i).and_then(|v| c.g.value(v).tensor().and_then(|t| t.to_f32())).filter(|v| !v.is_empty())
}

/// The whole scales of the spatial axes, where resizing means to repeat each pixel.
fn repeats(c: &Ctx) -> Result<Option<Vec<i64>>> {
    let (x, y) = (c.g.dims(c.x(0)?)?, c.g.dims(c.y(0)?)?);
    if c.attrs().text("mode", "nearest") != "nearest" || c.attrs().contains_key("axes") {
        return Ok(None);
    }
    let whole: Option<Vec<i64>> = match floats(c, 2) {
        Some(s) => s.iter().map(|s| (s.fract() == 0.0 && *s >= 1.0).then_some(*s as i64)).collect(),
        None => x.iter().zip(y).map(|(x, y)| y.div_exact(x).and_then(|d| d.known())).collect(),
    };
    let Some(scales) = whole.filter(|s| s.len() >= 3) else { return Ok(None) };
    let rounding = c.attrs().text("nearest_mode", "round_prefer_floor");
    let plain = match c.attrs().text("coordinate_transformation_mode", "half_pixel") {
        "half_pixel" => rounding.starts_with("round"),
        "asymmetric" => {
            rounding == "floor" || (rounding == "round_prefer_floor" && scales.iter().all(|s| *s <= 2))
        }
        _ => false,
    };
    Ok((plain && scales[..2] == [1, 1]).then(|| scales[2..].to_vec()))
}

/// The axes that change, with their numbers.
fn axes(c: &Ctx) -> Result<Vec<Axis>> {
    let (x, y) = (c.g.dims(c.x(0)?)?.to_vec(), c.g.dims(c.y(0)?)?.to_vec());
    let named: Vec<usize> = match c.attrs().ints("axes") {
        Some(axes) => axes.iter().map(|a| c.axis(*a, x.len())).collect(),
        None => (0..x.len()).collect(),
    };
    let crops = c.attrs().text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
    let (scales, roi) = (floats(c, 2), if crops { floats(c, 1) } else { None });
    if crops && roi.as_ref().is_none_or(|r| r.len() != 2 * named.len()) {
        return Err(c.error(format!("expected a literal region of {} numbers", 2 * named.len())));
    }
    let mut axes = vec![];
    for (i, at) in named.iter().copied().enumerate() {
        let scale = scales.as_ref().and_then(|s| s.get(i).copied());
        let crop = roi.as_ref().map_or((0.0, 1.0), |r| (r[i], r[i + named.len()]));
        if x[at] == y[at] && crop == (0.0, 1.0) && scale.is_none_or(|s| s == 1.0) {
            continue;
        }
        let (Some(from), Some(to)) = (x[at].known(), y[at].known()) else {
            return Err(
                c.error(format!("expected known sizes along axis {at}, found {} and {}", x[at], y[at]))
            );
        };
        axes.push(Axis { at, from, to, scale: scale.unwrap_or(to as f32 / from as f32), crop });
    }
    let policy = c.attrs().text("keep_aspect_ratio_policy", "stretch");
    if scales.is_none() && policy != "stretch" {
        // All axes have the scale of the one that decides.
        let wanted = c.literal(3)?.unwrap_or_default();
        let each = named.iter().zip(&wanted).filter_map(|(at, n)| Some(*n as f32 / x[*at].known()? as f32));
        let scale =
            if policy == "not_larger" { each.fold(f32::MAX, f32::min) } else { each.fold(0.0, f32::max) };
        axes.iter_mut().for_each(|a| a.scale = scale);
    }
    Ok(axes)
}

/// Where output `i` lies in the input, in the single precision that decides how it is rounded.
fn place(c: &Ctx, a: &Axis, i: i64) -> Result<f32> {
    let (at, from, to) = (i as f32, a.from as f32, a.to as f32);
    Ok(match c.attrs().text("coordinate_transformation_mode", "half_pixel") {
        "half_pixel" => (at + 0.5) / a.scale - 0.5,
        "pytorch_half_pixel" if a.to > 1 => (at + 0.5) / a.scale - 0.5,
        "pytorch_half_pixel" => 0.0,
        "asymmetric" => at / a.scale,
        "align_corners" if a.to > 1 => at * (from - 1.0) / (to - 1.0),
        "align_corners" => 0.0,
        "tf_crop_and_resize" if a.to > 1 => {
            a.crop.0 * (from - 1.0) + at * (a.crop.1 - a.crop.0) * (from - 1.0) / (to - 1.0)
        }
        "tf_crop_and_resize" => 0.5 * (a.crop.0 + a.crop.1) * (from - 1.0),
        other => return Err(c.error(format!("expected a coordinate mode of opset 18, found {other}"))),
    })
}

/// The matrix `[to, from]` that resizes one axis; none where it is the identity.
fn weights(c: &Ctx, a: &Axis) -> Result<Option<Vec<f32>>> {
    let (n, m) = (usize::try_from(a.from).unwrap_or(0), usize::try_from(a.to).unwrap_or(0));
    let crops = c.attrs().text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
    let mut all = vec![0.0; n * m];
    for i in 0..m {
        let x = place(c, a, i as i64)?;
        if crops && !(0.0..=(a.from - 1) as f32).contains(&x) {
            // A constant lies there.
            continue;
        }
        let mode = c.attrs().text("mode", "nearest");
        let taps = match mode {
            "linear" | "cubic" if c.attrs().int("antialias", 0) != 0 && a.scale < 1.0 => {
                smooth(c, x, a, mode == "linear")
            }
            "nearest" => vec![(nearest(c, x)?, 1.0)],
            "linear" => linear(x, a.from),
            "cubic" => cubic(c, x, a.from),
            other => return Err(c.error(format!("expected mode nearest, linear or cubic, found {other}"))),
        };
        for (at, weight) in taps {
            let at = usize::try_from(at.clamp(0, a.from - 1)).unwrap_or(0);
            all[i * n + at] += weight;
        }
    }
    let same = n == m && (0..n * m).all(|k| all[k] == f32::from(u8::from(k / n == k % n)));
    Ok((!same).then_some(all))
}

fn nearest(c: &Ctx, x: f32) -> Result<i64> {
    let half = x == x.trunc() + 0.5;
    Ok(match c.attrs().text("nearest_mode", "round_prefer_floor") {
        "round_prefer_floor" if half => x.floor() as i64,
        "round_prefer_floor" | "round_prefer_ceil" => x.round() as i64,
        "floor" => x.floor() as i64,
        "ceil" => x.ceil() as i64,
        other => return Err(c.error(format!("expected a known nearest_mode, found {other}"))),
    })
}

fn linear(x: f32, size: i64) -> Vec<(i64, f32)> {
    let x = x.clamp(0.0, (size - 1) as f32);
    let (low, share) = (x.floor() as i64, x.fract());
    vec![(low, 1.0 - share), (low + 1, share)]
}

/// Cubic convolution (Keys 1981).
fn cubic(c: &Ctx, x: f32, size: i64) -> Vec<(i64, f32)> {
    let (a, low) = (c.attrs().float("cubic_coeff_a", -0.75), x.floor() as i64);
    let mut taps: Vec<_> = (low - 1..low + 3).map(|at| (at, cubic_at(a, at as f32 - x))).collect();
    if c.attrs().int("exclude_outside", 0) != 0 {
        taps.retain(|(at, _)| (0..size).contains(at));
        share(&mut taps);
    }
    taps
}

/// The weight of a pixel at a distance of up to 2.
fn cubic_at(a: f32, distance: f32) -> f32 {
    let d = distance.abs();
    match d {
        _ if d < 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
        _ if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
        _ => 0.0,
    }
}

/// Makes the weights sum to 1.
fn share(taps: &mut [(i64, f32)]) {
    let total: f32 = taps.iter().map(|t| t.1).sum();
    taps.iter_mut().for_each(|t| t.1 /= total);
}

/// A picture that shrinks, with antialias: the filter is as much wider as the picture gets smaller.
fn smooth(c: &Ctx, x: f32, axis: &Axis, linear: bool) -> Vec<(i64, f32)> {
    let a = c.attrs().float("cubic_coeff_a", -0.75);
    let reach = if linear { 1.0 } else { 2.0 } / axis.scale;
    let (from, to) = ((x - reach).floor() as i64, (x + reach).ceil() as i64);
    let weight = |at: i64| {
        let d = (at as f32 - x) * axis.scale;
        if linear { (1.0 - d.abs()).max(0.0) } else { cubic_at(a, d) }
    };
    let mut taps: Vec<_> = (from..=to).map(|at| (at, weight(at))).collect();
    if c.attrs().int("exclude_outside", 0) != 0 {
        taps.retain(|(at, _)| (0..axis.from).contains(at));
    }
    share(&mut taps);
    taps
}

/// `sum_i dy[..., i, ...] * weights[i, j]` along one axis.
fn contract(c: &mut Ctx, dy: ValueId, a: &Axis, weights: &[f32]) -> Result<ValueId> {
    let rank = c.g.rank(dy)?;
    let matrix = Tensor::from_f32(&[a.to as usize, a.from as usize], weights)?;
    let matrix = c.g.constant(matrix);
    let dtype = c.g.value(dy).dtype;
    let matrix = if dtype == DType::F32 { matrix } else { c.g.cast(matrix, dtype)? };
    if a.at + 2 == rank {
        let turned = c.g.transpose(matrix, &[1, 0])?;
        return c.g.matmul(turned, dy);
    }
    let mut swap: Vec<i64> = (0..rank as i64).collect();
    swap.swap(a.at, rank - 1);
    let last = c.g.transpose(dy, &swap)?;
    let out = c.g.matmul(last, matrix)?;
    c.g.transpose(out, &swap)
}
