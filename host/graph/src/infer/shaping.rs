//! Operators that move elements without computing: reshape, transpose, concat, slice, pad.

use super::{Args, Infer, Info, MAX_INTS, axis, broadcast, div_ceil};
use crate::{Attr, AttrsExt, DType, Dim, Shape, dim::product, dim::show};

pub(super) fn infer(op: &str, a: &Args) -> Infer<Option<Vec<Info>>> {
    Ok(Some(match op {
        "Shape" => vec![shape_of(a)?],
        "Size" => vec![match a.shape(0)? {
            Some(s) => Info::of_ints(DType::I64, vec![product(s)], true),
            None => Info::new(DType::I64, vec![]),
        }],
        "Reshape" => vec![reshape(a)?],
        "Flatten" => vec![flatten(a)?],
        "Transpose" => vec![transpose(a)?],
        "Squeeze" => vec![squeeze(a)?],
        "Unsqueeze" => vec![unsqueeze(a)?],
        "Concat" => vec![concat(a)?],
        "Split" => split(a)?,
        "Slice" => vec![slice(a)?],
        "Pad" => vec![pad(a)?],
        "Expand" => vec![expand(a)?],
        "Tile" => vec![tile(a)?],
        "ConstantOfShape" => vec![constant_of_shape(a)?],
        "Range" => vec![range(a)?],
        "EyeLike" => vec![Info::new(
            i32::try_from(a.attrs.int("dtype", a.dtype(0)? as i64))
                .ok()
                .and_then(DType::from_onnx)
                .unwrap_or(DType::F32),
            a.shape(0)?.cloned(),
        )],
        "DepthToSpace" | "SpaceToDepth" => vec![blocks(op, a)?],
        _ => return Ok(None),
    }))
}

fn shape_of(a: &Args) -> Infer<Info> {
    let Some(shape) = a.shape(0)? else { return Ok(Info::new(DType::I64, None)) };
    let rank = shape.len() as i64;
    let clamp = |v: i64| (if v < 0 { v + rank } else { v }).clamp(0, rank) as usize;
    let (start, end) = (clamp(a.attrs.int("start", 0)), clamp(a.attrs.int("end", rank)));
    Ok(Info::of_ints(DType::I64, shape[start..end.max(start)].to_vec(), false))
}

fn reshape(a: &Args) -> Infer<Info> {
    let dtype = a.dtype(0)?;
    let own = a.shape(0)?;
    let Some(target) = a.ints(1) else {
        // Only the rank may be known.
        return Ok(Info::new(dtype, None));
    };
    let copy = a.attrs.int("allowzero", 0) == 0;
    let mut dims = vec![];
    let mut free = None;
    for (i, d) in target.iter().enumerate() {
        match d.known() {
            Some(0) if copy => match own.and_then(|s| s.get(i)) {
                Some(d) => dims.push(d.clone()),
                None => {
                    return Err(format!(
                        "target {} copies dimension {i}, which the input has not",
                        show(target)
                    ));
                }
            },
            Some(-1) if free.is_none() => {
                free = Some(i);
                dims.push(Dim::Known(1));
            }
            Some(n) if n < 0 => {
                return Err(format!("expected a shape with at most one -1, found {}", show(target)));
            }
            _ => dims.push(d.clone()),
        }
    }
    let Some(own) = own else { return Ok(Info::new(dtype, free.is_none().then_some(dims))) };
    let (total, given) = (product(own), product(&dims));
    match free {
        Some(i) => {
            dims[i] = match total.div_exact(&given) {
                Some(d) => d,
                None if total.known().is_some() && given.known().is_some() => {
                    return Err(format!(
                        "cannot reshape {} to {}: sizes do not divide",
                        show(own),
                        show(target)
                    ));
                }
                None => Dim::symbol(&format!("({total})/({given})")),
            };
        }
        None if total != given && total.known().is_some() && given.known().is_some() => {
            return Err(format!(
                "cannot reshape {} ({total} elements) to {} ({given})",
                show(own),
                show(target)
            ));
        }
        None => {}
    }
    let mut info = Info::new(dtype, dims);
    if info.shape.as_ref().is_some_and(|s| s.len() <= 1) {
        info.ints = a.ints(0).map(<[Dim]>::to_vec);
    }
    Ok(info)
}

fn flatten(a: &Args) -> Infer<Info> {
    let Some(shape) = a.shape(0)? else { return Ok(Info::new(a.dtype(0)?, None)) };
    let at = a.attrs.int("axis", 1);
    let at = if at == shape.len() as i64 { shape.len() } else { axis(at, shape.len())? };
    Ok(Info::new(a.dtype(0)?, vec![product(&shape[..at]), product(&shape[at..])]))
}

