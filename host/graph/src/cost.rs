//! How much arithmetic a node takes.

use crate::{AttrsExt, Dim, Equation, Graph, Node, Shape, ValueId, product};
use std::collections::BTreeMap;

/// Whether [`multiply_adds`] counts an operator, where shapes are known.
pub fn multiplies(op: &str) -> bool {
    ["Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "RNN", "GRU", "LSTM"].contains(&op)
}

/// Multiply-adds of a convolution, matrix product, contraction or recurrent layer, as a polynomial of
/// the symbols in its shapes; twice that are its FLOPs. `None` for operators that do not multiply
/// matrices, whose arithmetic does not count beside these, and where a shape is not known.
///
/// ```
/// use ekphrasis_graph::{DType, Graph, multiply_adds};
/// let mut g = Graph::new("product");
/// let a = g.input("a", DType::F32, vec!["B".into(), 3.into()])?;
/// let b = g.input("b", DType::F32, vec![3.into(), 5.into()])?;
/// g.matmul(a, b)?;
/// let (_, node) = g.nodes().next().expect("one node");
/// assert_eq!(multiply_adds(&g, node).map(|n| n.to_string()), Some("15*B".into()));
/// # Ok::<(), ekphrasis_graph::GraphError>(())
/// ```
pub fn multiply_adds(graph: &Graph, node: &Node) -> Option<Dim> {
    let shape_of = |id: Option<&Option<ValueId>>| -> Option<&Shape> {
        id.copied().flatten().and_then(|id| graph.value(id).shape.as_ref())
    };
    let input = |i: usize| shape_of(node.inputs.get(i));
    let output = || shape_of(node.outputs.iter().find(|o| o.is_some()));
    match node.op.as_str() {
        // Each element of the output sums over the channels of its group and the kernel.
        "Conv" => Some(product(output()?).mul(&product(input(1)?.get(1..)?))),
        // Each element of the input is spread over the channels of its group and the kernel.
        "ConvTranspose" => Some(product(input(0)?).mul(&product(input(1)?.get(1..)?))),
        "MatMul" => Some(product(output()?).mul(input(0)?.last()?)),
        "Gemm" => {
            let inner = if node.attrs.int("transA", 0) == 0 { 1 } else { 0 };
            Some(product(output()?).mul(input(0)?.get(inner)?))
        }
        "Einsum" => contraction(node, &input),
        // Every step multiplies its input and the state before it by all gates' matrices.
        "RNN" | "GRU" | "LSTM" => {
            let rows = product(input(0)?.get(..2)?);
            Some(rows.mul(&product(input(1)?).add(&product(input(2)?))))
        }
        _ => None,
    }
}

/// The product of the sizes of all letters, as a plain loop takes.
fn contraction<'a>(node: &Node, input: &dyn Fn(usize) -> Option<&'a Shape>) -> Option<Dim> {
    let shapes: Vec<&Shape> = (0..node.inputs.len()).map(input).collect::<Option<_>>()?;
    let ranks: Vec<usize> = shapes.iter().map(|s| s.len()).collect();
    let equation = Equation::parse(node.attrs.text("equation", ""), &ranks).ok()?;
    let mut sizes = BTreeMap::new();
    for (letters, shape) in equation.operands.iter().zip(shapes) {
        for (letter, size) in letters.iter().zip(shape) {
            // A size of 1 broadcasts.
            let known = sizes.entry(*letter).or_insert_with(|| size.clone());
            if known.is(1) {
                *known = size.clone();
            }
        }
    }
    Some(product(&sizes.into_values().collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attr, DType};

    /// The multiply-adds of one node over inputs of these shapes.
    fn cost(op: &str, shapes: &[&[&str]], attrs: &[(&str, Attr)]) -> String {
        let mut g = Graph::new("one");
        let ids: Vec<ValueId> = (shapes.iter().enumerate())
            .map(|(i, dims)| {
                let shape: Shape = dims.iter().map(|d| Dim::parse(d)).collect();
                g.input(&format!("x{i}"), DType::F32, shape).unwrap()
            })
            .collect();
        g.op(op, &ids, attrs).unwrap();
        let (_, node) = g.nodes().next().unwrap();
        let cost = multiply_adds(&g, node);
        assert_eq!(cost.is_some(), multiplies(op), "{op}");
        cost.map_or("none".into(), |n| n.to_string())
    }

    #[test]
    fn by_hand() {
        // 4 output channels of 6x6 from 3x3 kernels over 2 channels.
        let pads = || ("pads", Attr::Ints(vec![0; 4]));
        assert_eq!(cost("Conv", &[&["B", "2", "8", "8"], &["4", "2", "3", "3"]], &[pads()]), "2592*B");
        // Depthwise: one channel in each group.
        let grouped = &[pads(), ("group", Attr::Int(4))];
        assert_eq!(cost("Conv", &[&["1", "4", "8", "8"], &["4", "1", "3", "3"]], grouped), "1296");
        assert_eq!(cost("ConvTranspose", &[&["1", "2", "5", "5"], &["2", "4", "3", "3"]], &[]), "1800");
        assert_eq!(cost("MatMul", &[&["B", "T", "8"], &["8", "3"]], &[]), "24*B*T");
        let transposed = &[("transA", Attr::Int(1))];
        assert_eq!(cost("Gemm", &[&["7", "B"], &["7", "3"]], transposed), "21*B");
        let equation = &[("equation", Attr::Text("bhid,bhjd->bhij".into()))];
        assert_eq!(cost("Einsum", &[&["2", "3", "4", "5"], &["2", "3", "6", "5"]], equation), "720");
        let lstm: &[&[&str]] = &[&["T", "B", "3"], &["1", "8", "3"], &["1", "8", "2"]];
        assert_eq!(cost("LSTM", lstm, &[("hidden_size", Attr::Int(2))]), "40*B*T");
        assert_eq!(cost("Relu", &[&["9"]], &[]), "none");
    }
}
