//! Taking values by index, and putting them back.

use super::{
    Kind::{Definition, Dense},
    Row,
    gates::one,
    padding, row, scatter,
};
use crate::{
    Case, Ctx, Grads,
    case::{Operand, any, apart, at, ints, list},
};
use ekphrasis_graph::{AttrsExt, Result, ValueId};

/// Coordinates below 3 and 4.
const ROUND: [i64; 24] = [0, 3, 1, 1, 0, 3, 2, 2, 2, 0, -1, 3, 1, 2, 1, 2, 0, 0, 2, 1, 1, 0, 0, 1];

pub(super) const ROWS: &[Row] = &[
    row("Gather", Dense, gather, || {
        vec![
            Case::of([any(&[4, 3]), ints(&[2, 3], &[0, 3, 0, 1, -1, 0])]),
            Case::of([any(&[2, 4, 3]), list(&[3, 1, 3])]).attr("axis", 1),
            Case::of([any(&[2, 4]), ints(&[2, 2], &[3, 1, 3, 0])]).attr("axis", -1),
            Case::of([any(&[3, 4]), ints(&[], &[-1])]).attr("axis", 0),
            Case::of([any(&[3, 4]), ints(&[], &[1])]).attr("axis", 1),
        ]
    }),
    row("Compress", Definition, compress, || {
        let kept = |v: &[bool]| Operand::Bools(vec![v.len()], v.into());
        vec![
            Case::of([any(&[2, 3, 2]), kept(&[true, false, true])]).attr("axis", 1),
            Case::of([any(&[3, 2]), kept(&[false, true])]).attr("axis", 0),
            Case::of([any(&[2, 3]), kept(&[true, false, true, true])]),
        ]
    }),
    row("GatherElements", Dense, gather_elements, || {
        vec![
            Case::of([any(&[3, 4]), ints(&[3, 2], &[0, 3, 1, 1, 2, -1])]).attr("axis", 1),
            Case::of([any(&[3, 2]), ints(&[2, 2], &[0, 2, 2, 2])]).attr("axis", 0),
        ]
    }),
    row("GatherND", Dense, gather_nd, || {
        vec![
            Case::of([any(&[3, 4]), ints(&[3, 2], &[0, 3, 1, 1, 0, 3])]),
            Case::of([any(&[3, 4]), ints(&[2, 2, 1], &[0, 2, 2, -1])]),
            Case::of([any(&[2, 3, 4]), ints(&[2, 2, 1], &[0, 2, 2, -1])]).attr("batch_dims", 1),
            Case::of([any(&[2, 3, 4, 2]), ints(&[2, 3, 2, 2], &ROUND)]).attr("batch_dims", 1),
            Case::of([any(&[2, 3, 4]), ints(&[2, 3, 1], &[3, 1, 1, 0, -1, 2])]).attr("batch_dims", 2),
            // More rows than a product is used for.
            Case::of([any(&[2, 130, 2]), ints(&[2, 3, 2], &[129, 1, 5, 0, -1, 1, 0, 0, 7, -1, 0, 0])])
                .attr("batch_dims", 1)
                .known(),
        ]
    }),
    row("ScatterElements", Dense, scattered, || {
        let places = || ints(&[3, 2], &[0, 3, 1, 2, 2, 0]);
        let case =
            |r: &str| Case::of([any(&[3, 4]), places(), any(&[3, 2])]).attr("axis", 1).attr("reduction", r);
        let twice = || ints(&[3, 3], &[0, 3, 0, 1, -1, 1, 2, 0, 0]);
        let kinked = |r: &str| {
            Case::of([apart(&[3, 4]), twice(), apart(&[3, 3])]).attr("axis", -1).attr("reduction", r)
        };
        vec![
            case("none"),
            case("add"),
            kinked("add"),
            kinked("mul"),
            kinked("max"),
            kinked("min"),
            Case::of([any(&[3, 4]), places(), at(&[3, 2], &[0.0, 1.5, -0.7, 0.0, 0.8, 0.4])])
                .attr("axis", 1)
                .attr("reduction", "mul"),
        ]
    }),
    row("ScatterND", Dense, scattered, || {
        let case =
            |r: &str| Case::of([any(&[3, 4]), ints(&[2, 1], &[2, 0]), any(&[2, 4])]).attr("reduction", r);
        let kinked = |r: &str| {
            let twice = ints(&[4, 2], &[0, 3, 1, 1, 0, 3, 2, 0]);
            Case::of([apart(&[3, 4, 2]), twice, apart(&[4, 2])]).attr("reduction", r)
        };
        vec![case("none"), case("add"), kinked("add"), kinked("mul"), kinked("max"), kinked("min")]
    }),
    row("TopK", Dense, top_k, || {
        let case = || Case::of([apart(&[3, 4]), list(&[2])]).outputs(2);
        vec![
            case().attr("axis", 1),
            case().attr("largest", 0).attr("axis", -1),
            case().attr("sorted", 0),
            case().attr("axis", 0),
        ]
    }),
];

