//! Times the training step that the host derives from an exported model, for `models.py`.
//!
//!     training_step CASE.safetensors STEPS [PROVIDER [OPTION=VALUE ...] [fastest]]
//!
//! Beside the case lies the model, `CASE.onnx`. Where it has an output `loss`, a step is forward pass, gradient by
//! the parameters that the case names, and Adam, all in one graph over flat vectors, bound as a run binds them;
//! otherwise a step is one run of the model. On CUDA, steps are captured as CUDA graphs (unless `enable_cuda_graph=0`)
//! and no node may run elsewhere; `fastest` admits kernels that round differently each time. Prints JSON.

#[path = "../conformance/data.rs"]
#[allow(dead_code, reason = "the conformance suites need more of it")]
mod data;

use data::Case;
use ekphrasis_grad::{
    OptimizerInputs, OptimizerKind, OptimizerSpec, batch_norm_training, flatten_gradients, gradient,
    optimizer::{Part, emit},
};
use ekphrasis_graph::{DType, Graph, Tensor, ValueId, multiply_adds};
use ekphrasis_runtime::{
    Arena, Binding, Config, DeviceTensor, Provider, Runtime, Session, SessionOptions, peak_memory_bytes,
};
use std::{collections::BTreeMap, error::Error, path::Path, time::Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Steps before those that are timed; their losses are printed.
const WARM: usize = 5;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (own, args): (Vec<_>, Vec<_>) = args.into_iter().partition(|a| a == "fastest");
    let [case, steps, provider @ ..] = args.as_slice() else {
        return Err("expected CASE.safetensors STEPS [PROVIDER [OPTION=VALUE ...] [fastest]]".into());
    };
    let deterministic = own.is_empty();
    let case = data::read(Path::new(case))?;
    let runtime = start(provider)?;
    let begin = Instant::now();
    let mut step = match case.about.get("trained") {
        Some(names) => Step::training(&runtime, &case, names, deterministic)?,
        None => Step::forward(&runtime, &case, deterministic)?,
    };
    let build = begin.elapsed().as_secs_f64();
    let mut losses = vec![];
    for _ in 0..WARM {
        losses.push(step.run()?);
    }
    let mut times = vec![];
    for _ in 0..steps.parse::<usize>()? {
        let begin = Instant::now();
        step.run()?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{}",
        serde_json::json!({
            "milliseconds": times[times.len() / 2],
            "losses": losses,
            "build_seconds": build,
            "multiply_adds": step.multiply_adds,
            "peak_megabytes": peak_memory_bytes().map(|b| b / 1_000_000),
            "provider": runtime.provider(),
        })
    );
    Ok(())
}

fn start(provider: &[String]) -> Result<Runtime> {
    let mut config = Config::default();
    if let [name, options @ ..] = provider {
        let mut provider = Provider::new(name);
        for option in options {
            let (key, value) = option.split_once('=').ok_or("expected OPTION=VALUE")?;
            provider = provider.with(key, value);
        }
        config.providers = vec![provider];
    }
    Ok(Runtime::start(&config, &|line| eprintln!("{line}"))?)
}

/// A graph with all that it reads and writes bound.
struct Step {
    /// One for each state of the double buffers, used in turn.
    bindings: Vec<Binding>,
    count: Option<DeviceTensor>,
    loss: Option<DeviceTensor>,
    runs: usize,
    multiply_adds: i64,
}

impl Step {
    /// One run of a model.
    fn forward(runtime: &Runtime, case: &Case, deterministic: bool) -> Result<Self> {
        let graph = Graph::load(&case.model)?;
        let session = session(runtime, &graph, deterministic)?;
        let mut binding = session.bind()?;
        bind_data(&mut binding, case)?;
        for (name, result) in binding.run()? {
            binding.output(&name, &runtime.zeros(result.dtype(), result.dims())?)?;
        }
        Ok(Self { bindings: vec![binding], count: None, loss: None, runs: 0, multiply_adds: work(&graph) })
    }

