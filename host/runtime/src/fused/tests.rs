//! What is fused.

use super::*;
use ekphrasis_graph::{DType, Dim};

/// A graph of inputs of these shapes, `x0` and so on, whose output is `y`.
pub(crate) fn built(
    shapes: &[&[i64]],
    build: impl Fn(&mut Graph, &[ValueId]) -> ekphrasis_graph::Result<ValueId>,
) -> Graph {
    let mut g = Graph::new("built");
    let input = |(i, dims): (usize, &&[i64])| {
        let dims: Vec<Dim> = dims.iter().copied().map(Dim::from).collect();
        g.input(&format!("x{i}"), DType::F32, dims).unwrap()
    };
    let x: Vec<ValueId> = shapes.iter().enumerate().map(input).collect();
    let y = build(&mut g, &x).unwrap();
    g.output("y", y).unwrap();
    g
}

/// Such a graph after the pass.
fn rewritten(
    shapes: &[&[i64]],
    build: impl Fn(&mut Graph, &[ValueId]) -> ekphrasis_graph::Result<ValueId>,
) -> Graph {
    let g = built(shapes, build);
    let new = rewrite(&g, Target::Cpu).unwrap();
    let shape = |g: &Graph| g.value(g.output_named("y").unwrap()).shape.clone();
    assert_eq!(shape(&new), shape(&g));
    new.into_owned()
}

/// Its operators.
fn fused(
    shapes: &[&[i64]],
    build: impl Fn(&mut Graph, &[ValueId]) -> ekphrasis_graph::Result<ValueId>,
) -> Vec<String> {
    rewritten(shapes, build).nodes().map(|(_, n)| n.op.clone()).collect()
}

const ONE: &str = "ekphrasis::Elementwise";

#[test]
fn chains_of_one_shape_are_fused() {
    let chain = |g: &mut Graph, x: &[ValueId]| {
        let y = g.mul(x[0], x[1])?;
        let y = g.add(y, x[0])?;
        g.sqrt(y)
    };
    assert_eq!(fused(&[&[64, 64], &[64, 64]], chain), [ONE]);
    assert_eq!(fused(&[&[64, 64], &[64, 1]], chain), [ONE]);
    assert_eq!(fused(&[&[8, 4, 64], &[4, 1]], chain), [ONE]);
    assert_eq!(fused(&[&[8, 4, 64], &[8, 1, 64]], chain), ["Mul", ONE], "it varies in two parts");
    assert_eq!(fused(&[&[4, 4], &[4, 4]], chain), ["Mul", "Add", "Sqrt"], "too small to pay");
}

#[test]
fn vectors_are_read_in_the_pieces_that_they_are_joined_of() {
    let step = |g: &mut Graph, x: &[ValueId], other: bool| {
        let all = g.concat(&[x[1], x[2]], 0)?;
        let y = g.mul(all, x[0])?;
        let y = g.add(y, x[0])?;
        let norm = g.reduce_sum_square(if other { all } else { y }, &[], false)?;
        g.div(y, norm)
    };
    let shapes: [&[i64]; 3] = [&[4000], &[1000], &[3000]];
    let joined = |ops: &[String]| ops.iter().any(|op| op == "Concat");
    assert!(!joined(&fused(&shapes, |g, x| step(g, x, false))));
    // Where somebody else reads it, it is read as it is: both pieces, x0 and the norm would be four.
    let other = rewritten(&shapes, |g, x| step(g, x, true));
    assert_eq!(other.nodes().filter(|(_, n)| n.op == ONE).map(|(_, n)| n.inputs.len()).max(), Some(3));
    let shapes: [&[i64]; 3] = [&[10, 4000], &[1000], &[3000]];
    assert!(joined(&fused(&shapes, |g, x| step(g, x, false))), "it broadcasts");
}

