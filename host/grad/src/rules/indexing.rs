//! Taking values by index, and putting them back.

use super::{Kind::Dense, Row, padding, row, scatter};
use crate::{
    Case, Ctx, Grads,
    case::{any, apart, ints, list},
};
use ekphrasis_graph::{AttrsExt, Result};

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
    row("GatherElements", Dense, gather_elements, || {
        vec![
            Case::of([any(&[3, 4]), ints(&[3, 2], &[0, 3, 1, 1, 2, -1])]).attr("axis", 1),
            Case::of([any(&[3, 2]), ints(&[2, 2], &[0, 2, 2, 2])]).attr("axis", 0),
        ]
    }),
    row("GatherND", Dense, gather_nd, || {
        vec![
            Case::of([any(&[3, 4]), ints(&[3, 2], &[0, 3, 1, 1, 0, 3])]),
            Case::of([any(&[3, 4]), ints(&[2, 2, 1], &[0, 2, 2, 1])]),
        ]
    }),
    row("ScatterElements", Dense, scatter_elements, || {
        let at = || ints(&[3, 2], &[0, 3, 1, 2, 2, 0]);
        let case = || Case::of([any(&[3, 4]), at(), any(&[3, 2])]).attr("axis", 1);
        vec![case(), case().attr("reduction", "add")]
    }),
    row("ScatterND", Dense, scatter_nd, || {
        let case = || Case::of([any(&[3, 4]), ints(&[2, 1], &[2, 0]), any(&[2, 4])]);
        vec![case(), case().attr("reduction", "add")]
    }),
    row("TopK", Dense, top_k, || vec![Case::of([apart(&[3, 4]), list(&[2])]).attr("axis", 1).outputs(2)]),
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

fn gather_elements(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, indices) = (c.dy()?, c.x(0)?, c.x(1)?);
    let axis = c.axis(c.attrs().int("axis", 0), c.g.rank(x)?) as i64;
    let zeros = c.g.zeros_like(x)?;
    Ok(vec![Some(scatter::add_elements(c.g, zeros, indices, dy, axis)?), None])
}

fn gather_nd(c: &mut Ctx) -> Result<Grads> {
    if c.attrs().int("batch_dims", 0) != 0 {
        return Err(c.error("expected batch_dims 0"));
    }
    let (dy, x, indices) = (c.dy()?, c.x(0)?, c.x(1)?);
    let zeros = c.g.zeros_like(x)?;
    Ok(vec![Some(scatter::add_slices(c.g, zeros, indices, dy)?), None])
}

/// What the scatter leaves of the data: all of it when it adds, zeros in place of what it replaces.
fn left_over(c: &mut Ctx) -> Result<Option<ekphrasis_graph::ValueId>> {
    let (dy, indices, updates) = (c.dy()?, c.x(1)?, c.x(2)?);
    if !c.wants(0) {
        return Ok(None);
    }
    match c.attrs().text("reduction", "none") {
        "add" => Ok(Some(dy)),
        "none" => {
            let (op, attrs, zeros) = (c.op().to_owned(), c.attrs().clone(), c.g.zeros_like(updates)?);
            Ok(c.g.add_node(&op, &[Some(dy), Some(indices), Some(zeros)], attrs, 1)?.first().copied())
        }
        other => Err(c.error(format!("expected reduction none or add, found {other}"))),
    }
}

fn scatter_elements(c: &mut Ctx) -> Result<Grads> {
    let (dy, indices, axis) = (c.dy()?, c.x(1)?, c.attrs().int("axis", 0));
    let data = left_over(c)?;
    let taken = c.g.op("GatherElements", &[dy, indices], &[("axis", axis.into())])?;
    Ok(vec![data, None, Some(taken)])
}

fn scatter_nd(c: &mut Ctx) -> Result<Grads> {
    let (dy, indices) = (c.dy()?, c.x(1)?);
    let data = left_over(c)?;
    Ok(vec![data, None, Some(c.g.op("GatherND", &[dy, indices], &[])?)])
}

fn top_k(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, indices) = (c.dy()?, c.x(0)?, c.y(1)?);
    let axis = c.axis(c.attrs().int("axis", -1), c.g.rank(x)?) as i64;
    let zeros = c.g.zeros_like(x)?;
    Ok(vec![Some(scatter::add_elements(c.g, zeros, indices, dy, axis)?), None])
}
