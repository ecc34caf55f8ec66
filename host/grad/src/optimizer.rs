//! Optimisers as graphs over one flat vector that holds all parameters of a role.
//!
//! Learning rate and step are inputs, so a schedule never rebuilds the graph. Results equal those of
//! `torch.optim` and `torch.nn.utils.clip_grad_norm_`.

use crate::{GradError, Result};
use ekphrasis_graph::{DType, Graph, GraphError, Tensor, ValueId};

/// The rule by which weights move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerKind {
    /// Gradient descent; with momentum where it is not 0.
    Sgd {
        /// Decay of the velocity.
        momentum: f64,
        /// Whether to look ahead along the velocity (Nesterov, in the form of Sutskever et al. 2013).
        nesterov: bool,
    },
    /// Kingma & Ba 2015; weight decay is added to the gradient.
    Adam,
    /// Loshchilov & Hutter 2019; weight decay is apart from the gradient.
    AdamW,
}

/// An optimiser with its constants. The learning rate is an input of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerSpec {
    /// The rule.
    pub kind: OptimizerKind,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// What keeps Adam's divisor from 0; outside the root.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Largest 2-norm of the whole gradient; longer ones are shortened to it.
    pub clip_norm: Option<f64>,
    /// Decay of the exponential moving average of the weights, warmed up as
    /// `min(decay, (1 + step) / (10 + step))`.
    pub average: Option<f64>,
}

impl Default for OptimizerSpec {
    /// AdamW as in PyTorch, without weight decay, clipping or averaging.
    fn default() -> Self {
        Self {
            kind: OptimizerKind::AdamW,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: None,
            average: None,
        }
    }
}

impl OptimizerSpec {
    /// Names of the state vectors, each as long as the weights and 0 at the start; the average, if
    /// there is one, is not among them, since it starts as a copy of the weights.
    pub fn states(&self) -> &'static [&'static str] {
        match self.kind {
            OptimizerKind::Sgd { momentum: 0.0, .. } => &[],
            OptimizerKind::Sgd { .. } => &["velocity"],
            OptimizerKind::Adam | OptimizerKind::AdamW => &["moment1", "moment2"],
        }
    }
}

/// What a step reads.
#[derive(Clone, Debug)]
pub struct OptimizerInputs {
    /// All weights, `f32[P]`.
    pub w: ValueId,
    /// Their gradient, `f32[P]`.
    pub grad: ValueId,
    /// One `f32[P]` for each of [`OptimizerSpec::states`], in that order.
    pub states: Vec<ValueId>,
    /// The averaged weights, `f32[P]`, where the spec averages.
    pub average: Option<ValueId>,
    /// Learning rate, an `f32` scalar.
    pub lr: ValueId,
    /// Number of this step from 1, an `f32` scalar.
    pub step: ValueId,
    /// `f32[P]`: 1 where weight decay applies and 0 elsewhere; everywhere without it.
    pub decay_mask: Option<ValueId>,
    /// `f32[P]`: what the learning rate is multiplied by; 1 everywhere without it.
    pub rates: Option<ValueId>,
}

