//! Operators that move elements without computing.

use super::{
    Kind::{Broadcast, Dense, Elementwise},
    Row, row,
};
use crate::{
    Case, Ctx, Grads,
    case::{any, list},
};
use ekphrasis_graph::{AttrsExt, Dim, Result, Shape};

pub(super) const ROWS: &[Row] = &[
    row("Reshape", Broadcast, reshape, || vec![Case::of([any(&[2, 6]), list(&[0, 3, -1])])]),
    row("Flatten", Broadcast, reshape, || {
        [0, 1, 2].map(|axis| Case::of([any(&[2, 3, 2])]).attr("axis", axis)).into()
    }),
    row("Squeeze", Broadcast, reshape, || {
        vec![Case::of([any(&[2, 1, 3, 1]), list(&[1])]), Case::of([any(&[2, 1, 3, 1])]).known()]
    }),
    row("Unsqueeze", Broadcast, reshape, || vec![Case::of([any(&[2, 3]), list(&[0, -1])])]),
    row("Transpose", Broadcast, transpose, || {
        vec![Case::of([any(&[2, 3, 4])]).ints("perm", &[1, 2, 0]), Case::of([any(&[2, 3])])]
    }),
    row("Concat", Dense, concat, || {
        vec![
            Case::of([any(&[2, 3]), any(&[2, 1])]).attr("axis", 1),
            Case::of([any(&[2, 3]), any(&[1, 3]), any(&[2, 3])]).attr("axis", -2),
        ]
    }),
    row("Split", Dense, split, || {
        vec![
            Case::of([any(&[2, 6]), list(&[1, 3, 2])]).attr("axis", 1).outputs(3),
            Case::of([any(&[4, 2])]).attr("axis", 0).attr("num_outputs", 2).outputs(2),
        ]
    }),
    row("Expand", Elementwise, expand, || {
        vec![
            Case::of([any(&[2, 1]), list(&[3, 2, 4])]),
            Case::of([any(&[]), list(&[3, 2])]),
            Case::of([any(&[2, 3]), list(&[1, 1])]),
        ]
    }),
    row("Tile", Dense, tile, || {
        vec![Case::of([any(&[2, 3]), list(&[2, 3])]), Case::of([any(&[2, 1, 3]), list(&[1, 2, 1])])]
    }),
    row("DepthToSpace", Dense, depth_to_space, || {
        ["DCR", "CRD"].map(|m| Case::of([any(&[2, 8, 2, 3])]).attr("blocksize", 2).attr("mode", m)).into()
    }),
    row("SpaceToDepth", Dense, space_to_depth, || vec![Case::of([any(&[2, 3, 4, 2])]).attr("blocksize", 2)]),
];

/// The gradient in the shape of the input. One that is the same everywhere stays small.
fn reshape(c: &mut Ctx) -> Result<Grads> {
    let (mut dy, x) = (c.dy()?, c.x(0)?);
    let uniform = c.g.dims(dy)?.iter().all(|d| d.is(1));
    let dx = match c.g.value(x).shape.as_ref().map(Vec::len) {
        Some(rank) if uniform => c.g.reshape(dy, &vec![Dim::Known(1); rank])?,
        _ => {
            dy = c.dense_dy()?;
            c.g.reshape_like(dy, x)?
        }
    };
    Ok(vec![Some(dx)])
}

fn transpose(c: &mut Ctx) -> Result<Grads> {
    let (dy, rank) = (c.dy()?, c.g.rank(c.x(0)?)?);
    let reversed: Vec<i64> = (0..rank as i64).rev().collect();
    let perm = c.attrs().ints("perm").unwrap_or(&reversed);
    let back = Ctx::inverse(perm);
    Ok(vec![Some(c.g.transpose(dy, &back)?)])
}

