//! A training step, ready to run: its session, what is bound to it, and the state of its optimiser.

use crate::{
    Mode, Optimizer, OptimizerKind, Result, Role, TrainError, World, bound::Bound, step_graph::step_graph,
    weights::Double,
};
use ekphrasis_grad::OptimizerSpec;
use ekphrasis_graph::DType;
use ekphrasis_runtime::{DeviceTensor, SessionOptions};
use ekphrasis_script::Script;
use mlua::Function;
use std::{collections::BTreeMap, rc::Rc};

/// The state of an optimiser: for each of its vectors two buffers that swap.
pub struct OptimizerState {
    /// Name and the two flat buffers.
    buffers: Vec<(String, [DeviceTensor; 2])>,
    now: usize,
    /// Updates made, by which Adam corrects its bias.
    pub updates: u64,
}

impl OptimizerState {
    /// All zeros, for `len` numbers.
    pub fn new(spec: &OptimizerSpec, len: usize) -> Result<Self> {
        let mut buffers = vec![];
        for name in spec.states() {
            let zeros = || DeviceTensor::zeros(DType::F32, &[len]);
            buffers.push(((*name).to_owned(), [zeros()?, zeros()?]));
        }
        Ok(Self { buffers, now: 0, updates: 0 })
    }

    /// The current vectors by name.
    pub fn get(&self) -> Result<BTreeMap<String, Vec<f32>>> {
        self.buffers.iter().map(|(n, b)| Ok((n.clone(), b[self.now].to_f32()?))).collect()
    }

    /// Sets the current vectors.
    pub fn set(&mut self, values: &BTreeMap<String, Vec<f32>>, updates: u64) -> Result<()> {
        for (name, buffers) in &self.buffers {
            let found = values.get(name).ok_or_else(|| {
                TrainError::config(
                    "checkpoint",
                    format!("expected the optimiser's `{name}`, which is not there"),
                )
            })?;
            buffers[self.now].write_f32(found)?;
        }
        self.updates = updates;
        Ok(())
    }
}

/// The optimiser as the graph knows it.
pub fn spec(optimizer: &Optimizer) -> OptimizerSpec {
    let kind = match optimizer.kind {
        OptimizerKind::Sgd => {
            ekphrasis_grad::OptimizerKind::Sgd { momentum: optimizer.beta1, nesterov: false }
        }
        OptimizerKind::Adam => ekphrasis_grad::OptimizerKind::Adam,
        OptimizerKind::Adamw => ekphrasis_grad::OptimizerKind::AdamW,
    };
    OptimizerSpec {
        kind,
        beta1: optimizer.beta1,
        beta2: optimizer.beta2,
        epsilon: optimizer.epsilon,
        weight_decay: optimizer.weight_decay,
        clip_norm: optimizer.clip_norm,
        average: optimizer.average,
    }
}

/// A training step of one role, ready to run.
pub struct Step {
    bound: Bound,
    role: Role,
    /// Batch fields that the loss uses.
    pub fields: Vec<String>,
    /// Names of what it reports; the loss first, the norm of the gradient last.
    pub metrics: Vec<String>,
    statistics: Vec<String>,
    averages: bool,
    rate: DeviceTensor,
    count: DeviceTensor,
    report: DeviceTensor,
}

/// What builds a step: the role, the loss function of a script and its parameters.
pub struct Update<'a> {
    /// The role that it trains.
    pub role: Role,
    /// Name of the update, as `cross_entropy` or `hinge_gan discriminator`.
    pub name: &'a str,
    /// The script, for errors.
    pub script: &'a Script,
    /// The loss function.
    pub function: &'a Function,
    /// Its parameters.
    pub params: &'a serde_json::Value,
    /// How batch normalisation behaves.
    pub mode: Mode,
    /// Pictures in a batch.
    pub batch: usize,
    /// Sampled captions for each picture.
    pub samples: usize,
}

