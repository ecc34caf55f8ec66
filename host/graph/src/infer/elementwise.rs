//! Elementwise operators, reductions, matrix products and normalisations.

use super::{Args, Infer, Info, axis, broadcast};
use crate::{
    AttrsExt, DType, Dim, Shape,
    dim::{product, show},
};

pub(super) fn infer(op: &str, a: &Args) -> Infer<Option<Vec<Info>>> {
    Ok(Some(match op {
        "Neg"
        | "Exp"
        | "Log"
        | "Sqrt"
        | "Tanh"
        | "Sigmoid"
        | "Relu"
        | "Erf"
        | "Abs"
        | "Sign"
        | "Reciprocal"
        | "Softplus"
        | "Softsign"
        | "Sin"
        | "Cos"
        | "Tan"
        | "Asin"
        | "Acos"
        | "Atan"
        | "Sinh"
        | "Cosh"
        | "Asinh"
        | "Acosh"
        | "Atanh"
        | "Floor"
        | "Ceil"
        | "Round"
        | "LeakyRelu"
        | "Elu"
        | "Selu"
        | "Celu"
        | "HardSigmoid"
        | "HardSwish"
        | "ThresholdedRelu"
        | "Mish"
        | "Gelu"
        | "Softmax"
        | "LogSoftmax"
        | "Hardmax"
        | "Clip"
        | "Identity"
        | "ekphrasis::StopGradient"
        | "CumSum"
        | "Trilu"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "LRN"
        | "BitwiseNot"
        | "PRelu" => same(a)?,
        "IsNaN" | "IsInf" => vec![Info::new(DType::Bool, a.shape(0)?.cloned())],
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" => vec![binary(op, a)?],
        "Min" | "Max" | "Sum" | "Mean" => vec![variadic(op, a)?],
        "Not" => {
            let ints = zip_ints(&[a.ints(0)], |v| v[0].known().map(|b| Dim::Known(i64::from(b == 0))));
            vec![Info { dtype: a.dtype(0)?, shape: a.shape(0)?.cloned(), ints }]
        }
        "And" | "Or" | "Xor" => {
            let ints = zip_ints(&[a.ints(0), a.ints(1)], |v| {
                let (p, q) = (v[0].known()?, v[1].known()?);
                Some(Dim::Known(match op {
                    "And" => p & q,
                    "Or" => p | q,
                    _ => p ^ q,
                }))
            });
            vec![Info { dtype: a.same_type(0, 1)?, shape: broadcast_of(a, &[0, 1])?, ints }]
        }
        "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" => {
            a.same_type(0, 1)?;
            let ints = zip_ints(&[a.ints(0), a.ints(1)], |v| match op {
                "Equal" => equal(&v[0], &v[1]),
                _ => compare(op, &v[0], &v[1]),
            });
            vec![Info { dtype: DType::Bool, shape: broadcast_of(a, &[0, 1])?, ints }]
        }
        "Where" => {
            if a.dtype(0)? != DType::Bool {
                return Err(format!("expected a bool condition, found {}", a.need(0)?.describe()));
            }
            let ints = zip_ints(&[a.ints(0), a.ints(1), a.ints(2)], |v| {
                v[0].known().map(|c| if c != 0 { v[1].clone() } else { v[2].clone() })
            });
            vec![Info { dtype: a.same_type(1, 2)?, shape: broadcast_of(a, &[0, 1, 2])?, ints }]
        }
        "Cast" => {
            let to = DType::expect_onnx(i32::try_from(a.attrs.int("to", 1)).unwrap_or_default())?;
            let ints = zip_ints(&[a.ints(0)], |v| match to {
                DType::I64 | DType::I32 => Some(v[0].clone()),
                DType::Bool => v[0].known().map(|n| Dim::Known(i64::from(n != 0))),
                _ => None,
            });
            vec![Info { dtype: to, shape: a.shape(0)?.cloned(), ints }]
        }
        "CastLike" => vec![Info::new(a.dtype(1)?, a.shape(0)?.cloned())],
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2"
        | "ReduceSumSquare" | "ReduceLogSum" | "ReduceLogSumExp" => {
            let mut info = reduce(a)?;
            // Sizes that are multiplied stay known.
            let single = info.shape.as_deref().is_some_and(|s| s.iter().all(|d| d.is(1)));
            if let (Some(ints), true) = (a.ints(0), op == "ReduceProd" && single) {
                info.ints = Some(vec![product(ints)]);
            }
            vec![info]
        }
        "ArgMax" | "ArgMin" => vec![arg(a)?],
        "MatMul" => vec![Info::new(a.same_type(0, 1)?, matmul(a)?)],
        "Gemm" => vec![gemm(a)?],
        "LayerNormalization" | "GroupNormalization" | "InstanceNormalization" | "RMSNormalization" => {
            layer_norm(a)?
        }
        "BatchNormalization" => {
            let x = same(a)?;
            let stat = a.shape(3)?.cloned();
            let stat = Info::new(a.dtype(0)?, stat);
            vec![x[0].clone(), stat.clone(), stat]
        }
        "Dropout" => {
            let x = a.shape(0)?.cloned();
            vec![Info::new(a.dtype(0)?, x.clone()), Info::new(DType::Bool, x)]
        }
        _ => return Ok(None),
    }))
}