/// One `Split` for all parts, with sizes taken at run time where they are symbols.
fn concat(c: &mut Ctx) -> Result<Grads> {
    let (dy, rank) = (c.dy()?, c.g.rank(c.y(0)?)?);
    let axis = c.axis(c.attrs().int("axis", 0), rank);
    let n = c.arity();
    if n == 1 {
        return Ok(vec![Some(dy)]);
    }
    let mut sizes = vec![];
    for i in 0..n {
        let x = c.x(i)?;
        sizes.push(c.g.dims(x)?[axis].known());
    }
    let sizes = match sizes.iter().copied().collect::<Option<Vec<i64>>>() {
        Some(known) => {
            let wanted: Vec<usize> = (0..n).filter(|i| c.wants(*i)).collect();
            if let [only] = *wanted.as_slice() {
                let start: i64 = known[..only].iter().sum();
                let part = c.g.slice(dy, &[axis as i64], &[start], &[start + known[only]], &[1])?;
                let mut grads = vec![None; n];
                grads[only] = Some(part);
                return Ok(grads);
            }
            c.g.int_list(&known)
        }
        None => {
            let mut parts = vec![];
            for i in 0..n {
                let shape = c.g.shape_of(c.node.inputs[i].unwrap_or(dy))?;
                let at = c.g.int_list(&[axis as i64]);
                parts.push(c.g.op("Gather", &[shape, at], &[])?);
            }
            c.g.concat(&parts, 0)?
        }
    };
    let attrs = [("axis".to_owned(), (axis as i64).into())].into();
    let parts = c.g.add_node("Split", &[Some(dy), Some(sizes)], attrs, n)?;
    Ok(parts.into_iter().map(Some).collect())
}

fn split(c: &mut Ctx) -> Result<Grads> {
    let mut parts = vec![];
    for i in 0..c.outputs() {
        parts.push(match c.grad(i) {
            Some(d) => d,
            None => {
                let y = c.y(i)?;
                c.g.zeros_like(y)?
            }
        });
    }
    let axis = c.attrs().int("axis", 0);
    Ok(vec![Some(c.g.concat(&parts, axis)?), None])
}

/// Summing over what was repeated is undoing a broadcast.
fn expand(c: &mut Ctx) -> Result<Grads> {
    Ok(vec![Some(c.dy()?), None])
}

/// Every repeated dimension is split into repeats and size, and the repeats are summed.
fn tile(c: &mut Ctx) -> Result<Grads> {
    let (dy, x) = (c.dy()?, c.x(0)?);
    let times = c.literal(1)?.unwrap_or_default();
    let dims = c.g.dims(x)?.to_vec();
    let (mut shape, mut axes): (Shape, Vec<i64>) = (vec![], vec![]);
    for (d, n) in dims.iter().zip(&times) {
        if *n != 1 {
            axes.push(shape.len() as i64);
            shape.push(Dim::Known(*n));
        }
        shape.push(d.clone());
    }
    if axes.is_empty() {
        return Ok(vec![Some(dy), None]);
    }
    let apart = c.g.reshape(dy, &shape)?;
    Ok(vec![Some(c.g.reduce_sum(apart, &axes, false)?), None])
}

fn depth_to_space(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, y) = (c.dy()?, c.x(0)?, c.y(0)?);
    let b = c.attrs().int("blocksize", 1);
    if c.attrs().text("mode", "DCR") == "DCR" {
        return Ok(vec![Some(c.g.op("SpaceToDepth", &[dy], &[("blocksize", b.into())])?)]);
    }
    let (small, large) = (c.g.dims(x)?.to_vec(), c.g.dims(y)?.to_vec());
    let block = Dim::Known(b);
    let [n, _, h, w] = small.as_slice() else { return Err(c.error("expected four dimensions")) };
    let split = [n.clone(), large[1].clone(), h.clone(), block.clone(), w.clone(), block];
    let t = c.g.reshape(dy, &split)?;
    let t = c.g.transpose(t, &[0, 1, 3, 5, 2, 4])?;
    Ok(vec![Some(c.g.reshape_like(t, x)?)])
}

fn space_to_depth(c: &mut Ctx) -> Result<Grads> {
    let (dy, b) = (c.dy()?, c.attrs().int("blocksize", 1));
    Ok(vec![Some(c.g.op("DepthToSpace", &[dy], &[("blocksize", b.into())])?)])
}
