//! Operations that give elements another shape.

use super::{Call, Emit, Op, op};
use crate::Fault;
use ekphrasis_graph::{DType, Dim, Shape, Tensor, ValueId, product, show_shape};

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
