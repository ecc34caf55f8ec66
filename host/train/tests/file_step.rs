//! Training steps of single ONNX files: ten steps equal Adam by hand, and the loss falls.

use ekphrasis_grad::{OptimizerKind, OptimizerSpec, gradient};
use ekphrasis_graph::{DType, Graph, Tensor};
use ekphrasis_runtime::{Config, DeviceTensor, Runtime, SessionOptions};
use ekphrasis_script::{Engine, Kind, Limits, Script};
use ekphrasis_train::{FileStep, Mode, classes, file_step};
use std::{collections::BTreeMap, sync::Arc};

const LOSS: &str = r#"
return {
  api = 1,
  doc = "Mean squared error.",
  params = { weight = 1.0 },
  role = "model",
  loss = function(g, p)
    local error = g:output("y") - g:input("target", "f32", { "B", 1 })
    local mse = (error * error):mean()
    return { loss = mse * p.weight, mse = mse }
  end,
}
"#;

fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32 * 2.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Two layers with a nonlinearity between them, batch normalisation if asked for, and what never trains.
fn model(norm: bool) -> Graph {
    let mut g = Graph::new("mlp");
    let x = g.input("x", DType::F32, vec!["B".into(), 3.into()]).unwrap();
    let weight = |g: &mut Graph, name: &str, dims: &[usize], seed: u64| {
        let values = numbers(dims.iter().product(), seed);
        g.initializer(name, Arc::new(Tensor::from_f32(dims, &values).unwrap())).unwrap()
    };
    let (w1, w2) = (weight(&mut g, "fc1.weight", &[3, 4], 1), weight(&mut g, "fc2.weight", &[4, 1], 2));
    let b = weight(&mut g, "fc2.bias", &[1], 3);
    let idle = weight(&mut g, "idle", &[2], 4);
    let mut h = g.matmul(x, w1).unwrap();
    if norm {
        let full = |g: &mut Graph, name: &str, v: f32| {
            g.initializer(name, Arc::new(Tensor::from_f32(&[4], &[v; 4]).unwrap())).unwrap()
        };
        let parts = [("bn.weight", 1.0), ("bn.bias", 0.0), ("bn.mean", 0.0), ("bn.var", 1.0)];
        let parts = parts.map(|(name, v)| full(&mut g, name, v));
        h = g.op("BatchNormalization", &[h, parts[0], parts[1], parts[2], parts[3]], &[]).unwrap();
    }
    let h = g.op("Tanh", &[h], &[]).unwrap();
    let y = g.matmul(h, w2).unwrap();
    let y = g.add(y, b).unwrap();
    g.output("y", y).unwrap();
    g.output("idle_too", idle).unwrap();
    g
}

struct Bench {
    runtime: Runtime,
    engine: Engine,
    script: Script,
}

fn bench(loss: &str) -> Bench {
    let runtime = Runtime::start(&Config::default(), &|_| {}).unwrap();
    let engine = Engine::new(Limits::default(), Some(runtime.clone())).unwrap();
    classes(&engine).unwrap();
    let script = engine.load_text(Kind::Loss, "mse.lua", loss).unwrap();
    Bench { runtime, engine, script }
}

impl Bench {
    fn step(&self, model: &Graph, spec: &OptimizerSpec, rate: Option<f64>) -> Graph {
        let params = self.script.params(&serde_json::json!({})).unwrap();
        let step =
            FileStep { script: &self.script, params: &params, optimizer: spec, rate, mode: Mode::Train };
        let graph = file_step(&self.engine, model, &step).unwrap();
        // What counts is what is in the file.
        Graph::from_bytes(&graph.to_bytes().unwrap(), "step.onnx".as_ref(), None).unwrap()
    }

