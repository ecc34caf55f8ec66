//! Slices, padding and running sums: what is cut off comes back as zeros, and the other way round.

use super::{Kind::Dense, Row, row};
use crate::{
    Case, Ctx, Grads,
    case::{Operand, any, ints, list, scalar, within},
};
use ekphrasis_graph::{AttrsExt, Dim, Result, Shape, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("Slice", Dense, slice, || {
        let end = i64::MAX;
        let cut = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
            Case::of([any(&[4, 6]), list(starts), list(ends), list(axes), list(steps)])
        };
        vec![
            Case::of([any(&[4, 6]), list(&[1, -4]), list(&[3, -1])]),
            cut(&[1], &[end], &[0], &[1]),
            cut(&[-3, 2], &[end, 100], &[0, 1], &[1, 1]),
            cut(&[-1], &[-end], &[0], &[-1]),
            cut(&[1], &[6], &[1], &[2]),
            cut(&[0, 1], &[-1, 6], &[0, 1], &[1, 3]),
            cut(&[-2], &[-100], &[1], &[-2]),
        ]
    }),
    row("Pad", Dense, pad, || {
        let x = || any(&[3, 4]);
        let pads = || list(&[1, 0, 2, 3]);
        vec![
            Case::of([x(), pads()]),
            Case::of([x(), list(&[-1, 0, 2, -2])]),
            Case::of([x(), list(&[2, 1]), scalar(1.5), list(&[1])]),
            Case::of([x(), pads(), within(&[], (0.0, 1.0))]),
            Case::of([x(), pads()]).attr("mode", "edge").known(),
            Case::of([x(), pads()]).attr("mode", "reflect").known(),
            Case::of([x(), list(&[0, 2, 0, 3])]).attr("mode", "edge"),
            Case::of([x(), list(&[0, 3, 0, 2])]).attr("mode", "reflect"),
            Case::of([x(), list(&[2, -1]), Operand::Absent, list(&[1])]).attr("mode", "edge"),
            Case::of([x(), list(&[-1, 2]), Operand::Absent, list(&[-1])]).attr("mode", "reflect"),
        ]
    }),
    row("Trilu", Dense, itself, || {
        vec![
            Case::of([any(&[2, 3, 4])]),
            Case::of([any(&[3, 3]), ints(&[], &[1])]).attr("upper", 1),
            Case::of([any(&[3, 4]), ints(&[], &[-1])]).attr("upper", 0),
        ]
    }),
    row("ReverseSequence", Dense, itself, || {
        let case = |lengths: &[i64], batch: i64| {
            Case::of([any(&[4, 3, 2]), list(lengths)]).attr("batch_axis", batch).attr("time_axis", 1 - batch)
        };
        vec![case(&[2, 4, 1], 1), case(&[3, 1, 2, 2], 0).known()]
    }),
    row("CumSum", Dense, cumsum, || {
        let case = |r, e| Case::of([any(&[3, 4]), ints(&[], &[1])]).attr("reverse", r).attr("exclusive", e);
        let first = Case::of([any(&[3, 4]), ints(&[], &[-2])]).attr("exclusive", 1);
        vec![case(0, 0), case(1, 0), case(0, 1), case(1, 1), first]
    }),
];

/// Zeros of the shape of `x` with `dy` in them, from a start (negative: from the end) along each axis of
/// `starts`.
///
/// The amount of padding follows from the shapes, at build time where they are known.
pub(super) fn place(c: &mut Ctx, dy: ValueId, x: ValueId, starts: &[(usize, i64)]) -> Result<ValueId> {
    let rank = c.g.rank(x)?;
    let dims = c.g.dims(x)?.to_vec();
    let (mut begin, mut from_end) = (vec![0; rank], vec![0; rank]);
    for (axis, start) in starts {
        // A start past either end means that end.
        begin[*axis] = dims[*axis].known().map_or(*start, |d| (*start).clamp(-d, d));
        from_end[*axis] = i64::from(*start < 0);
    }
    let counted = from_end.contains(&1);
    let (mut begin, from_end) = (c.g.int_list(&begin), c.g.int_list(&from_end));
    if counted {
        let whole = c.g.shape_of(x)?;
        let offset = c.g.mul(whole, from_end)?;
        begin = c.g.add(begin, offset)?;
    }
    place_at(c, dy, x, begin)
}

