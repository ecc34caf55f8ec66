//! Gathering, scattering, sorting.

use super::{Args, Infer, Info, axis};
use crate::{AttrsExt, DType, Dim, Shape, dim::show};

pub(super) fn infer(op: &str, a: &Args) -> Infer<Option<Vec<Info>>> {
    Ok(Some(match op {
        "Gather" => vec![gather(a)?],
        "GatherElements" => vec![Info::new(a.dtype(0)?, a.shape(1)?.cloned())],
        "GatherND" => vec![gather_nd(a)?],
        "ScatterElements" | "ScatterND" => vec![Info::new(a.dtype(0)?, a.shape(0)?.cloned())],
        "OneHot" => vec![one_hot(a)?],
        "TopK" => top_k(a)?,
        "NonZero" => {
            let rank = a.shape(0)?.map(|s| vec![Dim::from(s.len()), Dim::symbol("nonzero")]);
            vec![Info::new(DType::I64, rank)]
        }
        _ => return Ok(None),
    }))
}

fn whole(a: &Args, i: usize) -> Infer<()> {
    match a.dtype(i)? {
        DType::I64 | DType::I32 => Ok(()),
        _ => Err(format!("expected integer indices, found {}", a.need(i)?.describe())),
    }
}

fn gather(a: &Args) -> Infer<Info> {
    whole(a, 1)?;
    let dtype = a.dtype(0)?;
    let (Some(x), Some(indices)) = (a.shape(0)?, a.shape(1)?) else { return Ok(Info::new(dtype, None)) };
    let at = axis(a.attrs.int("axis", 0), x.len())?;
    let out: Shape = [&x[..at], indices, &x[(at + 1).min(x.len())..]].concat();
    let mut info = Info::new(dtype, out);
    if let (Some(ints), Some(which)) = (a.ints(0), a.numbers(1))
        && x.len() == 1
    {
        let n = ints.len() as i64;
        info.ints = which
            .iter()
            .map(|i| usize::try_from(if *i < 0 { i + n } else { *i }).ok().and_then(|i| ints.get(i).cloned()))
            .collect();
    }
    Ok(info)
}

fn gather_nd(a: &Args) -> Infer<Info> {
    whole(a, 1)?;
    let dtype = a.dtype(0)?;
    let (Some(x), Some(indices)) = (a.shape(0)?, a.shape(1)?) else { return Ok(Info::new(dtype, None)) };
    let batch = a.attrs.int("batch_dims", 0).max(0) as usize;
    let Some(depth) = indices.last().and_then(Dim::known) else { return Ok(Info::new(dtype, None)) };
    let from = batch + depth as usize;
    if from > x.len() {
        return Err(format!("indices {} reach deeper than {}", show(indices), show(x)));
    }
    Ok(Info::new(dtype, [&indices[..indices.len() - 1], &x[from..]].concat()))
}

fn one_hot(a: &Args) -> Infer<Info> {
    let dtype = a.dtype(2)?;
    let Some(indices) = a.shape(0)? else { return Ok(Info::new(dtype, None)) };
    let depth = a.ints(1).and_then(|v| v.first().cloned()).unwrap_or_else(|| Dim::symbol("depth"));
    let mut out = indices.clone();
    let at = axis(a.attrs.int("axis", -1), indices.len() + 1)?;
    out.insert(at, depth);
    Ok(Info::new(dtype, out))
}

fn top_k(a: &Args) -> Infer {
    let dtype = a.dtype(0)?;
    let shape = match a.shape(0)? {
        Some(x) => {
            let mut out = x.clone();
            let at = axis(a.attrs.int("axis", -1), x.len())?;
            out[at] = a.ints(1).and_then(|v| v.first().cloned()).unwrap_or_else(|| Dim::symbol("k"));
            Some(out)
        }
        None => None,
    };
    Ok(vec![Info::new(dtype, shape.clone()), Info::new(DType::I64, shape)])
}
