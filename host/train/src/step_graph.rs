//! A training step as one graph: forward, loss, backward, clipping, optimiser; or as two, where several batches make
//! a step.

use crate::{
    LossScale, Optimizer, Precision, Result, Role, TrainError, World,
    loss::{LossGraph, LossTrace},
    loss_scale::{self, Scaling},
    parameters::{self, Rule},
    step::{Update, spec},
};
use ekphrasis_grad::{OptimizerInputs, Ranges, Recompute, optimizer};
use ekphrasis_graph::{DType, Graph, Origin, Tensor, ValueId};
use ekphrasis_runtime::Slot;
use ekphrasis_script::{Fault, check_loss};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    rc::Rc,
};

/// The metric that is 1 where a step moved nothing, since its gradient was not finite.
pub(crate) const SKIPPED: &str = "skipped";

/// What a step is made of.
pub(crate) struct Graphs {
    /// Forward, loss and backward; the optimiser too, unless there are several batches to a step.
    pub pass: Graph,
    /// Names of what is in its `report`; the loss first.
    pub metrics: Vec<String>,
    /// The optimiser, where there are several batches, and the names of its report.
    pub update: Option<(Graph, Vec<String>)>,
    /// Numbers in the gradient.
    pub trained: usize,
    /// The running statistics that `pass` updates.
    pub statistics: Vec<String>,
}

/// The graphs of a step of `update.accumulate` batches.
///
/// Inputs of `pass`: the weights that the models need, as `ROLE/NAME`, and fields of the batch; outputs: `report`,
/// and `statistic.NAME`. The optimiser's inputs: `flat`, all weights of the role; its vectors by name; `rate` and
/// `count`, scalars; outputs: `flat.next` and so on. Where it stands apart, `pass` adds its gradient, divided by the
/// number of batches, to `sum` as `sum.next`, and `update` takes `sum`. With half precision both know `loss_scale`.
/// What the optimiser reports, `gradient_norm` first, is in the report of the graph that it is in.
pub(crate) fn step_graphs(world: &Rc<World>, update: &Update, optimizer: &Optimizer) -> Result<Graphs> {
    let mut traced = trace(world, update)?;
    let layout = Layout::new(world, update.role, optimizer)?;
    let trained = layout.trained.len();
    let scaling = |graph: &mut Graph| -> Result<Option<Scaling>> {
        (update.precision == Precision::Float16).then(|| Scaling::input(graph)).transpose()
    };
    let scale = scaling(&mut traced.graph)?.map(|s| s.scale);
    let grad = flat_gradient(world, &mut traced, update, &layout, scale)?;
    let Traced { mut graph, loss, extras, statistics } = traced;
    let mut reported = vec![("loss".to_owned(), loss)];
    reported.extend(extras);
    let mut apart = None;
    let rest = Rest { layout: &layout, optimizer, loss_scale: &update.loss_scale };
    if update.accumulate == 1 {
        let scaling = scaling(&mut graph)?;
        reported.extend(rest.add(&mut graph, grad, scaling)?);
    } else {
        let sum = graph.input("sum", DType::F32, vec![trained.into()])?;
        let next = graph.add(sum, grad)?;
        graph.output("sum.next", next)?;
        let mut graph = Graph::new(&format!("{} update", update.name));
        let sum = graph.input("sum", DType::F32, vec![trained.into()])?;
        let scaling = scaling(&mut graph)?;
        let reported = rest.add(&mut graph, sum, scaling)?;
        let names = report(&mut graph, &reported)?;
        apart = Some((graph, names));
    }
    let mut names = vec![];
    for (name, value) in &statistics {
        graph.output(&format!("statistic.{name}"), *value)?;
        names.push(name.clone());
    }
    let metrics = report(&mut graph, &reported)?;
    Ok(Graphs { pass: graph, metrics, update: apart, trained, statistics: names })
}

/// What a loss script made.
struct Traced {
    graph: Graph,
    loss: ValueId,
    /// What else it reports.
    extras: Vec<(String, ValueId)>,
    /// New values of running statistics, by name.
    statistics: BTreeMap<String, ValueId>,
}

impl Traced {
    /// Has the gradients computed without activations from within layers that fit the patterns.
    fn recompute(&mut self, patterns: &[String], gradients: &mut [Option<ValueId>]) -> Result<()> {
        let (mut layers, mut parameters) = (BTreeMap::new(), HashMap::new());
        for (id, value) in self.graph.values() {
            let role = value.name.split_once('/').filter(|(role, _)| Role::from_name(role).is_some());
            let (Origin::Input | Origin::Initializer(_), Some((role, name))) = (&value.origin, role) else {
                continue;
            };
            let layer = parameters::layer(patterns, name).map(|layer| {
                let next = layers.len();
                *layers.entry((role.to_owned(), layer.to_owned())).or_insert(next)
            });
            parameters.insert(id, layer);
        }
        let reported = self.extras.iter().map(|(_, id)| *id).chain(self.statistics.values().copied());
        let forward: Vec<ValueId> = [self.loss].into_iter().chain(reported).collect();
        let found: Vec<ValueId> = gradients.iter().flatten().copied().collect();
        let what = Recompute { forward: &forward, gradients: &found, parameters: &parameters };
        let (graph, forward, found) = ekphrasis_grad::recompute(&self.graph, &what)?;
        self.graph = graph;
        let extras = self.extras.iter_mut().map(|(_, id)| id).chain(self.statistics.values_mut());
        let kept = [&mut self.loss].into_iter().chain(extras).zip(forward);
        let gradients = gradients.iter_mut().flatten().zip(found);
        kept.chain(gradients).for_each(|(old, new)| *old = new);
        Ok(())
    }
}