    /// Runs a step `n` times, its outputs `NAME.next` fed back as NAME; the losses and the last values.
    fn train(&self, model: &Graph, step: &Graph, n: usize) -> (Vec<f32>, BTreeMap<String, DeviceTensor>) {
        let session = self.runtime.session(step, &SessionOptions::default()).unwrap();
        let mut state: BTreeMap<String, DeviceTensor> = BTreeMap::new();
        for port in session.inputs() {
            let value = match model.initializers().get(port.name.as_str()) {
                Some((_, tensor)) => DeviceTensor::from_tensor(tensor).unwrap(),
                None if port.name == "x" => DeviceTensor::from_f32(&[8, 3], numbers(24, 7)).unwrap(),
                None if port.name == "target" => DeviceTensor::from_f32(&[8, 1], numbers(8, 8)).unwrap(),
                None if port.name == "rate" => DeviceTensor::from_f32(&[], vec![0.05]).unwrap(),
                None => {
                    let dims: Vec<usize> = port.shape.iter().map(|d| d.unwrap()).collect();
                    DeviceTensor::zeros(DType::F32, &dims).unwrap()
                }
            };
            state.insert(port.name.clone(), value);
        }
        let mut losses = vec![];
        for i in 0..n {
            state.insert("count".into(), DeviceTensor::from_f32(&[], vec![i as f32 + 1.0]).unwrap());
            let feeds: Vec<_> = state.iter().map(|(name, t)| (name.as_str(), t)).collect();
            let out = session.run(&feeds).unwrap();
            let out: Vec<_> = session.outputs().iter().map(|p| p.name.clone()).zip(out).collect();
            for (name, value) in out {
                match name.strip_suffix(".next") {
                    Some(name) => drop(state.insert(name.into(), value)),
                    None if name == "loss" => losses.push(value.to_f32().unwrap()[0]),
                    None => {}
                }
            }
        }
        (losses, state)
    }
}

fn names(graph: &Graph) -> (Vec<String>, Vec<String>) {
    (
        graph.inputs().iter().map(|id| graph.value(*id).name.clone()).collect(),
        graph.outputs().iter().map(|(name, _)| name.clone()).collect(),
    )
}

const ADAM: OptimizerSpec = OptimizerSpec {
    kind: OptimizerKind::Adam,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.0,
    clip_norm: None,
    average: None,
};

/// Ten steps of Adam (Kingma and Ba 2015, algorithm 1) in double precision, over gradients that another
/// graph gives.
#[test]
fn ten_steps_equal_adam_by_hand() {
    let bench = bench(LOSS);
    let model = model(false);
    let step = bench.step(&model, &ADAM, None);
    let (losses, state) = bench.train(&model, &step, 10);
    assert!(losses.windows(2).all(|w| w[1] < w[0]), "{losses:?}");

    let trained = ["fc1.weight", "fc2.bias", "fc2.weight"];
    let mut plain = Graph::new("gradient");
    let mut feed = std::collections::HashMap::new();
    for (name, dims) in [("x", [8, 3]), ("target", [8, 1])] {
        let shape = dims.iter().map(|d: &usize| (*d).into()).collect::<Vec<_>>();
        feed.insert(name.to_owned(), plain.input(name, DType::F32, shape).unwrap());
    }
    let outs = plain
        .inline::<ekphrasis_graph::GraphError>(&model, &feed, |g, name, t| {
            g.input(name, DType::F32, t.dims().iter().map(|d| (*d).into()).collect::<Vec<_>>())
        })
        .unwrap();
    let error = plain.sub(outs[0], feed["target"]).unwrap();
    let square = plain.mul(error, error).unwrap();
    let loss = plain.reduce_mean(square, &[], false).unwrap();
    let ids = trained.map(|name| plain.find(name).unwrap());
    let grads = gradient(&mut plain, loss, None, &ids).unwrap();
    for (name, grad) in trained.iter().zip(grads) {
        plain.output(&format!("grad {name}"), grad.unwrap()).unwrap();
    }
    let session = bench.runtime.session(&plain, &SessionOptions::default()).unwrap();

    let mut w: Vec<Vec<f64>> = trained
        .iter()
        .map(|name| model.initializers()[name].1.to_f32().unwrap().iter().map(|v| f64::from(*v)).collect())
        .collect();
    let mut m: Vec<Vec<f64>> = w.iter().map(|v| vec![0.0; v.len()]).collect();
    let mut v = m.clone();
    for t in 1..=10 {
        let mut feeds = vec![
            ("x", DeviceTensor::from_f32(&[8, 3], numbers(24, 7)).unwrap()),
            ("target", DeviceTensor::from_f32(&[8, 1], numbers(8, 8)).unwrap()),
            ("idle", DeviceTensor::zeros(DType::F32, &[2]).unwrap()),
        ];
        for (name, values) in trained.iter().zip(&w) {
            let dims = model.initializers()[name].1.dims().to_vec();
            let values = values.iter().map(|v| *v as f32).collect();
            feeds.push((name, DeviceTensor::from_f32(&dims, values).unwrap()));
        }
        let feeds: Vec<_> = feeds.iter().map(|(name, t)| (*name, t)).collect();
        let grads = session.run(&feeds).unwrap();
        for (i, grad) in grads.iter().enumerate() {
            for (j, g) in grad.to_f32().unwrap().into_iter().map(f64::from).enumerate() {
                m[i][j] = 0.9 * m[i][j] + 0.1 * g;
                v[i][j] = 0.999 * v[i][j] + 0.001 * g * g;
                let (first, second) = (m[i][j] / (1.0 - 0.9f64.powi(t)), v[i][j] / (1.0 - 0.999f64.powi(t)));
                w[i][j] -= 0.05 * first / (second.sqrt() + 1e-8);
            }
        }
    }
    for (name, expected) in trained.iter().zip(&w) {
        for (found, expected) in state[*name].to_f32().unwrap().into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-5, "{name}: {found} and {expected}");
        }
    }
}

