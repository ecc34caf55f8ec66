//! Operations that cut a tensor into parts and join parts.

use super::{Call, Emit, Op, op};
use crate::Fault;
use ekphrasis_graph::{Attrs, ValueId};

/// Positions `start` to before `stop` along an axis.
fn cut(c: &mut Call, x: ValueId, axis: usize, start: i64, stop: i64, step: i64) -> Result<ValueId, Fault> {
    Ok(c.g.slice(x, &[axis as i64], &[start], &[stop], &[step])?)
}

fn slice(c: &mut Call) -> Emit {
    let x = c.this()?;
    let axis = c.int(0)?;
    let axis = c.axis_of(x, axis)?;
    let (start, stop, step) = (c.int(1)?, c.int_or(2, i64::MAX)?, c.int_or(3, 1)?);
    if step < 1 {
        return Err(Fault::new(format!("`step`: expected at least 1, found {step}")).hint("x:flip(axis)"));
    }
    Ok(vec![cut(c, x, axis, start, stop, step)?])
}

fn select(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (axis, index) = (c.int(0)?, c.int(1)?);
    let axis = c.axis_of(x, axis)?;
    if let Some(n) = c.dims(x)?[axis].known().filter(|n| index >= *n || index < -n) {
        return Err(Fault::new(format!("expected an index below {n} along axis {axis}, found {index}")));
    }
    let stop = if index == -1 { i64::MAX } else { index + 1 };
    let part = cut(c, x, axis, index, stop, 1)?;
    Ok(vec![c.g.squeeze(part, &[axis as i64])?])
}

fn split(c: &mut Call) -> Emit {
    let (x, sizes) = (c.this()?, c.ints(0)?);
    let axis = c.axis(1, x, 0)?;
    let total = c.dims(x)?[axis].known();
    let sizes = match (sizes.as_slice(), total) {
        // One number is the size of each part, as in PyTorch; the last may be smaller.
        ([each], Some(n)) if *each > 0 => {
            (0..n).step_by(*each as usize).map(|s| (*each).min(n - s)).collect()
        }
        ([_], _) => {
            return Err(Fault::new(format!("expected a known size along axis {axis} to split"))
                .hint("x:chunk(n, axis) makes n equal parts"));
        }
        _ => sizes,
    };
    parts(c, x, axis, &sizes)
}

fn chunk(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (n, axis) = (c.int(0)?, c.axis(1, x, 0)?);
    if n < 1 {
        return Err(Fault::new(format!("`n`: expected at least 1, found {n}")));
    }
    match c.dims(x)?[axis].known() {
        Some(total) if total >= n => {
            let each = (total + n - 1) / n;
            let sizes: Vec<i64> = (0..total).step_by(each as usize).map(|s| each.min(total - s)).collect();
            parts(c, x, axis, &sizes)
        }
        Some(total) => Err(Fault::new(format!("cannot make {n} parts of size {total} along axis {axis}"))),
        None => {
            let attrs: Attrs =
                [("axis".into(), (axis as i64).into()), ("num_outputs".into(), n.into())].into();
            Ok(c.g.add_node("Split", &[Some(x)], attrs, n as usize)?)
        }
    }
}

fn parts(c: &mut Call, x: ValueId, axis: usize, sizes: &[i64]) -> Emit {
    if sizes.len() == 1 {
        return Ok(vec![x]);
    }
    let list = c.g.int_list(sizes);
    let attrs: Attrs = [("axis".into(), (axis as i64).into())].into();
    Ok(c.g.add_node("Split", &[Some(x), Some(list)], attrs, sizes.len())?)
}

/// Several tensors as one type.
fn alike(c: &mut Call) -> Result<Vec<ValueId>, Fault> {
    let mut all = c.tensors(0)?;
    let mut widest = all[0];
    for x in &all[1..] {
        widest = c.promoted(widest, *x)?.0;
    }
    let dtype = c.g.value(widest).dtype;
    for x in &mut all {
        *x = c.g.cast(*x, dtype)?;
    }
    Ok(all)
}

fn concat(c: &mut Call) -> Emit {
    let all = alike(c)?;
    let axis = c.axis(1, all[0], 0)? as i64;
    Ok(vec![c.g.concat(&all, axis)?])
}

fn stack(c: &mut Call) -> Emit {
    let all = alike(c)?;
    let at = super::call::axis_in(c.int_or(1, 0)?, c.g.rank(all[0])? + 1)? as i64;
    let mut rows = vec![];
    for x in &all {
        ekphrasis_graph::broadcast_shapes(&c.dims(all[0])?, &c.dims(*x)?).map_err(Fault::new)?;
        rows.push(c.g.unsqueeze(*x, &[at])?);
    }
    Ok(vec![c.g.concat(&rows, at)?])
}

fn roll(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (mut shift, axis) = (c.int(0)?, c.axis(1, x, 0)?);
    if let Some(n) = c.dims(x)?[axis].known().filter(|n| *n > 0) {
        shift = shift.rem_euclid(n);
    }
    if shift == 0 {
        return Ok(vec![x]);
    }
    let (tail, head) = (cut(c, x, axis, -shift, i64::MAX, 1)?, cut(c, x, axis, 0, -shift, 1)?);
    Ok(vec![c.g.concat(&[tail, head], axis as i64)?])
}

fn flip(c: &mut Call) -> Emit {
    let x = c.this()?;
    let axis = c.int(0)?;
    let axis = c.axis_of(x, axis)?;
    Ok(vec![cut(c, x, axis, -1, i64::MIN, -1)?])
}

const AXIS: &str = "(axis: integer): Tensor";

pub(super) const ROWS: &[Op] = &[
    op(
        "slice",
        "(axis: integer, start: integer, stop?: integer, step?: integer): Tensor",
        "Elements start to before stop along an axis, counted from 0; negative counts from the end.",
        slice,
    ),
    op(
        "select",
        "(axis: integer, index: integer): Tensor",
        "One position along an axis, which goes.",
        select,
    ),
    op(
        "split",
        "(sizes: integer|integer[], axis?: integer): Tensor...",
        "Parts of the given sizes along an axis (0); one number is the size of each part.",
        split,
    ),
    op("chunk", "(n: integer, axis?: integer): Tensor...", "n parts of equal size along an axis (0).", chunk),
    op(
        "roll",
        "(shift: integer, axis?: integer): Tensor",
        "Moves elements along an axis (0), round the end.",
        roll,
    ),
    op("flip", AXIS, "The other way round along an axis.", flip),
];

pub(super) const FUNCTIONS: &[Op] = &[
    op("concat", "(tensors: Tensor[], axis?: integer): Tensor", "Joins along an axis (0).", concat),
    op("stack", "(tensors: Tensor[], axis?: integer): Tensor", "Joins along a new axis (0).", stack),
];