fn trace(world: &Rc<World>, update: &Update) -> Result<Traced> {
    world.model(update.role)?;
    let loss = Rc::new(LossTrace::new(update.name, world.runtime.target()));
    let g = LossGraph {
        world: world.clone(),
        loss: loss.clone(),
        role: update.role,
        mode: update.mode,
        batch: update.batch,
        samples: update.samples,
    };
    let g = world.engine.lua().create_any_userdata(g).map_err(TrainError::lua)?;
    let params = world.engine.value(update.params)?;
    let result = world.engine.call_function(update.script, update.function, (g, params))?;
    let fail = |f: Fault| update.script.error(f.at(&format!("what the loss of `{}` returned", update.name)));
    let (value, tensors) = check_loss(&result).map_err(fail)?;
    let value = value.id_in(&loss.trace).map_err(fail)?;
    let mut extras = vec![];
    for (name, tensor) in tensors {
        extras.push((name, tensor.id_in(&loss.trace).map_err(fail)?));
    }
    // The trace may still be held by Lua until the next collection.
    let graph = loss.trace.with(|g| g.clone());
    Ok(Traced { graph, loss: value, extras, statistics: loss.statistics(update.role) })
}

/// How the parameters of a role lie in its flat vectors, and what happens to each.
struct Layout {
    slots: Vec<Slot>,
    /// Numbers in a flat vector, padding included.
    total: usize,
    rules: Vec<Rule>,
    /// What the optimiser works on: all that is not frozen.
    trained: Ranges,
}

impl Layout {
    fn new(world: &World, role: Role, optimizer: &Optimizer) -> Result<Self> {
        let weights = world.weights.borrow();
        let own = weights.get(&role).ok_or_else(|| TrainError::config("models", "a role has no weights"))?;
        let arena = own.trainable.current();
        let (slots, total) = (arena.offsets().to_vec(), arena.len_padded());
        let rules = parameters::rules(optimizer, slots.iter().map(|s| s.name.as_str()))?;
        let mut layout = Self { trained: Ranges::new(total, []), slots, total, rules };
        layout.trained = Ranges::new(total, layout.moving().map(|(_, _, range)| range));
        Ok(layout)
    }

    /// What is not frozen, with its stretch of the flat vectors.
    fn moving(&self) -> impl Iterator<Item = (&Slot, Rule, Range<usize>)> {
        let ends = self.slots.iter().skip(1).map(|next| next.offset).chain([self.total]);
        let all = self.slots.iter().zip(&self.rules).zip(ends);
        let all = all.map(|((slot, rule), end)| (slot, *rule, slot.offset..end));
        all.filter(|(_, rule, _)| !rule.frozen)
    }

    /// A number for each weight that trains, by the rule of its parameter; none where all are 1.
    fn vector(&self, graph: &mut Graph, of: impl Fn(Rule) -> f64) -> Result<Option<ValueId>> {
        let mut values = vec![];
        for (_, rule, range) in self.moving() {
            values.resize(values.len() + range.len(), of(rule) as f32);
        }
        match values.iter().all(|v| *v == 1.0) {
            true => Ok(None),
            false => Ok(Some(graph.constant(Tensor::from_f32(&[values.len()], &values)?))),
        }
    }
}

