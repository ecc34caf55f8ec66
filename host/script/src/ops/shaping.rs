//! Operations that move elements without computing.

use super::{Call, Emit, Op, op};
use crate::Fault;
use ekphrasis_graph::{Attrs, DType, Dim, Shape, Tensor, ValueId, product, show_shape};

type One = Result<ValueId, Fault>;

fn reshape(c: &mut Call) -> Emit {
    let (x, wanted) = (c.this()?, c.sizes(0)?);
    let own = c.dims(x)?;
    let mut dims: Shape = vec![];
    let mut free = None;
    for (i, d) in wanted.iter().enumerate() {
        dims.push(match d.known() {
            Some(0) => own.get(i).cloned().ok_or_else(|| {
                Fault::new(format!("0 copies dimension {i}, which {} does not have", show_shape(&own)))
            })?,
            Some(-1) if free.is_none() => {
                free = Some(i);
                Dim::Known(1)
            }
            Some(n) if n < 0 => return Err(Fault::new("expected sizes with at most one -1")),
            _ => d.clone(),
        });
    }
    let (total, given) = (product(&own), product(&dims));
    let mismatch = || {
        Fault::new(format!(
            "cannot reshape {} ({total} elements) to {}",
            show_shape(&own),
            show_shape(&wanted)
        ))
    };
    if let Some(i) = free {
        match total.div_exact(&given) {
            Some(d) => dims[i] = d,
            None if total.known().is_some() && given.known().is_some() => return Err(mismatch()),
            None => return reshape_with_free(c, x, &own, &dims, i),
        }
    } else if total != given {
        if total.known().is_some() && given.known().is_some() {
            return Err(mismatch());
        }
        if c.eager {
            return Err(mismatch().hint("on real numbers, sizes are numbers: use x:size(axis)"));
        }
    }
    Ok(vec![c.g.reshape(x, &dims)?])
}

/// A target whose free dimension cannot be told from symbols: left to the operator.
fn reshape_with_free(c: &mut Call, x: ValueId, own: &[Dim], dims: &[Dim], free: usize) -> Emit {
    let mut list = vec![];
    for (i, d) in dims.iter().enumerate() {
        list.push(match d.known() {
            _ if i == free => -1,
            Some(n) => n,
            None if own.get(i) == Some(d) => 0,
            None => {
                return Err(Fault::new(format!(
                    "cannot reshape {} to {}: size {d} is not that of the same axis before",
                    show_shape(own),
                    show_shape(dims)
                )));
            }
        });
    }
    let list = c.g.int_list(&list);
    Ok(vec![c.g.reshape_to(x, list)?])
}

fn flatten(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (start, stop) = (c.axis(0, x, 0)?, c.axis(1, x, -1)?);
    let own = c.dims(x)?;
    if start > stop {
        return Err(Fault::new(format!("expected start at or before stop, found {start} and {stop}")));
    }
    let dims = [&own[..start], &[product(&own[start..=stop])], &own[stop + 1..]].concat();
    Ok(vec![c.g.reshape(x, &dims)?])
}

fn transpose(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (a, b) = (c.axis(0, x, -1)?, c.axis(1, x, -2)?);
    let mut perm: Vec<i64> = (0..c.g.rank(x)? as i64).collect();
    perm.swap(a, b);
    Ok(vec![c.g.transpose(x, &perm)?])
}

fn permute(c: &mut Call) -> Emit {
    let x = c.this()?;
    let axes = c.ints(0)?;
    let mut perm = vec![];
    for a in &axes {
        perm.push(c.axis_of(x, *a)? as i64);
    }
    Ok(vec![c.g.op("Transpose", &[x], &[("perm", perm.into())])?])
}

fn unsqueeze(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (axis, rank) = (c.int(0)?, c.g.rank(x)?);
    let at = super::call::axis_in(axis, rank + 1)?;
    Ok(vec![c.g.unsqueeze(x, &[at as i64])?])
}

fn squeeze(c: &mut Call) -> Emit {
    let x = c.this()?;
    let axis = c.int(0)?;
    let at = c.axis_of(x, axis)?;
    Ok(vec![c.g.squeeze(x, &[at as i64])?])
}