fn transpose(a: &Args) -> Infer<Info> {
    let Some(shape) = a.shape(0)? else { return Ok(Info::new(a.dtype(0)?, None)) };
    let reversed: Vec<i64> = (0..shape.len() as i64).rev().collect();
    let perm = a.attrs.ints("perm").unwrap_or(&reversed);
    let mut sorted = perm.to_vec();
    sorted.sort_unstable();
    if sorted != (0..shape.len() as i64).collect::<Vec<_>>() {
        return Err(format!("expected a permutation of {} axes, found {perm:?}", shape.len()));
    }
    Ok(Info::new(a.dtype(0)?, perm.iter().map(|p| shape[*p as usize].clone()).collect::<Shape>()))
}

fn squeeze(a: &Args) -> Infer<Info> {
    let dtype = a.dtype(0)?;
    let Some(shape) = a.shape(0)? else { return Ok(Info::new(dtype, None)) };
    let axes = match (a.get(1), a.numbers(1)) {
        (None, _) => shape.iter().enumerate().filter(|(_, d)| d.is(1)).map(|(i, _)| i).collect(),
        (_, Some(axes)) => axes.iter().map(|x| axis(*x, shape.len())).collect::<Infer<Vec<_>>>()?,
        _ => return Ok(Info::new(dtype, None)),
    };
    if let Some(i) = axes.iter().find(|i| shape[**i].known().is_some_and(|n| n != 1)) {
        return Err(format!("cannot squeeze axis {i} of {}: expected size 1", show(shape)));
    }
    let rest: Shape =
        shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, d)| d.clone()).collect();
    let ints = a.ints(0).map(<[Dim]>::to_vec);
    Ok(Info { dtype, shape: Some(rest), ints })
}

fn unsqueeze(a: &Args) -> Infer<Info> {
    let dtype = a.dtype(0)?;
    let (Some(shape), Some(axes)) = (a.shape(0)?, a.numbers(1)) else { return Ok(Info::new(dtype, None)) };
    let rank = shape.len() + axes.len();
    let axes = axes.iter().map(|x| axis(*x, rank)).collect::<Infer<Vec<_>>>()?;
    let mut rest = shape.iter();
    let out: Shape = (0..rank)
        .map(
            |i| if axes.contains(&i) { Dim::Known(1) } else { rest.next().cloned().unwrap_or(Dim::Known(1)) },
        )
        .collect();
    let ints = a.ints(0).filter(|_| rank <= 1).map(<[Dim]>::to_vec);
    Ok(Info { dtype, shape: Some(out), ints })
}

fn concat(a: &Args) -> Infer<Info> {
    for i in 1..a.len() {
        a.same_type(0, i)?;
    }
    let dtype = a.dtype(0)?;
    let mut parts = vec![];
    for i in 0..a.len() {
        match a.shape(i)? {
            Some(s) => parts.push(s),
            None => return Ok(Info::new(dtype, None)),
        }
    }
    let first = parts[0];
    let at = axis(a.attrs.int("axis", 0), first.len())?;
    let mut out = first.clone();
    for p in &parts[1..] {
        let fits = p.len() == first.len()
            && p.iter()
                .zip(first)
                .enumerate()
                .all(|(i, (x, y))| i == at || x == y || x.known().is_none() || y.known().is_none());
        if !fits {
            return Err(format!("cannot concatenate {} and {} along axis {at}", show(first), show(p)));
        }
        out[at] = out[at].add(&p[at]);
        for (i, d) in p.iter().enumerate().filter(|(i, _)| *i != at) {
            if out[i].known().is_none() && d.known().is_some() {
                out[i] = d.clone();
            }
        }
    }
    let all: Option<Vec<&[Dim]>> = (0..a.len()).map(|i| a.ints(i)).collect();
    let ints = all.filter(|_| out.len() == 1).map(|v| v.concat());
    Ok(Info { dtype, shape: Some(out), ints })
}

