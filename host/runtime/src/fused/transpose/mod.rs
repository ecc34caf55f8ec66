//! `Transpose` on all threads.
//!
//! ONNX Runtime's runs on one, and takes an element at a time where more than two groups of axes change places: heads
//! that are split off and merged were a twentieth of a captioner's step. Those that it makes part of a matrix product
//! stay its own.

mod kernel;

use super::DOMAIN;
use ekphrasis_graph::{Attrs, AttrsExt, DType, Dim, Graph, Node, NodeId, Result, ValueId};
use std::{borrow::Cow, collections::HashMap, ops::Range};

pub(super) use kernel::Transpose;

/// The operator's name.
const NAME: &str = "Transpose";

/// The least numbers that pay for an operator of our own.
const LEAST: i64 = 1 << 15;

/// The graph with our operator in the place of each `Transpose` that ONNX Runtime would run as one.
pub(crate) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    let mut readers: Readers = HashMap::new();
    for (_, node) in graph.nodes() {
        for input in node.inputs.iter().flatten() {
            readers.entry(*input).or_default().push(node);
        }
    }
    let found: HashMap<NodeId, (ValueId, Vec<i64>)> =
        graph.nodes().filter_map(|(id, node)| Some((id, find(graph, node, &readers)?))).collect();
    if found.is_empty() {
        return Ok(Cow::Borrowed(graph));
    }
    let mut new = graph.clone();
    new.replace_nodes(&found.keys().copied().collect(), |g, id, _| {
        let (input, perm) = &found[&id];
        let attrs = Attrs::from([("perm".to_owned(), perm.clone().into())]);
        let made = g.add_node(&format!("{DOMAIN}::{NAME}"), &[Some(*input)], attrs, 1)?;
        Ok::<_, ekphrasis_graph::GraphError>(made.into_iter().map(Some).collect())
    })?;
    new.pruned().map(Cow::Owned)
}

/// The nodes that read a value.
type Readers<'a> = HashMap<ValueId, Vec<&'a Node>>;

/// What to read and how to permute it in the place of a node.
fn find(graph: &Graph, node: &Node, readers: &Readers) -> Option<(ValueId, Vec<i64>)> {
    let result = node.outputs.first().copied()??;
    let value = graph.value(result);
    let shape = value.shape.as_deref().filter(|_| value.dtype == DType::F32)?;
    let size = shape.iter().map(Dim::known).try_fold(1i64, |n, d| n.checked_mul(d?));
    let (mut input, mut perm) = permutation(node)?;
    let of_product = |v: ValueId| graph.producer(v).is_some_and(|(_, n)| is_product(n));
    // ONNX Runtime computes a product the other way round instead.
    let turned = perm.len() == 2 && of_product(input);
    if size.is_some_and(|n| n < LEAST) || turned || part_of_product(graph, &perm, result, readers) {
        return None;
    }
    // One after another is one.
    while let Some((before, earlier)) = earlier(graph, input) {
        let through = |axis: &i64| earlier.get(usize::try_from(*axis).ok()?).copied();
        perm = perm.iter().map(through).collect::<Option<_>>()?;
        input = before;
    }
    Some((input, perm))
}

/// The permutation that makes a value, where one does: what it reads and its axes. What is reshaped in between has its
/// old shape again.
fn earlier(graph: &Graph, value: ValueId) -> Option<(ValueId, Vec<i64>)> {
    let mut origin = value;
    loop {
        let (_, node) = graph.producer(origin)?;
        let same = graph.value(origin).shape == graph.value(value).shape;
        match node.op.as_str() {
            "Reshape" => origin = node.inputs.first().copied()??,
            _ => return permutation(node).filter(|_| same),
        }
    }
}

/// What a `Transpose` reads, and its axes.
fn permutation(node: &Node) -> Option<(ValueId, Vec<i64>)> {
    let perm = node.attrs.ints("perm").filter(|_| node.op == "Transpose")?;
    Some((node.inputs.first().copied()??, perm.to_vec()))
}

fn is_product(node: &Node) -> bool {
    matches!(node.op.as_str(), "MatMul" | "Gemm")
}

/// Whether ONNX Runtime reads an operand of a product as it lies before this permutation: the last two axes change
/// places, or the first goes to the last but one, or both.
fn part_of_product(graph: &Graph, perm: &[i64], result: ValueId, readers: &Readers) -> bool {
    let n = perm.len() as i64;
    let is = |first: Range<i64>, last: [i64; 2]| first.chain(last).eq(perm.iter().copied());
    let swapped = n >= 2 && is(0..n - 2, [n - 1, n - 2]);
    let batch = n > 2 && (is(1..n - 1, [0, n - 1]) || is(1..n - 1, [n - 1, 0]));
    (swapped || batch) && reaches_product(graph, n.min(3), result, readers)
}