fn same(a: &Args) -> Infer {
    let x = a.need(0)?;
    Ok(vec![Info { dtype: x.dtype, shape: x.shape.clone(), ints: None }])
}

fn broadcast_of(a: &Args, which: &[usize]) -> Infer<Option<Shape>> {
    let mut all: Shape = vec![];
    for i in which {
        match a.shape(*i)? {
            Some(s) => all = broadcast(&all, s)?,
            None => return Ok(None),
        }
    }
    Ok(Some(all))
}

fn binary(op: &str, a: &Args) -> Infer<Info> {
    let dtype = if op == "Pow" { a.dtype(0)? } else { a.same_type(0, 1)? };
    let mut info = Info::new(dtype, broadcast_of(a, &[0, 1])?);
    if matches!(dtype, DType::I64 | DType::I32) {
        info.ints = zip_ints(&[a.ints(0), a.ints(1)], |v| {
            let (p, q) = (&v[0], &v[1]);
            match op {
                "Add" => Some(p.add(q)),
                "Sub" => Some(p.sub(q)),
                "Mul" => Some(p.mul(q)),
                // The sign of the divisor, as for all integers.
                "Mod" if a.attrs.int("fmod", 0) == 0 => {
                    let (p, q) = p.known().zip(q.known())?;
                    p.checked_rem(q)
                        .and_then(|r| r.checked_add(q))
                        .and_then(|r| r.checked_rem(q))
                        .map(Dim::Known)
                }
                "Div" => p
                    .div_exact(q)
                    .or_else(|| p.known().zip(q.known()).and_then(|(p, q)| p.checked_div(q)).map(Dim::Known)),
                "Mod" if p == q => Some(Dim::Known(0)),
                // Of positive numbers, so that the two meanings of a remainder agree.
                "Mod" => p
                    .known()
                    .zip(q.known())
                    .filter(|(p, q)| *p >= 0 && *q > 0)
                    .map(|(p, q)| Dim::Known(p % q)),
                _ => None,
            }
        });
        info.ints = info.ints.filter(|all| dtype == DType::I64 || all.iter().all(fits_i32));
    }
    Ok(info)
}

/// Whether a number is one of 32 bits; a size is.
fn fits_i32(d: &Dim) -> bool {
    d.known().is_none_or(|n| i32::try_from(n).is_ok())
}

/// Combines known integers element by element, with broadcasting; `None` where any is not known.
fn zip_ints(all: &[Option<&[Dim]>], f: impl Fn(&[Dim]) -> Option<Dim>) -> Option<Vec<Dim>> {
    let all = all.iter().copied().collect::<Option<Vec<_>>>()?;
    let n = all.iter().map(|v| v.len()).find(|n| *n != 1).unwrap_or(1);
    (0..n)
        .map(|i| {
            let row = all.iter().map(|v| v.get(if v.len() == 1 { 0 } else { i }).cloned());
            f(&row.collect::<Option<Vec<_>>>()?)
        })
        .collect()
}

/// Whether two sizes are equal, as 0 or 1, where that is certain.
fn equal(p: &Dim, q: &Dim) -> Option<Dim> {
    let negative = |d: &Dim| d.known().is_some_and(|n| n < 0);
    let both = p.known().is_some() && q.known().is_some();
    match (p == q, both || (negative(p) != negative(q) && (is_size(p) || is_size(q)))) {
        (true, _) => Some(Dim::Known(1)),
        (false, true) => Some(Dim::Known(0)),
        (false, false) => None,
    }
}

/// Whether one size is less or greater than another, as 0 or 1, where that is certain.
fn compare(op: &str, p: &Dim, q: &Dim) -> Option<Dim> {
    let order = match (p.known(), q.known()) {
        (Some(p), Some(q)) => p.cmp(&q),
        // Two polynomials that differ by a number.
        _ => p.sub(q).known()?.cmp(&0),
    };
    Some(Dim::Known(i64::from(match op {
        "Less" => order.is_lt(),
        "LessOrEqual" => order.is_le(),
        "Greater" => order.is_gt(),
        _ => order.is_ge(),
    })))
}

/// Whether this is surely not negative: a symbol stands for a size, and so do sums of them.
fn is_size(d: &Dim) -> bool {
    d.known().is_none() && !d.to_string().contains('-')
}