fn expand(c: &mut Call) -> Emit {
    let (x, wanted) = (c.this()?, c.sizes(0)?);
    let own = c.dims(x)?;
    let lead = wanted.len().checked_sub(own.len()).ok_or_else(|| {
        Fault::new(format!("expected at least {} sizes, found {}", own.len(), show_shape(&wanted)))
    })?;
    let mut list = vec![];
    for (i, d) in wanted.iter().enumerate() {
        let now = i.checked_sub(lead).and_then(|j| own.get(j));
        list.push(match d.known() {
            Some(-1) if now.is_some() => 1,
            Some(n) if n >= 0 && now.is_none_or(|o| o.is(1) || o.is(n) || o.known().is_none()) => n,
            None if now == Some(d) => 1,
            None => {
                return Err(Fault::new(format!(
                    "cannot expand {} to {}",
                    show_shape(&own),
                    show_shape(&wanted)
                ))
                .hint("a size that is only a symbol comes from a tensor that has it: x:expand_as(other)"));
            }
            _ => {
                return Err(Fault::new(format!(
                    "cannot expand {} to {}",
                    show_shape(&own),
                    show_shape(&wanted)
                )));
            }
        });
    }
    let list = c.g.int_list(&list);
    Ok(vec![c.g.expand_to(x, list)?])
}

fn expand_as(c: &mut Call) -> Emit {
    let (x, like) = (c.this()?, c.tensor(0)?);
    ekphrasis_graph::broadcast_shapes(&c.dims(x)?, &c.dims(like)?).map_err(Fault::new)?;
    Ok(vec![c.g.expand_like(x, like)?])
}