/// The same with starts for all axes that are computed, counted from the front.
fn place_at(c: &mut Ctx, dy: ValueId, x: ValueId, begin: ValueId) -> Result<ValueId> {
    let (whole, part) = (c.g.shape_of(x)?, c.g.shape_of(dy)?);
    let rest = c.g.sub(whole, part)?;
    let end = c.g.sub(rest, begin)?;
    let pads = c.g.concat(&[begin, end], 0)?;
    let zero = c.g.scalar_like(dy, 0.0);
    c.g.op("Pad", &[dy, pads, zero], &[])
}

fn flip(c: &mut Ctx, x: ValueId, axis: i64) -> Result<ValueId> {
    c.g.slice(x, &[axis], &[-1], &[-i64::MAX], &[-1])
}

fn slice(c: &mut Ctx) -> Result<Grads> {
    let (mut dy, x, starts) = (c.dy()?, c.x(0)?, c.x(1)?);
    let rank = c.g.rank(x)?;
    let n = c.g.dims(starts)?.first().and_then(Dim::known).unwrap_or(0);
    let axes: Vec<i64> = match c.literal(3)? {
        Some(axes) => axes.into_iter().map(|a| c.axis(a, rank) as i64).collect(),
        None => (0..n).collect(),
    };
    let steps = c.literal(4)?.unwrap_or_else(|| vec![1; axes.len()]);
    let literal = c.g.value(starts).tensor().and_then(|t| t.as_ints());
    let (mut plain, mut known) = (vec![], vec![]);
    for (i, (axis, step)) in axes.iter().zip(&steps).enumerate() {
        if *step != 1 {
            dy = unstride(c, dy, x, *axis, i, *step)?;
            continue;
        }
        plain.push((i as i64, *axis));
        if let Some(start) = literal.as_ref().and_then(|l| l.get(i)) {
            known.push((*axis as usize, *start));
        }
    }
    let dx = match (plain.is_empty(), plain.len() == known.len()) {
        (true, _) => dy,
        (_, true) => place(c, dy, x, &known)?,
        _ => {
            // Starts that are computed count from the front; each goes to its axis.
            let zeros = c.g.int_list(&vec![0; rank]);
            let (from, to): (Vec<i64>, Vec<i64>) = plain.into_iter().unzip();
            let (from, to) = (c.g.int_list(&from), c.g.int_list(&to));
            let own = c.g.op("Gather", &[starts, from], &[])?;
            let begin = c.g.op("ScatterElements", &[zeros, to, own], &[])?;
            place_at(c, dy, x, begin)?
        }
    };
    Ok([vec![Some(dx)], vec![None; 4]].concat())
}

/// Undoes one strided dimension: flips it back, puts zeros between, and pads to the size of `x`.
fn unstride(c: &mut Ctx, mut dy: ValueId, x: ValueId, axis: i64, i: usize, step: i64) -> Result<ValueId> {
    let at = axis as usize;
    let (size, count) = (c.g.dims(x)?[at].clone(), c.g.dims(dy)?[at].clone());
    if step < 0 {
        dy = flip(c, dy, axis)?;
    }
    if step == -1 && size == count {
        return Ok(dy);
    }
    let (Some(size), Some(count)) = (size.known(), count.known()) else {
        return Err(c.error(format!("a slice with step {step} needs a known size along axis {axis}")));
    };
    let start = c.literal(1)?.and_then(|s| s.get(i).copied()).unwrap_or(0);
    let start = if start < 0 { start + size } else { start };
    let start = if step < 0 { start.min(size - 1) + (count - 1) * step } else { start };
    let step = step.abs();
    if step > 1 {
        let mut dims: Shape = c.g.dims(dy)?.to_vec();
        let joined = {
            dims[at] = Dim::Known(count * step);
            dims.clone()
        };
        dy = c.g.unsqueeze(dy, &[axis + 1])?;
        dy = c.pad(dy, &[(at + 1, 0, step - 1)])?;
        dy = c.g.reshape(dy, &joined)?;
    }
    c.pad(dy, &[(at, start, size - start - count * step)])
}