    /// A whole training step of the parameters in `names`, one a line.
    fn training(runtime: &Runtime, case: &Case, names: &str, deterministic: bool) -> Result<Self> {
        let (model, statistics) = batch_norm_training(&Graph::load(&case.model)?)?;
        let initializers = model.initializers();
        let find = |name: &str| {
            let (_, tensor) = initializers.get(name).ok_or(format!("the model has no parameter `{name}`"))?;
            Ok::<Tensor, String>((***tensor).clone())
        };
        let trained: Vec<(String, Tensor)> = names
            .lines()
            .map(|n| Ok((n.to_owned(), find(n)?)))
            .collect::<std::result::Result<_, String>>()?;
        let mut states = BTreeMap::new();
        for s in &statistics {
            states.insert(s.initializer.clone(), (s.output.clone(), find(&s.initializer)?));
        }

        let mut graph = Graph::new("training step");
        graph.target = runtime.target();
        let feeds: std::collections::HashMap<String, ValueId> = model
            .inputs()
            .iter()
            .map(|id| {
                let v = model.value(*id);
                Ok((v.name.clone(), graph.input(&v.name, v.dtype, v.shape.clone())?))
            })
            .collect::<Result<_>>()?;
        let outputs = graph.inline::<ekphrasis_graph::GraphError>(&model, &feeds, |g, name, tensor| {
            if trained.iter().any(|(n, _)| n == name) || states.contains_key(name) {
                return match g.find(name) {
                    Some(known) => Ok(known),
                    None => {
                        let dims: Vec<ekphrasis_graph::Dim> =
                            tensor.dims().iter().map(|d| (*d).into()).collect();
                        g.input(name, tensor.dtype(), dims)
                    }
                };
            }
            g.initializer(name, tensor.clone())
        })?;
        let mut loss = None;
        for ((name, _), value) in model.outputs().iter().zip(outputs) {
            graph.output(name, value)?;
            if name == "loss" {
                loss = Some(value);
            }
        }
        let loss = loss.ok_or("the model has no output `loss`")?;

        let layout: Vec<_> = trained.iter().map(|(n, t)| (n.clone(), t.dims().to_vec())).collect();
        let arena = || Arena::new(runtime, &layout);
        let weights = [arena()?, arena()?];
        let total = weights[0].len_padded();
        optimise(&mut graph, loss, &weights[0], case.number("rate")?)?;
        let mut flat = vec![0.0; total];
        for (slot, (_, tensor)) in weights[0].offsets().iter().zip(&trained) {
            let values = tensor.to_f32().ok_or("expected parameters of f32")?;
            flat[slot.offset..slot.offset + slot.len()].copy_from_slice(&values);
        }
        weights[0].write(&flat)?;

        let session = session(runtime, &graph, deterministic)?;
        let double = || Ok::<_, Box<dyn Error>>([(); 2].map(|()| runtime.zeros(DType::F32, &[total])));
        let moments = [("moment1", double()?), ("moment2", double()?)];
        let mut running = vec![];
        for (name, (output, tensor)) in &states {
            let pair = [DeviceTensor::from_tensor(tensor)?, DeviceTensor::from_tensor(tensor)?];
            running.push((name, output, pair));
        }
        let (count, found) = (DeviceTensor::zeros(DType::F32, &[])?, DeviceTensor::zeros(DType::F32, &[])?);
        let mut bindings = vec![];
        for now in [0, 1] {
            let mut binding = session.bind()?;
            bind_data(&mut binding, case)?;
            for (name, view) in weights[now].views() {
                if graph.find(name).is_some() {
                    binding.input(name, view)?;
                }
            }
            binding.input("flat", weights[now].flat())?;
            binding.output("flat.next", weights[1 - now].flat())?;
            for (name, pair) in &moments {
                let [a, b] = [pair[now].as_ref(), pair[1 - now].as_ref()];
                binding.input(name, a.map_err(ToString::to_string)?)?;
                binding.output(&format!("{name}.next"), b.map_err(ToString::to_string)?)?;
            }
            for (name, output, pair) in &running {
                binding.input(name, &pair[now])?;
                binding.output(output, &pair[1 - now])?;
            }
            binding.input("count", &count)?;
            binding.output("loss", &found)?;
            bindings.push(binding);
        }
        Ok(Self { bindings, count: Some(count), loss: Some(found), runs: 0, multiply_adds: work(&graph) })
    }

    /// One step; its loss where there is one.
    fn run(&mut self) -> Result<f32> {
        if let Some(count) = &self.count {
            count.write_f32(&[self.runs as f32 + 1.0])?;
        }
        let n = self.bindings.len();
        self.bindings[self.runs % n].run()?;
        self.runs += 1;
        Ok(self.loss.as_ref().map_or(Ok(vec![0.0]), DeviceTensor::to_f32)?[0])
    }
}

/// Adds the gradient of `loss` by what lies in `weights`, and Adam.
fn optimise(graph: &mut Graph, loss: ValueId, weights: &Arena, rate: f64) -> Result<()> {
    let (slots, total) = (weights.offsets(), weights.len_padded());
    let wrt: Vec<ValueId> = slots.iter().filter_map(|s| graph.find(&s.name)).collect();
    if wrt.len() != slots.len() {
        return Err("a parameter that should train is not used".into());
    }
    let mut parts = vec![];
    for (i, (slot, grad)) in slots.iter().zip(gradient(graph, loss, None, &wrt)?).enumerate() {
        let end = slots.get(i + 1).map_or(total, |next| next.offset);
        parts.push(Part { grad, len: slot.len(), padding: end - slot.offset - slot.len() });
    }
    let grad = flatten_gradients(graph, &parts)?;
    let mut vector = |name: &str| graph.input(name, DType::F32, vec![total.into()]);
    let (w, states) = (vector("flat")?, vec![vector("moment1")?, vector("moment2")?]);
    let step = graph.input("count", DType::F32, vec![])?;
    let lr = graph.scalar_like(step, rate);
    let spec = OptimizerSpec { kind: OptimizerKind::Adam, ..Default::default() };
    let inputs = OptimizerInputs { w, grad, states, average: None, lr, step, decay_mask: None, rates: None };
    let out = emit(graph, &spec, &inputs)?;
    graph.output("flat.next", out.w)?;
    for (name, value) in out.states {
        graph.output(&format!("{name}.next"), value)?;
    }
    Ok(())
}

fn session(runtime: &Runtime, graph: &Graph, deterministic: bool) -> Result<Session> {
    // A node that falls back to the CPU would make a GPU's figure worthless.
    let options = SessionOptions {
        disable_cpu_fallback: runtime.provider() != "cpu",
        capture: true,
        deterministic,
        ..SessionOptions::default()
    };
    Ok(runtime.session(graph, &options)?)
}

fn bind_data(binding: &mut Binding, case: &Case) -> Result<()> {
    for (name, tensor) in case.group("in") {
        if binding.session().inputs().iter().any(|p| p.name == name) {
            binding.input(&name, &DeviceTensor::from_tensor(&tensor)?)?;
        }
    }
    Ok(())
}

/// Multiply-adds of all products of a graph whose sizes are known.
fn work(graph: &Graph) -> i64 {
    graph.nodes().filter_map(|(_, node)| multiply_adds(graph, node)?.known()).sum()
}
