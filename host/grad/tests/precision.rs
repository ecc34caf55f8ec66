//! Products in half precision. ONNX Runtime's CPU provider computes them in single precision and drops the `Cast`s
//! around them; here they are held by a `Concat` of one tensor, which it computes in half precision.

mod common;

use common::{Feeds, Function, tensor, values};
use ekphrasis_grad::{gradient, products_in};
use ekphrasis_graph::{DType, Graph, GraphError, ValueId};

#[test]
fn products_are_rounded_and_nothing_else() {
    let mut g = Graph::new("net");
    let x = g.input("x", DType::F32, vec![2.into(), 3.into()]).unwrap();
    let w = g.input("w", DType::F32, vec![3.into(), 3.into()]).unwrap();
    let y = g.matmul(x, w).unwrap();
    let y = g.matmul(y, w).unwrap();
    let p = g.softmax(y, 1).unwrap();
    let square = g.mul(p, p).unwrap();
    let loss = g.reduce_sum(square, &[], false).unwrap();
    let dw = gradient(&mut g, loss, None, &[w]).unwrap()[0].unwrap();
    let mut half = g.clone();
    products_in(&mut half, DType::F16).unwrap();

    let wave = |n: usize| (0..n).map(|i| (i as f64 * 0.73).sin() * 0.9).collect::<Vec<_>>();
    let feeds: Feeds = vec![
        ("x".into(), tensor(DType::F32, &[2, 3], &wave(6))),
        ("w".into(), tensor(DType::F32, &[3, 3], &wave(9))),
    ];
    let casts = half.nodes().filter(|(_, n)| n.op == "Cast").map(|(id, _)| id).collect();
    let mut held = half.clone();
    let hold = |g: &mut Graph, x: ValueId| g.op("Concat", &[x], &[("axis", 0.into())]);
    held.replace_nodes::<GraphError>(&casts, |g, _, node| {
        let mut x = node.inputs[0].unwrap();
        if g.value(x).dtype == DType::F16 {
            x = hold(g, x)?;
            return Ok(vec![Some(g.cast(x, DType::F32)?)]);
        }
        let x = g.cast(x, DType::F16)?;
        Ok(vec![Some(hold(g, x)?)])
    })
    .unwrap();
    // Values keep their ids.
    let run = |g: &Graph| -> Vec<f64> {
        Function::new(g, &[y, loss, dw]).unwrap().run(&feeds).unwrap().iter().flat_map(values).collect()
    };
    let (single, rounded) = (run(&g), run(&held));
    assert_eq!(single.len(), rounded.len());
    for (a, b) in single.iter().zip(&rounded) {
        assert!((a - b).abs() < 3e-3, "{a} and {b}");
    }
    assert_ne!(single, rounded);
    run(&half);
    let types = |op: &str| -> Vec<DType> {
        let nodes = half.nodes().filter(|(_, n)| n.op == op);
        nodes.flat_map(|(_, n)| n.inputs.iter().flatten().map(|i| half.value(*i).dtype)).collect()
    };
    assert!(types("MatMul").len() >= 4 && types("MatMul").iter().all(|t| *t == DType::F16));
    assert!(types("Softmax").iter().chain(&types("ReduceSum")).all(|t| *t != DType::F16));
    // A weight that two products share is rounded once.
    let rounded = half.nodes().filter(|(_, n)| n.op == "Cast" && n.inputs[0] == Some(w)).count();
    assert_eq!(rounded, 1);
}

#[test]
fn convolutions_have_no_bfloat16() {
    for (dtype, convolved) in [(DType::F16, DType::F16), (DType::BF16, DType::F32)] {
        let mut g = Graph::new("net");
        let x = g.input("x", DType::F32, vec![2.into(), 3.into(), 4.into(), 4.into()]).unwrap();
        let w = g.input("w", DType::F32, vec![5.into(), 3.into(), 4.into(), 4.into()]).unwrap();
        let v = g.input("v", DType::F32, vec![5.into(), 5.into()]).unwrap();
        let y = g.op("Conv", &[x, w], &[]).unwrap();
        let y = g.reshape(y, &[2.into(), 5.into()]).unwrap();
        let y = g.matmul(y, v).unwrap();
        g.output("y", y).unwrap();
        products_in(&mut g, dtype).unwrap();
        let of = |op: &str| {
            let node = g.nodes().find(|(_, n)| n.op == op).unwrap().1.inputs[0].unwrap();
            g.value(node).dtype
        };
        assert_eq!((of("Conv"), of("MatMul")), (convolved, dtype));
    }
}