#[test]
fn ports_have_the_names_of_the_parameters() {
    let bench = bench(LOSS);
    let (inputs, outputs) = names(&bench.step(&model(false), &ADAM, None));
    let parameters = ["fc1.weight", "fc2.weight", "fc2.bias"];
    assert!(parameters.iter().all(|p| inputs.contains(&(*p).to_owned())), "{inputs:?}");
    for name in ["x", "target", "rate", "count", "fc1.weight.moment1", "fc2.bias.moment2"] {
        assert!(inputs.contains(&name.to_owned()), "{name} in {inputs:?}");
    }
    assert!(!inputs.contains(&"idle".to_owned()), "what the loss does not need is not there");
    for name in ["loss", "mse", "gradient_norm", "fc1.weight.next", "fc1.weight.moment2.next"] {
        assert!(outputs.contains(&name.to_owned()), "{name} in {outputs:?}");
    }
    // A learning rate that is given is no input; the average has its own ports.
    let sgd = OptimizerSpec {
        kind: OptimizerKind::Sgd { momentum: 0.0, nesterov: false },
        average: Some(0.9),
        ..ADAM
    };
    let (inputs, outputs) = names(&bench.step(&model(false), &sgd, Some(0.1)));
    assert!(!inputs.contains(&"rate".to_owned()) && inputs.contains(&"fc2.bias.average".to_owned()));
    assert!(outputs.contains(&"fc2.bias.average.next".to_owned()));
}

#[test]
fn running_statistics_are_state() {
    let bench = bench(LOSS);
    let model = model(true);
    let step = bench.step(&model, &ADAM, Some(0.05));
    let (losses, state) = bench.train(&model, &step, 10);
    assert!(losses[9] < losses[0], "{losses:?}");
    for name in ["bn.mean", "bn.var", "bn.weight", "bn.bias"] {
        let before = model.initializers()[name].1.to_f32().unwrap();
        assert_ne!(state[name].to_f32().unwrap(), before, "{name} moves");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let error = |text: &str| {
        let bench = bench(text);
        let params = serde_json::json!({});
        let step = FileStep {
            script: &bench.script,
            params: &params,
            optimizer: &ADAM,
            rate: None,
            mode: Mode::Train,
        };
        file_step(&bench.engine, &model(false), &step).unwrap_err().to_string()
    };
    let with = |body: &str| {
        error(&format!(
            "return {{ api = 1, doc = 'x', role = 'model', loss = function(g, p)\n {body}\n end }}"
        ))
    };
    assert!(with("return g:output('z'):mean()").contains("unknown output `z`"));
    assert!(with("return g:input('t')").contains("a new input has type and shape"));
    assert!(with("return g:input('t', 'f31', {})").contains("expected a type"));
    assert!(with("return g:input('t', 'f32', { -1 })").contains("expected sizes of 0 or more"));
    assert!(with("return g:output('y')").contains("expected a scalar tensor"));
    assert!(with("return g:input('x'):mean()").contains("depends on no parameter"));
    let other = error("return { api = 1, doc = 'x', role = 'captioner', loss = function(g, p) end }");
    assert!(other.contains("role = \"model\"") && other.contains("captioner"), "{other}");
}
