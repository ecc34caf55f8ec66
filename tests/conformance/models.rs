//! Whole models from PyTorch: ten steps of Adam that the host derives from the exported forward pass.

use crate::{
    backward::refusal,
    data::{Case, floats},
    function::{Feeds, Function},
    tally::Outcome,
};
use ekphrasis_grad::{
    GradError, OptimizerInputs, OptimizerKind, OptimizerSpec, batch_norm_training, flatten_gradients,
    gradient,
    optimizer::{Part, emit},
};
use ekphrasis_graph::{DType, Dim, Graph, GraphError, Tensor, ValueId};
use std::collections::{BTreeMap, HashMap};

/// Every parameter must be this close to PyTorch's, relative to the largest of its tensor.
const CLOSE: f64 = 1e-4;

/// Why a model is not trained.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Grad(#[from] GradError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("{0}")]
    Other(String),
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

fn outcome(result: Result<(), Trouble>) -> Outcome {
    match result {
        Ok(()) => Outcome::Passed,
        Err(Trouble::Grad(e)) => refusal(e).unwrap_or_else(Outcome::Failed),
        Err(e) => Outcome::Failed(e.to_string()),
    }
}

/// A model in training: its graph, and its weights, which move.
struct Model {
    /// With the statistics of the batch; further outputs are the next running statistics.
    graph: Graph,
    /// Parameters and running statistics by name.
    values: Feeds,
    /// Names of what Adam moves, in the order of the flat vector.
    trained: Vec<String>,
    moments: [Vec<f64>; 2],
    spec: OptimizerSpec,
    rate: f64,
}

impl Model {
    fn load(case: &Case) -> Result<Self, Trouble> {
        let (graph, statistics) = batch_norm_training(&Graph::load(&case.model)?)?;
        let trained: Vec<String> = case.group("after").into_keys().collect();
        let mut values = Feeds::new();
        let initializers = graph.initializers();
        let states = statistics.iter().map(|s| &s.initializer);
        for name in trained.iter().chain(states) {
            let (_, tensor) = initializers.get(name.as_str()).ok_or_else(|| {
                format!("no initializer `{name}`, but {:?}", initializers.keys().collect::<Vec<_>>())
            })?;
            values.insert(name.clone(), (***tensor).clone());
        }
        let size = trained.iter().map(|n| values[n].len()).sum();
        let spec = OptimizerSpec {
            kind: OptimizerKind::Adam,
            epsilon: case.number("epsilon")?,
            ..Default::default()
        };
        let moments = [vec![0.0; size], vec![0.0; size]];
        Ok(Self { graph, values, trained, moments, spec, rate: case.number("rate")? })
    }

    /// Adds its forward pass to a graph: the values of its outputs by name. What it knows under a name is
    /// an input of the graph, `scope/NAME`.
    fn call(&self, g: &mut Graph, scope: &str, x: &[ValueId]) -> Result<BTreeMap<String, ValueId>, Trouble> {
        let ports = self.graph.inputs().iter().map(|v| self.graph.value(*v).name.clone());
        let feed: HashMap<String, ValueId> = ports.zip(x.iter().copied()).collect();
        let outputs = g.inline::<GraphError>(&self.graph, &feed, |g, name, tensor| {
            let port = format!("{scope}/{name}");
            match g.find(&port) {
                Some(known) => Ok(known),
                None if self.values.contains_key(name) => g.input(&port, tensor.dtype(), shape(tensor)),
                None => g.initializer(&port, tensor.clone()),
            }
        })?;
        let names = self.graph.outputs().iter().map(|(n, _)| n.clone());
        Ok(names.zip(outputs).collect())
    }

