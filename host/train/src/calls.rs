//! What `g.captioner:encode(image)` does: into a trace, or on real numbers with the current weights.

use crate::{Result, Role, TrainError, World, bound::Bound, bound::parameter, loss::LossTrace};
use ekphrasis_graph::Graph;
use ekphrasis_runtime::{DeviceTensor, SessionOptions};
use ekphrasis_script::{Fault, ModelCalls, Tensor};
use mlua::Lua;
use std::{collections::HashMap, rc::Rc};

/// The graphs of a role, callable from scripts.
pub(crate) struct RoleCalls {
    pub world: Rc<World>,
    pub role: Role,
    /// Batch statistics instead of running ones, when traced.
    pub train: bool,
    /// The loss that is being traced, if one is.
    pub loss: Option<Rc<LossTrace>>,
}

impl RoleCalls {
    fn traced(&self, loss: &LossTrace, graph: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let model = self.world.model(self.role)?;
        let training;
        let (source, statistics) = if self.train {
            training = self.world.training_graph(self.role, graph)?;
            (&training.0, training.1.as_slice())
        } else {
            (model.graph(graph)?, [].as_slice())
        };
        let mut ids = vec![];
        for input in inputs {
            ids.push(input.id_in(&loss.trace).map_err(|e| TrainError::model(&model.name, e.to_string()))?);
        }
        let feed = self.feed(source, &ids)?;
        let outs = loss.trace.with(|g| {
            let scope = std::mem::replace(&mut g.scope, format!("{}/{graph}/", self.role));
            let outs = g.inline(source, &feed, |g, name, t| parameter(g, model, name, t));
            g.scope = scope;
            outs
        })?;
        let mut results = vec![];
        for ((name, _), id) in source.outputs().iter().zip(outs) {
            match statistics.iter().find(|s| s.output == *name) {
                Some(statistic) => loss.statistic(self.role, &statistic.initializer, id),
                None => results.push(loss.trace.tensor(id)),
            }
        }
        Ok(results)
    }

    fn feed<T: Clone>(&self, source: &Graph, inputs: &[T]) -> Result<HashMap<String, T>> {
        let names: Vec<_> = source.inputs().iter().map(|i| source.value(*i).name.clone()).collect();
        if names.len() != inputs.len() {
            let message = format!(
                "graph `{}`: expected {} inputs ({}), found {}",
                source.name,
                names.len(),
                names.join(", "),
                inputs.len()
            );
            return Err(TrainError::model(&self.world.model(self.role)?.name, message));
        }
        Ok(names.into_iter().zip(inputs.iter().cloned()).collect())
    }

    fn eager(&self, graph: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut values = vec![];
        for input in inputs {
            match input {
                Tensor::Eager(value) => values.push(value.clone()),
                Tensor::Traced { .. } => {
                    let message = format!("graph `{graph}`: expected numbers, found a traced tensor");
                    return Err(TrainError::model(self.role.name(), message));
                }
            }
        }
        let source = self.world.model(self.role)?.graph(graph)?;
        let feed = self.feed(source, &values)?;
        let results = self.world.forward(self.role, graph, &feed)?;
        Ok(results.into_iter().map(Tensor::Eager).collect())
    }
}

impl ModelCalls for RoleCalls {
    fn graphs(&self) -> Vec<String> {
        self.world.model(self.role).map(|m| m.graphs.keys().cloned().collect()).unwrap_or_default()
    }

    fn call(&self, _: &Lua, graph: &str, inputs: Vec<Tensor>) -> mlua::Result<Vec<Tensor>> {
        let result = match &self.loss {
            Some(loss) => self.traced(loss, graph, &inputs),
            None => self.eager(graph, &inputs),
        };
        result.map_err(|e| Fault::new(e.to_string()).into())
    }

    fn mode(&self, train: bool) -> Rc<dyn ModelCalls> {
        Rc::new(Self { world: self.world.clone(), role: self.role, train, loss: self.loss.clone() })
    }
}

/// Runs one graph of a role with the weights that evaluation uses.
pub(crate) struct Forward {
    bound: Bound,
    outputs: Vec<String>,
}

impl Forward {
    /// The session of `graph`.
    pub fn new(world: &World, role: Role, name: &str) -> Result<Self> {
        let model = world.model(role)?;
        let source = model.graph(name)?;
        let mut graph = Graph::new(&format!("{role} {name}"));
        let mut feed = HashMap::new();
        for input in source.inputs() {
            let value = source.value(*input);
            feed.insert(value.name.clone(), graph.input(&value.name, value.dtype, value.shape.clone())?);
        }
        let outs = graph.inline(source, &feed, |g, n, t| parameter(g, model, n, t))?;
        let mut outputs = vec![];
        for ((name, _), value) in source.outputs().iter().zip(outs) {
            graph.output(name, value)?;
            outputs.push(name.clone());
        }
        Ok(Self { bound: Bound::new(&world.runtime, &graph, true, &SessionOptions::default())?, outputs })
    }

    /// The outputs in order.
    pub fn run(&mut self, world: &World, feed: &HashMap<String, DeviceTensor>) -> Result<Vec<DeviceTensor>> {
        let weights = world.weights.borrow();
        let fixed =
            self.bound.session().inputs().iter().find(|p| p.name == "tokens").and_then(|p| p.shape[1]);
        let binding = self.bound.binding(&weights, &[], |_| Ok(()))?;
        for (name, value) in feed {
            match (name.as_str(), fixed) {
                ("tokens", Some(width)) => binding.input(name, &widened(value, width)?)?,
                _ => binding.input(name, value)?,
            }
        }
        let mut results: HashMap<String, DeviceTensor> = binding.run()?.into_iter().collect();
        let missing = |name: &str| TrainError::model(name, "an output is missing");
        self.outputs.iter().map(|o| results.remove(o).ok_or_else(|| missing(o))).collect()
    }

    /// Forgets bindings, as when buffers were replaced.
    pub fn unbind(&mut self) {
        self.bound.unbind();
    }
}

/// Tokens `i64[N, T]` padded with 0 to the width that a graph of fixed length takes.
pub(crate) fn widened(tokens: &DeviceTensor, width: usize) -> Result<DeviceTensor> {
    let (n, t) = match tokens.dims() {
        [n, t] => (*n, *t),
        other => {
            return Err(TrainError::config(
                "tokens",
                format!("expected i64[N, T], found dimensions {other:?}"),
            ));
        }
    };
    if t == width {
        return Ok(tokens.clone());
    }
    let values = tokens.to_i64()?;
    let mut flat = vec![0; n * width];
    for (row, out) in values.chunks(t.max(1)).zip(flat.chunks_mut(width)) {
        let k = t.min(width);
        out[..k].copy_from_slice(&row[..k]);
    }
    Ok(DeviceTensor::from_i64(&[n, width], flat)?)
}
