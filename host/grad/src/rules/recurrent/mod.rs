//! `LSTM`, `GRU` and `RNN`: unrolled over a known number of steps, as the ONNX specification defines them.
//!
//! One matrix product takes the inputs of all steps; each step adds one product with its state.

mod cell;
mod domain;

use super::{Kind::Definition, Row, row};
use crate::{Ctx, Grads};
use cell::{Cell, State};
use ekphrasis_graph::{AttrsExt, Dim, Result, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("LSTM", Definition, recurrent, domain::lstm),
    row("GRU", Definition, recurrent, domain::gru),
    row("RNN", Definition, recurrent, domain::rnn),
];

/// What all directions of a layer share.
struct Layer {
    steps: i64,
    hidden: i64,
    /// The inputs of all steps, one below the other: `[T * B, I]`.
    inputs: ValueId,
    /// For each step `[B, 1]`: 1 where the sequence goes on, 0 behind its end.
    masks: Option<Vec<ValueId>>,
}

fn recurrent(c: &mut Ctx) -> Result<Grads> {
    let batch_first = match c.attrs().int("layout", 0) {
        0 => false,
        1 => true,
        other => return Err(c.error(format!("expected layout 0 or 1, found {other}"))),
    };
    let (forward, backward) = match c.attrs().text("direction", "forward") {
        "forward" => (true, false),
        "reverse" => (false, true),
        "bidirectional" => (true, true),
        other => {
            return Err(
                c.error(format!("expected direction forward, reverse or bidirectional, found {other}"))
            );
        }
    };
    let layer = layer(c, batch_first)?;
    let batch = batch(c, batch_first)?;
    let directions = [(forward, false), (backward, true)].into_iter().filter(|d| d.0);
    let count = usize::from(forward) + usize::from(backward);
    let (mut all, mut last) = (vec![], vec![vec![]; 2]);
    for (at, (_, reverse)) in directions.enumerate() {
        let cell = Cell::new(c, at, count, layer.hidden)?;
        let start = initial(c, at, count, batch_first)?;
        let (states, end) = run(c, &layer, &cell, start, reverse)?;
        if c.node.outputs.first().copied().flatten().is_some() {
            let rows = c.g.concat(&states, 0)?;
            let shape = [Dim::Known(layer.steps), Dim::Known(1), batch.clone(), Dim::Known(layer.hidden)];
            all.push(c.g.reshape(rows, &shape)?);
        }
        for (list, value) in last.iter_mut().zip([end.h, end.c]) {
            if let Some(value) = value {
                list.push(c.g.unsqueeze(value, &[0])?);
            }
        }
    }
    let mut outputs = vec![None];
    if !all.is_empty() {
        let y = c.g.concat(&all, 1)?;
        outputs[0] = Some(if batch_first { c.g.transpose(y, &[2, 0, 1, 3])? } else { y });
    }
    for list in last.iter().filter(|l| !l.is_empty()) {
        let y = c.g.concat(list, 0)?;
        outputs.push(Some(if batch_first { c.g.transpose(y, &[1, 0, 2])? } else { y }));
    }
    Ok(outputs)
}

/// The number of sequences.
fn batch(c: &Ctx, batch_first: bool) -> Result<Dim> {
    let dims = c.g.dims(c.x(0)?)?;
    dims.get(usize::from(!batch_first))
        .cloned()
        .ok_or_else(|| c.error("expected an input of three dimensions"))
}

fn layer(c: &mut Ctx, batch_first: bool) -> Result<Layer> {
    let (mut x, w, r) = (c.x(0)?, c.x(1)?, c.x(2)?);
    if batch_first {
        x = c.g.transpose(x, &[1, 0, 2])?;
    }
    let last = |c: &Ctx, v| c.g.dims(v).map(|d| d.last().and_then(Dim::known));
    let hidden = last(c, r)?.ok_or_else(|| c.error("expected a weight R with known sizes"))?;
    let width = last(c, w)?.or(last(c, x)?);
    let width = width.ok_or_else(|| c.error("expected a weight W with known sizes"))?;
    let first = c.g.dims(x)?.first().cloned().unwrap_or(Dim::Known(1));
    let steps = first.known().filter(|t| *t > 0).ok_or_else(|| {
        let v = c.g.value(x);
        c.error(format!(
            "expected a known number of steps, found {first} in {} (`{}`)\nhint: export the model with sequences of \
             one fixed length; shorter ones are filled up, and the input sequence_lens says where each ends",
            v.describe(),
            v.name
        ))
    })?;
    let matrix = c.g.int_list(&[-1, width]);
    let inputs = c.g.reshape_to(x, matrix)?;
    Ok(Layer { steps, hidden, inputs, masks: masks(c, steps)? })
}

