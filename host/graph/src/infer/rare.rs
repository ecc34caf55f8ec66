//! Operators that captioning models seldom hold: their types, and their shapes where these are plain.

use super::{Args, Infer, Info, axis, broadcast};
use crate::{Attr, AttrsExt, DType, Dim, Equation, Shape};
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
        "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => loss(a)?,
        "Compress" => vec![compress(a)?],
        "Det" => vec![Info::new(
            a.dtype(0)?,
            a.shape(0)?.and_then(|s| s.split_last_chunk::<2>()).map(|(batch, _)| batch.to_vec()),
        )],
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

/// A loss over `[N, C, ...]` with targets `[N, ...]`, and the log-probabilities.
fn loss(a: &Args) -> Infer {
    let (dtype, x) = (a.dtype(0)?, a.shape(0)?);
    let all = match (a.attrs.text("reduction", "mean"), a.shape(1)?) {
        ("none", target) => target.cloned(),
        _ => Some(vec![]),
    };
    Ok(vec![Info::new(dtype, all), Info::new(dtype, x.cloned())])
}

/// How many are kept is not known before it runs.
fn compress(a: &Args) -> Infer<Info> {
    let kept = Dim::symbol("kept");
    let shape = match (a.attrs.get("axis"), a.shape(0)?) {
        (Some(Attr::Int(at)), Some(x)) => {
            let mut out = x.clone();
            out[axis(*at, x.len())?] = kept;
            Some(out)
        }
        (Some(_), None) => None,
        _ => Some(vec![kept]),
    };
    Ok(Info::new(a.dtype(0)?, shape))
}

fn einsum(a: &Args) -> Infer<Option<Shape>> {
    let mut shapes = vec![];
    for i in 0..a.len() {
        let Some(shape) = a.shape(i)? else { return Ok(None) };
        shapes.push(shape);
    }
    let ranks: Vec<usize> = shapes.iter().map(|s| s.len()).collect();
    let equation = Equation::parse(a.attrs.text("equation", ""), &ranks)?;
    let mut sizes: BTreeMap<char, Dim> = BTreeMap::new();
    for (letters, shape) in equation.operands.iter().zip(shapes) {
        for (letter, size) in letters.iter().zip(shape) {
            let known = sizes.entry(*letter).or_insert_with(|| size.clone());
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
    Ok(equation.result.iter().map(|l| sizes.get(l).cloned()).collect())
}

fn grid_sample(a: &Args) -> Infer<Info> {
    let shape = match (a.shape(0)?.map(Vec::as_slice), a.shape(1)?.map(Vec::as_slice)) {
        (Some([n, c, ..]), Some([_, spatial @ .., _])) => Some([&[n.clone(), c.clone()], spatial].concat()),
        _ => None,
    };
    Ok(Info::new(a.dtype(0)?, shape))
}