    /// Adds the gradient of a loss and Adam to a graph, with outputs for what they give.
    fn learn(&self, g: &mut Graph, scope: &str, loss: ValueId) -> Result<(), Trouble> {
        let find =
            |g: &Graph, n: &String| g.find(&format!("{scope}/{n}")).ok_or(format!("`{n}` is not used"));
        let wrt = self.trained.iter().map(|n| find(g, n)).collect::<Result<Vec<_>, _>>()?;
        let grads = gradient(g, loss, None, &wrt)?;
        let parts = self.trained.iter().zip(grads);
        let parts: Vec<Part> =
            parts.map(|(n, grad)| Part { grad, len: self.values[n].len(), padding: 0 }).collect();
        let grad = flatten_gradients(g, &parts)?;
        let flat = vec![Dim::from(self.moments[0].len())];
        let mut vector = |name: &str| g.input(name, DType::F32, flat.clone());
        let (w, states) = (vector("flat")?, vec![vector("moment1")?, vector("moment2")?]);
        let (lr, step) = (g.input("rate", DType::F32, vec![])?, g.input("step", DType::F32, vec![])?);
        let inputs =
            OptimizerInputs { w, grad, states, average: None, lr, step, decay_mask: None, rates: None };
        let outputs = emit(g, &self.spec, &inputs)?;
        g.output("next/flat", outputs.w)?;
        for (name, value) in outputs.states {
            g.output(&format!("next/{name}"), value)?;
        }
        g.output("next/loss", loss)?;
        Ok(())
    }

    /// What the graph of a step reads of it.
    fn feeds(&self, scope: &str) -> Feeds {
        self.values.iter().map(|(n, t)| (format!("{scope}/{n}"), t.clone())).collect()
    }

    fn step(&mut self, function: &Function, mut feeds: Feeds, step: usize) -> Result<f64, Trouble> {
        let mut flat = vec![];
        for name in &self.trained {
            flat.extend(floats(&self.values[name])?);
        }
        let vector =
            |v: &[f64]| Tensor::from_f32(&[v.len()], &v.iter().map(|x| *x as f32).collect::<Vec<_>>());
        feeds.insert("flat".into(), vector(&flat)?);
        feeds.insert("moment1".into(), vector(&self.moments[0])?);
        feeds.insert("moment2".into(), vector(&self.moments[1])?);
        feeds.insert("rate".into(), Tensor::scalar_f32(self.rate as f32));
        feeds.insert("step".into(), Tensor::scalar_f32((step + 1) as f32));
        let mut loss = f64::NAN;
        for (name, tensor) in function.outputs().into_iter().zip(function.run(&feeds)?) {
            let values = floats(&tensor)?;
            match name.as_str() {
                "next/flat" => flat = values,
                "next/moment1" => self.moments[0] = values,
                "next/moment2" => self.moments[1] = values,
                "next/loss" => loss = values[0],
                other => {
                    let name = other.strip_prefix("next/").unwrap_or(other);
                    self.values.insert(name.into(), tensor);
                }
            }
        }
        let mut at = 0;
        for name in &self.trained {
            let old = &self.values[name];
            let (dims, end) = (old.dims().to_vec(), at + old.len());
            let own: Vec<f32> = flat[at..end].iter().map(|v| *v as f32).collect();
            self.values.insert(name.clone(), Tensor::from_f32(&dims, &own)?);
            at = end;
        }
        Ok(loss)
    }

    /// Compares parameters and running statistics with those of the case.
    fn compare(&self, case: &Case) -> Result<(), Trouble> {
        for group in ["after", "state"] {
            for (name, expected) in case.group(group) {
                let found = self.values.get(&name).ok_or_else(|| format!("nothing is called `{name}`"))?;
                let (found, expected) = (floats(found)?, floats(&expected)?);
                let largest = expected.iter().fold(0f64, |a, b| a.max(b.abs()));
                let pairs = || found.iter().zip(&expected);
                let apart = pairs().map(|(f, e)| (f - e).abs()).fold(0f64, f64::max);
                if found.len() != expected.len() || apart.is_nan() || apart > CLOSE * largest {
                    return Err(format!("`{name}` is {apart:e} off, of {largest:e}").into());
                }
            }
        }
        Ok(())
    }
}

fn shape(tensor: &Tensor) -> Vec<Dim> {
    tensor.dims().iter().map(|d| Dim::from(*d)).collect()
}

fn first(outputs: &BTreeMap<String, ValueId>) -> Result<ValueId, Trouble> {
    Ok(outputs.get("output").copied().ok_or_else(|| "the model has no `output`".to_owned())?)
}

/// A model with a target: cross entropy or mean squared error.
pub fn supervised(case: &Case) -> Outcome {
    outcome(run_supervised(case))
}

