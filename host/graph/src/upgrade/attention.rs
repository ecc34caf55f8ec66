//! `Attention` (opset 23) by its definition: softmax(scale * Q K^T + mask) V.

use super::{Form, Outputs, fail, need, only_default, only_first_output};
use crate::{Attr, AttrsExt, DType, Graph, Result, Tensor, ValueId};

/// Supported: 3-D and 4-D inputs, query heads that share key heads, masks, causal, soft cap; not:
/// a cache of past keys, windows, the products as an output.
pub(super) fn attention(graph: &mut Graph, mut form: Form) -> Outputs {
    only_first_output(graph, &form)?;
    for name in ["left_window_size", "right_window_size"] {
        only_default(graph, &mut form, name, -1)?;
    }
    if form.inputs.iter().skip(4).any(Option::is_some) {
        return Err(fail(graph, &form, "past keys, past values and lengths are not supported"));
    }
    let [q, k, v] = [0, 1, 2].map(|i| need(graph, &form, i));
    let (q, k, v) = (q?, k?, v?);
    let flat = graph.rank(q)? == 3;
    let heads = |name: &str| form.attrs.int(name, 0);
    let (q_heads, kv_heads) = (heads("q_num_heads"), heads("kv_num_heads"));
    let (q, mut k, mut v) = if flat {
        if q_heads < 1 || kv_heads < 1 {
            let message = format!("expected numbers of heads of 1 or more, found {q_heads} and {kv_heads}");
            return Err(fail(graph, &form, message));
        }
        (split_heads(graph, q, q_heads)?, split_heads(graph, k, kv_heads)?, split_heads(graph, v, kv_heads)?)
    } else {
        (q, k, v)
    };
    let count = |graph: &Graph, x: ValueId| graph.dims(x).map(|d| d.get(1).cloned());
    let (of_queries, of_keys) = (count(graph, q)?, count(graph, k)?);
    if of_queries != of_keys {
        let share = of_queries.zip(of_keys).and_then(|(q, k)| q.div_exact(&k)?.known()).filter(|n| *n > 0);
        let share =
            share.ok_or_else(|| fail(graph, &form, "expected query heads in multiples of the key heads"))?;
        (k, v) = (repeat_heads(graph, k, share)?, repeat_heads(graph, v, share)?);
    }
    let width = graph.dims(q)?.last().and_then(crate::Dim::known);
    let scale = match (form.attrs.get("scale"), width) {
        (Some(Attr::Float(s)), _) => f64::from(*s),
        (_, Some(width)) if width > 0 => 1.0 / (width as f64).sqrt(),
        _ => return Err(fail(graph, &form, "expected a head size that is known, or a `scale`")),
    };
    let q = graph.scale(q, scale)?;
    let kt = graph.transpose_last(k)?;
    let mut scores = graph.matmul(q, kt)?;
    let cap = f64::from(form.attrs.float("softcap", 0.0));
    if cap > 0.0 {
        let z = graph.scale(scores, 1.0 / cap)?;
        let z = graph.tanh(z)?;
        scores = graph.scale(z, cap)?;
    }
    // 1 where a position may be seen, 0 elsewhere.
    let mut seen = None;
    let dtype = graph.value(scores).dtype;
    match form.inputs.get(3).copied().flatten() {
        Some(mask) if graph.value(mask).dtype == DType::Bool => seen = Some(graph.cast(mask, dtype)?),
        Some(mask) => scores = graph.add(scores, mask)?,
        None => {}
    }
    let some_see_nothing = seen.is_some();
    if form.attrs.int("is_causal", 0) != 0 {
        let lower = lower_triangle(graph, scores)?;
        seen = Some(match seen {
            Some(mask) => graph.mul(mask, lower)?,
            None => lower,
        });
    }
    if let Some(seen) = seen {
        let blocked = graph.shift(seen, -1.0)?;
        let bias = graph.scale(blocked, if dtype == DType::F16 { 6e4 } else { 1e30 })?;
        scores = graph.add(scores, bias)?;
    }
    let mut weights = graph.softmax(scores, -1)?;
    if let (Some(seen), true) = (seen, some_see_nothing) {
        // A query that sees nothing gives zeros.
        weights = graph.mul(weights, seen)?;
    }
    let out = graph.matmul(weights, v)?;
    if !flat {
        return Ok(vec![Some(out)]);
    }
    let out = graph.transpose(out, &[0, 2, 1, 3])?;
    let joined = graph.int_list(&[0, 0, -1]);
    Ok(vec![Some(graph.reshape_to(out, joined)?)])
}

/// `[B, L, H * E]` as `[B, H, L, E]`.
fn split_heads(graph: &mut Graph, x: ValueId, heads: i64) -> Result<ValueId> {
    let shape = graph.int_list(&[0, 0, heads, -1]);
    let x = graph.reshape_to(x, shape)?;
    graph.transpose(x, &[0, 2, 1, 3])
}

/// `[B, H, S, E]` with each head `times` times in a row.
fn repeat_heads(graph: &mut Graph, x: ValueId, times: i64) -> Result<ValueId> {
    let x = graph.unsqueeze(x, &[2])?;
    let counts = graph.int_list(&[1, 1, times, 1, 1]);
    let x = graph.tile(x, counts)?;
    // Heads and their repetitions are one dimension again.
    let dims = graph.dims(x)?;
    let heads = dims[1].mul(&dims[2]).known().unwrap_or(-1);
    let parts = match (dims[3].known(), dims[4].known()) {
        (_, Some(width)) if heads > 0 => [0, heads, -1, width],
        (Some(length), _) if heads > 0 => [0, heads, length, -1],
        _ => {
            return Err(
                graph.error("attention with shared key heads needs known numbers of heads and widths")
            );
        }
    };
    let shape = graph.int_list(&parts);
    graph.reshape_to(x, shape)
}

/// Ones where position `i` may see position `j`, that is `j <= i`; zeros elsewhere.
fn lower_triangle(graph: &mut Graph, scores: ValueId) -> Result<ValueId> {
    let dtype = graph.value(scores).dtype;
    let shape = graph.shape_of(scores)?;
    let square = graph.slice(shape, &[0], &[-2], &[i64::MAX], &[1])?;
    let one = Tensor::new(DType::F32, &[1], 1f32.to_le_bytes().to_vec())?;
    let ones = graph.op("ConstantOfShape", &[square], &[("value", one.into())])?;
    let lower = graph.op("Trilu", &[ones], &[("upper", Attr::Int(0))])?;
    graph.cast(lower, dtype)
}
