//! `--of`: gradients, and products of second derivatives with vectors.

use crate::error::{CliError, Result, suggestion};
use ekphrasis_grad::gradients;
use ekphrasis_graph::{Graph, ValueId};

/// The graph that takes the inputs of `graph` and a seed `grad_<output>` for each of `of`, and gives
/// `grad_<name>` for each of `wrt`: the gradient of the sum over the outputs of seed times output.
///
/// Of order 2 it takes a vector `v_<name>` for each of these as well, and gives `grad2_<name>`: the
/// gradient of the sum over the names of `v_<name>` times `grad_<name>`, a Hessian-vector product. It is
/// zero where the gradients do not depend on `name`.
pub fn differentiated(
    mut graph: Graph,
    place: &str,
    of: &[String],
    wrt: &[String],
    order: u8,
) -> Result<Graph> {
    let wrong = |message: String| CliError::Message(format!("{place}: {message}"));
    let mut outputs: Vec<(String, ValueId)> = vec![];
    for name in of {
        let y = graph.output_named(name).ok_or_else(|| {
            let known = graph.outputs().iter().map(|(name, _)| name.as_str());
            wrong(format!("there is no output `{name}`\n{}", suggestion(name, known)))
        })?;
        let value = graph.value(y);
        if !value.dtype.is_float() {
            return Err(wrong(format!("output `{name}`: expected floats, found {}", value.describe())));
        }
        if !outputs.iter().any(|(known, _)| known == name) {
            outputs.push((name.clone(), y));
        }
    }
    let shown = outputs.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (shown, not) = match outputs.len() {
        1 => (format!("output {shown}"), "does not"),
        _ => (format!("outputs {shown}"), "do not"),
    };
    let chosen = leaves(&graph, place, wrt)?;
    let ids: Vec<ValueId> = chosen.iter().map(|(_, id)| *id).collect();
    let mut seeded = vec![];
    for (name, y) in &outputs {
        let value = graph.value(*y).clone();
        let seed = graph.input(&format!("grad_{name}"), value.dtype, value.shape)?;
        seeded.push((*y, Some(seed)));
    }
    let found = gradients(&mut graph, &seeded, &ids)?;
    graph.clear_outputs();
    let mut all = vec![];
    for ((name, id), grad) in chosen.iter().zip(found) {
        match grad {
            Some(grad) => all.push((name, *id, grad)),
            None if wrt.is_empty() => {}
            None => return Err(wrong(format!("{shown} {not} depend on `{name}`"))),
        }
    }
    if all.is_empty() {
        return Err(wrong(format!("{shown} {not} depend on a float input or initializer")));
    }
    for (name, _, grad) in &all {
        graph.output(&format!("grad_{name}"), *grad)?;
    }
    if order == 2 {
        let mut seeded = vec![];
        for (name, _, grad) in &all {
            let value = graph.value(*grad).clone();
            let vector = graph.input(&format!("v_{name}"), value.dtype, value.shape)?;
            seeded.push((*grad, Some(vector)));
        }
        let ids: Vec<ValueId> = all.iter().map(|(_, id, _)| *id).collect();
        let second = gradients(&mut graph, &seeded, &ids)?;
        for ((name, id, _), second) in all.iter().zip(second) {
            let second = second.map_or_else(|| graph.zeros_like(*id), Ok)?;
            graph.output(&format!("grad2_{name}"), second)?;
        }
    }
    Ok(graph)
}

