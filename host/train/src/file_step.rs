//! Training steps of one ONNX file, apart from any run: forward, loss, backward and optimiser as one
//! graph, for whatever runs ONNX.

use crate::{Mode, Result, TrainError, loss::fault};
use ekphrasis_grad::{OptimizerSpec, batch_norm_training, running_statistics, training_step};
use ekphrasis_graph::{DType, Dim, Graph, Origin, Shape, Tensor as Literal, ValueId};
use ekphrasis_script::{Class, Engine, Fault, Script, Tensor, Trace, check_loss};
use mlua::{Table, Value};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
};

/// The role that a loss for one file names.
pub const ROLE: &str = "model";

/// The `g` of a loss script for one ONNX file.
pub struct FileGraph {
    trace: Trace,
    outputs: Rc<Vec<(String, ValueId)>>,
}

impl FileGraph {
    fn input(&self, name: &str, dtype: Option<String>, shape: Option<Table>) -> mlua::Result<Tensor> {
        let known = self.trace.with(|g| {
            let names = g.inputs().iter().map(|id| (g.value(*id).name.clone(), *id));
            names.collect::<BTreeMap<_, _>>()
        });
        if let Some(id) = known.get(name) {
            return Ok(self.trace.tensor(*id));
        }
        let (Some(dtype), Some(shape)) = (dtype, shape) else {
            return Err(Fault::unknown("input", name, known.keys().map(String::as_str))
                .hint("a new input has type and shape: g:input(\"target\", \"f32\", { \"B\", 10 })")
                .into());
        };
        let dtype = DType::from_name(&dtype).ok_or_else(|| {
            Fault::new(format!("input `{name}`: expected a type as \"f32\", found `{dtype}`"))
        })?;
        let mut dims: Shape = vec![];
        for size in shape.sequence_values::<Value>() {
            dims.push(match size? {
                Value::Integer(n) if n >= 0 => Dim::Known(n),
                Value::String(symbol) => Dim::parse(&symbol.to_string_lossy()),
                _ => {
                    let message = format!("input `{name}`: expected sizes of 0 or more, or names as \"B\"");
                    return Err(Fault::new(message).into());
                }
            });
        }
        let id = self.trace.with(|g| g.input(name, dtype, dims)).map_err(|e| fault(e.into()))?;
        Ok(self.trace.tensor(id))
    }

    fn output(&self, name: &str) -> mlua::Result<Tensor> {
        match self.outputs.iter().find(|(n, _)| n == name) {
            Some((_, id)) => Ok(self.trace.tensor(*id)),
            None => Err(Fault::unknown("output", name, self.outputs.iter().map(|(n, _)| n.as_str())).into()),
        }
    }
}

/// The class `FileGraph`.
pub fn class() -> Class<FileGraph> {
    Class::<FileGraph>::new(
        "FileGraph",
        "The training step of one ONNX file, in a loss script for `ekphrasis graph grad --loss`.",
    )
    .method("output", "(name: string): Tensor", "An output of the model.", |_, g, name: String| {
        g.output(&name)
    })
    .method(
        "input",
        "(name: string, dtype?: string, shape?: (integer|string)[]): Tensor",
        "An input of the model by its name; with type and shape a further input of the step, as a target.",
        |_, g, (name, dtype, shape): (String, Option<String>, Option<Table>)| g.input(&name, dtype, shape),
    )
    .method(
        "gradient",
        "(y: Tensor, x: Tensor): Tensor",
        "The gradient of the sum of y by x, itself differentiable.",
        |_, g, (y, x): (Tensor, Tensor)| crate::loss::gradient(&g.trace, &y, &x, TrainError::from),
    )
}

/// How a step is made.
pub struct FileStep<'a> {
    /// The loss: a script whose `role` is `model`.
    pub script: &'a Script,
    /// Its parameters.
    pub params: &'a serde_json::Value,
    /// The optimiser.
    pub optimizer: &'a OptimizerSpec,
    /// The learning rate; an input `rate` where there is none.
    pub rate: Option<f64>,
    /// How batch normalisation behaves.
    pub mode: Mode,
}

