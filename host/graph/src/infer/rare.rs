//! Operators that captioning models seldom hold: their types, and their shapes where these are plain.

use super::{Args, Infer, Info, broadcast};
use crate::{Attr, AttrsExt, DType, Dim, Shape, dim::show};
use std::collections::BTreeMap;

pub(super) fn infer(op: &str, a: &Args) -> Infer<Option<Vec<Info>>> {
    Ok(Some(match op {
        "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "BitShift" => {
            let dtype = a.same_type(0, 1)?;
            let shape = match (a.shape(0)?, a.shape(1)?) {
                (Some(x), Some(y)) => Some(broadcast(x, y)?),
                _ => None,
            };
            vec![Info::new(dtype, shape)]
        }
        "Shrink" | "ReverseSequence" => vec![Info::new(a.dtype(0)?, a.shape(0)?.cloned())],
        "RandomNormal" | "RandomUniform" => {
            let sizes = a.attrs.ints("shape").ok_or("expected the attribute shape")?;
            vec![Info::new(
                chosen(a, "dtype", DType::F32),
                sizes.iter().map(|n| Dim::Known(*n)).collect::<Shape>(),
            )]
        }
        "Bernoulli" => vec![Info::new(chosen(a, "dtype", a.dtype(0)?), a.shape(0)?.cloned())],
        "RandomNormalLike" | "RandomUniformLike" => {
            vec![Info::new(chosen(a, "dtype", a.dtype(0)?), a.shape(0)?.cloned())]
        }
        "Multinomial" => {
            let batch = a.shape(0)?.and_then(|s| s.first().cloned());
            let samples = Dim::Known(a.attrs.int("sample_size", 1));
            vec![Info::new(chosen(a, "dtype", DType::I32), batch.map(|b| vec![b, samples]))]
        }
        "BlackmanWindow" | "HammingWindow" | "HannWindow" => {
            let size = a.ints(0).and_then(|v| v.first().cloned());
            vec![Info::new(chosen(a, "output_datatype", DType::F32), size.map(|n| vec![n]))]
        }
        "MelWeightMatrix" => vec![Info::new(chosen(a, "output_datatype", DType::F32), None)],
        "Einsum" => vec![Info::new(a.dtype(0)?, einsum(a)?)],
        "GridSample" => vec![grid_sample(a)?],
        "QuantizeLinear" => {
            let dtype = a.get(2).map_or(DType::U8, |zero| zero.dtype);
            vec![Info::new(dtype, a.shape(0)?.cloned())]
        }
        "DequantizeLinear" => vec![Info::new(a.dtype(1)?, a.shape(0)?.cloned())],
        "QLinearConv" | "QLinearMatMul" => vec![Info::new(a.need(7)?.dtype, None)],
        "ConvInteger" | "MatMulInteger" => vec![Info::new(DType::I32, None)],
        "DynamicQuantizeLinear" => vec![
            Info::new(DType::U8, a.shape(0)?.cloned()),
            Info::new(DType::F32, vec![]),
            Info::new(DType::U8, vec![]),
        ],
        "NonMaxSuppression" => vec![Info::new(DType::I64, None)],
        "Unique" => {
            let positions = Info::new(DType::I64, None);
            vec![Info::new(a.dtype(0)?, None), positions.clone(), positions.clone(), positions]
        }
        _ => return Ok(None),
    }))
}

/// The type that an attribute names, or the default.
fn chosen(a: &Args, name: &str, default: DType) -> DType {
    match a.attrs.get(name) {
        Some(Attr::Int(n)) => i32::try_from(*n).ok().and_then(DType::from_onnx).unwrap_or(default),
        _ => default,
    }
}

/// The shape that an equation without ellipsis gives.
fn einsum(a: &Args) -> Infer<Option<Shape>> {
    let equation: String = a.attrs.text("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    if equation.contains('.') {
        return Ok(None);
    }
    let (left, right) = equation.split_once("->").map_or((equation.as_str(), None), |(l, r)| (l, Some(r)));
    let mut sizes: BTreeMap<char, (Dim, usize)> = BTreeMap::new();
    let parts: Vec<&str> = left.split(',').collect();
    if parts.len() != a.len() {
        return Err(format!("expected {} inputs for `{equation}`, found {}", parts.len(), a.len()));
    }
    for (i, letters) in parts.iter().enumerate() {
        let Some(shape) = a.shape(i)? else { return Ok(None) };
        if letters.chars().count() != shape.len() {
            return Err(format!("expected dimensions `{letters}` of input {i}, found {}", show(shape)));
        }
        for (letter, size) in letters.chars().zip(shape) {
            let (known, times) = sizes.entry(letter).or_insert((size.clone(), 0));
            *times += 1;
            match (known.known(), size.known()) {
                (Some(p), Some(q)) if p != q && p != 1 && q != 1 => {
                    return Err(format!("expected one size for `{letter}`, found {p} and {q}"));
                }
                (_, Some(q)) if q != 1 => *known = size.clone(),
                (Some(1), None) => *known = size.clone(),
                _ => {}
            }
        }
    }
    // Without an arrow: the letters that occur once, in alphabetical order.
    let implicit = || sizes.iter().filter(|(_, (_, times))| *times == 1).map(|(letter, _)| *letter).collect();
    let out: Vec<char> = right.map_or_else(implicit, |r| r.chars().collect());
    let size = |letter: &char| sizes.get(letter).map(|(size, _)| size.clone());
    out.iter()
        .map(size)
        .collect::<Option<Shape>>()
        .map(Some)
        .ok_or_else(|| format!("expected letters of the inputs on the right of `{equation}`"))
}

fn grid_sample(a: &Args) -> Infer<Info> {
    let shape = match (a.shape(0)?.map(Vec::as_slice), a.shape(1)?.map(Vec::as_slice)) {
        (Some([n, c, ..]), Some([_, spatial @ .., _])) => Some([&[n.clone(), c.clone()], spatial].concat()),
        _ => None,
    };
    Ok(Info::new(a.dtype(0)?, shape))
}
