//! What rewrites look for in a graph.

use ekphrasis_graph::{AttrsExt, DType, Dim, Graph, Node, ValueId};

/// Pictures and channels change places.
pub(super) const SWAP: &[i64] = &[1, 0, 2, 3];

/// An input that is there.
pub(super) fn input(node: &Node, i: usize) -> Option<ValueId> {
    node.inputs.get(i).copied()?
}

/// The node that makes a value, if it is of this operator.
pub(super) fn producer<'a>(graph: &'a Graph, value: ValueId, op: &str) -> Option<&'a Node> {
    graph.producer(value).map(|(_, node)| node).filter(|node| node.op == op)
}

/// What a value is with pictures and channels in each other's place.
pub(super) fn swapped(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let node = producer(graph, value, "Transpose").filter(|n| n.attrs.ints("perm") == Some(SWAP))?;
    input(node, 0)
}

/// An input's integers, where they are known.
pub(super) fn ints(graph: &Graph, node: &Node, i: usize) -> Option<Vec<i64>> {
    graph.value(input(node, i)?).ints.as_ref()?.iter().map(Dim::known).collect()
}

/// The sizes of a tensor of four dimensions, where they are known.
pub(super) fn picture(graph: &Graph, value: ValueId) -> Option<[Option<i64>; 4]> {
    let value = graph.value(value);
    let shape = value.shape.as_deref().filter(|_| value.dtype == DType::F32)?;
    <&[Dim; 4]>::try_from(shape).ok().map(|dims| dims.each_ref().map(Dim::known))
}
