//! Which layer of a model a parameter or a node belongs to, by their names.
//!
//! Exporters keep the modules' names: `block.0.conv.weight` is a parameter of `block.0.conv`, and
//! `/block/conv/Conv` a node of `block/conv`.

use ekphrasis_graph::{Graph, Node, Origin, ValueId};

/// Whether an exporter made the name up, as `onnx::Conv_15`, `val_16` or `12`.
pub fn made_up(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    number(name) || name.starts_with("onnx::") || name.strip_prefix("val_").is_some_and(number)
}

/// The layer of a parameter: its name up to the last `.` or `/`; the whole name where there is none.
fn of_parameter(name: &str) -> Option<&str> {
    (!made_up(name)).then(|| name.rsplit_once(['.', '/']).map_or(name, |(layer, _)| layer))
}

/// The layer of a node: that of its first parameter; else the folder that its name stands in; else
/// its operator in brackets.
pub fn of_node(graph: &Graph, node: &Node) -> String {
    let parameters = node.inputs.iter().flatten().filter_map(|id| parameter(graph, *id));
    if let Some(layer) = parameters.filter_map(of_parameter).next() {
        return layer.to_owned();
    }
    match node.name.trim_start_matches('/').rsplit_once('/') {
        Some((layer, _)) => layer.to_owned(),
        None => format!("({})", node.op),
    }
}

/// The layer that a kernel of a profile comes from, by the name of its node, and whether it belongs to a
/// gradient. `known` gives the layer of a node of the graph; of names that an optimizer of ONNX Runtime
/// has changed, the longest beginning that is known counts.
pub fn source(name: &str, known: &dyn Fn(&str) -> Option<String>) -> (String, bool) {
    let (mut rest, mut backward) = (name, false);
    // The gradient of a gradient is the gradient of the node that both are of.
    while let Some(of) = rest.strip_prefix("grad/") {
        (rest, backward) = (of, true);
    }
    let ends = rest.char_indices().filter(|(_, c)| matches!(c, '/' | '_' | '.')).map(|(i, _)| i);
    let ends: Vec<usize> = ends.chain([rest.len()]).collect();
    let layer = ends.iter().rev().find_map(|end| known(&rest[..*end]));
    (layer.unwrap_or_else(|| "(others)".into()), backward)
}

/// The layer of an initializer: by its name, or else that of the first node that uses it.
pub fn of_initializer(graph: &Graph, id: ValueId) -> String {
    let name = &graph.value(id).name;
    if let Some(layer) = of_parameter(name) {
        return layer.to_owned();
    }
    let user = graph.nodes().find(|(_, n)| n.inputs.contains(&Some(id)));
    user.map_or_else(|| name.clone(), |(_, node)| of_node(graph, node))
}

/// The initializer that a value is, or is a rearrangement of.
fn parameter(graph: &Graph, mut id: ValueId) -> Option<&str> {
    const REARRANGE: [&str; 7] =
        ["Transpose", "Reshape", "Identity", "Cast", "Unsqueeze", "Squeeze", "Expand"];
    // Chains of such nodes are short.
    for _ in 0..8 {
        if let Origin::Initializer(_) = graph.value(id).origin {
            return Some(&graph.value(id).name);
        }
        let (_, node) = graph.producer(id)?;
        if !REARRANGE.contains(&node.op.as_str()) {
            return None;
        }
        id = node.inputs.first().copied().flatten()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use ekphrasis_graph::{Attrs, DType, Tensor};
    use std::sync::Arc;

    #[test]
    fn kernels_of_gradients_belong_to_their_nodes() {
        let known = |name: &str| (name == "/conv1/Conv").then(|| "conv1".to_owned());
        assert_eq!(source("/conv1/Conv", &known), ("conv1".into(), false));
        assert_eq!(source("grad//conv1/Conv/MatMul_3", &known), ("conv1".into(), true));
        assert_eq!(source("grad/grad//conv1/Conv/MatMul_3/Mul_4", &known), ("conv1".into(), true));
        assert_eq!(source("/conv1/Conv_nchwc", &known), ("conv1".into(), false));
        assert_eq!(source("fused 3", &known), ("(others)".into(), false));
    }

    #[test]
    fn names_tell_layers() {
        let mut g = Graph::new("g");
        let x = g.input("x", DType::F32, vec![2.into(), 2.into()]).unwrap();
        let weight = |g: &mut Graph, name: &str| {
            g.initializer(name, Arc::new(Tensor::from_f32(&[2, 2], &[0.0; 4]).unwrap())).unwrap()
        };
        let (a, b) = (weight(&mut g, "block.0.fc.weight"), weight(&mut g, "onnx::MatMul_7"));
        let turned = g.transpose(a, &[1, 0]).unwrap();
        let y = g.matmul(x, turned).unwrap();
        let named = |g: &mut Graph, name: &str, op: &str, inputs: &[ValueId]| {
            let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
            g.add_node_named(name, op, &inputs, Attrs::new(), &[true]).unwrap()[0].unwrap()
        };
        let z = named(&mut g, "/head/out/MatMul", "MatMul", &[y, b]);
        named(&mut g, "node_relu", "Relu", &[z]);
        let layers: Vec<String> = g.nodes().skip(1).map(|(_, n)| of_node(&g, n)).collect();
        assert_eq!(layers, ["block.0.fc", "head/out", "(Relu)"]);
        assert_eq!(of_initializer(&g, a), "block.0.fc");
        assert_eq!(of_initializer(&g, b), "head/out");
        assert!(made_up("val_16") && made_up("12") && !made_up("val_x") && !made_up("w1"));
    }
}
