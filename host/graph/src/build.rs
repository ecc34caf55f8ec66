//! The builder: one method for each operation that the host itself emits.

use crate::{DType, Dim, Graph, Result, Shape, Tensor, ValueId, dim, infer};

/// The shape that two shapes broadcast to, by NumPy's rules; the message says what clashes.
pub fn broadcast_shapes(a: &[Dim], b: &[Dim]) -> Result<Shape, String> {
    infer::broadcast(a, b)
}

macro_rules! unary {
    ($($name:ident $op:literal),+ $(,)?) => {$(
        #[doc = concat!("`", $op, "`, elementwise.")]
        pub fn $name(&mut self, x: ValueId) -> Result<ValueId> {
            self.op($op, &[x], &[])
        }
    )+};
}

macro_rules! binary {
    ($($name:ident $op:literal),+ $(,)?) => {$(
        #[doc = concat!("`", $op, "`, with broadcasting where the operator has it.")]
        pub fn $name(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
            self.op($op, &[a, b], &[])
        }
    )+};
}

macro_rules! reduce {
    ($($name:ident $op:literal),+ $(,)?) => {$(
        #[doc = concat!("`", $op, "` over `axes` (all when empty).")]
        pub fn $name(&mut self, x: ValueId, axes: &[i64], keepdims: bool) -> Result<ValueId> {
            let mut inputs = vec![x];
            if !axes.is_empty() {
                inputs.push(self.int_list(axes));
            }
            self.op($op, &inputs, &[("keepdims", keepdims.into())])
        }
    )+};
}

impl Graph {
    unary! {
        neg "Neg", exp "Exp", log "Log", sqrt "Sqrt", tanh "Tanh", sigmoid "Sigmoid", relu "Relu", erf "Erf",
        abs "Abs", sign "Sign", reciprocal "Reciprocal", softplus "Softplus", not "Not", sin "Sin", cos "Cos",
        shape_of "Shape", identity "Identity", floor "Floor",
    }
    binary! {
        matmul "MatMul", pow "Pow", equal "Equal", less "Less", greater "Greater",
        greater_equal "GreaterOrEqual", less_equal "LessOrEqual", and "And", or "Or", min "Min", max "Max",
        expand_to "Expand", reshape_to "Reshape", tile "Tile",
    }
    reduce! {
        reduce_sum "ReduceSum", reduce_mean "ReduceMean", reduce_max "ReduceMax", reduce_min "ReduceMin",
        reduce_sum_square "ReduceSumSquare",
    }

    /// `a + b`; adding the literal 0 is `a` where that keeps its shape.
    pub fn add(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        match (self.neutral(a, b, 0.0), self.neutral(b, a, 0.0)) {
            (true, _) => Ok(a),
            (_, true) => Ok(b),
            _ => self.op("Add", &[a, b], &[]),
        }
    }

