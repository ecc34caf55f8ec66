//! Batch normalisation for training, against plain loops.

mod common;

use common::{Feeds, Function, agree, tensor, values};
use ekphrasis_grad::{batch_norm_training, gradient};
use ekphrasis_graph::{DType, Graph, Origin, Tensor};
use std::sync::Arc;

const EPSILON: f64 = 1e-3;

/// `relu(batch_norm(x))` over `[B, 2, 3]`.
fn graph(shared: bool) -> Graph {
    let mut g = Graph::new("normalised");
    let x = g.input("x", DType::F64, vec!["B".into(), 2.into(), 3.into()]).unwrap();
    let mut tables = vec![];
    for (name, v) in [("scale", [0.5, 2.0]), ("bias", [0.1, -0.2]), ("mean", [0.3, 0.4]), ("var", [1.0, 2.0])]
    {
        tables.push(g.initializer(name, Arc::new(Tensor::from_f64(&[2], &v).unwrap())).unwrap());
    }
    if shared {
        tables[3] = tables[2];
    }
    let inputs = [x, tables[0], tables[1], tables[2], tables[3]];
    let attrs = [("epsilon", (EPSILON as f32).into()), ("momentum", 0.75f32.into())];
    let y = g.op("BatchNormalization", &inputs, &attrs).unwrap();
    let y = g.tanh(y).unwrap();
    g.output("y", y).unwrap();
    g
}

fn picture() -> (Feeds, Vec<f64>) {
    let x: Vec<f64> = (0..24).map(|i| ((i * i * 7 + 3 * i) % 23) as f64 / 10.0).collect();
    (vec![("x".into(), tensor(DType::F64, &[4, 2, 3], &x))], x)
}

#[test]
fn the_batch_is_normalised_and_running_statistics_move() {
    let (g, running) = batch_norm_training(&graph(false)).unwrap();
    assert_eq!(running.len(), 2);
    let ports: Vec<_> = running.iter().map(|r| g.output_named(&r.output).unwrap()).collect();
    let names: Vec<_> = running.iter().map(|r| r.initializer.as_str()).collect();
    assert_eq!(names, ["mean", "var"]);
    let (feeds, x) = picture();
    let outputs = [g.output_named("y").unwrap(), ports[0], ports[1]];
    let found: Vec<_> =
        Function::new(&g, &outputs).unwrap().run(&feeds).unwrap().iter().map(values).collect();

    let (scale, bias, old_mean, old_variance) = ([0.5, 2.0], [0.1, -0.2], [0.3, 0.4], [1.0, 2.0]);
    for c in 0..2 {
        let at: Vec<usize> = (0..24).filter(|i| i / 3 % 2 == c).collect();
        let n = at.len() as f64;
        let mean = at.iter().map(|i| x[*i]).sum::<f64>() / n;
        let variance = at.iter().map(|i| (x[*i] - mean).powi(2)).sum::<f64>() / n;
        let epsilon = f64::from(EPSILON as f32);
        for i in at {
            let y = ((x[i] - mean) / (variance + epsilon).sqrt() * scale[c] + bias[c]).tanh();
            assert!((found[0][i] - y).abs() < 1e-9, "expected {y}, found {}", found[0][i]);
        }
        let mean = 0.75 * old_mean[c] + 0.25 * mean;
        let variance = 0.75 * old_variance[c] + 0.25 * variance * n / (n - 1.0);
        assert!((found[1][c] - mean).abs() < 1e-9 && (found[2][c] - variance).abs() < 1e-9);
    }
}

#[test]
fn it_differentiates_once_and_twice() {
    let (mut g, _) = batch_norm_training(&graph(false)).unwrap();
    let (feeds, _) = picture();
    let (x, y) = (g.find("x").unwrap(), g.output_named("y").unwrap());
    let square = g.mul(y, y).unwrap();
    let mut loss = g.reduce_sum(square, &[], false).unwrap();
    for _ in 0..2 {
        let before = Function::new(&g, &[loss]).unwrap();
        let grad = gradient(&mut g, loss, None, &[x]).unwrap()[0].unwrap();
        let found = Function::new(&g, &[grad]).unwrap().run(&feeds).unwrap();
        let expected = before.difference(&feeds, &[vec![1.0]], 0).unwrap();
        agree(&values(&found[0]), &expected, DType::F64).unwrap();
        // Next: the gradient of a penalty on the gradient.
        loss = g.reduce_sum_square(grad, &[], false).unwrap();
    }
    // Parameters keep their names, so that they train as before.
    for name in ["scale", "bias"] {
        let v = g.find(name).unwrap();
        assert!(matches!(g.value(v).origin, Origin::Initializer(_)));
        assert!(gradient(&mut g, loss, None, &[v]).unwrap()[0].is_some());
    }
}

#[test]
fn a_shared_statistic_is_refused() {
    let text = batch_norm_training(&graph(true)).unwrap_err().to_string();
    assert!(text.contains("BatchNormalization") && text.contains("`mean`"), "{text}");
}