fn pad(c: &mut Ctx) -> Result<Grads> {
    let dy = c.dy()?;
    let mut grads = vec![None; 4];
    match c.attrs().text("mode", "constant") {
        "constant" => {
            let dx = unpad(c, dy)?;
            grads[0] = Some(dx);
            if c.wants(2) {
                let (all, inside) = (c.g.reduce_sum(dy, &[], false)?, c.g.reduce_sum(dx, &[], false)?);
                let value = c.g.sub(all, inside)?;
                let like = c.x(2)?;
                grads[2] = Some(c.g.reshape_like(value, like)?);
            }
        }
        mode @ ("edge" | "reflect") => {
            let reflect = mode == "reflect";
            grads[0] = Some(fold_borders(c, dy, reflect)?);
        }
        other => return Err(c.error(format!("expected mode constant, edge or reflect, found {other}"))),
    }
    Ok(grads)
}

/// Cuts off what was padded, and pads what was cut off.
fn unpad(c: &mut Ctx, dy: ValueId) -> Result<ValueId> {
    let rank = c.g.rank(c.x(0)?)?;
    if let Ok(Some(pads)) = c.literal(1) {
        let axes = c.literal(3)?.unwrap_or_else(|| (0..rank as i64).collect());
        let n = axes.len();
        if pads.len() != 2 * n {
            return Err(c.error(format!("expected {} pads, found {}", 2 * n, pads.len())));
        }
        let amounts: Vec<_> =
            axes.iter().enumerate().map(|(i, a)| (c.axis(*a, rank), -pads[i], -pads[i + n])).collect();
        return c.pad(dy, &amounts);
    }
    let pads = c.x(1)?;
    let (minus, zero) = (c.g.neg(pads)?, c.g.scalar_like(dy, 0.0));
    let mut inputs = vec![dy, minus, zero];
    inputs.extend(c.input(3));
    c.g.op("Pad", &inputs, &[])
}

/// Adds the gradient of copied borders to the elements that they were copied from.
fn fold_borders(c: &mut Ctx, mut dy: ValueId, reflect: bool) -> Result<ValueId> {
    let x = c.x(0)?;
    let rank = c.g.rank(x)?;
    let pads = c.literal(1)?.unwrap_or_default();
    let axes = c.literal(3)?.unwrap_or_else(|| (0..rank as i64).collect());
    for (i, axis) in axes.iter().enumerate() {
        let at = c.axis(*axis, rank);
        let axis = at as i64;
        let (Some(before), Some(after)) = (pads.get(i).copied(), pads.get(i + axes.len()).copied()) else {
            return Err(c.error("expected two pads for each axis"));
        };
        if (before, after) == (0, 0) {
            continue;
        }
        let size = c.g.dims(x)?[at].known();
        let size = size.ok_or_else(|| c.error(format!("axis {axis} has no known size")))?;
        // What is cut off comes back as zeros; borders are copies of what is left.
        let cut = (before.min(0), after.min(0));
        let (before, after, size) = (before.max(0), after.max(0), size + cut.0 + cut.1);
        let mut sum = c.g.slice(dy, &[axis], &[before], &[before + size], &[1])?;
        // Where each border begins in dy, its width, and where its elements come from in x.
        let borders = [(0, before, 1), (before + size, after, size - 1 - after)];
        for (j, (from, width, source)) in borders.into_iter().enumerate().filter(|(_, b)| b.1 > 0) {
            let border = c.g.slice(dy, &[axis], &[from], &[from + width], &[1])?;
            let (folded, source, width) = if reflect {
                (flip(c, border, axis)?, source, width)
            } else {
                (c.g.reduce_sum(border, &[axis], true)?, if j == 0 { 0 } else { size - 1 }, 1)
            };
            let placed = c.pad(folded, &[(at, source, size - source - width)])?;
            sum = c.g.add(sum, placed)?;
        }
        dy = c.pad(sum, &[(at, -cut.0, -cut.1)])?;
    }
    Ok(dy)
}

/// The same operator again, with its further inputs and attributes.
fn again(c: &mut Ctx, reverse: bool) -> Result<Grads> {
    let (op, mut attrs) = (c.op().to_owned(), c.attrs().clone());
    if reverse {
        let flipped = i64::from(attrs.int("reverse", 0) == 0);
        attrs.insert("reverse".into(), flipped.into());
    }
    let mut inputs = c.node.inputs.clone();
    inputs[0] = Some(c.dy()?);
    let out = c.g.add_node(&op, &inputs, attrs, 1)?;
    Ok(vec![out.first().copied(), None])
}

/// The operator is its own transpose.
fn itself(c: &mut Ctx) -> Result<Grads> {
    again(c, false)
}

fn cumsum(c: &mut Ctx) -> Result<Grads> {
    again(c, true)
}
