//! Concatenations as CUDA can take them: ONNX Runtime passes up to 32 inputs to its kernel by value, and more through
//! memory of the host, which costs a copy and cannot be captured in a CUDA graph.

use ekphrasis_graph::{AttrsExt, Graph, GraphError, NodeId, Result, ValueId};
use std::{borrow::Cow, collections::HashSet};

/// Inputs that the kernel takes by value.
const MOST: usize = 32;

/// The graph with wider concatenations in several steps.
pub(crate) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    let wide = graph.nodes().filter(|(_, n)| n.op == "Concat" && n.inputs.len() > MOST);
    let wide: HashSet<NodeId> = wide.map(|(id, _)| id).collect();
    if wide.is_empty() {
        return Ok(Cow::Borrowed(graph));
    }
    let mut new = graph.clone();
    new.replace_nodes(&wide, |g, _, node| {
        let axis = node.attrs.int("axis", 0);
        let mut parts: Vec<ValueId> = node.inputs.iter().copied().flatten().collect();
        while parts.len() > MOST {
            parts = parts.chunks(MOST).map(|some| g.concat(some, axis)).collect::<Result<_>>()?;
        }
        Ok::<_, GraphError>(vec![Some(g.concat(&parts, axis)?)])
    })?;
    Ok(Cow::Owned(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ekphrasis_graph::{DType, Origin};

    /// Names of what a concatenation of concatenations joins, in order.
    fn joined(g: &Graph, v: ValueId) -> Vec<String> {
        match g.value(v).origin {
            Origin::Node(id) => g.node(id).inputs.iter().flatten().flat_map(|v| joined(g, *v)).collect(),
            _ => vec![g.value(v).name.clone()],
        }
    }

    #[test]
    fn no_concatenation_has_more_than_32_inputs() {
        let mut g = Graph::new("wide");
        let mut input = |i: usize| g.input(&format!("x{i}"), DType::F32, vec![(i as i64).into()]).unwrap();
        let parts: Vec<ValueId> = (0..1100).map(&mut input).collect();
        let few = g.concat(&parts[..32], 0).unwrap();
        g.output("few", few).unwrap();
        assert!(matches!(rewrite(&g).unwrap(), Cow::Borrowed(_)));
        let all = g.concat(&parts, 0).unwrap();
        g.output("all", all).unwrap();
        let new = rewrite(&g).unwrap();
        assert_eq!(new.nodes().map(|(_, n)| n.inputs.len()).max(), Some(32));
        for (port, value) in g.outputs() {
            let there = new.output_named(port).unwrap();
            assert_eq!(new.value(there).shape, g.value(*value).shape);
            assert_eq!(joined(&new, there), joined(&g, *value));
        }
    }
}