/// Masks from `sequence_lens`; none where all sequences surely have all steps.
fn masks(c: &mut Ctx, steps: i64) -> Result<Option<Vec<ValueId>>> {
    let Some(lengths) = c.input(4) else { return Ok(None) };
    let literal = c.g.value(lengths).tensor().and_then(|t| t.as_ints());
    if literal.is_some_and(|l| l.iter().all(|n| *n == steps)) {
        return Ok(None);
    }
    let numbers: Vec<i64> = (0..steps).collect();
    let numbers = c.g.int_list(&numbers);
    let row = c.g.unsqueeze(numbers, &[0])?;
    let lengths = c.g.cast(lengths, ekphrasis_graph::DType::I64)?;
    let column = c.g.unsqueeze(lengths, &[1])?;
    let inside = c.g.less(row, column)?;
    let like = c.x(0)?;
    let mask = c.mask(inside, like)?;
    Ok(Some(equal_parts(c, mask, 1, steps)?))
}

/// Row `at` of an input that has one for each direction, as a matrix or vector of its own.
fn of_direction(c: &mut Ctx, i: usize, at: usize, count: usize, axis: i64) -> Result<Option<ValueId>> {
    let Some(x) = c.input(i) else { return Ok(None) };
    let own = match count {
        1 => x,
        _ => c.g.slice(x, &[axis], &[at as i64], &[at as i64 + 1], &[1])?,
    };
    c.g.squeeze(own, &[axis]).map(Some)
}

/// `x` cut into `n` parts of one size along `axis`.
fn equal_parts(c: &mut Ctx, x: ValueId, axis: i64, n: i64) -> Result<Vec<ValueId>> {
    if n == 1 {
        return Ok(vec![x]);
    }
    let attrs = [("axis".to_owned(), axis.into()), ("num_outputs".to_owned(), n.into())].into();
    c.g.add_node("Split", &[Some(x)], attrs, usize::try_from(n).unwrap_or(0))
}

fn initial(c: &mut Ctx, at: usize, count: usize, batch_first: bool) -> Result<State> {
    let axis = i64::from(batch_first);
    let h = of_direction(c, 5, at, count, axis)?;
    let memory = if c.op() == "LSTM" { of_direction(c, 6, at, count, axis)? } else { None };
    Ok(State { h, c: memory })
}

/// The states of all steps in the order of time, and the last one in the order of the walk.
///
/// Behind the end of a sequence the state stays as it is and the output is 0. Walking back, it stays as
/// it was at first until the end of the sequence comes.
fn run(
    c: &mut Ctx,
    layer: &Layer,
    cell: &Cell,
    start: State,
    reverse: bool,
) -> Result<(Vec<ValueId>, State)> {
    let inputs = cell.inputs(c, layer.inputs, layer.steps)?;
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    if reverse {
        order.reverse();
    }
    let (mut state, mut states) = (start, vec![layer.inputs; inputs.len()]);
    for at in order {
        let next = cell.step(c, &inputs[at], &state)?;
        let Some(h) = next.h else { return Err(c.error("expected a state")) };
        states[at] = h;
        state = match &layer.masks {
            Some(masks) => {
                states[at] = c.g.mul(h, masks[at])?;
                State { h: held(c, masks[at], next.h, state.h)?, c: held(c, masks[at], next.c, state.c)? }
            }
            None => next,
        };
    }
    Ok((states, state))
}

/// `new` where the mask is 1 and `old`, which is 0 if there is none, where it is 0.
fn held(c: &mut Ctx, mask: ValueId, new: Option<ValueId>, old: Option<ValueId>) -> Result<Option<ValueId>> {
    match (new, old) {
        (Some(new), Some(old)) => {
            let step = c.g.sub(new, old)?;
            let step = c.g.mul(step, mask)?;
            c.g.add(old, step).map(Some)
        }
        (Some(new), None) => c.g.mul(new, mask).map(Some),
        (None, old) => Ok(old),
    }
}