#[test]
fn nothing_comes_before_what_it_needs() {
    // From `a` through a product to `c`, which also needs `b`, which needs `a`.
    let around = |g: &mut Graph, x: &[ValueId]| {
        let a = g.neg(x[0])?;
        let b = g.sqrt(a)?;
        let product = g.matmul(a, x[0])?;
        let c = g.mul(product, b)?;
        g.sub(c, x[0])
    };
    // `b` waits for the product with what needs it.
    assert_eq!(fused(&[&[64, 64]], around), ["Neg", "MatMul", ONE]);
    let late = |g: &mut Graph, x: &[ValueId]| {
        let decayed = g.mul(x[0], x[1])?;
        let product = g.matmul(x[0], x[0])?;
        let other = g.neg(product)?;
        g.add(other, decayed)
    };
    assert_eq!(fused(&[&[64, 64], &[]], late), ["MatMul", ONE]);
}

#[test]
fn what_onnx_runtime_puts_into_products_is_left_to_it() {
    let linear = |g: &mut Graph, x: &[ValueId]| {
        let product = g.matmul(x[0], x[0])?;
        let y = g.add(product, x[1])?;
        let y = g.neg(y)?;
        g.sqrt(y)
    };
    assert_eq!(fused(&[&[64, 64], &[64]], linear), ["MatMul", "Add", ONE]);
    assert_eq!(fused(&[&[64, 64], &[64, 64]], linear), ["MatMul", ONE]);
}

/// What is left of the gradient of a pool whose zeros are `filling`.
fn pooled(attr: (&'static str, ekphrasis_graph::Attr), reduction: &'static str, filling: f64) -> Vec<String> {
    fused(&[&[2, 3, 8, 8]], |g, x| {
        let attrs = [("kernel_shape".to_owned(), vec![2i64, 2].into()), (attr.0.to_owned(), attr.1.clone())];
        let pool = g.add_node("MaxPool", &[Some(x[0])], attrs.into(), 2)?;
        let line = g.int_list(&[-1]);
        let (dy, places) = (g.reshape_to(pool[0], line)?, g.reshape_to(pool[1], line)?);
        let flat = g.reshape_to(x[0], line)?;
        let filling = g.scalar_like(flat, filling);
        let zeros = g.expand_like(filling, flat)?;
        g.op("ScatterElements", &[zeros, places, dy], &[("reduction", reduction.into())])
    })
}

#[test]
fn gradients_of_pooling_are_found() {
    let found = |ops: &[String]| ops.iter().any(|op| op == "ekphrasis::MaxPoolGradient");
    let strides = || ("strides", vec![2i64, 2].into());
    assert!(found(&pooled(strides(), "add", 0.0)));
    assert!(!found(&pooled(strides(), "add", 1.0)), "added to something");
    assert!(!found(&pooled(strides(), "max", 0.0)));
    assert!(!found(&pooled(("storage_order", 1i64.into()), "add", 0.0)), "places by columns");
    assert!(!found(&pooled(("auto_pad", "SAME_UPPER".into()), "add", 0.0)), "padding that is not said");
}

#[test]
fn sums_of_rows_are_found() {
    let table = |columns: i64, axis: i64, reduction: &'static str| {
        let ops = fused(&[&[40, 8]], |g, x| {
            let dims: Vec<Dim> = vec![40.into(), columns.into()];
            let numbers = g.input("numbers", DType::I64, dims)?;
            let (zero, shape) = (g.scalar_like(x[0], 0.0), g.int_list(&[300, 8]));
            let zeros = g.expand_to(zero, shape)?;
            let indices = g.expand_like(numbers, x[0])?;
            let attrs = [("reduction", reduction.into()), ("axis", axis.into())];
            g.op("ScatterElements", &[zeros, indices, x[0]], &attrs)
        });
        ops.last().cloned()
    };
    assert_eq!(table(1, 0, "add").as_deref(), Some("ekphrasis::SumRows"));
    assert_eq!(table(8, 0, "add").as_deref(), Some("ScatterElements"), "each number has its own");
    assert_eq!(table(1, 1, "add").as_deref(), Some("ScatterElements"), "columns");
    assert_eq!(table(1, 0, "max").as_deref(), Some("ScatterElements"));
}
