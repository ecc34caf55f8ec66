//! Taking elements by index.

use super::{Call, Emit, Op, op};
use crate::Fault;
use ekphrasis_graph::{DType, ValueId};

fn indices(c: &mut Call) -> Result<ValueId, Fault> {
    let i = c.tensor(0)?;
    match c.g.value(i).dtype {
        DType::I64 | DType::I32 => Ok(i),
        other => Err(Fault::new(format!("`indices`: expected whole numbers, found {other}"))
            .hint("convert them with indices:long()")),
    }
}

fn gather(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (i, axis) = (indices(c)?, c.axis(1, x, 0)?);
    Ok(vec![c.g.gather(x, i, axis as i64)?])
}

fn take_along(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (i, axis) = (indices(c)?, c.axis(1, x, -1)?);
    let (own, other) = (c.dims(x)?, c.dims(i)?);
    if own.len() != other.len() {
        return Err(Fault::new(format!(
            "expected indices with {} axes as the tensor has, found {}",
            own.len(),
            other.len()
        ))
        .hint("indices:unsqueeze(-1) adds an axis"));
    }
    Ok(vec![c.g.op("GatherElements", &[x, i], &[("axis", (axis as i64).into())])?])
}

pub(super) const ROWS: &[Op] = &[
    op(
        "gather",
        "(indices: Tensor, axis?: integer): Tensor",
        "Whole slices along an axis (0) by index, as an embedding does; PyTorch's index_select.",
        gather,
    ),
    op(
        "take_along",
        "(indices: Tensor, axis?: integer): Tensor",
        "One element for each index along an axis (the last); PyTorch's gather.",
        take_along,
    ),
];
