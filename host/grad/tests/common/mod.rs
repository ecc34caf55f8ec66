//! Running graphs through ONNX Runtime, and finite differences.
#![allow(dead_code)]

use ekphrasis_graph::{DType, Graph, Tensor, ValueId};
use ekphrasis_runtime::{Config, DeviceTensor, Runtime, Session, SessionOptions};
use std::sync::OnceLock;

pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Runtime::start(&Config::default(), &|line| eprintln!("{line}")).expect("ONNX Runtime starts")
    })
}

/// Named values that are fed to a graph.
pub type Feeds = Vec<(String, Tensor)>;

pub fn tensor(dtype: DType, dims: &[usize], values: &[f64]) -> Tensor {
    match dtype {
        DType::F64 => Tensor::from_f64(dims, values),
        _ => Tensor::from_f32(dims, &values.iter().map(|v| *v as f32).collect::<Vec<_>>()),
    }
    .expect("values fill the shape")
}

pub fn values(t: &Tensor) -> Vec<f64> {
    let single = || t.to_f32().map(|v| v.into_iter().map(f64::from).collect());
    t.to_f64().or_else(single).expect("a tensor of floats")
}

/// A graph that is ready to run.
pub struct Function {
    session: Session,
}

impl Function {
    /// The function from a graph's inputs to the values of `outputs`.
    pub fn new(graph: &Graph, outputs: &[ValueId]) -> Result<Self, String> {
        let mut graph = graph.clone();
        graph.clear_outputs();
        for (i, v) in outputs.iter().enumerate() {
            graph.output(&format!("out{i}"), *v).map_err(|e| e.to_string())?;
        }
        let options = SessionOptions::default();
        let session = runtime().session(&graph, &options).map_err(|e| e.to_string())?;
        Ok(Self { session })
    }

    pub fn run(&self, feeds: &Feeds) -> Result<Vec<Tensor>, String> {
        let known: Vec<&str> = self.session.inputs().iter().map(|p| p.name.as_str()).collect();
        let given = feeds.iter().filter(|(name, _)| known.contains(&name.as_str()));
        let tensors: Vec<(&str, DeviceTensor)> = given
            .map(|(n, t)| DeviceTensor::from_tensor(t).map(|t| (n.as_str(), t)).map_err(|e| e.to_string()))
            .collect::<Result<_, _>>()?;
        let feeds: Vec<_> = tensors.iter().map(|(n, t)| (*n, t)).collect();
        let outputs = self.session.run(&feeds).map_err(|e| e.to_string())?;
        outputs.iter().map(|t| t.to_tensor().map_err(|e| e.to_string())).collect()
    }

    /// The sum over outputs of seed times output.
    fn weighted(&self, feeds: &Feeds, seeds: &[Vec<f64>]) -> Result<f64, String> {
        let outputs = self.run(feeds)?;
        Ok(outputs
            .iter()
            .zip(seeds)
            .flat_map(|(o, s)| values(o).into_iter().zip(s.clone()))
            .map(|(o, s)| o * s)
            .sum())
    }

    /// The gradient of that sum with respect to feed `at`, by central differences.
    pub fn difference(&self, feeds: &Feeds, seeds: &[Vec<f64>], at: usize) -> Result<Vec<f64>, String> {
        let (dtype, dims) = (feeds[at].1.dtype(), feeds[at].1.dims().to_vec());
        let h = if dtype == DType::F64 { 1e-5 } else { 1e-2 };
        let start = values(&feeds[at].1);
        let mut feeds = feeds.clone();
        let mut moved = |i: usize, by: f64| {
            let mut v = start.clone();
            v[i] += by;
            feeds[at].1 = tensor(dtype, &dims, &v);
            self.weighted(&feeds, seeds)
        };
        (0..start.len()).map(|i| Ok((moved(i, h)? - moved(i, -h)?) / (2.0 * h))).collect()
    }
}

/// Whether two gradients agree; the message says where they do not.
pub fn agree(found: &[f64], expected: &[f64], dtype: DType) -> Result<(), String> {
    let tolerance = if dtype == DType::F64 { 1e-6 } else { 5e-3 };
    if found.len() != expected.len() {
        return Err(format!("expected {} elements, found {}", expected.len(), found.len()));
    }
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let close = (f - e).abs() <= tolerance * e.abs().max(1.0);
        // Asked this way round, a NaN does not pass.
        if !close {
            return Err(format!(
                "element {i}: expected {e}, found {f}\n  expected {expected:?}\n  found    {found:?}"
            ));
        }
    }
    Ok(())
}
