//! `onnx-ad` as an independent oracle: the same graphs, the same vector-Jacobian products.

use crate::{
    backward::{Probe, backward, refusal},
    data::{Case, floats},
    forward::is_random,
    function::{Feeds, Function},
    tally::Outcome,
};
use ekphrasis_grad::gradients;
use ekphrasis_graph::{DType, Graph, Tensor, ValueId};
use std::{collections::BTreeMap, fs};

/// How close the products must be, in f32, relative to the largest of their tensor.
const CLOSE: f64 = 1e-3;

/// Compares our products for a node test, whose imported graph is given, with those of its adjoint.
pub fn compare(node: &Case, graph: &Graph, adjoint: &Case) -> Outcome {
    run(node, graph, adjoint).unwrap_or_else(Outcome::Failed)
}

fn run(node: &Case, graph: &Graph, adjoint: &Case) -> Result<Outcome, String> {
    let refused = |class: &str| Ok(Outcome::Refused(class.into()));
    if is_random(graph) {
        return refused("its outputs are drawn at random");
    }
    let Ok(mut probe) = Probe::new(node, graph, DType::F32) else { return refused("does not run in f32") };
    let wide = |v: &ValueId| graph.value(*v).dtype == DType::F32;
    let ports: Vec<&String> = graph.outputs().iter().filter(|(_, v)| wide(v)).map(|(n, _)| n).collect();
    if ports.len() != probe.outputs.len() || !graph.inputs().iter().any(wide) {
        return refused("its values are not finite, or not of f32");
    }
    let (seeds, _) = probe.add_seeds()?;
    let mut feeds: Feeds = node.group("in");
    for (i, port) in ports.iter().enumerate() {
        let seed = &probe.feeds[&format!("seed_{i}")];
        feeds.insert(format!("adj_{port}"), with_direction(seed)?);
    }
    let bytes = fs::read(&adjoint.model).map_err(|e| e.to_string())?;
    let theirs = Function::of_model(&bytes).and_then(|f| Ok((f.outputs(), f.run(&feeds)?)));
    let Ok((names, values)) = theirs else { return refused("onnxruntime does not run the graph of onnx-ad") };
    let theirs: BTreeMap<String, Tensor> = names.into_iter().zip(values).collect();

    let wrt =
        probe.graph.inputs().iter().copied().filter(|v| !probe.graph.value(*v).name.starts_with("seed_"));
    let wrt: Vec<ValueId> = wrt.collect();
    let found = match gradients(&mut probe.graph, &seeds, &wrt) {
        Ok(found) => found,
        Err(e) => return refusal(e),
    };
    let present: Vec<ValueId> = found.iter().flatten().copied().collect();
    let ours =
        if present.is_empty() { vec![] } else { Function::to(&probe.graph, &present)?.run(&probe.feeds)? };
    let mut ours = ours.iter();
    let mut compared = 0;
    for (v, grad) in wrt.iter().zip(&found) {
        let ours = grad.map(|_| ours.next().ok_or("a gradient is missing")).transpose()?;
        let name = &probe.graph.value(*v).name;
        let Some(theirs) = theirs.get(&format!("adj_{name}")) else { continue };
        let theirs = floats(theirs)?;
        let ours = ours.map_or_else(|| Ok(vec![0.0; theirs.len()]), floats)?;
        let largest = theirs.iter().fold(1f64, |a, b| a.max(b.abs()));
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= CLOSE * largest;
        if ours.len() != theirs.len() || !ours.iter().zip(&theirs).all(close) {
            return match backward(node, graph) {
                // At a kink each may choose; and an oracle may err.
                Some(Outcome::Passed) => refused("onnx-ad differs, and finite differences agree with ours"),
                Some(refusal @ Outcome::Refused(_)) => Ok(refusal),
                _ => Err(format!("gradient of `{name}`: expected {theirs:?}, found {ours:?}")),
            };
        }
        compared += 1;
    }
    match compared {
        0 => refused("nothing to compare"),
        _ => Ok(Outcome::Passed),
    }
}

/// A seed as onnx-ad takes it: one direction, along a last dimension.
fn with_direction(seed: &Tensor) -> Result<Tensor, String> {
    let dims: Vec<usize> = seed.dims().iter().copied().chain([1]).collect();
    Tensor::new(seed.dtype(), &dims, seed.bytes()).map_err(|e| e.to_string())
}
