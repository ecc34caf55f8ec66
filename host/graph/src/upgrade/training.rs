//! ONNX's optimisers (domain `ai.onnx.preview.training`) by their definitions.

use super::{Form, Outputs, fail, need};
use crate::{Attr, AttrsExt, Graph, Result, Tensor, ValueId};

/// `Adam`, `Adagrad` or `Momentum` over any number of tensors: a rate and a count of updates, then all
/// tensors, all their gradients and all of each state. The outputs are the next tensors and states.
pub(super) fn optimizer(graph: &mut Graph, form: Form) -> Outputs {
    let states = if form.op == "Adam" { 2 } else { 1 };
    let given = form.inputs.len().saturating_sub(2);
    let count = given / (2 + states);
    if count == 0 || !given.is_multiple_of(2 + states) || form.wanted.len() > count * (1 + states) {
        let message = format!(
            "expected a rate, a count, and {} tensors for each that it trains, found {} inputs and {} outputs",
            2 + states,
            form.inputs.len(),
            form.wanted.len()
        );
        return Err(fail(graph, &form, message));
    }
    let mut next = vec![None; count * (1 + states)];
    for i in 0..count {
        let all = (0..2 + states).map(|j| need(graph, &form, 2 + i + j * count));
        let all = all.collect::<Result<Vec<_>>>()?;
        for (j, value) in update(graph, &form, &all)?.into_iter().enumerate() {
            next[i + j * count] = Some(value);
        }
    }
    next.truncate(form.wanted.len());
    Ok(next)
}

/// The next tensor and its states, from tensor, gradient and states.
fn update(g: &mut Graph, form: &Form, all: &[ValueId]) -> Result<Vec<ValueId>> {
    let (rate, count) = (need(g, form, 0)?, need(g, form, 1)?);
    let number = |name: &str, default: f32| f64::from(form.attrs.float(name, default));
    let (x, gradient) = (all[0], all[1]);
    let pull = g.scale(x, number("norm_coefficient", 0.0))?;
    let gradient = g.add(pull, gradient)?;
    match form.op.as_str() {
        "Adagrad" => {
            let steps = g.cast(count, g.value(rate).dtype)?;
            let decay = g.scale(steps, number("decay_factor", 0.0))?;
            let decay = g.shift(decay, 1.0)?;
            let rate = g.div(rate, decay)?;
            let square = g.mul(gradient, gradient)?;
            let sum = g.add(all[2], square)?;
            let moved = step(g, rate, gradient, sum, number("epsilon", 1e-6))?;
            Ok(vec![g.sub(x, moved)?, sum])
        }
        "Adam" => {
            let (alpha, beta) = (number("alpha", 0.9), number("beta", 0.999));
            let first = average(g, alpha, all[2], gradient)?;
            let square = g.mul(gradient, gradient)?;
            let second = average(g, beta, all[3], square)?;
            let (of_first, of_second) = (rest(g, alpha, count, rate)?, rest(g, beta, count, rate)?);
            let root = g.sqrt(of_second)?;
            let adjusted = g.mul(rate, root)?;
            let adjusted = g.div(adjusted, of_first)?;
            // At the start there is nothing to correct.
            let rate = once_started(g, count, adjusted, rate)?;
            let moved = step(g, rate, first, second, number("epsilon", 1e-6))?;
            let next = g.sub(x, moved)?;
            let kept = 1.0 - number("norm_coefficient_post", 0.0);
            Ok(vec![g.scale(next, kept)?, first, second])
        }
        _ => {
            let alpha = number("alpha", 0.0);
            let (beta, one) = (g.scalar_like(x, number("beta", 0.0)), g.scalar_like(x, 1.0));
            let beta = once_started(g, count, beta, one)?;
            let kept = g.scale(all[2], alpha)?;
            let new = g.mul(beta, gradient)?;
            let velocity = g.add(kept, new)?;
            let direction = match form.attrs.get("mode") {
                Some(Attr::Text(mode)) if mode == "nesterov" => {
                    let ahead = g.scale(velocity, alpha)?;
                    g.add(gradient, ahead)?
                }
                Some(Attr::Text(mode)) if mode == "standard" => velocity,
                _ => return Err(fail(g, form, "expected a `mode` of standard or nesterov")),
            };
            let moved = g.mul(rate, direction)?;
            Ok(vec![g.sub(x, moved)?, velocity])
        }
    }
}

/// `rate * direction / (sqrt(square) + epsilon)`.
fn step(g: &mut Graph, rate: ValueId, direction: ValueId, square: ValueId, epsilon: f64) -> Result<ValueId> {
    let root = g.sqrt(square)?;
    let divisor = g.shift(root, epsilon)?;
    let moved = g.mul(rate, direction)?;
    g.div(moved, divisor)
}

/// `kept * old + (1 - kept) * new`.
fn average(g: &mut Graph, kept: f64, old: ValueId, new: ValueId) -> Result<ValueId> {
    let old = g.scale(old, kept)?;
    let new = g.scale(new, 1.0 - kept)?;
    g.add(old, new)
}

/// `1 - base^count`, in the type of `like`; for a count of 0, which nobody asks for, no zero to divide by.
fn rest(g: &mut Graph, base: f64, count: ValueId, like: ValueId) -> Result<ValueId> {
    let one = g.constant(Tensor::scalar_i64(1));
    let count = g.op("Max", &[count, one], &[])?;
    let count = g.cast(count, g.value(like).dtype)?;
    let base = g.scalar_like(like, base);
    let power = g.pow(base, count)?;
    let one = g.scalar_like(like, 1.0);
    g.sub(one, power)
}

/// `then` from the second update on, `before` at the first, whose count is 0.
fn once_started(g: &mut Graph, count: ValueId, then: ValueId, before: ValueId) -> Result<ValueId> {
    let zero = g.constant(Tensor::scalar_i64(0));
    let started = g.greater(count, zero)?;
    g.select(started, then, before)
}
