//! Graphs as functions, run by ONNX Runtime.

use ekphrasis_graph::{Graph, Tensor, ValueId};
use ekphrasis_runtime::{Config, DeviceTensor, Runtime, Session, SessionOptions};
use std::{collections::BTreeMap, sync::OnceLock};

/// Tensors by name.
pub type Feeds = BTreeMap<String, Tensor>;

pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Runtime::start(&Config::default(), &|line| eprintln!("{line}")).expect("ONNX Runtime starts")
    })
}

/// A graph that is ready to run.
pub struct Function(Session);

impl Function {
    /// The function from a graph's inputs to its outputs.
    pub fn of(graph: &Graph) -> Result<Self, String> {
        runtime().session(graph, &SessionOptions::default()).map(Self).map_err(|e| e.to_string())
    }

    /// The function from a graph's inputs to some of its values.
    pub fn to(graph: &Graph, values: &[ValueId]) -> Result<Self, String> {
        let mut graph = graph.clone();
        graph.clear_outputs();
        for (i, v) in values.iter().enumerate() {
            graph.output(&format!("value_{i}"), *v).map_err(|e| e.to_string())?;
        }
        Self::of(&graph)
    }

    /// A model as its file has it, past our import.
    pub fn of_model(bytes: &[u8]) -> Result<Self, String> {
        let options = SessionOptions::default();
        runtime().session_from_bytes("original", bytes, &options).map(Self).map_err(|e| e.to_string())
    }

    /// The outputs for these inputs; feeds that it does not know are left aside.
    pub fn run(&self, feeds: &Feeds) -> Result<Vec<Tensor>, String> {
        let ports = self.0.inputs().iter();
        let given = ports.filter_map(|p| feeds.get(&p.name).map(|t| (p.name.as_str(), t)));
        let tensors: Vec<(&str, DeviceTensor)> = given
            .map(|(n, t)| DeviceTensor::from_tensor(t).map(|t| (n, t)).map_err(|e| e.to_string()))
            .collect::<Result<_, _>>()?;
        let feeds: Vec<_> = tensors.iter().map(|(n, t)| (*n, t)).collect();
        let outputs = self.0.run(&feeds).map_err(|e| e.to_string())?;
        outputs.iter().map(|t| t.to_tensor().map_err(|e| e.to_string())).collect()
    }

    /// Names of the outputs.
    pub fn outputs(&self) -> Vec<String> {
        self.0.outputs().iter().map(|p| p.name.clone()).collect()
    }
}