/// The gradient of the loss as one vector over all that trains.
fn flat_gradient(
    world: &World,
    traced: &mut Traced,
    update: &Update,
    layout: &Layout,
    scale: Option<ValueId>,
) -> Result<ValueId> {
    let (role, loss, graph) = (update.role, traced.loss, &mut traced.graph);
    let wrt: Vec<_> =
        layout.moving().map(|(slot, _, _)| graph.find(&format!("{role}/{}", slot.name))).collect();
    let present: Vec<ValueId> = wrt.iter().flatten().copied().collect();
    if present.is_empty() {
        let message = format!(
            "loss `{}` does not use the {role}, whose weights it should train{}",
            update.name,
            if layout.rules.iter().any(|r| r.frozen) { ", but for those that are frozen" } else { "" }
        );
        return Err(TrainError::model(&world.model(role)?.name, message));
    }
    // Each batch of a step counts alike; so, and scaled, is the seed of the gradient, which costs nothing.
    let mut seed = (update.accumulate > 1).then(|| graph.scalar_like(loss, 1.0 / update.accumulate as f64));
    if let Some(scale) = scale {
        seed = Some(seed.map_or(Ok(scale), |share| graph.mul(scale, share))?);
    }
    let seed = seed.map(|seed| graph.reshape_like(seed, loss)).transpose()?;
    let gradients = ekphrasis_grad::gradient(graph, loss, seed, &present);
    let mut gradients = gradients.map_err(|e| world.not_differentiable(e))?;
    if !update.recompute.is_empty() {
        traced.recompute(update.recompute, &mut gradients)?;
    }
    match update.precision {
        Precision::Float32 => {}
        Precision::Float16 => ekphrasis_grad::products_in(&mut traced.graph, DType::F16)?,
        Precision::Bfloat16 => ekphrasis_grad::products_in(&mut traced.graph, DType::BF16)?,
    }
    let mut gradients = gradients.into_iter();
    let mut parts = vec![];
    for ((slot, _, range), id) in layout.moving().zip(&wrt) {
        let grad = id.and_then(|_| gradients.next().flatten());
        parts.push(optimizer::Part { grad, len: slot.len(), padding: range.len() - slot.len() });
    }
    Ok(optimizer::flatten_gradients(&mut traced.graph, &parts)?)
}

/// What comes after the gradient.
struct Rest<'a> {
    layout: &'a Layout,
    optimizer: &'a Optimizer,
    loss_scale: &'a LossScale,
}

impl Rest<'_> {
    /// Adds clipping and the optimiser, with their inputs and outputs; what they report, the norm of the gradient
    /// first. Where the loss was scaled, a gradient that is not finite moves nothing.
    fn add(
        &self,
        graph: &mut Graph,
        grad: ValueId,
        scaling: Option<Scaling>,
    ) -> Result<Vec<(String, ValueId)>> {
        let Self { layout, optimizer, .. } = self;
        let trained = &layout.trained;
        let grad = scaling.as_ref().map_or(Ok(grad), |s| graph.div(grad, s.scale))?;
        let spec = spec(optimizer);
        let mut vector = |name: &str| -> Result<(ValueId, ValueId)> {
            let whole = graph.input(name, DType::F32, vec![layout.total.into()])?;
            Ok((whole, trained.take(graph, whole)?))
        };
        let (flat, w) = vector("flat")?;
        let states = spec.states().iter().map(|name| vector(name)).collect::<Result<Vec<_>>>()?;
        let average = spec.average.map(|_| vector("average")).transpose()?;
        let lr = graph.input("rate", DType::F32, vec![])?;
        let step = graph.input("count", DType::F32, vec![])?;
        let decay_mask = layout.vector(graph, |rule| if rule.decays { 1.0 } else { 0.0 })?;
        let rates = layout.vector(graph, |rule| rule.rate)?;
        let inputs = OptimizerInputs {
            w,
            grad,
            states: states.iter().map(|(_, part)| *part).collect(),
            average: average.map(|(_, part)| part),
            lr,
            step,
            decay_mask,
            rates,
        };
        let out = optimizer::emit(graph, &spec, &inputs)?;
        let finite = scaling.as_ref().map(|_| Scaling::finite(graph, out.grad_norm)).transpose()?;
        let mut next = |name: &str, (whole, old): (ValueId, ValueId), part: ValueId| -> Result<()> {
            let part = finite.map_or(Ok(part), |finite| graph.select(finite, part, old))?;
            let value = trained.put(graph, whole, part)?;
            Ok(graph.output(&format!("{name}.next"), value)?)
        };
        next("flat", (flat, w), out.w)?;
        for ((name, part), old) in out.states.into_iter().zip(states) {
            next(name, old, part)?;
        }
        if let (Some(old), Some(part)) = (average, out.average) {
            next("average", old, part)?;
        }
        let mut reported = vec![("gradient_norm".to_owned(), out.grad_norm)];
        if let (Some(scaling), Some(finite)) = (scaling, finite) {
            scaling.output(graph, finite, self.loss_scale)?;
            let zero = graph.scalar_like(out.grad_norm, 0.0);
            reported[0].1 = graph.select(finite, out.grad_norm, zero)?;
            reported.push((loss_scale::NAME.to_owned(), scaling.scale));
            let skipped = graph.not(finite)?;
            reported.push((SKIPPED.to_owned(), graph.cast(skipped, DType::F32)?));
        }
        Ok(reported)
    }
}

/// All that is reported in one small vector; the names.
fn report(graph: &mut Graph, values: &[(String, ValueId)]) -> Result<Vec<String>> {
    let mut reported = vec![];
    for (_, value) in values {
        reported.push(graph.unsqueeze(*value, &[0])?);
    }
    let report = graph.concat(&reported, 0)?;
    graph.output("report", report)?;
    Ok(values.iter().map(|(name, _)| name.clone()).collect())
}
