//! Mixed precision: products in half precision, all else in single (Micikevicius et al. 2018).

use crate::Result;
use ekphrasis_graph::{DType, Graph, Node, NodeId, ValueId};
use std::collections::HashSet;

/// What is computed in half precision: products, in which nearly all time goes on a GPU. Softmax, norms, losses, sums
/// and the optimiser stay in single precision.
pub const IN_HALF: [&str; 4] = ["MatMul", "Gemm", "Conv", "ConvTranspose"];

/// Those of them that opset 18 has for bfloat16; convolutions follow in opset 22.
const IN_BFLOAT16: [&str; 2] = ["MatMul", "Gemm"];

/// Has the products of a graph computed in `dtype`, [`DType::F16`] or [`DType::BF16`]: what goes into them is
/// rounded, what comes out is single precision again. Convolutions stay in single precision with [`DType::BF16`], which
/// they do not have. All values keep their ids.
///
/// # Errors
/// When a node cannot be added.
pub fn products_in(graph: &mut Graph, dtype: DType) -> Result<()> {
    let ops = if dtype == DType::BF16 { &IN_BFLOAT16[..] } else { &IN_HALF };
    let single = |id: &ValueId| graph.value(*id).dtype == DType::F32;
    let fits = |node: &Node| {
        let values = node.inputs.iter().chain(&node.outputs).flatten();
        ops.contains(&node.op.as_str()) && values.clone().all(single)
    };
    let which: HashSet<NodeId> = graph.nodes().filter(|(_, n)| fits(n)).map(|(id, _)| id).collect();
    graph.replace_nodes(&which, |g, _, node| {
        let mut inputs = vec![];
        for input in &node.inputs {
            inputs.push(input.map(|input| g.cast(input, dtype)).transpose()?);
        }
        let wanted = vec![true; node.outputs.len()];
        let made = g.add_node_named("", &node.op, &inputs, node.attrs.clone(), &wanted)?;
        made.into_iter().map(|y| Ok(y.map(|y| g.cast(y, DType::F32)).transpose()?)).collect()
    })
}
