//! What is fused.

use super::*;
use ekphrasis_graph::{DType, Dim};

/// Operators of a graph of inputs of these shapes, after the pass.
fn fused(
    shapes: &[&[i64]],
    build: impl Fn(&mut Graph, &[ValueId]) -> ekphrasis_graph::Result<ValueId>,
) -> Vec<String> {
    let mut g = Graph::new("arithmetic");
    let input = |(i, dims): (usize, &&[i64])| {
        let dims: Vec<Dim> = dims.iter().copied().map(Dim::from).collect();
        g.input(&format!("x{i}"), DType::F32, dims).unwrap()
    };
    let x: Vec<ValueId> = shapes.iter().enumerate().map(input).collect();
    let y = build(&mut g, &x).unwrap();
    g.output("y", y).unwrap();
    let new = rewrite(&g, Target::Cpu).unwrap();
    let shape = |g: &Graph| g.value(g.output_named("y").unwrap()).shape.clone();
    assert_eq!(shape(&new), shape(&g));
    new.nodes().map(|(_, n)| n.op.clone()).collect()
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

/// Patches of 2x2 under a picture with a border, with steps and an axis of the border's filling.
fn patches(step: i64, axis: i64, filling: f64) -> Vec<String> {
    fused(&[&[2, 3, 8, 8]], |g, x| {
        let pads = g.int_list(&[0, 0, 1, 1, 0, 0, 1, 1]);
        let (turned, value) = (g.transpose(x[0], &[1, 0, 2, 3])?, g.scalar_like(x[0], filling));
        let padded = g.op("Pad", &[turned, pads, value], &[])?;
        let mut parts = vec![];
        for start in [[0, 0], [0, 1], [1, 0], [1, 1]] {
            let ends = if step > 0 { start.map(|s| s + 8) } else { start.map(|_| -i64::MAX) };
            parts.push(g.slice(padded, &[2, 3], &start, &ends, &[step, step])?);
        }
        g.concat(&parts, axis)
    })
}

#[test]
fn patches_are_found() {
    assert_eq!(patches(1, 1, 0.0), ["ekphrasis::Patches"]);
    assert_eq!(patches(2, 1, 0.0), ["ekphrasis::Patches"]);
    assert_eq!(patches(1, 1, 1.0), ["Transpose", "Pad", "ekphrasis::Patches"], "the border is no padding");
    assert_eq!(patches(1, 0, 0.0).last().map(String::as_str), Some("Concat"), "another axis");
}
