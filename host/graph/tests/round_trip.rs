//! What is written reads back the same.

use ekphrasis_graph::{Attr, Attrs, DType, Dim, Graph, Origin, Tensor, ValueId};
use proptest::prelude::*;
use std::{path::Path, sync::Arc};

type Outcome = Result<(), ekphrasis_graph::GraphError>;

fn reread(g: &Graph) -> Result<Graph, ekphrasis_graph::GraphError> {
    Graph::from_bytes(&g.to_bytes()?, Path::new("again.onnx"), None)
}

/// Ports by name, type and shape.
fn ports(g: &Graph) -> Vec<String> {
    let inputs = g.inputs().iter().map(|i| format!("{} {}", g.value(*i).name, g.value(*i).describe()));
    let outputs = g.outputs().iter().map(|(n, o)| format!("{n} {}", g.value(*o).describe()));
    inputs.chain(outputs).collect()
}

/// Nodes by name, operator and attributes.
fn nodes(g: &Graph) -> Vec<String> {
    g.nodes().map(|(_, n)| format!("{} {} {:?}", n.name, n.op, n.attrs)).collect()
}

#[test]
fn parameters_literals_and_symbols_keep_what_they_are() -> Outcome {
    let mut g = Graph::new("affine");
    let x = g.input("x", DType::F32, vec!["B".into(), Dim::parse("T + 1"), 4.into()])?;
    let w = g.initializer("w", Arc::new(Tensor::from_f32(&[4, 2], &[0.5; 8])?))?;
    let y = g.matmul(x, w)?;
    let y = g.scale(y, 3.0)?;
    g.output("y", y)?;
    let back = reread(&g)?;
    assert_eq!(ports(&back), ["x f32[B, T + 1, 4]", "y f32[B, T + 1, 2]"]);
    assert_eq!(nodes(&back), nodes(&g));
    assert_eq!(back.initializers().keys().collect::<Vec<_>>(), [&"w"]);
    assert_eq!(back.initializers()["w"].1, g.initializers()["w"].1);
    let literals: Vec<_> =
        back.values().filter(|(_, v)| matches!(v.origin, Origin::Constant(_))).map(|(_, v)| v).collect();
    assert_eq!(literals.len(), 1);
    assert_eq!(literals[0].tensor().and_then(|t| t.as_scalar()), Some(3.0));
    assert_eq!(back.name, "affine");
    Ok(())
}

#[test]
fn ports_have_their_names_whatever_the_values_are_called() -> Outcome {
    let mut g = Graph::new("ports");
    let x = g.input("x", DType::F32, vec![3.into()])?;
    let w = g.initializer("w", Arc::new(Tensor::from_f32(&[3], &[1.0; 3])?))?;
    let y = g.exp(x)?;
    let one = g.constant(Tensor::from_f32(&[1], &[1.0])?);
    // Twice the same value, an input, a parameter and a literal as outputs; and a name that some
    // other value bears.
    let other = g.value(y).name.clone();
    let z = g.neg(x)?;
    for (name, v) in [("a", y), ("b", y), ("c", x), ("d", w), ("e", one), (other.as_str(), z)] {
        g.output(name, v)?;
    }
    let back = reread(&g)?;
    let names: Vec<_> = back.outputs().iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", &other]);
    let producer =
        |name: &str| back.output_named(name).and_then(|v| back.producer(v)).map(|(_, n)| n.op.clone());
    assert_eq!(producer("a").as_deref(), Some("Exp"));
    assert_eq!(producer("b").as_deref(), Some("Exp"));
    assert_eq!(producer(&other).as_deref(), Some("Neg"));
    assert_eq!(back.output_named("c"), back.find("x"));
    assert_eq!(back.output_named("d"), back.find("w"));
    Ok(())
}

#[test]
fn an_output_cannot_take_the_name_of_another_port() -> Outcome {
    let mut g = Graph::new("clash");
    let x = g.input("x", DType::F32, vec![3.into()])?;
    let y = g.exp(x)?;
    g.output("x", y)?;
    let message = g.to_bytes().expect_err("two values of one name").to_string();
    assert!(message.contains("`clash`") && message.contains("output `x`"), "{message}");
    Ok(())
}

#[test]
fn barriers_leave_no_trace_and_dead_nodes_are_left_out() -> Outcome {
    let mut g = Graph::new("barrier");
    let x = g.input("x", DType::F32, vec![3.into()])?;
    let unused = g.exp(x)?;
    g.neg(unused)?;
    let stopped = g.op("ekphrasis::StopGradient", &[x], &[])?;
    let y = g.tanh(stopped)?;
    let last = g.op("ekphrasis::StopGradient", &[y], &[])?;
    g.output("y", last)?;
    g.output("x2", stopped)?;
    let back = reread(&g)?;
    assert_eq!(nodes(&back).len(), 1, "{}", back.describe());
    assert_eq!(back.node(back.nodes().next().expect("one node").0).op, "Tanh");
    assert_eq!(back.output_named("x2"), back.find("x"));
    Ok(())
}

