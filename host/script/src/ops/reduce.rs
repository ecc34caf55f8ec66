//! Reductions and normalisations along axes.

use super::{Call, Emit, Op, op};
use crate::Fault;
use ekphrasis_graph::{DType, Dim, ValueId, product};

fn reduce(c: &mut Call, name: &str, float: bool) -> Emit {
    let x = c.this()?;
    let x = match c.g.value(x).dtype {
        d if d.is_float() => x,
        _ if float => c.float(x)?,
        DType::Bool => c.g.cast(x, DType::I64)?,
        _ => x,
    };
    let keep = c.flag_or(1, false)?;
    let axes = c.axes(0, x)?;
    Ok(vec![reduced(c, name, x, &axes, keep)?])
}

fn reduced(c: &mut Call, name: &str, x: ValueId, axes: &[i64], keep: bool) -> Result<ValueId, Fault> {
    // An empty list would mean all axes to ONNX.
    if axes.is_empty() {
        return Ok(match name {
            "ReduceL2" => c.g.abs(x)?,
            "ReduceSumSquare" => c.g.mul(x, x)?,
            _ => x,
        });
    }
    let list = c.g.int_list(axes);
    Ok(c.g.op(name, &[x, list], &[("keepdims", keep.into())])?)
}

fn along(c: &mut Call, name: &str) -> Emit {
    let x = c.this()?;
    let x = c.float(x)?;
    let axis = c.axis(0, x, -1)?;
    Ok(vec![c.g.op(name, &[x], &[("axis", (axis as i64).into())])?])
}

fn argmax(c: &mut Call, name: &str) -> Emit {
    let x = c.this()?;
    let (axis, keep) = (c.axis(0, x, -1)?, c.flag_or(1, false)?);
    Ok(vec![c.g.op(name, &[x], &[("axis", (axis as i64).into()), ("keepdims", keep.into())])?])
}

fn cumsum(c: &mut Call) -> Emit {
    let x = c.this()?;
    let axis = c.axis(0, x, -1)? as i64;
    let axis = c.int_scalar(axis);
    Ok(vec![c.g.op("CumSum", &[x, axis], &[])?])
}

fn normalize(c: &mut Call) -> Emit {
    let x = c.this()?;
    let x = c.float(x)?;
    let axis = c.axis(0, x, -1)? as i64;
    let norm = reduced(c, "ReduceL2", x, &[axis], true)?;
    let least = c.scalar(norm, 1e-12);
    let norm = c.g.max(norm, least)?;
    Ok(vec![c.g.div(x, norm)?])
}

fn var(c: &mut Call) -> Emit {
    let x = c.this()?;
    let x = c.float(x)?;
    let (axes, keep) = (c.axes(0, x)?, c.flag_or(1, false)?);
    let correction = c.number_or(2, 1.0)?;
    let mean = reduced(c, "ReduceMean", x, &axes, true)?;
    let centred = c.g.sub(x, mean)?;
    let sum = reduced(c, "ReduceSumSquare", centred, &axes, keep)?;
    let dims = c.dims(x)?;
    let over: Vec<Dim> = axes.iter().map(|a| dims[*a as usize].clone()).collect();
    let count = match product(&over).known() {
        Some(n) => c.scalar(sum, n as f64 - correction),
        None => {
            let shape = c.g.shape_of(x)?;
            let list = c.g.int_list(&axes);
            let sizes = c.g.gather(shape, list, 0)?;
            let count = c.g.op("ReduceProd", &[sizes], &[("keepdims", false.into())])?;
            let dtype = c.g.value(x).dtype;
            let count = c.g.cast(count, dtype)?;
            c.g.shift(count, -correction)?
        }
    };
    Ok(vec![c.g.div(sum, count)?])
}

const R: &str = "(axes?: integer|integer[], keepdim?: boolean): Tensor";
const A: &str = "(axis?: integer): Tensor";
const K: &str = "(axis?: integer, keepdim?: boolean): Tensor";

pub(super) const ROWS: &[Op] = &[
    op("sum", R, "Sum over axes (all when left out).", |c| reduce(c, "ReduceSum", false)),
    op("mean", R, "Mean over axes (all when left out).", |c| reduce(c, "ReduceMean", true)),
    op("max", R, "Largest element over axes (all when left out).", |c| reduce(c, "ReduceMax", false)),
    op("min", R, "Smallest element over axes (all when left out).", |c| reduce(c, "ReduceMin", false)),
    op("prod", R, "Product over axes (all when left out).", |c| reduce(c, "ReduceProd", false)),
    op("norm", R, "Square root of the sum of squares over axes (all when left out).", |c| {
        reduce(c, "ReduceL2", true)
    }),
    op("logsumexp", R, "log of the sum of exp over axes, without overflow.", |c| {
        reduce(c, "ReduceLogSumExp", true)
    }),
    op(
        "var",
        "(axes?: integer|integer[], keepdim?: boolean, correction?: number): Tensor",
        "Variance over axes: squares summed, divided by the count less `correction` (1).",
        var,
    ),
    op("argmax", K, "Position of the largest element along an axis (the last), i64.", |c| {
        argmax(c, "ArgMax")
    }),
    op("argmin", K, "Position of the smallest element along an axis (the last), i64.", |c| {
        argmax(c, "ArgMin")
    }),
    op("softmax", A, "exp(x) over its sum along an axis (the last).", |c| along(c, "Softmax")),
    op("log_softmax", A, "Logarithm of softmax along an axis (the last).", |c| along(c, "LogSoftmax")),
    op("cumsum", A, "Running sum along an axis (the last).", cumsum),
    op("normalize", A, "x / max(norm, 1e-12) along an axis (the last).", normalize),
];