/// What a step gives.
#[derive(Clone, Debug)]
pub struct OptimizerOutputs {
    /// The new weights.
    pub w: ValueId,
    /// The new states: name and value.
    pub states: Vec<(&'static str, ValueId)>,
    /// The new average of the weights.
    pub average: Option<ValueId>,
    /// The 2-norm of the gradient before clipping, an `f32` scalar.
    pub grad_norm: ValueId,
}

/// Adds one optimiser step to a graph.
///
/// # Errors
/// When the states or the average do not fit the spec.
pub fn emit(graph: &mut Graph, spec: &OptimizerSpec, inputs: &OptimizerInputs) -> Result<OptimizerOutputs> {
    let expected = spec.states();
    if inputs.states.len() != expected.len() || inputs.average.is_some() != spec.average.is_some() {
        return Err(GradError::Request {
            graph: graph.name.clone(),
            message: format!(
                "expected the states {expected:?} and {} average, found {} states and {} average",
                if spec.average.is_some() { "an" } else { "no" },
                inputs.states.len(),
                if inputs.average.is_some() { "an" } else { "no" },
            ),
        });
    }
    let g = graph;
    let square = g.reduce_sum_square(inputs.grad, &[], false)?;
    let grad_norm = g.sqrt(square)?;
    let mut grad = inputs.grad;
    if let Some(limit) = spec.clip_norm {
        let safe = g.shift(grad_norm, 1e-6)?;
        let limit = g.scalar_like(safe, limit);
        let (ratio, one) = (g.div(limit, safe)?, g.scalar_like(safe, 1.0));
        let factor = g.min(ratio, one)?;
        grad = g.mul(grad, factor)?;
    }
    let mut step = Step { g, spec, inputs, grad };
    let (w, states) = match spec.kind {
        OptimizerKind::Sgd { momentum, nesterov } => step.sgd(momentum, nesterov)?,
        OptimizerKind::Adam => step.adam(false)?,
        OptimizerKind::AdamW => step.adam(true)?,
    };
    let average = match (spec.average, inputs.average) {
        (Some(decay), Some(average)) => Some(step.average(decay, average, w)?),
        _ => None,
    };
    Ok(OptimizerOutputs { w, states: expected.iter().copied().zip(states).collect(), average, grad_norm })
}

struct Step<'a> {
    g: &'a mut Graph,
    spec: &'a OptimizerSpec,
    inputs: &'a OptimizerInputs,
    grad: ValueId,
}

type Moved = (ValueId, Vec<ValueId>);

impl Step<'_> {
    fn state(&self, i: usize) -> Result<ValueId, GraphError> {
        self.inputs.states.get(i).copied().ok_or_else(|| self.g.error("an optimiser state is missing"))
    }

    /// Weight decay as a part of the gradient.
    fn add_decay(&mut self) -> Result<(), GraphError> {
        if self.spec.weight_decay != 0.0 {
            let w = self.inputs.w;
            let pull = match self.inputs.decay_mask {
                Some(mask) => {
                    let rate = self.g.scale(mask, self.spec.weight_decay)?;
                    self.g.mul(w, rate)?
                }
                None => self.g.scale(w, self.spec.weight_decay)?,
            };
            self.grad = self.g.add(self.grad, pull)?;
        }
        Ok(())
    }

    fn sgd(&mut self, momentum: f64, nesterov: bool) -> Result<Moved, GraphError> {
        self.add_decay()?;
        let (mut direction, mut states) = (self.grad, vec![]);
        if momentum != 0.0 {
            let kept = self.g.scale(self.state(0)?, momentum)?;
            let velocity = self.g.add(kept, self.grad)?;
            states.push(velocity);
            direction = velocity;
            if nesterov {
                let ahead = self.g.scale(velocity, momentum)?;
                direction = self.g.add(self.grad, ahead)?;
            }
        }
        let rate = self.rated(self.inputs.lr)?;
        let move_by = self.g.mul(direction, rate)?;
        Ok((self.g.sub(self.inputs.w, move_by)?, states))
    }

    /// The moments are kept without their factors `1 - beta`, which go into two scalars: that saves
    /// two passes over the weights and changes nothing else.
    fn adam(&mut self, decoupled: bool) -> Result<Moved, GraphError> {
        if !decoupled {
            self.add_decay()?;
        }
        let (grad, spec) = (self.grad, self.spec);
        let kept = self.g.scale(self.state(0)?, spec.beta1)?;
        let first = self.g.add(kept, grad)?;
        let kept = self.g.scale(self.state(1)?, spec.beta2)?;
        let square = self.g.mul(grad, grad)?;
        let second = self.g.add(kept, square)?;

        let (rate, epsilon) = self.adam_scalars()?;
        let root = self.g.sqrt(second)?;
        let divisor = self.g.add(root, epsilon)?;
        let direction = self.g.div(first, divisor)?;
        let rate = self.rated(rate)?;
        let move_by = self.g.mul(direction, rate)?;
        let w = if decoupled { self.decayed()? } else { self.inputs.w };
        Ok((self.g.sub(w, move_by)?, vec![first, second]))
    }

    /// Learning rate and epsilon with the bias corrections and the moments' factors in them:
    /// with `c_i = (1 - beta_i) / (1 - beta_i^step)`, `lr * c_1 / sqrt(c_2)` and `epsilon / sqrt(c_2)`.
    /// Double precision, since `1 - beta^step` cancels.
    fn adam_scalars(&mut self) -> Result<(ValueId, ValueId), GraphError> {
        let spec = self.spec;
        let step = self.g.cast(self.inputs.step, DType::F64)?;
        let mut correction = |beta: f64| -> Result<ValueId, GraphError> {
            let beta_value = self.g.scalar_like(step, beta);
            let power = self.g.pow(beta_value, step)?;
            let one = self.g.scalar_like(step, 1.0);
            let rest = self.g.sub(one, power)?;
            let factor = self.g.scalar_like(step, 1.0 - beta);
            self.g.div(factor, rest)
        };
        let (c1, c2) = (correction(spec.beta1)?, correction(spec.beta2)?);
        let root = self.g.sqrt(c2)?;
        let lr = self.g.cast(self.inputs.lr, DType::F64)?;
        let rate = self.g.mul(lr, c1)?;
        let rate = self.g.div(rate, root)?;
        let epsilon = self.g.scalar_like(step, spec.epsilon);
        let epsilon = self.g.div(epsilon, root)?;
        Ok((self.g.cast(rate, DType::F32)?, self.g.cast(epsilon, DType::F32)?))
    }

    /// A learning rate, for each weight its own where rates differ.
    fn rated(&mut self, rate: ValueId) -> Result<ValueId, GraphError> {
        match self.inputs.rates {
            Some(rates) => self.g.mul(rates, rate),
            None => Ok(rate),
        }
    }

    /// `w * (1 - lr * weight_decay)`, where the mask lets it.
    fn decayed(&mut self) -> Result<ValueId, GraphError> {
        if self.spec.weight_decay == 0.0 {
            return Ok(self.inputs.w);
        }
        let pull = self.g.scale(self.inputs.lr, -self.spec.weight_decay)?;
        let pull = self.rated(pull)?;
        let pull = match self.inputs.decay_mask {
            Some(mask) => self.g.mul(mask, pull)?,
            None => pull,
        };
        let keep = self.g.shift(pull, 1.0)?;
        self.g.mul(self.inputs.w, keep)
    }

    /// `average + (1 - decay) * (w - average)`.
    fn average(&mut self, decay: f64, average: ValueId, w: ValueId) -> Result<ValueId, GraphError> {
        let step = self.inputs.step;
        let (above, below) = (self.g.shift(step, 1.0)?, self.g.shift(step, 10.0)?);
        let warm = self.g.div(above, below)?;
        let limit = self.g.scalar_like(step, decay);
        let decay = self.g.min(warm, limit)?;
        let one = self.g.scalar_like(step, 1.0);
        let share = self.g.sub(one, decay)?;
        let gap = self.g.sub(w, average)?;
        let part = self.g.mul(gap, share)?;
        self.g.add(average, part)
    }
}

