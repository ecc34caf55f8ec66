//! A training step, ready to run: its session, what is bound to it, and the state of its optimiser.

use crate::{
    LossScale, Mode, Optimizer, OptimizerKind, Precision, Result, Role, TrainError, World,
    bound::Bound,
    loss_scale,
    step_graph::{SKIPPED, step_graphs},
    weights::{AllWeights, Double, Weights},
};
use ekphrasis_grad::OptimizerSpec;
use ekphrasis_graph::{DType, Graph};
use ekphrasis_runtime::{Binding, DeviceTensor, Runtime, SessionOptions};
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
    /// All zeros, for `len` numbers where the provider computes; with the loss scale, where the loss is scaled.
    pub fn new(
        runtime: &Runtime,
        spec: &OptimizerSpec,
        len: usize,
        scale: Option<LossScale>,
    ) -> Result<Self> {
        let mut buffers = vec![];
        for name in spec.states() {
            let zeros = || runtime.zeros(DType::F32, &[len]);
            buffers.push(((*name).to_owned(), [zeros()?, zeros()?]));
        }
        if let Some(scale) = scale {
            let state = || DeviceTensor::from_f32(&[2], vec![scale.initial as f32, 0.0]);
            buffers.push((loss_scale::NAME.to_owned(), [state()?, state()?]));
        }
        Ok(Self { buffers, now: 0, updates: 0 })
    }

    /// The current vectors by name.
    pub fn get(&self) -> Result<BTreeMap<String, Vec<f32>>> {
        self.buffers.iter().map(|(n, b)| Ok((n.clone(), b[self.now].to_f32()?))).collect()
    }

    /// Sets the current vectors. A loss scale that is not there stays as it is: the phase had another precision.
    pub fn set(&mut self, values: &BTreeMap<String, Vec<f32>>, updates: u64) -> Result<()> {
        for (name, buffers) in &self.buffers {
            if name == loss_scale::NAME && !values.contains_key(name) {
                continue;
            }
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

/// A batch, by field.
pub type Feed = BTreeMap<String, DeviceTensor>;

/// A training step of one role, ready to run.
pub struct Step {
    pass: Bound,
    /// The optimiser, where several batches make a step.
    apart: Option<Apart>,
    role: Role,
    /// Batch fields that the loss uses.
    pub fields: Vec<String>,
    /// Names of what it reports; the loss first, what the optimiser reports last.
    pub metrics: Vec<String>,
    statistics: Vec<String>,
    averages: bool,
    rate: DeviceTensor,
    count: DeviceTensor,
    report: DeviceTensor,
}

/// The optimiser apart from the backward pass, and the sum of gradients that it waits for.
struct Apart {
    bound: Bound,
    /// What the first batch adds its gradient to.
    zeros: DeviceTensor,
    /// Where the sum is after the first batch, after the second, and so on in turn.
    sums: [DeviceTensor; 2],
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
    /// Batches whose mean gradient makes one step.
    pub accumulate: usize,
    /// What products are computed in.
    pub precision: Precision,
    /// How the loss is scaled, where it is.
    pub loss_scale: LossScale,
    /// Patterns of layers whose activations are computed again.
    pub recompute: &'a [String],
}

impl Step {
    /// Traces the loss, differentiates it and makes the sessions.
    pub fn build(world: &Rc<World>, update: &Update, optimizer: &Optimizer) -> Result<Self> {
        let graphs = step_graphs(world, update, optimizer)?;
        // What a step reads and writes stays where it is.
        let options = SessionOptions { capture: true, ..SessionOptions::default() };
        let bound = |graph| Bound::new(&world.runtime, graph, false, &options);
        let pass = bound(&graphs.pass)?;
        if let Some(why) = pass.session().uncaptured() {
            world.note(&format!("{}: not captured as a CUDA graph, and so slower: {why}", update.name));
        }
        let fields = pass.session().inputs().iter().map(|p| p.name.clone());
        let known = |n: &String| crate::loss::FIELDS.iter().any(|(f, _, _)| f == n);
        let mut metrics = graphs.metrics;
        let report = DeviceTensor::zeros(DType::F32, &[metrics.len()])?;
        let mut apart = None;
        if let Some((graph, names)) = graphs.update {
            let report = DeviceTensor::zeros(DType::F32, &[names.len()])?;
            metrics.extend(names);
            let zeros = || world.runtime.zeros(DType::F32, &[graphs.trained]);
            apart =
                Some(Apart { bound: bound(&graph)?, zeros: zeros()?, sums: [zeros()?, zeros()?], report });
        }
        Ok(Self {
            fields: fields.filter(known).collect(),
            report,
            metrics,
            statistics: graphs.statistics,
            averages: optimizer.average.is_some(),
            rate: DeviceTensor::zeros(DType::F32, &[])?,
            count: DeviceTensor::zeros(DType::F32, &[])?,
            role: update.role,
            pass,
            apart,
        })
    }

    /// The role that it trains.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Runs it on its batches, as many as it was built for, with a learning rate; gives the values of `metrics`,
    /// means over the batches.
    pub fn run(
        &mut self,
        world: &World,
        state: &mut OptimizerState,
        batches: &[Feed],
        rate: f64,
    ) -> Result<Vec<f32>> {
        self.rate.write_f32(&[rate as f32])?;
        self.count.write_f32(&[(state.updates + 1) as f32])?;
        let mut sums = vec![0.0; self.metrics.len()];
        for (i, batch) in batches.iter().enumerate() {
            self.pass(&world.weights.borrow(), state, batch, i)?;
            let mut weights = world.weights.borrow_mut();
            let states = weights.get_mut(&self.role).and_then(|own| own.states.as_mut());
            if let (false, Some(states)) = (self.statistics.is_empty(), states) {
                states.swap();
            }
            for (sum, value) in sums.iter_mut().zip(self.report.to_f32()?) {
                *sum += f64::from(value);
            }
        }
        let mut values: Vec<f32> = sums.iter().map(|sum| (sum / batches.len() as f64) as f32).collect();
        let own = self.update(world, state, batches.len())?;
        let first = values.len() - own.len();
        values[first..].copy_from_slice(&own);
        let mut weights = world.weights.borrow_mut();
        if let Some(own) = weights.get_mut(&self.role) {
            own.trainable.swap();
            if let (true, Some(average)) = (self.averages, &mut own.average) {
                average.swap();
            }
        }
        state.now = 1 - state.now;
        let skipped = self.metrics.iter().zip(&values).any(|(name, value)| name == SKIPPED && *value != 0.0);
        state.updates += u64::from(!skipped);
        Ok(values)
    }

    /// Forward and backward of batch `i`, and the optimiser unless it stands apart.
    fn pass(&mut self, all: &AllWeights, state: &OptimizerState, batch: &Feed, i: usize) -> Result<()> {
        let own = of_role(all, self.role)?;
        let (optimiser, apart) = (Optimiser::of(own, state, self.averages), &self.apart);
        let (rate, count, report) = (&self.rate, &self.count, &self.report);
        let statistics = &self.statistics;
        // What is bound depends on which of each pair is current. Batches of another shape have a binding of their own,
        // so that one that is captured need not be captured again.
        let mut current = optimiser.parity().to_vec();
        let shapes = self.fields.iter().filter_map(|field| batch.get(field)).flat_map(DeviceTensor::dims);
        current.extend(shapes.flat_map(|size| (*size as u32).to_le_bytes()));
        if apart.is_some() {
            current.push(if i == 0 { 0 } else { 2 - (i % 2) as u8 });
        }
        let binding = self.pass.binding(all, &current, |binding| {
            match apart {
                Some(Apart { zeros, sums, .. }) => {
                    binding.input("sum", if i == 0 { zeros } else { &sums[(i - 1) % 2] })?;
                    binding.output("sum.next", &sums[i % 2])?;
                    optimiser.bind_scale(binding)?;
                }
                None => optimiser.bind(binding, rate, count)?,
            }
            binding.output("report", report)?;
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
            let value = batch
                .get(field)
                .ok_or_else(|| TrainError::config(format!("loss input `{field}`"), missing_field(field)))?;
            binding.input(field, value)?;
        }
        binding.run()?;
        Ok(())
    }

    /// The optimiser, where it stands apart, after so many batches; what it reports.
    fn update(&mut self, world: &World, state: &OptimizerState, batches: usize) -> Result<Vec<f32>> {
        let Some(Apart { bound, sums, report, .. }) = &mut self.apart else { return Ok(vec![]) };
        let all = world.weights.borrow();
        let optimiser = Optimiser::of(of_role(&all, self.role)?, state, self.averages);
        let (rate, count) = (&self.rate, &self.count);
        let binding = bound.binding(&all, &optimiser.parity(), |binding| {
            optimiser.bind(binding, rate, count)?;
            binding.input("sum", &sums[(batches + 1) % 2])?;
            Ok(binding.output("report", report)?)
        })?;
        binding.run()?;
        Ok(report.to_f32()?)
    }
}

fn of_role(all: &AllWeights, role: Role) -> Result<&Weights> {
    all.get(&role).ok_or_else(|| TrainError::config("models", "a role has no weights"))
}

/// What an optimiser reads and writes.
struct Optimiser<'a> {
    weights: &'a Weights,
    /// The moving average, where it keeps one.
    average: Option<&'a Double>,
    state: &'a OptimizerState,
}

impl<'a> Optimiser<'a> {
    fn of(weights: &'a Weights, state: &'a OptimizerState, averages: bool) -> Self {
        Self { weights, average: weights.average.as_ref().filter(|_| averages), state }
    }

    /// Which of each pair of buffers is current.
    fn parity(&self) -> [u8; 3] {
        let average = self.average.map_or(0, Double::parity);
        [self.state.now as u8, average, self.weights.trainable.parity()]
    }

    /// The loss scale, where there is one, for a pass apart from the optimiser.
    fn bind_scale(&self, binding: &mut Binding) -> Result<()> {
        for (name, buffers) in self.state.buffers.iter().filter(|(name, _)| name == loss_scale::NAME) {
            binding.input(name, &buffers[self.state.now])?;
        }
        Ok(())
    }

    fn bind(&self, binding: &mut Binding, rate: &DeviceTensor, count: &DeviceTensor) -> Result<()> {
        let (now, then) = (self.state.now, 1 - self.state.now);
        binding.input("rate", rate)?;
        binding.input("count", count)?;
        binding.input("flat", self.weights.trainable.current().flat())?;
        binding.output("flat.next", self.weights.trainable.next().flat())?;
        for (name, buffers) in &self.state.buffers {
            binding.input(name, &buffers[now])?;
            binding.output(&format!("{name}.next"), &buffers[then])?;
        }
        if let Some(average) = self.average {
            binding.input("average", average.current().flat())?;
            binding.output("average.next", average.next().flat())?;
        }
        Ok(())
    }
}

/// Checks that ONNX Runtime has products of the precision of a phase here.
///
/// # Errors
/// Names the phase, the provider, and what ONNX Runtime says.
pub fn check_precision(world: &World, phase: &str, precision: Precision) -> Result<()> {
    let (name, dtype) = match precision {
        Precision::Float32 => return Ok(()),
        Precision::Float16 => ("float16", DType::F16),
        Precision::Bfloat16 => ("bfloat16", DType::BF16),
    };
    let mut graph = Graph::new("products");
    let x = graph.input("x", DType::F32, vec![2.into(), 2.into()])?;
    let y = graph.matmul(x, x)?;
    graph.output("y", y)?;
    ekphrasis_grad::products_in(&mut graph, dtype)?;
    let session = world.runtime.session(&graph, &SessionOptions::default());
    session.map(drop).map_err(|error| {
        let provider = world.runtime.provider();
        let message = format!(
            "expected a precision in which provider `{provider}` has products, found `{name}`: {error}\n\
             hint: use `float16` or `float32` here, or a GPU"
        );
        TrainError::config(format!("phases.{phase}.precision"), message)
    })
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
pub(crate) mod tests;

#[cfg(test)]
mod precision_tests;