fn variadic(op: &str, a: &Args) -> Infer<Info> {
    let all: Vec<usize> = (0..a.len()).collect();
    for i in 1..a.len() {
        a.same_type(0, i)?;
    }
    let mut info = Info::new(a.dtype(0)?, broadcast_of(a, &all)?);
    if info.dtype == DType::I64 {
        let ints: Vec<_> = all.iter().map(|i| a.ints(*i)).collect();
        info.ints = zip_ints(&ints, |row| {
            let numbers = || row.iter().map(Dim::known).collect::<Option<Vec<_>>>();
            match op {
                "Max" | "Min" if row.iter().all(|d| *d == row[0]) => Some(row[0].clone()),
                "Max" => numbers()?.into_iter().max().map(Dim::Known),
                "Min" => numbers()?.into_iter().min().map(Dim::Known),
                "Sum" => Some(row.iter().fold(Dim::Known(0), |sum, d| sum.add(d))),
                _ => None,
            }
        });
    }
    Ok(info)
}

fn reduce(a: &Args) -> Infer<Info> {
    let (dtype, keep) = (a.dtype(0)?, a.attrs.int("keepdims", 1) != 0);
    let Some(shape) = a.shape(0)? else { return Ok(Info::new(dtype, None)) };
    let axes = match (a.get(1), a.numbers(1)) {
        (_, axes)
            if (a.get(1).is_none() || axes.as_ref().is_some_and(Vec::is_empty))
                && a.attrs.int("noop_with_empty_axes", 0) != 0 =>
        {
            return Ok(Info::new(dtype, shape.clone()));
        }
        (None, _) => (0..shape.len()).collect(),
        (Some(_), Some(axes)) if axes.is_empty() => (0..shape.len()).collect(),
        (Some(_), Some(axes)) => axes.iter().map(|x| axis(*x, shape.len())).collect::<Infer<Vec<_>>>()?,
        (Some(_), None) => return Ok(Info::new(dtype, None)),
    };
    Ok(Info::new(dtype, reduced(shape, &axes, keep)))
}

fn reduced(shape: &[Dim], axes: &[usize], keep: bool) -> Shape {
    let dims = shape.iter().enumerate();
    dims.filter_map(|(i, d)| match (axes.contains(&i), keep) {
        (false, _) => Some(d.clone()),
        (true, true) => Some(Dim::Known(1)),
        (true, false) => None,
    })
    .collect()
}

fn arg(a: &Args) -> Infer<Info> {
    let keep = a.attrs.int("keepdims", 1) != 0;
    let Some(shape) = a.shape(0)? else { return Ok(Info::new(DType::I64, None)) };
    let at = axis(a.attrs.int("axis", 0), shape.len())?;
    Ok(Info::new(DType::I64, reduced(shape, &[at], keep)))
}

fn matmul(a: &Args) -> Infer<Option<Shape>> {
    let (Some(x), Some(y)) = (a.shape(0)?, a.shape(1)?) else { return Ok(None) };
    let clash = || {
        format!(
            "cannot multiply {} by {}: the last dimension of the first must be the second last of the second",
            show(x),
            show(y)
        )
    };
    let (Some(k), Some(_)) = (x.last(), y.last()) else { return Err(clash()) };
    let l = if y.len() == 1 { &y[0] } else { &y[y.len() - 2] };
    if k != l && k.known().is_some() && l.known().is_some() {
        return Err(clash());
    }
    let (bx, by) = (&x[..x.len().saturating_sub(2)], &y[..y.len().saturating_sub(2)]);
    let mut out = broadcast(bx, by)?;
    if x.len() > 1 {
        out.push(x[x.len() - 2].clone());
    }
    if y.len() > 1 {
        out.push(y[y.len() - 1].clone());
    }
    Ok(Some(out))
}

fn gemm(a: &Args) -> Infer<Info> {
    let dtype = a.same_type(0, 1)?;
    let (Some(x), Some(y)) = (a.shape(0)?, a.shape(1)?) else { return Ok(Info::new(dtype, None)) };
    let ([x0, x1], [y0, y1]) = (x.as_slice(), y.as_slice()) else {
        return Err(format!("expected two matrices, found {} and {}", show(x), show(y)));
    };
    let (m, k) = if a.attrs.int("transA", 0) != 0 { (x1, x0) } else { (x0, x1) };
    let (l, n) = if a.attrs.int("transB", 0) != 0 { (y1, y0) } else { (y0, y1) };
    if k != l && k.known().is_some() && l.known().is_some() {
        return Err(format!("cannot multiply {} by {} (transA, transB as given)", show(x), show(y)));
    }
    Ok(Info::new(dtype, vec![m.clone(), n.clone()]))
}

fn layer_norm(a: &Args) -> Infer {
    let x = a.need(0)?;
    let stat = match &x.shape {
        Some(shape) => {
            let at = axis(a.attrs.int("axis", -1), shape.len())?;
            Some(
                shape
                    .iter()
                    .enumerate()
                    .map(|(i, d)| if i < at { d.clone() } else { Dim::Known(1) })
                    .collect(),
            )
        }
        None => None,
    };
    // `stash_type` is f32 unless it says otherwise, whatever the operand is.
    let stash = i32::try_from(a.attrs.int("stash_type", 1)).ok().and_then(DType::from_onnx);
    let stat: Info = Info::new(stash.unwrap_or(DType::F32), stat);
    Ok(vec![Info::new(x.dtype, x.shape.clone()), stat.clone(), stat])
}