/// One parameter's part of a flat vector.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its gradient, or `None` where the loss does not depend on it (zeros).
    pub grad: Option<ValueId>,
    /// Number of elements.
    pub len: usize,
    /// Zeros after it, up to the next part.
    pub padding: usize,
}

/// All gradients as one flat vector, in one `Concat`.
///
/// # Errors
/// When a gradient has another number of elements than its part.
pub fn flatten_gradients(graph: &mut Graph, parts: &[Part]) -> Result<ValueId> {
    let (mut pieces, mut zeros) = (vec![], 0);
    for part in parts {
        match part.grad {
            Some(grad) => {
                push_zeros(graph, &mut pieces, &mut zeros)?;
                let line = graph.int_list(&[i64::try_from(part.len).unwrap_or(i64::MAX)]);
                let flat = graph.dims(grad)?.len() == 1;
                pieces.push(if flat { grad } else { graph.reshape_to(grad, line)? });
            }
            None => zeros += part.len,
        }
        zeros += part.padding;
    }
    push_zeros(graph, &mut pieces, &mut zeros)?;
    Ok(graph.concat(&pieces, 0)?)
}

fn push_zeros(graph: &mut Graph, pieces: &mut Vec<ValueId>, zeros: &mut usize) -> Result<()> {
    let n = std::mem::take(zeros);
    if n > 0 {
        pieces.push(graph.constant(Tensor::from_f32(&[n], &vec![0.0; n])?));
    }
    Ok(())
}