#[test]
fn optional_inputs_and_outputs_stay_optional() -> Outcome {
    let mut g = Graph::new("optional");
    let x = g.input("x", DType::F32, vec![2.into(), 8.into(), 8.into(), 8.into()])?;
    let high = g.constant(Tensor::scalar_f32(1.0));
    let y = g.add_node("Clip", &[Some(x), None, Some(high)], Attrs::new(), 1)?[0];
    let scale = g.constant(Tensor::from_f32(&[8], &[1.0; 8])?);
    let outs = g.add_node_named(
        "norm",
        "LayerNormalization",
        &[Some(y), Some(scale)],
        Attrs::new(),
        &[true, false, true],
    )?;
    g.output("y", outs[0].expect("wanted"))?;
    g.output("inverse", outs[2].expect("wanted"))?;
    let back = reread(&g)?;
    let by_op = |op: &str| back.nodes().find(|(_, n)| n.op == op).map(|(_, n)| n.clone()).expect("is there");
    assert!(by_op("Clip").inputs[1].is_none() && by_op("Clip").inputs[2].is_some());
    let norm = by_op("LayerNormalization");
    assert_eq!(norm.outputs.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(norm.name, "norm");
    Ok(())
}

#[test]
fn a_file_reads_back_and_nothing_else_is_left() -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.onnx");
    let mut g = Graph::new("m");
    let x = g.input("x", DType::F32, vec!["B".into(), 1000.into()])?;
    let data: Vec<f32> = (0..3000).map(|i| i as f32).collect();
    let w = g.initializer("w", Arc::new(Tensor::from_f32(&[1000, 3], &data)?))?;
    let v = g.initializer("v", Arc::new(Tensor::from_f32(&[3], &data[..3])?))?;
    let y = g.matmul(x, w)?;
    let y = g.add(y, v)?;
    g.output("y", y)?;
    g.save(&path)?;
    let inline = std::fs::metadata(&path).expect("written").len();
    assert!(inline > 12_000);
    let back = Graph::load(&path)?;
    assert_eq!(back.initializers()["w"].1.to_f32(), Some(data));
    assert!(std::fs::read_dir(folder.path()).expect("a folder").count() == 1, "nothing else is left");
    Ok(())
}

/// A random graph of elementwise nodes, matrix products and reductions over `[B, n]`.
fn random_graph(n: i64, steps: &[(u8, usize, usize)]) -> Result<Graph, ekphrasis_graph::GraphError> {
    let mut g = Graph::new("random");
    let mut values: Vec<ValueId> = vec![];
    values.push(g.input("x", DType::F32, vec!["B".into(), n.into()])?);
    values.push(g.initializer(
        "w",
        Arc::new(Tensor::from_f32(&[n as usize, n as usize], &vec![0.1; (n * n) as usize])?),
    )?);
    values.push(g.constant(Tensor::from_f32(&[n as usize], &vec![2.0; n as usize])?));
    for (kind, i, j) in steps {
        let (a, b) = (values[i % values.len()], values[j % values.len()]);
        let made = match kind % 7 {
            0 => g.add(a, b),
            1 => g.mul(a, b),
            2 => g.tanh(a),
            3 => g.softmax(a, -1),
            4 => g.reduce_mean(a, &[-1], true),
            5 => g.op("LeakyRelu", &[a], &[("alpha", Attr::Float(0.1 * (*j % 5) as f32))]),
            _ => g.matmul(a, b),
        };
        // What does not fit is refused by inference; the rest is a graph.
        values.extend(made);
    }
    for (i, v) in values.iter().rev().take(3).enumerate() {
        g.output(&format!("out{i}"), *v)?;
    }
    Ok(g)
}

proptest! {
    #[test]
    fn any_graph_reads_back_the_same(
        n in 1i64..5,
        steps in prop::collection::vec((any::<u8>(), any::<usize>(), any::<usize>()), 0..30),
    ) {
        let g = random_graph(n, &steps).expect("a graph");
        let once = reread(&g).expect("what was written is read");
        let pruned = g.pruned().expect("a graph");
        prop_assert_eq!(ports(&once), ports(&pruned));
        prop_assert_eq!(nodes(&once).len(), nodes(&pruned).len());
        let twice = reread(&once).expect("what was written is read");
        prop_assert_eq!(nodes(&twice), nodes(&once));
        prop_assert_eq!(ports(&twice), ports(&once));
        prop_assert_eq!(twice.to_bytes().expect("bytes"), once.to_bytes().expect("bytes"));
    }

    #[test]
    fn any_tensor_reads_back_the_same(which in 0usize..14, dims in prop::collection::vec(0usize..4, 0..4), seed: u64) {
        let dtype = DType::ALL[which];
        prop_assume!(dtype != DType::Text);
        let size = dims.iter().product::<usize>() * dtype.size();
        let mut state = seed | 1;
        let data: Vec<u8> = (0..size).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if dtype == DType::Bool { state as u8 & 1 } else { state as u8 }
        }).collect();
        let t = Arc::new(Tensor::new(dtype, &dims, data).expect("fits"));
        let mut g = Graph::new("tensor");
        let v = g.initializer("t", t.clone()).expect("new");
        g.output("out", v).expect("new");
        let back = reread(&g).expect("reads");
        prop_assert_eq!(back.initializers()["t"].1, &t);
    }
}
