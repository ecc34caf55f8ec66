//! Real models with bytes changed or cut: whatever is left of them is refused, or read, shown, written
//! and differentiated, and nothing panics.

use ekphrasis_grad::{batch_norm_training, gradients, missing_rules};
use ekphrasis_graph::{DType, Graph, GraphError, ValueId, multiply_adds};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

const CASES: usize = 1500;

/// All that the commands do with a graph.
fn use_all(graph: &Graph) {
    assert!(!graph.describe().is_empty());
    let _ = graph.to_bytes();
    for (_, node) in graph.nodes() {
        let _ = multiply_adds(graph, node).map(|n| n.to_string());
    }
    let roots: Vec<ValueId> = graph.outputs().iter().map(|(_, id)| *id).collect();
    let roots: Vec<ValueId> = roots.into_iter().filter(|id| graph.value(*id).dtype.is_float()).collect();
    let wrt: Vec<ValueId> = graph.initializers().values().map(|(id, _)| *id).collect();
    let _ = missing_rules(graph, &roots, &wrt);
    let _ = batch_norm_training(graph);
    let mut copy = graph.clone();
    let seeded = roots.iter().enumerate().filter_map(|(i, y)| {
        let shape = graph.value(*y).shape.clone();
        Some((*y, Some(copy.input(&format!("seed/{i}"), graph.value(*y).dtype, shape).ok()?)))
    });
    let seeded: Vec<_> = seeded.collect();
    if gradients(&mut copy, &seeded, &wrt).is_ok() {
        assert!(!copy.describe().is_empty());
    }
}

fn damaged(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../graph/tests/models").join(name);
    let whole = std::fs::read(path).unwrap();
    let read = |bytes: &[u8]| Graph::from_bytes(bytes, Path::new("damaged.onnx"), None);
    let graph = read(&whole).unwrap();
    assert!(graph.initializers().values().any(|(_, t)| t.dtype() == DType::F32));
    use_all(&graph);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..CASES {
        let mut bytes = whole.clone();
        match rng.random_range(0..4) {
            0 => bytes.truncate(rng.random_range(0..whole.len())),
            1 => {
                let from = rng.random_range(0..whole.len());
                let to = (from + rng.random_range(1..32)).min(whole.len());
                bytes.drain(from..to);
            }
            _ => {
                for _ in 0..rng.random_range(1..4) {
                    let at = rng.random_range(0..whole.len());
                    bytes[at] = rng.random();
                }
            }
        }
        match read(&bytes) {
            Ok(graph) => {
                taken += 1;
                use_all(&graph);
            }
            Err(e) => {
                refused += 1;
                assert!(
                    matches!(e, GraphError::File { .. }) && e.to_string().contains("damaged.onnx"),
                    "{e}"
                );
            }
        }
    }
    // Both happen often, or this test tests nothing.
    assert!(taken > CASES / 100 && refused > CASES / 20, "{taken} taken, {refused} refused");
}

#[test]
fn convolution() {
    damaged("convolution.onnx");
}

#[test]
fn lstm() {
    damaged("lstm.onnx");
}

#[test]
fn lists() {
    damaged("lists.onnx");
}

/// A `GRU` of Keras, which its exporter writes as a `Loop`.
#[test]
fn loops() {
    damaged("../../../../tests/conformance/fixtures/tensorflow_models/recurrent.onnx");
}
