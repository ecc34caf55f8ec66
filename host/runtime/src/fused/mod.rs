//! Operators of our own that go over memory once: elementwise arithmetic and, on the CPU, gradients of
//! [pooling](pooling) and of [embeddings](rows), and [transposes](transpose), on [CUDA](cuda) [sums](sum).
//!
//! ONNX Runtime runs `Mul`, `Add` and the like one after the other, each over whole tensors, so that a chain of them
//! takes as long as its intermediate results take to be written and read: an update by Adam goes over memory twelve
//! times. This pass puts [groups](groups) of such nodes that share a shape into one operator of our own, whose
//! [program](program) is [run](kernel) on pieces that fit into the first cache. Every number is rounded as before.
//!
//! On CUDA a program is one kernel, whose [source](source) is compiled when its sizes are known; there ONNX Runtime
//! starts a kernel for each node, and adds up in a fixed order only by way of cuDNN, which is slow.
//!
//! Standard operators stay where they are for other providers.

pub(crate) use kernel::Shared;

mod arithmetic;
mod cuda;
mod groups;
mod kernel;
mod pooling;
mod program;
mod rows;
mod source;
mod sum;
mod transpose;
mod view;

#[cfg(test)]
mod source_tests;
#[cfg(test)]
pub(crate) mod tests;

use crate::{Result, products};
use ekphrasis_graph::{Graph, Node, NodeId, Target, ValueId};
use ort::operator::OperatorDomain;
use std::{borrow::Cow, collections::HashMap};

/// The domain of our operators.
pub(crate) const DOMAIN: &str = "ekphrasis";

/// The operator that runs a program.
const NAME: &str = "Elementwise";

/// The operators of [`rewrite`]'s graphs.
pub(crate) fn operators(target: Target) -> ort::Result<OperatorDomain> {
    let domain = OperatorDomain::new(DOMAIN)?;
    match target {
        Target::Cpu => {
            let domain = domain.add(kernel::Elementwise)?;
            let domain = domain.add(pooling::MaxPoolGradient)?.add(rows::SumRows)?;
            products::operators(domain.add(transpose::Transpose)?)
        }
        Target::Gpu => domain.add(cuda::Elementwise)?.add(cuda::Sum),
    }
}

/// Whether CUDA can have operators of our own: their kernels need its compiler.
pub(crate) fn on_cuda() -> bool {
    crate::cuda::kernels::kernels().is_some()
}

/// A pass over a graph.
pub(crate) type Pass = fn(&Graph) -> ekphrasis_graph::Result<Cow<'_, Graph>>;

/// The graph after one pass after the other.
pub(crate) fn in_turn<'a>(graph: &'a Graph, passes: &[Pass]) -> ekphrasis_graph::Result<Cow<'a, Graph>> {
    let mut new = Cow::Borrowed(graph);
    for pass in passes {
        if let Cow::Owned(changed) = pass(&new)? {
            new = Cow::Owned(changed);
        }
    }
    Ok(new)
}

/// The graph with our operators wherever they fit.
pub(crate) fn rewrite(graph: &Graph, target: Target) -> Result<Cow<'_, Graph>> {
    let passes: &[Pass] = match target {
        Target::Cpu => &[pooling::rewrite, rows::rewrite],
        Target::Gpu => &[sum::rewrite],
    };
    let mut new = in_turn(graph, passes)?;
    if let Cow::Owned(changed) = elementwise(&new, target)? {
        new = Cow::Owned(changed);
    }
    // Last, since the others look for `Transpose` too.
    if let (Target::Cpu, Cow::Owned(changed)) = (target, transpose::rewrite(&new)?) {
        new = Cow::Owned(changed);
    }
    Ok(new)
}

/// The graph with what `make` returns in the place of the nodes in which `find` finds something.
pub(crate) fn replace<F>(
    graph: &Graph,
    find: impl Fn(&Graph, &Node) -> Option<F>,
    make: impl Fn(&mut Graph, &Node, &F) -> ekphrasis_graph::Result<Vec<ValueId>>,
) -> ekphrasis_graph::Result<Cow<'_, Graph>> {
    let found: HashMap<NodeId, F> =
        graph.nodes().filter_map(|(id, node)| Some((id, find(graph, node)?))).collect();
    if found.is_empty() {
        return Ok(Cow::Borrowed(graph));
    }
    let mut new = graph.clone();
    new.replace_nodes(&found.keys().copied().collect(), |g, id, node| {
        let made = make(g, node, &found[&id])?;
        Ok::<_, ekphrasis_graph::GraphError>(made.into_iter().map(Some).collect())
    })?;
    new.pruned().map(Cow::Owned)
}