fn split(a: &Args) -> Infer {
    let dtype = a.dtype(0)?;
    let Some(shape) = a.shape(0)? else { return Ok(vec![Info::new(dtype, None); a.outputs]) };
    let at = axis(a.attrs.int("axis", 0), shape.len())?;
    let sizes: Vec<Dim> = match a.ints(1) {
        Some(sizes) => sizes.to_vec(),
        // Sizes that come with the data.
        None if let Some(sizes) = a.get(1) => {
            (0..a.outputs).map(|i| Dim::symbol(&format!("{}_{i}", sizes.name))).collect()
        }
        None => match (shape[at].known(), a.outputs as i64) {
            (Some(n), k) if k > 0 => {
                let each = div_ceil(n, k);
                (0..k).map(|i| Dim::Known(each.min(n - i * each))).collect()
            }
            (None, k) => {
                let each = shape[at].div_exact(&Dim::Known(k));
                let each = each.unwrap_or_else(|| Dim::symbol(&format!("({})/{k}", shape[at])));
                vec![each; a.outputs]
            }
            _ => return Err("expected at least one output".into()),
        },
    };
    if sizes.len() != a.outputs {
        return Err(format!("expected {} outputs, as many as sizes, found {}", sizes.len(), a.outputs));
    }
    let total = sizes.iter().fold(Dim::Known(0), |s, d| s.add(d));
    if let (Some(n), Some(t)) = (shape[at].known(), total.known())
        && n != t
    {
        return Err(format!("cannot split axis {at} of {} into sizes {}", show(shape), show(&sizes)));
    }
    let parts = sizes.into_iter().map(|d| {
        let mut s = shape.clone();
        s[at] = d;
        Info::new(dtype, s)
    });
    Ok(parts.collect())
}

fn slice(a: &Args) -> Infer<Info> {
    let dtype = a.dtype(0)?;
    let Some(shape) = a.shape(0)? else { return Ok(Info::new(dtype, None)) };
    let (Some(starts), Some(ends)) = (a.ints(1), a.ints(2)) else {
        // Sizes along the sliced axes are unknown, the rank is not.
        let out = shape.iter().map(|d| Dim::symbol(&format!("slice({d})"))).collect::<Shape>();
        return Ok(Info::new(dtype, out));
    };
    let axes = match a.get(3) {
        Some(_) => match a.numbers(3) {
            Some(v) => v,
            None => return Ok(Info::new(dtype, None)),
        },
        None => (0..starts.len() as i64).collect(),
    };
    let steps = a.numbers(4).unwrap_or_else(|| vec![1; axes.len()]);
    if [starts.len(), ends.len(), steps.len()] != [axes.len(); 3] {
        return Err("expected starts, ends, axes and steps of one length".into());
    }
    let mut out = shape.clone();
    for (i, x) in axes.iter().enumerate() {
        let at = axis(*x, shape.len())?;
        out[at] = sliced(&shape[at], &starts[i], &ends[i], steps[i])?;
    }
    let mut info = Info::new(dtype, out);
    if let (Some(ints), [step]) = (a.ints(0), steps.as_slice())
        && let (Some(s), Some(e)) = (starts[0].known(), ends[0].known())
    {
        let picked = positions(ints.len() as i64, s, e, *step);
        info.ints = Some(picked.into_iter().map(|i| ints[i as usize].clone()).collect());
    }
    Ok(info)
}

/// The positions that a slice takes of `n` elements.
fn positions(n: i64, start: i64, end: i64, step: i64) -> Vec<i64> {
    let wrap = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
    if step > 0 {
        let (s, e) = (wrap(start).clamp(0, n), wrap(end).clamp(0, n));
        (s..e).step_by(step as usize).collect()
    } else {
        let (s, e) = (wrap(start).clamp(-1, n - 1), wrap(end).clamp(-1, n - 1));
        (e + 1..=s).rev().step_by(step.unsigned_abs() as usize).collect()
    }
}

fn sliced(dim: &Dim, start: &Dim, end: &Dim, step: i64) -> Infer<Dim> {
    if step == 0 {
        return Err("expected a step other than 0".into());
    }
    if let (Some(n), Some(s), Some(e)) = (dim.known(), start.known(), end.known()) {
        let wrap = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
        let len = if step > 0 {
            div_ceil((wrap(e).clamp(0, n) - wrap(s).clamp(0, n)).max(0), step)
        } else {
            div_ceil((wrap(s).clamp(-1, n - 1) - wrap(e).clamp(-1, n - 1)).max(0), step.saturating_neg())
        };
        return Ok(Dim::Known(len));
    }
    // With a symbol: the common cases, x[a:], x[:-b], x[a:b], x[::-1].
    let huge = |d: &Dim| d.known().is_some_and(|v| v > i64::MAX / 4);
    let from_end = |d: &Dim| if d.known().is_some_and(|v| v < 0) { dim.add(d) } else { d.clone() };
    if step == 1 {
        let end = if huge(end) { dim.clone() } else { from_end(end) };
        return Ok(end.sub(&from_end(start)));
    }
    if step == -1 && start.is(-1) && end.known().is_some_and(|v| v < -i64::MAX / 4) {
        return Ok(dim.clone());
    }
    Ok(Dim::symbol(&format!("slice({dim})")))
}