fn cut(c: &mut Call, x: ValueId, axis: usize, start: i64, stop: i64, step: i64) -> One {
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

fn repeat_interleave(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (n, axis) = (c.int(0)?, c.axis(1, x, 0)?);
    if n < 1 {
        return Err(Fault::new(format!("`n`: expected at least 1, found {n}")));
    }
    let own = c.dims(x)?;
    let wide = c.g.unsqueeze(x, &[axis as i64 + 1])?;
    let mut times = vec![1; own.len() + 1];
    times[axis + 1] = n;
    let list = c.g.int_list(&times);
    let wide = c.g.expand_to(wide, list)?;
    let mut dims = own;
    dims[axis] = dims[axis].mul(&Dim::Known(n));
    Ok(vec![c.g.reshape(wide, &dims)?])
}

fn tile(c: &mut Call) -> Emit {
    let (x, times) = (c.this()?, c.ints(0)?);
    let list = c.g.int_list(&times);
    Ok(vec![c.g.tile(x, list)?])
}

fn pad(c: &mut Call) -> Emit {
    let (x, pads) = (c.this()?, c.ints(0)?);
    let mode = c.text_or(1, "constant")?;
    if !["constant", "edge", "reflect"].contains(&mode) {
        return Err(Fault::unknown("mode", mode, ["constant", "edge", "reflect"]));
    }
    let fill = c.number_or(2, 0.0)?;
    let fill = (mode == "constant").then(|| c.scalar(x, fill));
    let list = c.g.int_list(&pads);
    Ok(c.g.add_node("Pad", &[Some(x), Some(list), fill], [("mode".into(), mode.into())].into(), 1)?)
}

fn flip(c: &mut Call) -> Emit {
    let x = c.this()?;
    let axis = c.int(0)?;
    let axis = c.axis_of(x, axis)?;
    Ok(vec![cut(c, x, axis, -1, i64::MIN, -1)?])
}

fn triangle(c: &mut Call, upper: bool) -> Emit {
    let x = c.this()?;
    let k = c.int_or(0, 0)?;
    let k = c.int_scalar(k);
    Ok(vec![c.g.op("Trilu", &[x, k], &[("upper", upper.into())])?])
}

fn full_like(c: &mut Call, value: f64) -> Emit {
    let x = c.this()?;
    let value = c.scalar(x, value);
    Ok(vec![c.g.expand_like(value, x)?])
}

fn range(c: &mut Call) -> Emit {
    let x = c.this()?;
    let axis = c.axis(0, x, 0)?;
    let (start, size, step) = (c.int_scalar(0), c.size_value(x, axis)?, c.int_scalar(1));
    if let Some(n) = c.dims(x)?[axis].known() {
        let all: Vec<i64> = (0..n).collect();
        return Ok(vec![c.g.constant(Tensor::from_i64(&[all.len()], &all)?)]);
    }
    Ok(vec![c.g.op("Range", &[start, size, step], &[])?])
}

fn size_tensor(c: &mut Call) -> Emit {
    let x = c.this()?;
    let axis = c.axis(0, x, 0)?;
    Ok(vec![c.size_value(x, axis)?])
}

fn one_hot(c: &mut Call) -> Emit {
    let x = c.this()?;
    let x = c.g.cast(x, DType::I64)?;
    let depth = c.int(0)?;
    let depth = c.int_scalar(depth);
    let values = c.g.constant(Tensor::from_f32(&[2], &[0.0, 1.0])?);
    Ok(vec![c.g.op("OneHot", &[x, depth, values], &[])?])
}

const AXIS: &str = "(axis: integer): Tensor";

pub(super) const ROWS: &[Op] = &[
    op(
        "reshape",
        "(sizes: (integer|string)[]): Tensor",
        "The same elements in another shape: whole numbers, symbols such as \"B\", one -1 for what is left, 0 \
         for the size that stands there now.",
        reshape,
    ),
    op(
        "flatten",
        "(start?: integer, stop?: integer): Tensor",
        "Axes start (0) to stop (-1) as one.",
        flatten,
    ),
    op("transpose", "(a?: integer, b?: integer): Tensor", "Swaps two axes (the last two).", transpose),
    op("permute", "(axes: integer[]): Tensor", "Axes in another order.", permute),
    op("unsqueeze", AXIS, "A new axis of size 1.", unsqueeze),
    op("squeeze", AXIS, "Drops an axis of size 1.", squeeze),
    op(
        "expand",
        "(sizes: (integer|string)[]): Tensor",
        "Repeats axes of size 1 to the given sizes; -1 keeps a size.",
        expand,
    ),
    op("expand_as", "(other: Tensor): Tensor", "Repeats axes of size 1 to the shape of `other`.", expand_as),
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
    op(
        "repeat_interleave",
        "(n: integer, axis?: integer): Tensor",
        "Each element along an axis (0) n times, side by side.",
        repeat_interleave,
    ),
    op("tile", "(times: integer[]): Tensor", "The whole tensor several times along each axis.", tile),
    op(
        "pad",
        "(pads: integer[], mode?: string, value?: number): Tensor",
        "Elements added: all befores, then all afters, one an axis; mode \"constant\", \"edge\" or \"reflect\".",
        pad,
    ),
    op("flip", AXIS, "The other way round along an axis.", flip),
    op("triu", "(k?: integer): Tensor", "The upper triangle from diagonal k (0); zero below.", |c| {
        triangle(c, true)
    }),
    op("tril", "(k?: integer): Tensor", "The lower triangle to diagonal k (0); zero above.", |c| {
        triangle(c, false)
    }),
    op("zeros_like", "(): Tensor", "Zeros of this shape and type.", |c| full_like(c, 0.0)),
    op("ones_like", "(): Tensor", "Ones of this shape and type.", |c| full_like(c, 1.0)),
    op("full_like", "(value: number): Tensor", "One number in this shape and type.", |c| {
        let value = c.number_or(0, 0.0)?;
        full_like(c, value)
    }),
    op("range", AXIS, "0, 1, ... up to the size along an axis, i64.", range),
    op(
        "size_tensor",
        AXIS,
        "The size along an axis as an i64 scalar, known when the graph runs.",
        size_tensor,
    ),
    op(
        "one_hot",
        "(depth: integer): Tensor",
        "f32 with a last axis of `depth`: 1 at the index, else 0.",
        one_hot,
    ),
];

pub(super) const FUNCTIONS: &[Op] = &[
    op("concat", "(tensors: Tensor[], axis?: integer): Tensor", "Joins along an axis (0).", concat),
    op("stack", "(tensors: Tensor[], axis?: integer): Tensor", "Joins along a new axis (0).", stack),
];