/// Whether a value is known to be zeros.
pub(crate) fn is_zero(graph: &Graph, v: ValueId) -> bool {
    let values = graph.value(v).tensor().and_then(|t| t.to_f32());
    values.is_some_and(|values| values.iter().all(|v| *v == 0.0))
}

/// The graph with groups of elementwise nodes in one operator each, if it has any.
fn elementwise(graph: &Graph, target: Target) -> ekphrasis_graph::Result<Cow<'_, Graph>> {
    let plan = groups::find(graph, target);
    if plan.groups.is_empty() {
        return Ok(Cow::Borrowed(graph));
    }
    let (to, map) = graph.leaves(|_| true)?;
    let mut copy = Copy { from: graph, to, map };
    for unit in plan.order(graph) {
        match unit {
            groups::Unit::Node(id) => copy.node(graph.node(id))?,
            groups::Unit::Group(group) => copy.group(group)?,
        }
    }
    for (name, value) in graph.outputs() {
        let value = copy.stand_in(*value)?;
        copy.to.output(name, value)?;
    }
    // What was joined for a group only.
    copy.to.pruned().map(Cow::Owned)
}

/// A graph on its way.
struct Copy<'a> {
    from: &'a Graph,
    to: Graph,
    map: HashMap<ValueId, ValueId>,
}

impl Copy<'_> {
    /// What stands for a value.
    fn stand_in(&self, old: ValueId) -> ekphrasis_graph::Result<ValueId> {
        let found = self.map.get(&old).copied();
        found.ok_or_else(|| self.from.error(format!("`{}` has no value", self.from.value(old).name)))
    }

    fn node(&mut self, node: &Node) -> ekphrasis_graph::Result<()> {
        let inputs = node.inputs.iter().map(|i| i.map(|i| self.stand_in(i)).transpose());
        let inputs = inputs.collect::<ekphrasis_graph::Result<Vec<_>>>()?;
        let wanted: Vec<_> = node.outputs.iter().map(Option::is_some).collect();
        let made = self.to.add_node_named(&node.name, &node.op, &inputs, node.attrs.clone(), &wanted)?;
        self.made(&node.outputs, made);
        Ok(())
    }

    fn group(&mut self, group: &groups::Group) -> ekphrasis_graph::Result<()> {
        let (program, inputs) = program::Program::of(self.from, group)?;
        let pieces: Vec<Vec<ValueId>> = inputs.iter().map(|v| group.pieces(self.from, *v)).collect();
        let inputs = pieces.iter().flatten().map(|i| self.stand_in(*i).map(Some));
        let inputs = inputs.collect::<ekphrasis_graph::Result<Vec<_>>>()?;
        let mut attrs = program.attrs();
        let counts: Vec<i64> = pieces.iter().map(|own| own.len() as i64).collect();
        attrs.insert("pieces".into(), counts.into());
        // The name of the last of them, by which a profile finds its place.
        let name = group.nodes.last().map_or("", |id| self.from.node(*id).name.as_str());
        let op = format!("{DOMAIN}::{NAME}");
        let wanted = vec![true; group.outputs.len()];
        let made = self.to.add_node_named(name, &op, &inputs, attrs, &wanted)?;
        let outputs: Vec<_> = group.outputs.iter().copied().map(Some).collect();
        self.made(&outputs, made);
        Ok(())
    }

    /// Notes what stands for the outputs of a node, and what is known of them.
    fn made(&mut self, old: &[Option<ValueId>], new: Vec<Option<ValueId>>) {
        for (old, new) in old.iter().zip(new) {
            let (Some(old), Some(new)) = (*old, new) else { continue };
            self.map.insert(old, new);
            if let (None, Some(shape)) = (&self.to.value(new).shape, &self.from.value(old).shape) {
                self.to.assume_shape(new, shape.clone());
            }
        }
    }
}