fn pad(a: &Args) -> Infer<Info> {
    let dtype = a.dtype(0)?;
    let (Some(shape), Some(pads)) = (a.shape(0)?, a.ints(1)) else {
        return Ok(Info::new(
            dtype,
            a.shape(0)?.map(|s| s.iter().map(|d| Dim::symbol(&format!("pad({d})"))).collect()),
        ));
    };
    let axes: Vec<i64> = a.numbers(3).unwrap_or_else(|| (0..shape.len() as i64).collect());
    if pads.len() != 2 * axes.len() {
        return Err(format!("expected {} pads, found {}", 2 * axes.len(), pads.len()));
    }
    let mut out = shape.clone();
    for (i, x) in axes.iter().enumerate() {
        let at = axis(*x, shape.len())?;
        out[at] = out[at].add(&pads[i]).add(&pads[i + axes.len()]);
    }
    Ok(Info::new(dtype, out))
}

fn expand(a: &Args) -> Infer<Info> {
    let (Some(shape), Some(target)) = (a.shape(0)?, a.ints(1)) else {
        return Ok(Info::new(a.dtype(0)?, None));
    };
    Ok(Info::new(a.dtype(0)?, broadcast(shape, target)?))
}

fn tile(a: &Args) -> Infer<Info> {
    let (Some(shape), Some(times)) = (a.shape(0)?, a.ints(1)) else {
        return Ok(Info::new(a.dtype(0)?, None));
    };
    if shape.len() != times.len() {
        return Err(format!("expected {} repeats, one a dimension, found {}", shape.len(), times.len()));
    }
    Ok(Info::new(a.dtype(0)?, shape.iter().zip(times).map(|(d, n)| d.mul(n)).collect::<Shape>()))
}

fn constant_of_shape(a: &Args) -> Infer<Info> {
    let value = match a.attrs.get("value") {
        Some(Attr::Tensor(t)) => Some(t),
        _ => None,
    };
    let dtype = value.map_or(DType::F32, |t| t.dtype());
    let shape = a.ints(0).map(<[Dim]>::to_vec);
    let mut info = Info::new(dtype, shape);
    if let (Some([d]), Some(v)) = (info.shape.as_deref(), value.and_then(|t| t.as_ints()))
        && let (Some(n @ 0..=64), Some(v)) = (d.known(), v.first())
        && dtype == DType::I64
    {
        info.ints = Some(vec![Dim::Known(*v); n as usize]);
    }
    Ok(info)
}

fn range(a: &Args) -> Infer<Info> {
    let dtype = a.dtype(0)?;
    let whole = |i: usize| a.ints(i).and_then(|v| v.first().cloned());
    let mut ints = None;
    let length = match (whole(0), whole(1), whole(2)) {
        (Some(start), Some(end), Some(step)) => match (start.known(), end.known(), step.known()) {
            (Some(s), Some(e), Some(d)) if d != 0 => {
                let room = e.saturating_sub(s).saturating_add(d - d.signum());
                let n = room.checked_div(d).unwrap_or(0).max(0);
                if dtype == DType::I64 && n <= MAX_INTS as i64 {
                    ints = Some((0..n).map(|i| Dim::Known(s.saturating_add(i.saturating_mul(d)))).collect());
                }
                Dim::Known(n)
            }
            (_, _, Some(1)) => end.sub(&start),
            _ => Dim::symbol("range"),
        },
        _ => Dim::symbol("range"),
    };
    Ok(Info { dtype, shape: Some(vec![length]), ints })
}

fn blocks(op: &str, a: &Args) -> Infer<Info> {
    let Some(shape) = a.shape(0)? else { return Ok(Info::new(a.dtype(0)?, None)) };
    let [n, c, h, w] = shape.as_slice() else {
        return Err(format!("expected 4 dimensions, found {}", show(shape)));
    };
    let b = Dim::Known(a.attrs.int("blocksize", 1));
    let bb = b.mul(&b);
    let div = |x: &Dim, y: &Dim| x.div_exact(y).ok_or_else(|| format!("{x} does not divide by {y}"));
    let out = if op == "DepthToSpace" {
        vec![n.clone(), div(c, &bb)?, h.mul(&b), w.mul(&b)]
    } else {
        vec![n.clone(), c.mul(&bb), div(h, &b)?, div(w, &b)?]
    };
    Ok(Info::new(a.dtype(0)?, out))
}
