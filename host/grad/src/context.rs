//! What a rule sees of its node, and the few helpers that many rules share.

use crate::broadcast;
use ekphrasis_graph::{Attrs, DType, Dim, Graph, GraphError, Node, Result, ValueId};

/// Gradients of a node's inputs, one entry an input; `None` where there is none.
pub type Grads = Vec<Option<ValueId>>;

/// A node that is being differentiated.
///
/// A rule reads operands and the gradients of the outputs, and adds nodes to [`g`](Self::g). It
/// returns for each input a gradient of the shape of the *output's broadcast*; the driver sums it to
/// the operand's own shape, adds it to what other consumers gave, and drops what nobody wants.
pub struct Ctx<'a> {
    /// The graph that grows.
    pub g: &'a mut Graph,
    pub(crate) node: &'a Node,
    pub(crate) grads: Vec<Option<ValueId>>,
    pub(crate) wants: Vec<bool>,
    pub(crate) fitted: Vec<usize>,
}

impl Ctx<'_> {
    /// Input `i`; an error where it is left out.
    pub fn x(&self, i: usize) -> Result<ValueId> {
        self.input(i).ok_or_else(|| self.error(format!("expected an input {i}")))
    }

    /// Input `i`, if it is there.
    pub fn input(&self, i: usize) -> Option<ValueId> {
        self.node.inputs.get(i).copied().flatten()
    }

    /// Number of inputs, left out ones counted.
    pub fn arity(&self) -> usize {
        self.node.inputs.len()
    }

    /// Output `i`; an error where it is left out.
    pub fn y(&self, i: usize) -> Result<ValueId> {
        let y = self.node.outputs.get(i).copied().flatten();
        y.ok_or_else(|| self.error(format!("expected an output {i}")))
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// The gradient of output 0.
    pub fn dy(&self) -> Result<ValueId> {
        self.grad(0).ok_or_else(|| self.error("only a secondary output is differentiated, which has no rule"))
    }

    /// The gradient of output `i`, if the loss depends on it.
    pub fn grad(&self, i: usize) -> Option<ValueId> {
        self.grads.get(i).copied().flatten()
    }

    /// The gradient of output 0 in the output's full shape, for a row that takes broadcast ones.
    pub fn dense_dy(&mut self) -> Result<ValueId> {
        let (dy, y) = (self.dy()?, self.y(0)?);
        broadcast::dense(self.g, dy, y)
    }

    /// Whether the gradient of input `i` is asked for.
    pub fn wants(&self, i: usize) -> bool {
        self.wants.get(i).copied().unwrap_or(false)
    }

    /// Sums `grad`, which has the shape of output 0, to the shape of input `i`: for rules that go
    /// on computing with the smaller one. The driver then takes what is returned for `i` as it is.
    pub fn fit(&mut self, grad: ValueId, i: usize) -> Result<ValueId> {
        let (x, y) = (self.x(i)?, self.y(0)?);
        self.fitted.push(i);
        broadcast::fit(self.g, grad, x, y)
    }

    /// The attributes.
    pub fn attrs(&self) -> &Attrs {
        &self.node.attrs
    }

    /// The operator.
    pub fn op(&self) -> &str {
        &self.node.op
    }

    /// An error that names graph, node and operator.
    pub fn error(&self, message: impl Into<String>) -> GraphError {
        GraphError::Node {
            graph: self.g.name.clone(),
            node: self.node.name.clone(),
            op: self.node.op.clone(),
            message: format!("no gradient here: {}", message.into()),
        }
    }

    /// The dimensions of a value as numbers; an error where one is not known.
    pub fn numbers(&self, x: ValueId) -> Result<Vec<i64>> {
        let dims = self.g.dims(x)?;
        dims.iter().map(Dim::known).collect::<Option<_>>().ok_or_else(|| {
            let v = self.g.value(x);
            self.error(format!("expected known sizes, found {} (`{}`)", v.describe(), v.name))
        })
    }

    /// The elements of an integer input that is a literal, `None` where the input is left out.
    pub fn literal(&self, i: usize) -> Result<Option<Vec<i64>>> {
        let Some(x) = self.input(i) else { return Ok(None) };
        let v = self.g.value(x);
        let ints = v.tensor().and_then(|t| t.as_ints()).or_else(|| {
            v.ints.as_ref().and_then(|ints| ints.iter().map(Dim::known).collect::<Option<Vec<_>>>())
        });
        ints.map(Some)
            .ok_or_else(|| self.error(format!("expected literal numbers in input {i} (`{}`)", v.name)))
    }

    /// `axis` of a tensor of `rank` dimensions, counted from the front.
    pub fn axis(&self, axis: i64, rank: usize) -> usize {
        (if axis < 0 { axis + rank as i64 } else { axis }).clamp(0, rank.max(1) as i64 - 1) as usize
    }

    /// A value in the order of a gradient: 1 where `x > 0`, `at_zero` where `x = 0`, else 0.
    ///
    /// A steep `HardSigmoid` gives it in one parallel pass, where comparison and `Cast` take two of
    /// which one runs on a single thread.
    pub fn step(&mut self, x: ValueId, at_zero: f32) -> Result<ValueId> {
        if matches!(self.g.value(x).dtype, DType::F32 | DType::F64) {
            return self.g.op("HardSigmoid", &[x], &[("alpha", STEEP.into()), ("beta", at_zero.into())]);
        }
        let (zero, dtype) = (self.g.scalar_like(x, 0.0), self.g.value(x).dtype);
        let above = self.g.greater(x, zero)?;
        let above = self.g.cast(above, dtype)?;
        if at_zero == 0.0 {
            return Ok(above);
        }
        let equal = self.g.equal(x, zero)?;
        let equal = self.g.cast(equal, dtype)?;
        let equal = self.g.scale(equal, at_zero.into())?;
        self.g.add(above, equal)
    }

    /// -1, 0 or 1.
    pub fn sign(&mut self, x: ValueId) -> Result<ValueId> {
        let half = self.step(x, 0.5)?;
        let twice = self.g.scale(half, 2.0)?;
        self.g.shift(twice, -1.0)
    }

    /// 1 where `condition` holds, in the type of `like`.
    pub fn mask(&mut self, condition: ValueId, like: ValueId) -> Result<ValueId> {
        let dtype = self.g.value(like).dtype;
        self.g.cast(condition, dtype)
    }

    /// How many elements of `x` make one of `y`, as a scalar of the type of `x`.
    pub fn count(&mut self, x: ValueId, y: ValueId) -> Result<ValueId> {
        broadcast::count(self.g, x, y)
    }

    /// Zeros around `x`: for each `(axis, before, after)`; negative amounts cut.
    ///
    /// Pads are written for all axes, since ONNX Runtime's transpose optimiser mistakes the list when
    /// `Pad` has axes.
    pub fn pad(&mut self, x: ValueId, amounts: &[(usize, i64, i64)]) -> Result<ValueId> {
        let rank = self.g.rank(x)?;
        let mut pads = vec![0; 2 * rank];
        for (axis, before, after) in amounts {
            if *axis < rank {
                pads[*axis] += before;
                pads[axis + rank] += after;
            }
        }
        if pads.iter().all(|p| *p == 0) {
            return Ok(x);
        }
        let (pads, zero) = (self.g.int_list(&pads), self.g.scalar_like(x, 0.0));
        self.g.op("Pad", &[x, pads, zero], &[])
    }

    /// The permutation that undoes `perm`.
    pub fn inverse(perm: &[i64]) -> Vec<i64> {
        let mut back = vec![0; perm.len()];
        for (i, p) in perm.iter().enumerate() {
            if let Some(slot) = usize::try_from(*p).ok().and_then(|p| back.get_mut(p)) {
                *slot = i as i64;
            }
        }
        back
    }
}

/// Slope from which `HardSigmoid` is a step: any normal number times it is 1 or more.
pub(crate) const STEEP: f32 = 1e38;
