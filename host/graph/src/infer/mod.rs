//! Shape and type inference: for each operator, what its outputs are.

mod conv;
mod elementwise;
mod indexing;
mod rare;
mod shaping;

use crate::{Attrs, DType, Dim, Shape, dim::show, graph::Value};

/// Tensors have at most this many dimensions.
pub(crate) const MAX_RANK: usize = 64;

/// Integers are followed through tensors of at most this many elements.
const MAX_INTS: usize = 64;

/// What inference says of one output.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub dtype: DType,
    pub shape: Option<Shape>,
    pub ints: Option<Vec<Dim>>,
}

impl Info {
    fn new(dtype: DType, shape: impl Into<Option<Shape>>) -> Self {
        Self { dtype, shape: shape.into(), ints: None }
    }

    /// An integer tensor of rank 0 or 1 with elements that are known.
    fn of_ints(dtype: DType, ints: Vec<Dim>, scalar: bool) -> Self {
        let shape = if scalar { vec![] } else { vec![Dim::from(ints.len())] };
        Self { dtype, shape: Some(shape), ints: Some(ints) }
    }
}

/// The inputs of a node, with errors that name the place.
pub(crate) struct Args<'a> {
    inputs: &'a [Option<&'a Value>],
    pub attrs: &'a Attrs,
    pub outputs: usize,
}

type Infer<T = Vec<Info>> = Result<T, String>;

impl<'a> Args<'a> {
    fn get(&self, i: usize) -> Option<&'a Value> {
        self.inputs.get(i).copied().flatten()
    }

    fn len(&self) -> usize {
        self.inputs.len()
    }

    fn need(&self, i: usize) -> Infer<&'a Value> {
        self.get(i).ok_or_else(|| format!("expected an input {i}, found {} inputs", self.inputs.len()))
    }

    fn dtype(&self, i: usize) -> Infer<DType> {
        Ok(self.need(i)?.dtype)
    }

    /// The shape of an input; `None` where the rank is unknown.
    fn shape(&self, i: usize) -> Infer<Option<&'a Shape>> {
        Ok(self.need(i)?.shape.as_ref())
    }

    /// Elements of an integer input as far as they are known.
    fn ints(&self, i: usize) -> Option<&'a [Dim]> {
        self.get(i)?.ints.as_deref()
    }

    /// Elements of an integer input, when all are numbers.
    fn numbers(&self, i: usize) -> Option<Vec<i64>> {
        self.ints(i)?.iter().map(Dim::known).collect()
    }

    /// Requires the same element type of two inputs.
    fn same_type(&self, i: usize, j: usize) -> Infer<DType> {
        let (a, b) = (self.need(i)?, self.need(j)?);
        if a.dtype == b.dtype {
            return Ok(a.dtype);
        }
        Err(format!(
            "expected inputs {i} and {j} of one type, found {} (`{}`) and {} (`{}`)\nhint: convert one with a cast",
            a.describe(),
            a.name,
            b.describe(),
            b.name
        ))
    }
}

/// `axis` counted from the front.
pub(crate) fn axis(axis: i64, rank: usize) -> Infer<usize> {
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(at).ok().filter(|a| *a < rank).ok_or_else(|| match rank {
        0 => format!("expected a tensor with axes, found a scalar and axis {axis}"),
        _ => format!("expected an axis from {} to {}, found {axis}", -(rank as i64), rank as i64 - 1),
    })
}

/// `a / b` rounded up, for `a >= 0` and `b > 0`.
fn div_ceil(a: i64, b: i64) -> i64 {
    a / b + i64::from(a % b != 0)
}

/// NumPy broadcasting of two shapes.
pub(crate) fn broadcast(a: &[Dim], b: &[Dim]) -> Infer<Shape> {
    let rank = a.len().max(b.len());
    let at = |s: &[Dim], i: usize| (i + s.len()).checked_sub(rank).map_or(Dim::Known(1), |j| s[j].clone());
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (x, y) if x.is(1) => Ok(y),
            (x, y) if y.is(1) => Ok(x),
            (Dim::Known(_), Dim::Known(_)) => {
                Err(format!("shapes {} and {} do not broadcast (dimension {i})", show(a), show(b)))
            }
            // A symbol beside a number other than 1 must be that number.
            (x @ Dim::Known(_), _) | (_, x @ Dim::Known(_)) => Ok(x),
            // Two different symbols may still be equal when it runs, as in exported graphs.
            (x, _) => Ok(x),
        })
        .collect()
}

/// Refuses what no tensor can be, and keeps what is known of integers small.
fn checked(mut info: Info) -> Infer<Info> {
    if let Some(shape) = &info.shape {
        if shape.iter().any(|d| d.known().is_some_and(|n| n < 0)) {
            return Err(format!("expected sizes of 0 or more, found an output {}", show(shape)));
        }
        if shape.len() > MAX_RANK {
            return Err(format!(
                "expected at most {MAX_RANK} dimensions, found an output of {}",
                shape.len()
            ));
        }
    }
    let vector = info.shape.as_ref().is_some_and(|s| match s.as_slice() {
        [] => true,
        [n] => info.ints.as_ref().is_some_and(|v| n.is(v.len() as i64)),
        _ => false,
    });
    info.ints = info.ints.filter(|v| vector && v.len() <= MAX_INTS);
    Ok(info)
}

/// Types and shapes of the outputs of one node.
pub(crate) fn infer(op: &str, inputs: &[Option<&Value>], attrs: &Attrs, outputs: usize) -> Infer {
    let args = Args { inputs, attrs, outputs };
    let families = [elementwise::infer, shaping::infer, indexing::infer, conv::infer, rare::infer];
    for family in families {
        if let Some(infos) = family(op, &args)? {
            if infos.len() < outputs {
                return Err(format!("expected at most {} outputs, found {outputs}", infos.len()));
            }
            return infos.into_iter().take(outputs).map(checked).collect();
        }
    }
    // An operator that nobody here knows keeps its place in the graph; only its shape is unknown.
    let dtype = args.get(0).map_or(DType::F32, |v| v.dtype);
    Ok(vec![Info::new(dtype, None); outputs])
}

#[cfg(test)]
mod tests;