/// Rows are summed back by a one-hot product for small tables and by `ScatterElements` for large ones: for
/// 1,024 rows of 128 and vocabularies of 60, 1,000 and 10,000 the product took 0.14, 1.9 and 23 ms on the
/// CPU, `ScatterElements` 0.8 to 1.1. One literal index is a slice, and comes back as padding.
fn gather(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, indices) = (c.dy()?, c.x(0)?, c.x(1)?);
    let rank = c.g.rank(x)?;
    let axis = c.axis(c.attrs().int("axis", 0), rank);
    let literal = c.g.value(indices).tensor().filter(|t| t.len() == 1).and_then(|t| t.as_ints());
    if let Some([at]) = literal.as_deref() {
        let depth = c.g.rank(indices)?;
        let one = match depth {
            0 => c.g.unsqueeze(dy, &[axis as i64])?,
            1 => dy,
            _ => {
                let extra: Vec<i64> = (axis as i64..(axis + depth) as i64 - 1).collect();
                c.g.squeeze(dy, &extra)?
            }
        };
        return Ok(vec![Some(padding::place(c, one, x, &[(axis, *at)])?), None]);
    }
    Ok(vec![Some(scatter::rows(c, dy, x, indices, axis)?), None])
}

/// Taking where a condition holds is taking by the numbers of these places.
fn compress(c: &mut Ctx) -> Result<Grads> {
    let (mut x, condition, line) = (c.x(0)?, c.x(1)?, c.g.int_list(&[-1]));
    let axis = match c.attrs().contains_key("axis") {
        true => c.attrs().int("axis", 0),
        false => {
            x = c.g.reshape_to(x, line)?;
            0
        }
    };
    let places = c.g.op("NonZero", &[condition], &[])?;
    let places = c.g.reshape_to(places, line)?;
    one(c.g.gather(x, places, axis)?)
}

fn gather_elements(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, indices) = (c.dy()?, c.x(0)?, c.x(1)?);
    let axis = c.axis(c.attrs().int("axis", 0), c.g.rank(x)?) as i64;
    let zeros = c.g.zeros_like(x)?;
    Ok(vec![Some(scatter::add_elements(c.g, zeros, indices, dy, axis)?), None])
}

fn gather_nd(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, indices) = (c.dy()?, c.x(0)?, c.x(1)?);
    let batch = usize::try_from(c.attrs().int("batch_dims", 0)).unwrap_or(0);
    Ok(vec![Some(scatter::slices(c, dy, x, indices, batch)?), None])
}

/// The elements of `v` that the node's updates go to.
fn taken(c: &mut Ctx, v: ValueId) -> Result<ValueId> {
    let (indices, axis) = (c.x(1)?, c.attrs().int("axis", 0));
    match c.op() {
        "ScatterND" => c.g.op("GatherND", &[v, indices], &[]),
        _ => c.g.op("GatherElements", &[v, indices], &[("axis", axis.into())]),
    }
}