/// Whether a product of operands of so many axes at least reads a value, perhaps in another shape, or scaled.
fn reaches_product(graph: &Graph, rank: i64, value: ValueId, readers: &Readers) -> bool {
    let enough = |v: &ValueId| graph.value(*v).shape.as_ref().is_some_and(|s| s.len() as i64 >= rank);
    let reads = |node: &&Node| {
        let passes = matches!(node.op.as_str(), "Reshape" | "Transpose" | "Mul" | "Div");
        let mut results = node.outputs.iter().flatten().filter(|v| passes && enough(v));
        is_product(node) && node.inputs.iter().take(2).flatten().all(enough)
            || results.any(|v| reaches_product(graph, rank, *v, readers))
    };
    readers.get(&value).is_some_and(|nodes| nodes.iter().any(reads))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::built, *};

    /// Operators after the pass of a graph on inputs of these shapes.
    fn rewritten(
        shapes: &[&[i64]],
        build: impl Fn(&mut Graph, &[ValueId]) -> Result<ValueId>,
    ) -> Vec<String> {
        rewrite(&built(shapes, build)).unwrap().nodes().map(|(_, n)| n.op.clone()).collect()
    }

    const OWN: &str = "ekphrasis::Transpose";

    #[test]
    fn what_is_part_of_a_product_is_left_to_onnx_runtime() {
        let product = |shape: &[i64], perm: &[i64]| {
            rewritten(&[&[64, 64, 64], shape], |g, x| {
                let y = g.transpose(x[1], perm)?;
                g.matmul(x[0], y)
            })
        };
        let cube = [64; 3];
        assert_eq!(product(&cube, &[0, 2, 1]), ["Transpose", "MatMul"]);
        assert_eq!(product(&cube, &[1, 0, 2]), ["Transpose", "MatMul"]);
        assert_eq!(product(&cube, &[1, 2, 0]), ["Transpose", "MatMul"]);
        assert_eq!(product(&cube, &[2, 0, 1]), [OWN, "MatMul"]);
        let matrix = rewritten(&[&[256, 256], &[256, 256]], |g, x| {
            let y = g.transpose(x[1], &[1, 0])?;
            g.matmul(x[0], y)
        });
        assert_eq!(matrix, ["Transpose", "MatMul"]);
        let scaled = |axes: &'static [i64]| {
            rewritten(&[&[8, 8, 64, 64], &cube], |g, x| {
                let y = g.transpose(x[1], axes)?;
                let shape = g.int_list(&[8, 8, 64, 64]);
                let y = g.reshape_to(y, shape)?;
                let y = g.scale(y, 0.5)?;
                g.matmul(x[0], y)
            })
        };
        assert_eq!(scaled(&[0, 2, 1])[0], "Transpose");
        assert_eq!(scaled(&[2, 1, 0])[0], OWN);
        // Batch and rows of a product with one matrix are joined, and so have to lie in order.
        let joined = rewritten(&[&[64, 16, 64], &[64, 64]], |g, x| {
            let y = g.transpose(x[0], &[1, 0, 2])?;
            g.matmul(y, x[1])
        });
        assert_eq!(joined, [OWN, "MatMul"]);
        let result = rewritten(&[&[256, 64], &[64, 256]], |g, x| {
            let y = g.matmul(x[0], x[1])?;
            g.transpose(y, &[1, 0])
        });
        assert_eq!(result, ["MatMul", "Transpose"]);
    }

    #[test]
    fn one_after_another_is_one_and_small_ones_stay() {
        let twice = |between: &'static [i64]| {
            rewritten(&[&[32, 64, 64]], |g, x| {
                let y = g.transpose(x[0], &[0, 2, 1])?;
                let shape = g.int_list(between);
                let y = g.reshape_to(y, shape)?;
                let shape = g.int_list(&[32, 64, 64]);
                let y = g.reshape_to(y, shape)?;
                g.transpose(y, &[1, 0, 2])
            })
        };
        assert_eq!(twice(&[4, 8, 64, 64]), [OWN]);
        let other_shape = rewritten(&[&[32, 64, 64]], |g, x| {
            let y = g.transpose(x[0], &[0, 2, 1])?;
            let shape = g.int_list(&[64, 32, 64]);
            let y = g.reshape_to(y, shape)?;
            g.transpose(y, &[1, 0, 2])
        });
        assert_eq!(other_shape, [OWN, "Reshape", OWN]);
        let one = |shape: &[i64]| rewritten(&[shape], |g, x| g.transpose(x[0], &[1, 0, 2]));
        assert_eq!(one(&[8, 64, 64]), [OWN]);
        assert_eq!(one(&[8, 63, 64]), ["Transpose"]);
    }
}
