//! Matrix products.

use super::{Kind::Dense, Row, row};
use crate::{
    Case, Ctx, Grads, broadcast,
    case::{any, within},
};
use ekphrasis_graph::{AttrsExt, Dim, Result, ValueId, product};

pub(super) const ROWS: &[Row] = &[
    row("MatMul", Dense, matmul, || {
        let pairs: [(&[usize], &[usize]); 11] = [
            (&[2, 3], &[3, 4]),
            (&[2, 5, 3], &[3, 4]),
            (&[2, 2, 5, 3], &[3, 4]),
            (&[2, 5, 3], &[2, 3, 4]),
            (&[2, 1, 5, 3], &[4, 3, 2]),
            (&[5, 3], &[2, 3, 4]),
            (&[1, 5, 3], &[2, 3, 4]),
            (&[3], &[3, 4]),
            (&[2, 3], &[3]),
            (&[3], &[3]),
            (&[2, 5, 3], &[3]),
        ];
        let more = [Case::of([any(&[3]), any(&[2, 3, 4])]), Case::of([any(&[2, 3, 2]), any(&[1, 2, 2])])];
        pairs.into_iter().map(|(a, b)| Case::of([any(a), any(b)])).chain(more).collect()
    }),
    row("Gemm", Dense, gemm, || {
        let mut cases = vec![];
        for (ta, tb) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let a = any(if ta == 0 { &[2, 3] } else { &[3, 2] });
            let b = any(if tb == 0 { &[3, 4] } else { &[4, 3] });
            let case = Case::of([a.clone(), b.clone(), any(&[4])]).attr("transA", ta).attr("transB", tb);
            cases.push(case.attr("alpha", 0.5f32).attr("beta", 2.0f32));
            cases.push(Case::of([a, b]).attr("transA", ta).attr("transB", tb));
        }
        cases.push(Case::of([any(&[2, 3]), any(&[3, 4]), within(&[2, 1], (0.0, 1.0))]));
        cases
    }),
];

fn matmul(c: &mut Ctx) -> Result<Grads> {
    let (dy, a, b) = (c.dy()?, c.x(0)?, c.x(1)?);
    let (ra, rb) = (c.g.rank(a)?, c.g.rank(b)?);
    // A vector is a matrix with one row (left) or one column (right).
    let wide_a = if ra == 1 { c.g.unsqueeze(a, &[0])? } else { a };
    let wide_b = if rb == 1 { c.g.unsqueeze(b, &[1])? } else { b };
    let mut wide_dy = dy;
    if rb == 1 {
        wide_dy = c.g.unsqueeze(wide_dy, &[-1])?;
    }
    if ra == 1 {
        wide_dy = c.g.unsqueeze(wide_dy, &[-2])?;
    }
    let mut grads = vec![None, None];
    if c.wants(0) {
        let da = left(c, wide_dy, wide_a, wide_b)?;
        grads[0] = Some(if ra == 1 { c.g.squeeze(da, &[0])? } else { da });
    }
    if c.wants(1) {
        let db = right(c, wide_dy, wide_a, wide_b)?;
        grads[1] = Some(if rb == 1 { c.g.squeeze(db, &[1])? } else { db });
    }
    Ok(grads)
}

/// `dA = dy B^T`. With one matrix for the whole batch the batch is folded into the rows, and `Gemm`
/// transposes as it packs.
fn left(c: &mut Ctx, dy: ValueId, a: ValueId, b: ValueId) -> Result<ValueId> {
    if c.g.rank(b)? == 2 {
        let dy = rows(c, dy)?;
        let da = c.g.op("Gemm", &[dy, b], &[("transB", true.into())])?;
        return c.g.reshape_like(da, a);
    }
    let bt = c.g.transpose_last(b)?;
    let da = c.g.matmul(dy, bt)?;
    broadcast::fit(c.g, da, a, da)
}

/// `dB = A^T dy`, summed over the batch by the product itself where `B` is one matrix.
fn right(c: &mut Ctx, dy: ValueId, a: ValueId, b: ValueId) -> Result<ValueId> {
    if c.g.rank(b)? == 2 {
        let (a, dy) = (rows(c, a)?, rows(c, dy)?);
        return c.g.op("Gemm", &[a, dy], &[("transA", true.into())]);
    }
    let at = c.g.transpose_last(a)?;
    let db = c.g.matmul(at, dy)?;
    broadcast::fit(c.g, db, b, db)
}

/// All dimensions but the last folded into one.
fn rows(c: &mut Ctx, x: ValueId) -> Result<ValueId> {
    let dims = c.g.dims(x)?.to_vec();
    match dims.split_last() {
        Some((last, lead)) if lead.len() > 1 => {
            if last.known().is_none() && product(lead).known().is_none() {
                // Two sizes that are not known: the batch is folded by copying the last one.
                let shape = c.g.shape_of(x)?;
                let at = c.g.int_list(&[dims.len() as i64 - 1]);
                let last = c.g.op("Gather", &[shape, at], &[])?;
                let free = c.g.int_list(&[-1]);
                let target = c.g.concat(&[free, last], 0)?;
                return c.g.reshape_to(x, target);
            }
            let target: [Dim; 2] = [product(lead), last.clone()];
            c.g.reshape(x, &target)
        }
        _ => Ok(x),
    }
}

fn gemm(c: &mut Ctx) -> Result<Grads> {
    let (dy, a, b) = (c.dy()?, c.x(0)?, c.x(1)?);
    let (ta, tb) = (c.attrs().int("transA", 0) != 0, c.attrs().int("transB", 0) != 0);
    let (alpha, beta) = (c.attrs().float("alpha", 1.0), c.attrs().float("beta", 1.0));
    let product = |c: &mut Ctx, x: ValueId, tx: bool, y: ValueId, ty: bool| {
        let attrs = [("transA", tx.into()), ("transB", ty.into()), ("alpha", alpha.into())];
        c.g.op("Gemm", &[x, y], &attrs)
    };
    let mut grads = vec![None, None, None];
    if c.wants(0) {
        grads[0] = Some(if ta { product(c, b, tb, dy, true)? } else { product(c, dy, false, b, !tb)? });
    }
    if c.wants(1) {
        grads[1] = Some(if tb { product(c, dy, true, a, ta)? } else { product(c, a, !ta, dy, false)? });
    }
    if c.wants(2) {
        let small = c.fit(dy, 2)?;
        grads[2] = Some(c.g.scale(small, beta.into())?);
    }
    Ok(grads)
}