/// The node with other data and updates.
fn scatter_into(c: &mut Ctx, data: ValueId, updates: ValueId) -> Result<ValueId> {
    let (op, attrs, indices) = (c.op().to_owned(), c.attrs().clone(), c.x(1)?);
    let out = c.g.add_node(&op, &[Some(data), Some(indices), Some(updates)], attrs, 1)?;
    out.first().copied().ok_or_else(|| c.error("expected an output"))
}

/// The sum of all updates that go to each element of the data.
fn summed(c: &mut Ctx, updates: ValueId) -> Result<ValueId> {
    let (x, indices) = (c.x(0)?, c.x(1)?);
    if c.op() == "ScatterND" {
        return scatter::slices(c, updates, x, indices, 0);
    }
    let axis = c.axis(c.attrs().int("axis", 0), c.g.rank(x)?) as i64;
    let zeros = c.g.zeros_like(x)?;
    scatter::add_elements(c.g, zeros, indices, updates, axis)
}

fn scattered(c: &mut Ctx) -> Result<Grads> {
    let (dy, updates) = (c.dy()?, c.x(2)?);
    let (data, updates) = match c.attrs().text("reduction", "none") {
        "none" => {
            let data = match c.wants(0) {
                true => {
                    let zeros = c.g.zeros_like(updates)?;
                    Some(scatter_into(c, dy, zeros)?)
                }
                false => None,
            };
            (data, taken(c, dy)?)
        }
        "add" => (Some(dy), taken(c, dy)?),
        "mul" => product(c)?,
        "max" | "min" => extremum(c)?,
        other => {
            return Err(c.error(format!("expected reduction none, add, mul, max or min, found {other}")));
        }
    };
    Ok(vec![data, None, Some(updates)])
}

/// Each update times the others at its place. The first derivative is right at zeros too.
fn product(c: &mut Ctx) -> Result<(Option<ValueId>, ValueId)> {
    let (dy, x, updates) = (c.dy()?, c.x(0)?, c.x(2)?);
    let one = c.g.scalar_like(x, 1.0);
    let ones = c.g.expand_like(one, x)?;
    let data = match c.wants(0) {
        true => {
            let factor = scatter_into(c, ones, updates)?;
            Some(c.g.mul(dy, factor)?)
        }
        false => None,
    };
    // A zero counts as 1 in the product of the others; it goes where there is no other zero.
    let zero = c.g.scalar_like(updates, 0.0);
    let zeros = c.g.equal(updates, zero)?;
    let zeros = c.mask(zeros, updates)?;
    let safe = c.g.add(updates, zeros)?;
    let factor = scatter_into(c, ones, safe)?;
    let factor = c.g.mul(x, factor)?;
    let all = c.g.mul(dy, factor)?;
    let all = taken(c, all)?;
    let others = c.g.div(all, safe)?;
    let count = summed(c, zeros)?;
    let count = taken(c, count)?;
    let alone = c.g.equal(count, zeros)?;
    let alone = c.mask(alone, updates)?;
    Ok((data, c.g.mul(others, alone)?))
}

/// Equal values share the gradient, so that its total stays 1.
fn extremum(c: &mut Ctx) -> Result<(Option<ValueId>, ValueId)> {
    let (dy, x, updates, y) = (c.dy()?, c.x(0)?, c.x(2)?, c.y(0)?);
    let own = c.g.equal(x, y)?;
    let own = c.mask(own, x)?;
    let best = taken(c, y)?;
    let given = c.g.equal(updates, best)?;
    let given = c.mask(given, x)?;
    let ties = summed(c, given)?;
    let ties = c.g.add(own, ties)?;
    let share = c.g.div(dy, ties)?;
    let data = c.g.mul(share, own)?;
    let share = taken(c, share)?;
    Ok((Some(data), c.g.mul(share, given)?))
}

fn top_k(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, indices) = (c.dy()?, c.x(0)?, c.y(1)?);
    let axis = c.axis(c.attrs().int("axis", -1), c.g.rank(x)?) as i64;
    let zeros = c.g.zeros_like(x)?;
    Ok(vec![Some(scatter::add_elements(c.g, zeros, indices, dy, axis)?), None])
}