impl Step {
    /// Traces the loss, differentiates it and makes the session.
    pub fn build(world: &Rc<World>, update: &Update, optimizer: &Optimizer) -> Result<Self> {
        let (graph, built) = step_graph(world, update, optimizer)?;
        let bound = Bound::new(&world.runtime, &graph, false, &SessionOptions::default())?;
        let fields = bound.session().inputs().iter().map(|p| p.name.clone());
        let known = |n: &String| crate::loss::FIELDS.iter().any(|(f, _, _)| f == n);
        Ok(Self {
            fields: fields.filter(known).collect(),
            report: DeviceTensor::zeros(DType::F32, &[built.metrics.len()])?,
            metrics: built.metrics,
            statistics: built.statistics,
            averages: optimizer.average.is_some(),
            rate: DeviceTensor::zeros(DType::F32, &[])?,
            count: DeviceTensor::zeros(DType::F32, &[])?,
            role: update.role,
            bound,
        })
    }

    /// The role that it trains.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Runs it on one batch with a learning rate; gives the values of `metrics`.
    pub fn run(
        &mut self,
        world: &World,
        state: &mut OptimizerState,
        batch: &BTreeMap<String, DeviceTensor>,
        rate: f64,
    ) -> Result<Vec<f32>> {
        self.rate.write_f32(&[rate as f32])?;
        self.count.write_f32(&[(state.updates + 1) as f32])?;
        {
            let weights = world.weights.borrow();
            let own = weights
                .get(&self.role)
                .ok_or_else(|| TrainError::config("models", "a role has no weights"))?;
            let (now, then) = (state.now, 1 - state.now);
            let (rate, count, report) = (&self.rate, &self.count, &self.report);
            let (statistics, averages) = (&self.statistics, self.averages);
            // What is bound depends on which of each pair is current.
            let current = [now as u8, own.average.as_ref().map_or(0, Double::parity)];
            let binding = self.bound.binding(&weights, &current, |binding| {
                binding.input("rate", rate)?;
                binding.input("count", count)?;
                binding.output("report", report)?;
                binding.input("flat", own.trainable.current().flat())?;
                binding.output("flat.next", own.trainable.next().flat())?;
                for (name, buffers) in &state.buffers {
                    binding.input(name, &buffers[now])?;
                    binding.output(&format!("{name}.next"), &buffers[then])?;
                }
                if let (true, Some(average)) = (averages, &own.average) {
                    binding.input("average", average.current().flat())?;
                    binding.output("average.next", average.next().flat())?;
                }
                if let Some(states) = &own.states {
                    for name in statistics {
                        if let Some(view) = states.next().view(name) {
                            binding.output(&format!("statistic.{name}"), view)?;
                        }
                    }
                }
                Ok(())
            })?;
            for field in &self.fields {
                let value = batch.get(field).ok_or_else(|| {
                    TrainError::config(format!("loss input `{field}`"), missing_field(field))
                })?;
                binding.input(field, value)?;
            }
            binding.run()?;
        }
        let mut weights = world.weights.borrow_mut();
        if let Some(own) = weights.get_mut(&self.role) {
            own.trainable.swap();
            if let (true, Some(average)) = (self.averages, &mut own.average) {
                average.swap();
            }
            if let (false, Some(states)) = (self.statistics.is_empty(), &mut own.states) {
                states.swap();
            }
        }
        state.now = 1 - state.now;
        state.updates += 1;
        Ok(self.report.to_f32()?)
    }
}

fn missing_field(field: &str) -> String {
    match field {
        "sampled" | "advantage" => "this batch has none\nhint: give the phase a `rollout`".into(),
        _ => "this batch has none".into(),
    }
}

/// Flat buffers of one layout, for the moving average of a role that starts to need one.
pub fn needs_average(optimizer: &Optimizer, average: Option<&Double>) -> bool {
    optimizer.average.is_some() && average.is_none()
}

#[cfg(test)]
mod tests;