/// The whole training step of a model.
///
/// Each parameter that trains is an input under its name and has an output `NAME.next`; see
/// [`training_step`] for the optimiser's own. So have running statistics of batch normalisation. Outputs
/// begin with `loss`, what else the script reports, and `gradient_norm`. Everything else of the model
/// stays in the graph.
///
/// # Errors
/// Errors of the script with their lines; of the gradient with every missing rule; and where a name is
/// taken.
pub fn file_step(engine: &Engine, model: &Graph, step: &FileStep) -> Result<Graph> {
    let update = match step.script.updates()?.as_slice() {
        [one] if one.role == ROLE => one.clone(),
        other => {
            let found: Vec<_> = other.iter().map(|u| u.role.as_str()).collect();
            let message = format!("expected one loss with `role = \"{ROLE}\"`, found {}", found.join(", "));
            let hint = "what trains here is the one model in the file; g:output(name) is what it gives";
            return Err(step.script.error(Fault::new(message).hint(hint)).into());
        }
    };
    let (model, statistics) = match step.mode {
        Mode::Train => batch_norm_training(model)?,
        Mode::Eval => (model.clone(), vec![]),
    };
    let next: BTreeMap<&str, &str> =
        statistics.iter().map(|s| (s.output.as_str(), s.initializer.as_str())).collect();
    let mut graph = Graph::new(&model.name);
    graph.target = model.target;
    let mut feed = HashMap::new();
    for id in model.inputs() {
        let v = model.value(*id);
        feed.insert(v.name.clone(), graph.input(&v.name, v.dtype, v.shape.clone())?);
    }
    let kept = running_statistics(&model);
    let mut candidates: Vec<(String, ValueId, Arc<Literal>)> = vec![];
    let outs = graph.inline::<TrainError>(&model, &feed, |g, name, tensor| {
        let state = next.values().any(|s| *s == name);
        if tensor.dtype() != DType::F32 || (!state && model.find(name).is_some_and(|id| kept.contains(&id))) {
            return Ok(g.initializer(name, tensor.clone())?);
        }
        let shape: Shape = tensor.dims().iter().map(|d| (*d).into()).collect();
        let id = g.input(name, DType::F32, shape)?;
        if !state {
            candidates.push((name.to_owned(), id, tensor.clone()));
        }
        Ok(id)
    })?;
    let ports: Vec<(String, ValueId)> =
        model.outputs().iter().map(|(name, _)| name.clone()).zip(outs).collect();
    let (running, outputs): (Vec<_>, Vec<_>) =
        ports.into_iter().partition(|(name, _)| next.contains_key(name.as_str()));

    graph.scope = "loss/".into();
    let trace = Trace::new(graph);
    let g = FileGraph { trace: trace.clone(), outputs: Rc::new(outputs) };
    let g = engine.lua().create_any_userdata(g).map_err(TrainError::lua)?;
    let params = engine.value(step.params)?;
    let result = engine.call_function(step.script, &update.function, (g, params))?;
    let fail = |f: Fault| step.script.error(f.at("what the loss returned"));
    let (loss, extras) = check_loss(&result).map_err(fail)?;
    let loss = loss.id_in(&trace).map_err(fail)?;
    let mut reported = vec![("loss".to_owned(), loss)];
    for (name, tensor) in extras {
        reported.push((name, tensor.id_in(&trace).map_err(fail)?));
    }
    // The trace may still be held by Lua until the next collection.
    let mut graph = trace.graph();
    graph.scope.clear();
    graph.clear_outputs();
    for (name, id) in &reported {
        graph.output(name, *id)?;
    }
    let ids: Vec<ValueId> = candidates.iter().map(|(_, id, _)| *id).collect();
    let (trained, norm) = training_step(&mut graph, loss, &ids, step.optimizer, step.rate)?;
    for (name, id) in running {
        graph.output(&name, id)?;
    }
    graph.output("gradient_norm", norm)?;
    let still = candidates.into_iter().filter(|(_, id, _)| !trained.contains(id));
    settle(&graph, still.map(|(name, _, tensor)| (name, tensor)).collect())
}

/// The graph with the parameters that do not train in it, and without inputs that nothing needs.
fn settle(graph: &Graph, frozen: BTreeMap<String, Arc<Literal>>) -> Result<Graph> {
    let roots: Vec<ValueId> = graph.outputs().iter().map(|(_, id)| *id).collect();
    let needed = graph.ancestors(&roots);
    let mut whole = Graph::new(&graph.name);
    let mut feed = HashMap::new();
    for id in graph.inputs().iter().filter(|id| needed.contains(id)) {
        let v = graph.value(*id);
        let new = match frozen.get(&v.name) {
            Some(tensor) => whole.initializer(&v.name, tensor.clone())?,
            None => whole.input(&v.name, v.dtype, v.shape.clone())?,
        };
        feed.insert(v.name.clone(), new);
    }
    let outs = whole
        .inline::<TrainError>(graph, &feed, |g, name, tensor| Ok(g.initializer(name, tensor.clone())?))?;
    for ((name, _), id) in graph.outputs().iter().zip(outs) {
        // What an output gives must be made by a node.
        let id = match whole.value(id).origin {
            Origin::Input => whole.op("Identity", &[id], &[])?,
            _ => id,
        };
        whole.output(name, id)?;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests;
