//! `Attention` (opset 23) by its definition: softmax(scale * Q K^T + mask) V.

use super::{Form, Outputs, fail, need, size};
use crate::{Attr, AttrsExt, DType, Dim, Graph, Result, Tensor, ValueId};

/// Inputs of 3 or 4 dimensions, query heads that share key heads, masks, a soft cap, windows, past keys
/// inside the operator or beside it.
pub(super) fn attention(graph: &mut Graph, form: Form) -> Outputs {
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
    let input = |i: usize| form.inputs.get(i).copied().flatten();
    match (input(4), input(5)) {
        (Some(past_k), Some(past_v)) => {
            (k, v) = (graph.concat(&[past_k, k], 2)?, graph.concat(&[past_v, v], 2)?);
        }
        (None, None) => {}
        _ => {
            return Err(fail(graph, &form, "expected past keys and past values together, found one of them"));
        }
    }
    let present = [k, v];
    let count = |graph: &Graph, x: ValueId| graph.dims(x).map(|d| d.get(1).cloned());
    let (of_queries, of_keys) = (count(graph, q)?, count(graph, k)?);
    if of_queries != of_keys {
        let share = of_queries.zip(of_keys).and_then(|(q, k)| q.div_exact(&k)?.known()).filter(|n| *n > 0);
        let share =
            share.ok_or_else(|| fail(graph, &form, "expected query heads in multiples of the key heads"))?;
        (k, v) = (repeat_heads(graph, k, share)?, repeat_heads(graph, v, share)?);
    }
    let width = graph.dims(q)?.last().and_then(Dim::known);
    let scale = match (form.attrs.get("scale"), width) {
        (Some(Attr::Float(s)), _) => f64::from(*s),
        (_, Some(width)) if width > 0 => 1.0 / (width as f64).sqrt(),
        _ => return Err(fail(graph, &form, "expected a head size that is known, or a `scale`")),
    };
    let scaled = graph.scale(q, scale)?;
    let kt = graph.transpose_last(k)?;
    let mut scores = graph.matmul(scaled, kt)?;
    // What the fourth output may be: products, capped, masked, weights.
    let mut stages = vec![scores];
    let cap = f64::from(form.attrs.float("softcap", 0.0));
    if cap > 0.0 {
        let z = graph.scale(scores, 1.0 / cap)?;
        let z = graph.tanh(z)?;
        scores = graph.scale(z, cap)?;
    }
    stages.push(scores);
    let dtype = graph.value(scores).dtype;
    let mut seen = visible(graph, &form, scores)?;
    // With nothing but a causal mask every query sees a key.
    let windows = ["left_window_size", "right_window_size"].map(|name| form.attrs.int(name, -1));
    let mut some_see_nothing = input(6).is_some() || windows.iter().any(|w| *w >= 0);
    if let Some(mask) = input(3) {
        let mask = as_wide(graph, mask, k)?;
        if graph.value(mask).dtype == DType::Bool {
            some_see_nothing = true;
            seen = Some(match seen {
                Some(seen) => graph.and(mask, seen)?,
                None => mask,
            });
        } else {
            scores = graph.add(scores, mask)?;
        }
    }
    stages.push(scores);
    let mask = seen.map(|seen| graph.cast(seen, dtype)).transpose()?;
    if let (Some(mask), Some(seen)) = (mask, seen) {
        if form.wanted.get(3) == Some(&true) {
            let nothing = graph.scalar_like(scores, f64::NEG_INFINITY);
            stages[2] = graph.select(seen, scores, nothing)?;
        }
        let blocked = graph.shift(mask, -1.0)?;
        let bias = graph.scale(blocked, if dtype == DType::F16 { 6e4 } else { 1e30 })?;
        scores = graph.add(scores, bias)?;
    }
    let precision = i32::try_from(form.attrs.int("softmax_precision", 0)).ok().and_then(DType::from_onnx);
    let wide = graph.cast(scores, precision.filter(|p| p.is_float()).unwrap_or(dtype))?;
    let weights = graph.softmax(wide, -1)?;
    let mut weights = graph.cast(weights, dtype)?;
    if let (Some(mask), true) = (mask, some_see_nothing) {
        // A query that sees nothing gives zeros.
        weights = graph.mul(weights, mask)?;
    }
    stages.push(weights);
    let mut out = graph.matmul(weights, v)?;
    if flat {
        out = graph.transpose(out, &[0, 2, 1, 3])?;
        let joined = graph.int_list(&[0, 0, -1]);
        out = graph.reshape_to(out, joined)?;
    }
    let mode = form.attrs.int("qk_matmul_output_mode", 0);
    let stage = usize::try_from(mode).ok().and_then(|mode| stages.get(mode).copied());
    let stage = stage.ok_or_else(|| {
        fail(graph, &form, format!("expected a `qk_matmul_output_mode` from 0 to 3, found {mode}"))
    })?;
    let all = [out, present[0], present[1], stage];
    Ok(form.wanted.iter().zip(all).map(|(wanted, value)| wanted.then_some(value)).collect())
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

/// A mask that is as wide as there are keys: what it does not tell of is not seen.
fn as_wide(graph: &mut Graph, mask: ValueId, k: ValueId) -> Result<ValueId> {
    let known = |dims: &[Dim], at: usize| dims.get(at).and_then(Dim::known);
    let dims = graph.dims(mask)?.to_vec();
    let (Some(own), Some(keys)) = (known(&dims, dims.len().wrapping_sub(1)), known(graph.dims(k)?, 2)) else {
        return Ok(mask);
    };
    if own >= keys || own == 1 {
        return Ok(mask);
    }
    let mut pads = vec![0; 2 * dims.len()];
    pads[2 * dims.len() - 1] = keys - own;
    let pads = graph.int_list(&pads);
    let nothing = match graph.value(mask).dtype {
        DType::Bool => graph.constant(Tensor::scalar_bool(false)),
        _ => graph.scalar_like(mask, f64::NEG_INFINITY),
    };
    graph.op("Pad", &[mask, pads, nothing], &[])
}

/// Which keys each query may see by their positions: `[queries, keys]`, or `[B, 1, queries, keys]` where the
/// number of keys comes with the batch. `None` where all see all.
fn visible(graph: &mut Graph, form: &Form, scores: ValueId) -> Result<Option<ValueId>> {
    let input = |i: usize| form.inputs.get(i).copied().flatten();
    let causal = form.attrs.int("is_causal", 0) != 0;
    let (left, right) = (form.attrs.int("left_window_size", -1), form.attrs.int("right_window_size", -1));
    if !causal && left < 0 && right < 0 && input(6).is_none() {
        return Ok(None);
    }
    let keys = match input(6) {
        Some(lengths) => {
            let each = graph.int_list(&[-1, 1, 1, 1]);
            Some(graph.reshape_to(lengths, each)?)
        }
        None => None,
    };
    let (queries, all) = (size(graph, scores, -2)?, size(graph, scores, -1)?);
    let (zero, one) = (graph.constant(Tensor::scalar_i64(0)), graph.constant(Tensor::scalar_i64(1)));
    let key = graph.op("Range", &[zero, all, one], &[])?;
    let query = graph.op("Range", &[zero, queries, one], &[])?;
    let mut position = graph.unsqueeze(query, &[1])?;
    // Positions count from the first key.
    if let Some(past) = input(4) {
        let past = size(graph, past, 2)?;
        position = graph.add(position, past)?;
    } else if let Some(keys) = keys {
        let past = graph.sub(keys, queries)?;
        position = graph.add(position, past)?;
    }
    let mut rules = vec![];
    if causal {
        rules.push(graph.less_equal(key, position)?);
    }
    if left >= 0 {
        let first = graph.shift(position, -(left as f64))?;
        rules.push(graph.greater_equal(key, first)?);
    }
    if right >= 0 {
        let last = graph.shift(position, right as f64)?;
        rules.push(graph.less_equal(key, last)?);
    }
    if let Some(keys) = keys {
        rules.push(graph.less(key, keys)?);
    }
    let mut rules = rules.into_iter();
    let Some(first) = rules.next() else { return Ok(None) };
    rules.try_fold(first, |all, rule| graph.and(all, rule)).map(Some)
}
