//! Activations that the backward pass computes again: the same gradients in less memory.

mod common;

use common::{Feeds, Function, tensor, values};
use ekphrasis_grad::{Recompute, gradient, recompute};
use ekphrasis_graph::{DType, Graph, Tensor, ValueId};
use ekphrasis_runtime::peak_memory_bytes;
use std::collections::HashMap;

const WIDTH: usize = 64;
const INNER: usize = 256;

/// A deep network of residual blocks with its loss and gradients.
struct Deep {
    graph: Graph,
    loss: ValueId,
    gradients: Vec<ValueId>,
    parameters: HashMap<ValueId, Option<usize>>,
    feeds: Feeds,
}

fn wave(n: usize, scale: f64, phase: f64) -> Vec<f64> {
    (0..n).map(|i| (i as f64 * 0.37 + phase).sin() * scale).collect()
}

fn deep(blocks: usize, rows: usize) -> Deep {
    let mut g = Graph::new("deep");
    let x = g.input("x", DType::F32, vec![rows.into(), WIDTH.into()]).unwrap();
    let mut feeds: Feeds =
        vec![("x".into(), tensor(DType::F32, &[rows, WIDTH], &wave(rows * WIDTH, 1.0, 0.0)))];
    let mut parameters = HashMap::new();
    let mut weight = |g: &mut Graph, name: String, dims: &[usize], layer: Option<usize>| {
        let id = g.input(&name, DType::F32, dims.iter().map(|d| (*d).into()).collect::<Vec<_>>()).unwrap();
        let scale = 1.0 / (dims[0] as f64).sqrt();
        let data = wave(dims.iter().product(), scale, parameters.len() as f64);
        feeds.push((name, tensor(DType::F32, dims, &data)));
        parameters.insert(id, layer);
        id
    };
    let first = weight(&mut g, "first".into(), &[WIDTH, WIDTH], None);
    let mut x = g.matmul(x, first).unwrap();
    for i in 0..blocks {
        let scale = weight(&mut g, format!("{i}.scale"), &[WIDTH], Some(i));
        let up = weight(&mut g, format!("{i}.up"), &[WIDTH, INNER], Some(i));
        let down = weight(&mut g, format!("{i}.down"), &[INNER, WIDTH], Some(i));
        // Normalised, and through two layers.
        let square = g.mul(x, x).unwrap();
        let mean = g.reduce_mean(square, &[1], true).unwrap();
        let mean = g.shift(mean, 1e-5).unwrap();
        let root = g.sqrt(mean).unwrap();
        let y = g.div(x, root).unwrap();
        let y = g.mul(y, scale).unwrap();
        let y = g.matmul(y, up).unwrap();
        let gate = g.sigmoid(y).unwrap();
        let y = g.mul(y, gate).unwrap();
        let y = g.matmul(y, down).unwrap();
        x = g.add(x, y).unwrap();
    }
    let last = weight(&mut g, "last".into(), &[WIDTH, 1], None);
    let y = g.matmul(x, last).unwrap();
    let square = g.mul(y, y).unwrap();
    let loss = g.reduce_mean(square, &[], false).unwrap();
    let mut wrt: Vec<ValueId> = parameters.keys().copied().collect();
    wrt.sort();
    let gradients = gradient(&mut g, loss, None, &wrt).unwrap().into_iter().map(Option::unwrap).collect();
    Deep { graph: g, loss, gradients, parameters, feeds }
}

/// Gradients with activations kept, or with those of blocks computed again.
fn run(deep: &Deep, again: bool) -> (Vec<Vec<u32>>, usize) {
    let Deep { graph, loss, gradients, parameters, feeds } = deep;
    let (graph, gradients) = match again {
        false => (graph.clone(), gradients.clone()),
        true => {
            let what = Recompute { forward: &[*loss], gradients, parameters };
            let (graph, _, gradients) = recompute(graph, &what).unwrap();
            (graph, gradients)
        }
    };
    let products = graph.nodes().filter(|(_, n)| n.op == "MatMul" && n.name.starts_with("again/")).count();
    let found = Function::new(&graph, &gradients).unwrap().run(feeds).unwrap();
    let bits = |t: &Tensor| t.to_f32().unwrap().iter().map(|v| (v + 0.0).to_bits()).collect();
    (found.iter().map(bits).collect(), products)
}

/// One test, since the peak of memory is one of the process.
#[test]
fn the_same_gradients_in_less_memory() {
    // Its own memory does not count: the runtime, and a first run.
    let small = deep(3, 5);
    let (kept, none) = run(&small, false);
    let (again, products) = run(&small, true);
    assert!(kept.iter().flatten().any(|bits| *bits != 0));
    assert_eq!(kept, again);
    // Of each block the product of its inner layer; what it gives is kept by the next block, or is its own sum.
    assert_eq!((none, products), (0, 3));

    let peak = || peak_memory_bytes().unwrap() as f64 / f64::from(1 << 20);
    let large = deep(24, 4096);
    let before = peak();
    let (again, _) = run(&large, true);
    let with = peak() - before;
    let (kept, _) = run(&large, false);
    let without = peak() - before;
    eprintln!(
        "above the rest: {with:.0} MiB with activations computed again, {without:.0} MiB with all kept"
    );
    assert_eq!(kept, again);
    assert!(without > 2.0 * with, "expected less than half of {without} MiB, found {with}");
}

/// What was drawn stays: the gradient is of the same draw.
#[test]
fn what_is_random_is_kept() {
    let mut g = Graph::new("noise");
    let x = g.input("x", DType::F32, vec![64.into()]).unwrap();
    let w = g.input("w", DType::F32, vec![]).unwrap();
    let doubled = g.add(x, x).unwrap();
    let noise = g.op("RandomNormalLike", &[doubled], &[]).unwrap();
    let y = g.mul(noise, w).unwrap();
    let shown = g.mul(y, y).unwrap();
    let loss = g.reduce_sum(shown, &[], false).unwrap();
    let gradients = gradient(&mut g, loss, None, &[w]).unwrap();
    let gradients = [gradients[0].unwrap()];
    let what =
        Recompute { forward: &[loss, y], gradients: &gradients, parameters: &HashMap::from([(w, Some(0))]) };
    let (graph, forward, gradients) = recompute(&g, &what).unwrap();
    let function = Function::new(&graph, &[forward[1], gradients[0]]).unwrap();
    let feeds = vec![
        ("x".to_owned(), tensor(DType::F32, &[64], &wave(64, 1.0, 0.0))),
        ("w".to_owned(), tensor(DType::F32, &[], &[0.5])),
    ];
    let found = function.run(&feeds).unwrap();
    let expected: f64 = values(&found[0]).iter().map(|y| 2.0 * y * y / 0.5).sum();
    let dw = values(&found[1])[0];
    assert!((dw - expected).abs() < 1e-4 * expected.abs() && expected > 1.0, "{dw} and {expected}");
}
