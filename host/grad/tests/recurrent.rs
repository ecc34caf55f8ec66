//! Recurrent layers beyond what their cases in the table cover.

mod common;

use common::{Feeds, Function, agree, tensor, values};
use ekphrasis_grad::gradient;
use ekphrasis_graph::{Attr, Attrs, DType, Dim, Graph, Tensor, ValueId};
use std::time::Instant;

fn wave(n: usize, speed: f64) -> Vec<f64> {
    (0..n).map(|i| ((i as f64 + 1.0) * speed).sin() * 0.6).collect()
}

fn input(g: &mut Graph, feeds: &mut Feeds, name: &str, dims: &[usize]) -> ValueId {
    let n = dims.iter().product();
    feeds.push((name.into(), tensor(DType::F32, dims, &wave(n, 0.37 + 0.11 * feeds.len() as f64))));
    g.input(name, DType::F32, dims.iter().map(|d| Dim::from(*d)).collect::<Vec<_>>()).unwrap()
}

/// A layer over `[T, B, I]`, or in the other layout over `[B, T, I]`: its weights and what it gives.
fn layer(
    g: &mut Graph,
    feeds: &mut Feeds,
    op: &str,
    x: ValueId,
    attrs: Attrs,
) -> (Vec<ValueId>, Vec<ValueId>) {
    let (gates, outputs) = match op {
        "LSTM" => (4, 3),
        "GRU" => (3, 2),
        _ => (1, 2),
    };
    let w = input(g, feeds, "w", &[2, gates * 2, 3]);
    let r = input(g, feeds, "r", &[2, gates * 2, 2]);
    let mut inputs = vec![Some(x), Some(w), Some(r), None, None];
    let h = match attrs.contains_key("layout") {
        false => input(g, feeds, "h", &[2, 4, 2]),
        true => input(g, feeds, "h", &[4, 2, 2]),
    };
    inputs.push(Some(h));
    let out = g.add_node(op, &inputs, attrs, outputs).unwrap();
    (vec![x, w, r, h], out)
}

/// ONNX Runtime's CPU provider has no kernel for layout 1: the same layer with transposed data must do.
#[test]
fn batches_first_are_the_same_layer_transposed() {
    for op in ["LSTM", "GRU", "RNN"] {
        let mut found = vec![];
        for batch_first in [false, true] {
            let (mut g, mut feeds) = (Graph::new("layout"), vec![]);
            let mut attrs: Attrs = [
                ("hidden_size".to_owned(), Attr::Int(2)),
                ("direction".to_owned(), Attr::Text("bidirectional".into())),
            ]
            .into();
            let data = input(&mut g, &mut feeds, "x", &[5, 4, 3]);
            let mut x = data;
            if batch_first {
                attrs.insert("layout".into(), 1.into());
                x = g.transpose(x, &[1, 0, 2]).unwrap();
            }
            let (wrt, mut out) = layer(&mut g, &mut feeds, op, x, attrs);
            if batch_first {
                // The same numbers in the other order.
                let start = wave(16, 0.37 + 0.11 * 3.0);
                let at = |b: usize, d: usize, i: usize| start[(d * 4 + b) * 2 + i];
                let turned: Vec<f64> = (0..16).map(|i| at(i / 4, i / 2 % 2, i % 2)).collect();
                feeds[3].1 = tensor(DType::F32, &[4, 2, 2], &turned);
                out[0] = g.transpose(out[0], &[1, 2, 0, 3]).unwrap();
                for y in &mut out[1..] {
                    *y = g.transpose(*y, &[1, 0, 2]).unwrap();
                }
            }
            let mut loss = None;
            for (i, y) in out.iter().enumerate() {
                let n: i64 = g.dims(*y).unwrap().iter().map(|d| d.known().unwrap()).product();
                let factors: Vec<f32> = wave(n as usize, 0.9 + i as f64).iter().map(|v| *v as f32).collect();
                let dims: Vec<usize> =
                    g.dims(*y).unwrap().iter().map(|d| d.known().unwrap() as usize).collect();
                let factors = g.constant(Tensor::from_f32(&dims, &factors).unwrap());
                let t = g.mul(*y, factors).unwrap();
                let t = g.reduce_sum(t, &[], false).unwrap();
                loss = Some(match loss {
                    Some(l) => g.add(l, t).unwrap(),
                    None => t,
                });
            }
            let loss = loss.unwrap();
            let wanted = [data, wrt[1], wrt[2]];
            let grads = gradient(&mut g, loss, None, &wanted).unwrap();
            let mut all: Vec<ValueId> = grads.into_iter().flatten().collect();
            all.push(loss);
            let results = Function::new(&g, &all).unwrap().run(&feeds).unwrap();
            found.push(results.iter().map(values).collect::<Vec<_>>());
        }
        assert_eq!(found[0].len(), 4);
        for (a, b) in found[0].iter().zip(&found[1]) {
            agree(a, b, DType::F32).unwrap_or_else(|e| panic!("{op}: {e}"));
        }
    }
}

#[test]
fn an_unknown_number_of_steps_is_refused_with_a_hint() {
    let mut g = Graph::new("open");
    let x = g.input("x", DType::F32, vec!["T".into(), "B".into(), 3.into()]).unwrap();
    let (_, out) =
        layer(&mut g, &mut vec![], "GRU", x, [("direction".into(), "bidirectional".into())].into());
    let loss = g.reduce_sum(out[0], &[], false).unwrap();
    let nodes = g.nodes().len();
    let text = gradient(&mut g, loss, None, &[x]).unwrap_err().to_string();
    assert!(
        text.contains("(GRU)") && text.contains("`open`") && text.contains("f32[T, B, 3] (`x`)"),
        "{text}"
    );
    assert!(text.contains("hint: export the model with sequences of one fixed length"), "{text}");
    assert_eq!(g.nodes().len(), nodes, "the graph is as it was");
}

#[test]
fn activations_that_miss_a_number_are_refused() {
    let mut g = Graph::new("affine");
    let x = g.input("x", DType::F32, vec![3.into(), "B".into(), 3.into()]).unwrap();
    for (names, expected) in [
        (vec!["Affine"; 2], "expected a number for `affine` in activation_alpha"),
        (vec!["Swish"; 2], "expected an activation of ONNX, found `swish`"),
        (vec!["Tanh"], "expected 2 activations"),
    ] {
        let mut g = g.clone();
        let attrs = [
            ("direction".into(), "bidirectional".into()),
            ("activations".into(), Attr::Texts(names.into_iter().map(str::to_owned).collect())),
        ];
        let (_, out) = layer(&mut g, &mut vec![], "RNN", x, attrs.into());
        let loss = g.reduce_sum(out[0], &[], false).unwrap();
        let text = gradient(&mut g, loss, None, &[x]).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
}

/// A graph of 50 steps, both ways, is differentiated in well under a second even in a debug build.
#[test]
fn fifty_steps_unroll_quickly() {
    let mut g = Graph::new("long");
    let x = g.input("x", DType::F32, vec![50.into(), "B".into(), 3.into()]).unwrap();
    let (wrt, out) =
        layer(&mut g, &mut vec![], "LSTM", x, [("direction".into(), "bidirectional".into())].into());
    let loss = g.reduce_sum(out[0], &[], false).unwrap();
    let start = Instant::now();
    gradient(&mut g, loss, None, &wrt).unwrap();
    let took = start.elapsed();
    eprintln!("{} nodes in {took:?}", g.nodes().len());
    assert!(took.as_secs_f64() < 5.0, "{took:?}");
}