    /// `a - b`.
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        if self.neutral(a, b, 0.0) { Ok(a) } else { self.op("Sub", &[a, b], &[]) }
    }

    /// `a * b`; multiplying by the literal 1 is `a` where that keeps its shape.
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        match (self.neutral(a, b, 1.0), self.neutral(b, a, 1.0)) {
            (true, _) => Ok(a),
            (_, true) => Ok(b),
            _ => self.op("Mul", &[a, b], &[]),
        }
    }

    /// `a / b`.
    pub fn div(&mut self, a: ValueId, b: ValueId) -> Result<ValueId> {
        if self.neutral(a, b, 1.0) { Ok(a) } else { self.op("Div", &[a, b], &[]) }
    }

    /// Whether `literal` is the scalar `n`, so that combining it with `a` gives `a` itself.
    fn neutral(&self, a: ValueId, literal: ValueId, n: f64) -> bool {
        let v = self.value(literal);
        let scalar = v.shape.as_ref().is_some_and(Vec::is_empty);
        let constant = matches!(v.origin, crate::Origin::Constant(_));
        scalar
            && constant
            && v.tensor().and_then(|t| t.as_scalar()) == Some(n)
            && self.value(a).dtype == v.dtype
    }

    /// A scalar literal of the type of `like`.
    pub fn scalar_like(&mut self, like: ValueId, value: f64) -> ValueId {
        let dtype = self.value(like).dtype;
        self.constant(Tensor::scalar(dtype, value))
    }

    /// A list of integers as a literal `i64[n]`.
    pub fn int_list(&mut self, values: &[i64]) -> ValueId {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = Tensor::new(DType::I64, &[values.len()], data);
        // Eight bytes for each element always fill the shape.
        self.constant(tensor.unwrap_or_else(|_| Tensor::scalar_i64(0)))
    }

    /// `x * value`.
    pub fn scale(&mut self, x: ValueId, value: f64) -> Result<ValueId> {
        let c = self.scalar_like(x, value);
        self.mul(x, c)
    }

    /// `x + value`.
    pub fn shift(&mut self, x: ValueId, value: f64) -> Result<ValueId> {
        let c = self.scalar_like(x, value);
        self.add(x, c)
    }

    /// `condition ? a : b`, elementwise.
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.op("Where", &[condition, a, b], &[])
    }

    /// Conversion; nothing when the type is right already.
    pub fn cast(&mut self, x: ValueId, to: DType) -> Result<ValueId> {
        if self.value(x).dtype == to { Ok(x) } else { self.op("Cast", &[x], &[("to", to.into())]) }
    }

    /// Transposition; nothing when `perm` is the identity.
    pub fn transpose(&mut self, x: ValueId, perm: &[i64]) -> Result<ValueId> {
        if perm.iter().enumerate().all(|(i, p)| i as i64 == *p) {
            return Ok(x);
        }
        self.op("Transpose", &[x], &[("perm", perm.into())])
    }

    /// Swaps the last two dimensions.
    pub fn transpose_last(&mut self, x: ValueId) -> Result<ValueId> {
        let rank = self.rank(x)? as i64;
        let mut perm: Vec<i64> = (0..rank).collect();
        if rank >= 2 {
            perm.swap(rank as usize - 1, rank as usize - 2);
        }
        self.transpose(x, &perm)
    }

    /// The number of dimensions; an error where it is not known.
    pub fn rank(&self, x: ValueId) -> Result<usize> {
        self.dims(x).map(<[Dim]>::len)
    }

    /// The dimensions; an error where not even the rank is known.
    pub fn dims(&self, x: ValueId) -> Result<&[Dim]> {
        let v = self.value(x);
        v.shape.as_deref().ok_or_else(|| self.error(format!("the rank of `{}` is not known", v.name)))
    }

    /// Reshapes `x` to the shape of `like`; nothing when they are equal already.
    pub fn reshape_like(&mut self, x: ValueId, like: ValueId) -> Result<ValueId> {
        let target = self.value(like).shape.clone();
        if target.is_some() && target == self.value(x).shape {
            return Ok(x);
        }
        let empty = target.iter().flatten().any(|d| d.is(0));
        if let Some(list) = target.as_deref().and_then(with_one_unknown).filter(|_| !empty) {
            let list = self.int_list(&list);
            return self.reshape_to(x, list);
        }
        let shape = self.shape_of(like)?;
        match empty {
            true => self.op("Reshape", &[x, shape], &[("allowzero", 1.into())]),
            false => self.reshape_to(x, shape),
        }
    }

    /// Reshapes `x` to dimensions of which at most one is not a number, or which are all among
    /// those of `x` at the same place (0 copies).
    pub fn reshape(&mut self, x: ValueId, dims: &[Dim]) -> Result<ValueId> {
        if self.value(x).shape.as_deref() == Some(dims) {
            return Ok(x);
        }
        let own = self.value(x).shape.clone().unwrap_or_default();
        let mut list = vec![];
        let mut free = true;
        for (i, d) in dims.iter().enumerate() {
            list.push(match d.known() {
                Some(n) => n,
                None if own.get(i) == Some(d) => 0,
                None if std::mem::take(&mut free) => -1,
                None => return self.reshape_by_parts(x, dims),
            });
        }
        let list = self.int_list(&list);
        self.reshape_to(x, list)
    }

    /// Reshape with a shape put together at run time from the dimensions of `x`.
    fn reshape_by_parts(&mut self, x: ValueId, dims: &[Dim]) -> Result<ValueId> {
        let own = self.dims(x)?.to_vec();
        let shape = self.shape_of(x)?;
        let mut parts = vec![];
        let mut free = true;
        for d in dims {
            let part = match (d.known(), own.iter().position(|o| o == d)) {
                (Some(n), _) => self.int_list(&[n]),
                (None, Some(i)) => {
                    let i = self.int_list(&[i as i64]);
                    self.op("Gather", &[shape, i], &[])?
                }
                (None, None) if std::mem::take(&mut free) => self.int_list(&[-1]),
                (None, None) => {
                    return Err(self.error(format!(
                        "cannot reshape {} to {}",
                        dim::show(&own),
                        dim::show(dims)
                    )));
                }
            };
            parts.push(part);
        }
        let target = self.concat(&parts, 0)?;
        self.reshape_to(x, target)
    }

    /// Expands `x` to the shape of `like`; nothing when they are equal already.
    pub fn expand_like(&mut self, x: ValueId, like: ValueId) -> Result<ValueId> {
        let target = self.value(like).shape.clone();
        if target.is_some() && target == self.value(x).shape {
            return Ok(x);
        }
        let shape = self.shape_of(like)?;
        self.expand_to(x, shape)
    }

    /// Adds dimensions of size 1 at `axes` of the result.
    pub fn unsqueeze(&mut self, x: ValueId, axes: &[i64]) -> Result<ValueId> {
        if axes.is_empty() {
            return Ok(x);
        }
        let axes = self.int_list(axes);
        self.op("Unsqueeze", &[x, axes], &[])
    }

    /// Drops dimensions of size 1.
    pub fn squeeze(&mut self, x: ValueId, axes: &[i64]) -> Result<ValueId> {
        if axes.is_empty() {
            return Ok(x);
        }
        let axes = self.int_list(axes);
        self.op("Squeeze", &[x, axes], &[])
    }

    /// Joins along `axis`.
    pub fn concat(&mut self, parts: &[ValueId], axis: i64) -> Result<ValueId> {
        match parts {
            [one] => Ok(*one),
            _ => self.op("Concat", parts, &[("axis", axis.into())]),
        }
    }

    /// `x[starts:ends:steps]` along `axes`; ends may be `i64::MAX`.
    pub fn slice(
        &mut self,
        x: ValueId,
        axes: &[i64],
        starts: &[i64],
        ends: &[i64],
        steps: &[i64],
    ) -> Result<ValueId> {
        let parts = [starts, ends, axes, steps].map(|v| self.int_list(v));
        self.op("Slice", &[x, parts[0], parts[1], parts[2], parts[3]], &[])
    }

    /// Takes elements along `axis` by integer indices. The first `n`, asked for as a `Range` to `n`, are a slice:
    /// its gradient is padding, and a GPU need not get the indices.
    pub fn gather(&mut self, x: ValueId, indices: ValueId, axis: i64) -> Result<ValueId> {
        let Some(n) = self.counted(indices) else {
            return self.op("Gather", &[x, indices], &[("axis", axis.into())]);
        };
        let (start, end, axis) = (self.int_list(&[0]), self.unsqueeze(n, &[0])?, self.int_list(&[axis]));
        self.op("Slice", &[x, start, end, axis], &[])
    }

    /// The end of a `Range` from 0 in steps of 1.
    fn counted(&self, indices: ValueId) -> Option<ValueId> {
        let (_, node) = self.producer(indices).filter(|(_, n)| n.op == "Range")?;
        let [start, end, step] = node.inputs[..] else { return None };
        let is = |v: Option<ValueId>, n: f64| {
            v.and_then(|v| self.value(v).tensor()).and_then(|t| t.as_scalar()) == Some(n)
        };
        end.filter(|_| is(start, 0.0) && is(step, 1.0))
    }

    /// `softmax` along `axis`.
    pub fn softmax(&mut self, x: ValueId, axis: i64) -> Result<ValueId> {
        self.op("Softmax", &[x], &[("axis", axis.into())])
    }

    /// Zeros of the shape and type of `like`.
    pub fn zeros_like(&mut self, like: ValueId) -> Result<ValueId> {
        let zero = self.scalar_like(like, 0.0);
        self.expand_like(zero, like)
    }
}

/// A reshape target with -1 for the only dimension that is not a number, if there is at most one
/// and no zero that `Reshape` would take as "copy".
fn with_one_unknown(dims: &[Dim]) -> Option<Vec<i64>> {
    let unknown = dims.iter().filter(|d| d.known().is_none()).count();
    let zero = dims.iter().any(|d| d.is(0));
    (unknown <= 1 && !zero).then(|| dims.iter().map(|d| d.known().unwrap_or(-1)).collect())
}
