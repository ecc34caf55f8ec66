//! Broadcasting undone: what the driver does so that rules need not.
//!
//! A gradient may be *broadcast*: of the output's rank, with size 1 where the output is larger. It
//! stands for its expansion, which is made only where a rule or the caller needs it.

use ekphrasis_graph::{Dim, Graph, Result, ValueId};

/// Expands a broadcast gradient to the shape of `like`; nothing when it is there already.
pub(crate) fn dense(g: &mut Graph, grad: ValueId, like: ValueId) -> Result<ValueId> {
    let (Some(have), Some(want)) = (&g.value(grad).shape, &g.value(like).shape) else { return Ok(grad) };
    let small = have.len() < want.len() || have.iter().zip(want).any(|(h, w)| h.is(1) && !w.is(1));
    if small { g.expand_like(grad, like) } else { Ok(grad) }
}

/// Sums `grad`, the gradient of an operand as broadcast to the shape of `y`, to the shape of `x`.
///
/// Different symbols at the same place are taken as equal. The result may itself be broadcast.
pub(crate) fn fit(g: &mut Graph, grad: ValueId, x: ValueId, y: ValueId) -> Result<ValueId> {
    let want = g.dims(x)?.to_vec();
    let full = g.dims(y)?.to_vec();
    let rank = full.len();
    let lead = rank.saturating_sub(want.len());
    let mut grad = grad;
    // Fewer dimensions than the output has: bring it to the full rank first.
    let missing = rank.saturating_sub(g.rank(grad)?);
    grad = g.unsqueeze(grad, &(0..missing as i64).collect::<Vec<_>>())?;
    let have = g.dims(grad)?.to_vec();
    let (mut sum, mut times) = (vec![], Dim::Known(1));
    for (i, (full, have)) in full.iter().zip(&have).enumerate() {
        let kept = i >= lead && !want[i - lead].is(1);
        if kept || full.is(1) {
            continue;
        }
        if have.is(1) { times = times.mul(full) } else { sum.push(i as i64) }
    }
    // Summing over a dimension that the gradient does not vary along multiplies.
    match times.known() {
        Some(n) => grad = g.scale(grad, n as f64)?,
        None => {
            grad = g.expand_like(grad, y)?;
            let all = |i: &i64| *i < lead as i64 || want[*i as usize - lead].is(1);
            sum = (0..rank as i64).filter(|i| all(i) && !full[*i as usize].is(1)).collect();
        }
    }
    let drop: Vec<i64> = (0..lead as i64).collect();
    if !sum.is_empty() && sum == drop {
        return g.reduce_sum(grad, &sum, false);
    }
    if !sum.is_empty() {
        grad = g.reduce_sum(grad, &sum, true)?;
    }
    g.squeeze(grad, &drop)
}