fn run_supervised(case: &Case) -> Result<(), Trouble> {
    let mut model = Model::load(case)?;
    let data = case.group("in");
    let target = case.tensors.get("target").ok_or_else(|| "the case has no target".to_owned())?;
    let mut g = Graph::new("step");
    let mut x = vec![];
    for (name, tensor) in &data {
        x.push(g.input(name, tensor.dtype(), shape(tensor))?);
    }
    let wanted = g.input("target", target.dtype(), shape(target))?;
    let outputs = model.call(&mut g, "model", &x)?;
    let output = first(&outputs)?;
    let loss = match case.about.get("loss").map(String::as_str) {
        Some("cross_entropy") => g.op("SoftmaxCrossEntropyLoss", &[output, wanted], &[])?,
        _ => {
            let apart = g.sub(output, wanted)?;
            let square = g.mul(apart, apart)?;
            g.reduce_mean(square, &[], false)?
        }
    };
    for (name, value) in outputs.iter().filter(|(n, _)| n.ends_with(".next")) {
        g.output(&format!("next/{}", name.trim_end_matches(".next")), *value)?;
    }
    model.learn(&mut g, "model", loss)?;
    let function = Function::of(&g)?;
    let losses = case.tensors.get("losses").ok_or_else(|| "the case has no losses".to_owned())?;
    for (step, expected) in floats(losses)?.into_iter().enumerate() {
        let mut feeds = model.feeds("model");
        feeds.extend(data.clone());
        feeds.insert("target".into(), target.clone());
        let found = model.step(&function, feeds, step)?;
        if (found - expected).abs() > CLOSE * expected.abs() {
            return Err(format!("loss of step {step}: expected {expected}, found {found}").into());
        }
    }
    model.compare(case)
}

/// Generator and discriminator, each with its own step.
pub fn adversarial(generator: &Case, discriminator: &Case) -> Outcome {
    outcome(run_adversarial(generator, discriminator))
}

fn run_adversarial(of_g: &Case, of_d: &Case) -> Result<(), Trouble> {
    let (mut g_model, mut d_model) = (Model::load(of_g)?, Model::load(of_d)?);
    let tensor =
        |case: &Case| case.tensors.get("in/input_0").cloned().ok_or("the case has no input".to_owned());
    let (noise, real) = (tensor(of_g)?, tensor(of_d)?);

    let mut d_step = Graph::new("discriminator's step");
    let z = d_step.input("noise", noise.dtype(), shape(&noise))?;
    let x = d_step.input("real", real.dtype(), shape(&real))?;
    let fake = first(&g_model.call(&mut d_step, "generator", &[z])?)?;
    let fake = ekphrasis_grad::stop_gradient(&mut d_step, fake)?;
    let of_real = first(&d_model.call(&mut d_step, "discriminator", &[x])?)?;
    let of_fake = first(&d_model.call(&mut d_step, "discriminator", &[fake])?)?;
    let of_real = d_step.neg(of_real)?;
    let (a, b) = (softplus_mean(&mut d_step, of_real)?, softplus_mean(&mut d_step, of_fake)?);
    let loss = d_step.add(a, b)?;
    d_model.learn(&mut d_step, "discriminator", loss)?;

    let mut g_step = Graph::new("generator's step");
    let z = g_step.input("noise", noise.dtype(), shape(&noise))?;
    let fake = first(&g_model.call(&mut g_step, "generator", &[z])?)?;
    let logit = first(&d_model.call(&mut g_step, "discriminator", &[fake])?)?;
    let logit = g_step.neg(logit)?;
    let loss = softplus_mean(&mut g_step, logit)?;
    g_model.learn(&mut g_step, "generator", loss)?;

    let (d_step, g_step) = (Function::of(&d_step)?, Function::of(&g_step)?);
    let losses = of_g.tensors.get("losses").ok_or_else(|| "the case has no losses".to_owned())?;
    for step in 0..losses.dims()[0] {
        let feeds = |g: &Model, d: &Model| {
            let mut feeds = g.feeds("generator");
            feeds.extend(d.feeds("discriminator"));
            feeds.insert("noise".into(), noise.clone());
            feeds.insert("real".into(), real.clone());
            feeds
        };
        d_model.step(&d_step, feeds(&g_model, &d_model), step)?;
        g_model.step(&g_step, feeds(&g_model, &d_model), step)?;
    }
    d_model.compare(of_d)?;
    g_model.compare(of_g)
}

fn softplus_mean(g: &mut Graph, x: ValueId) -> Result<ValueId, Trouble> {
    let y = g.op("Softplus", &[x], &[])?;
    Ok(g.reduce_mean(y, &[], false)?)
}