/// The float inputs and initializers, or those of these names.
fn leaves(graph: &Graph, place: &str, names: &[String]) -> Result<Vec<(String, ValueId)>> {
    let inputs = graph.inputs().iter().map(|id| (graph.value(*id).name.clone(), *id));
    let initializers = graph.initializers().into_iter().map(|(name, (id, _))| (name.to_owned(), id));
    let known: Vec<(String, ValueId)> =
        inputs.chain(initializers).filter(|(_, id)| graph.value(*id).dtype.is_float()).collect();
    if names.is_empty() {
        return Ok(known);
    }
    let mut chosen: Vec<(String, ValueId)> = vec![];
    for name in names {
        let found = known.iter().find(|(known, _)| known == name).cloned().ok_or_else(|| {
            let hint = suggestion(name, known.iter().map(|(name, _)| name.as_str()));
            CliError::Message(format!("{place}: there is no float input or initializer `{name}`\n{hint}"))
        })?;
        if !chosen.contains(&found) {
            chosen.push(found);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ekphrasis_graph::{DType, Tensor};
    use ekphrasis_runtime::{Config, DeviceTensor, Runtime, SessionOptions};
    use std::sync::Arc;

    fn affine() -> Graph {
        let mut g = Graph::new("affine");
        let x = g.input("x", DType::F32, vec!["B".into(), 3.into()]).unwrap();
        g.input("idle", DType::F32, vec!["B".into()]).unwrap();
        let w = g.initializer("w", Arc::new(Tensor::from_f32(&[3, 2], &[0.5; 6]).unwrap())).unwrap();
        let y = g.matmul(x, w).unwrap();
        g.output("y", y).unwrap();
        let z = g.mul(x, x).unwrap();
        g.output("z", z).unwrap();
        g
    }

    fn strings(all: &[&str]) -> Vec<String> {
        all.iter().map(|s| (*s).to_owned()).collect()
    }

    /// Inputs and outputs of what is made, after a round through a file.
    fn ports(of: &[&str], wrt: &[&str], order: u8) -> (Vec<String>, Vec<String>) {
        let graph = differentiated(affine(), "m.onnx", &strings(of), &strings(wrt), order).unwrap();
        let graph = Graph::from_bytes(&graph.to_bytes().unwrap(), "m.onnx".as_ref(), None).unwrap();
        let shown = |name: &str, id: ValueId| format!("{name}: {}", graph.value(id).describe());
        (
            graph.inputs().iter().map(|id| shown(&graph.value(*id).name, *id)).collect(),
            graph.outputs().iter().map(|(name, id)| shown(name, *id)).collect(),
        )
    }

    #[test]
    fn ports_are_the_inputs_the_seeds_and_the_gradients() {
        let (inputs, outputs) = ports(&["y"], &[], 1);
        assert_eq!(inputs, ["x: f32[B, 3]", "idle: f32[B]", "grad_y: f32[B, 2]"]);
        assert_eq!(outputs, ["grad_x: f32[B, 3]", "grad_w: f32[3, 2]"]);
        let (inputs, outputs) = ports(&["y", "z"], &["x"], 1);
        assert_eq!(inputs[2..], ["grad_y: f32[B, 2]", "grad_z: f32[B, 3]"]);
        assert_eq!(outputs, ["grad_x: f32[B, 3]"]);
        let (inputs, outputs) = ports(&["y"], &["w"], 2);
        assert_eq!(inputs[2..], ["grad_y: f32[B, 2]", "v_w: f32[3, 2]"]);
        assert_eq!(outputs, ["grad_w: f32[3, 2]", "grad2_w: f32[3, 2]"]);
    }

    /// f(x) = x1^2 x2 + x2^3 at (2, 3): gradient (2 x1 x2, x1^2 + 3 x2^2), Hessian
    /// ((2 x2, 2 x1), (2 x1, 6 x2)); times the vector (1, -2).
    #[test]
    fn a_hessian_vector_product_by_hand() {
        let mut g = Graph::new("f");
        let x = g.input("x", DType::F32, vec![]).unwrap();
        let z = g.input("z", DType::F32, vec![]).unwrap();
        let xx = g.mul(x, x).unwrap();
        let first = g.mul(xx, z).unwrap();
        let zz = g.mul(z, z).unwrap();
        let second = g.mul(zz, z).unwrap();
        let y = g.add(first, second).unwrap();
        g.output("y", y).unwrap();
        let graph = differentiated(g, "m.onnx", &strings(&["y"]), &[], 2).unwrap();
        let runtime = Runtime::start(&Config::default(), &|_| {}).unwrap();
        let session = runtime.session(&graph, &SessionOptions::default()).unwrap();
        let scalar = |v: f32| DeviceTensor::from_f32(&[], vec![v]).unwrap();
        let feeds = [("x", 2.0), ("z", 3.0), ("grad_y", 1.0), ("v_x", 1.0), ("v_z", -2.0)]
            .map(|(name, v)| (name, scalar(v)));
        let feeds: Vec<_> = feeds.iter().map(|(name, t)| (*name, t)).collect();
        let out = session.run(&feeds).unwrap();
        let out: Vec<f32> = out.iter().map(|t| t.to_f32().unwrap()[0]).collect();
        assert_eq!(out, [12.0, 31.0, 6.0 - 8.0, 4.0 - 36.0]);
    }

    #[test]
    fn wrong_names_are_explained() {
        let error = |of: &[&str], wrt: &[&str]| {
            differentiated(affine(), "m.onnx", &strings(of), &strings(wrt), 1).unwrap_err().to_string()
        };
        assert_eq!(error(&["yy"], &[]), "m.onnx: there is no output `yy`\nhint: did you mean `y`?");
        assert!(error(&["y"], &["v"]).contains("no float input or initializer `v`"));
        assert_eq!(error(&["y"], &["idle"]), "m.onnx: output `y` does not depend on `idle`");
        assert_eq!(error(&["y", "z"], &["idle"]), "m.onnx: outputs `y`, `z` do not depend on `idle`");
    }
}
