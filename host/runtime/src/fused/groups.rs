//! Which nodes go together.

use super::program::Op;
use ekphrasis_graph::{DType, Dim, Graph, Node, NodeId, Shape, Target, ValueId};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
};

/// Elementwise nodes that become one.
pub(super) struct Group {
    /// In the graph's order.
    pub nodes: Vec<NodeId>,
    /// Their values that others read, or that are outputs of the graph.
    pub outputs: Vec<ValueId>,
    /// Vectors that are joined for these nodes alone, as one gradient for the optimiser.
    joined: HashSet<ValueId>,
}

impl Group {
    /// What the operator takes for an input of the program: the pieces of a vector that is joined for it, which would
    /// only be copied, or the input itself.
    pub fn pieces(&self, graph: &Graph, input: ValueId) -> Vec<ValueId> {
        let join = graph.producer(input).filter(|_| self.joined.contains(&input));
        join.map_or(vec![input], |(_, node)| node.inputs.iter().flatten().copied().collect())
    }
}

/// Whether a value is made of vectors that lie behind each other.
fn is_joined(graph: &Graph, value: ValueId) -> bool {
    let vector = |v: &ValueId| {
        let value = graph.value(*v);
        value.dtype == DType::F32 && value.shape.as_ref().is_some_and(|s| s.len() == 1)
    };
    let made = graph.producer(value).filter(|(_, node)| node.op == "Concat");
    made.is_some_and(|(_, node)| node.inputs.len() > 1 && node.inputs.iter().flatten().all(vector))
}

/// The groups of a graph.
pub(super) struct Plan {
    pub groups: Vec<Group>,
    /// The group of each node that has one.
    of: HashMap<NodeId, usize>,
}

/// A node or a group, in an order in which they can be computed.
pub(super) enum Unit<'a> {
    Node(NodeId),
    Group(&'a Group),
}

/// The least numbers in a result on the CPU: below, starting an operator costs more than memory does.
const LEAST: i64 = 2048;

/// The shape of what a node computes, where a program should compute it.
fn fusable<'a>(graph: &'a Graph, node: &Node, target: Target) -> Option<&'a Shape> {
    let on_cpu = target == Target::Cpu;
    Op::of(node).filter(|op| !(on_cpu && op.transcendental() || part_of_product(graph, node)))?;
    let result = graph.value(node.outputs.first().copied()??);
    let shape = result.shape.as_ref().filter(|_| result.dtype == DType::F32)?;
    let size = shape.iter().map(Dim::known).try_fold(1i64, |n, d| n.checked_mul(d?));
    if on_cpu && size.is_some_and(|n| n < LEAST) {
        return None;
    }
    let inputs = || node.inputs.iter().flatten().map(|id| graph.value(*id));
    let fits =
        inputs().all(|v| v.dtype == DType::F32 && v.shape.as_deref().is_some_and(|s| repeats(s, shape)));
    fits.then_some(shape)
}

/// Whether ONNX Runtime makes a node part of the matrix product before it: a bias, or a constant factor.
fn part_of_product(graph: &Graph, node: &Node) -> bool {
    let inputs: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
    let product = |v: &ValueId| graph.producer(*v).is_some_and(|(_, n)| n.op == "MatMul");
    let small = |v: &ValueId| match graph.value(*v).shape.as_deref() {
        Some([]) => graph.value(*v).tensor().is_some() && node.op == "Mul",
        Some([_]) => node.op == "Add",
        _ => false,
    };
    matches!(&inputs[..], [a, b] if product(a) && small(b) || product(b) && small(a))
}

/// Whether a tensor broadcasts to `shape` in the way that a program knows: the dimensions in which it varies
/// lie beside each other.
fn repeats(own: &[Dim], shape: &[Dim]) -> bool {
    let Some(skipped) = shape.len().checked_sub(own.len()) else { return false };
    let aligned = || own.iter().zip(&shape[skipped..]);
    let varies: Vec<bool> = aligned().map(|(a, b)| !a.is(1) || b.is(1)).collect();
    let known = aligned().all(|(a, b)| a == b || a.is(1));
    let first = own.iter().position(|d| !d.is(1));
    let last = own.iter().rposition(|d| !d.is(1));
    known && first.zip(last).is_none_or(|(first, last)| varies[first..=last].iter().all(|v| *v))
}

/// Groups of at least two nodes.
///
/// Each node has a level, as late as its consumers allow: the same as theirs where both are elementwise of one
/// shape, one before elsewhere. A way from a node out of its group and back would change the level, so that what is
/// connected on one level can be computed at once.
pub(super) fn find(graph: &Graph, target: Target) -> Plan {
    let nodes: Vec<(NodeId, &Node)> = graph.nodes().collect();
    let shapes: Vec<Option<&Shape>> = nodes.iter().map(|(_, n)| fusable(graph, n, target)).collect();
    let mut levels = vec![0i64; nodes.len()];
    let mut edges = vec![];
    for (i, (_, node)) in nodes.iter().enumerate().rev() {
        for input in node.inputs.iter().flatten() {
            let Some((from, _)) = graph.producer(*input) else { continue };
            let from = from.index();
            let same = shapes[i].is_some() && shapes[i] == shapes[from];
            levels[from] = levels[from].min(levels[i] - i64::from(!same));
            if same {
                edges.push((from, i));
            }
        }
    }
    let mut leaders: Vec<usize> = (0..nodes.len()).collect();
    for (a, b) in edges.into_iter().filter(|(a, b)| levels[*a] == levels[*b]) {
        let (a, b) = (leader(&mut leaders, a), leader(&mut leaders, b));
        leaders[a.max(b)] = a.min(b);
    }
    let mut members: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
    for (i, (id, _)) in nodes.iter().enumerate() {
        members.entry(leader(&mut leaders, i)).or_default().push(*id);
    }
    members.retain(|_, nodes| nodes.len() > 1);
    let of: HashMap<NodeId, usize> =
        members.values().enumerate().flat_map(|(i, nodes)| nodes.iter().map(move |n| (*n, i))).collect();
    // The groups that read each value; `None` for other nodes, and for who takes the graph's outputs.
    let mut readers: HashMap<ValueId, HashSet<Option<usize>>> = HashMap::new();
    for (id, node) in &nodes {
        node.inputs
            .iter()
            .flatten()
            .for_each(|v| _ = readers.entry(*v).or_default().insert(of.get(id).copied()));
    }
    graph.outputs().iter().for_each(|(_, v)| _ = readers.entry(*v).or_default().insert(None));
    let groups = members.into_values().enumerate().map(|(i, nodes)| {
        let made = nodes.iter().filter_map(|id| graph.node(*id).outputs.first().copied().flatten());
        let inputs = nodes.iter().flat_map(|id| graph.node(*id).inputs.iter().flatten());
        let elsewhere = |v: &ValueId| readers.get(v).is_some_and(|r| r.iter().any(|group| *group != Some(i)));
        let alone = |v: &&ValueId| !elsewhere(v);
        let shape = |v: &ValueId| graph.value(*v).shape.as_ref();
        let whole = |v: &&ValueId| made.clone().next().is_some_and(|result| shape(&result) == shape(v));
        let joined = inputs
            .filter(alone)
            .filter(whole)
            .filter(|v| target == Target::Cpu && is_joined(graph, **v))
            .copied()
            .collect();
        Group { outputs: made.filter(elsewhere).collect(), nodes, joined }
    });
    Plan { groups: groups.collect(), of }
}

/// The least member of the set that holds `i`.
fn leader(leaders: &mut [usize], mut i: usize) -> usize {
    while leaders[i] != i {
        leaders[i] = leaders[leaders[i]];
        i = leaders[i];
    }
    i
}

impl Plan {
    /// Everything in an order in which it can be computed, close to the graph's own.
    pub fn order(&self, graph: &Graph) -> Vec<Unit<'_>> {
        // A unit is known by its first node.
        let unit = |id: NodeId| self.of.get(&id).map_or(id, |g| self.groups[*g].nodes[0]).index();
        let mut waits: HashMap<usize, HashSet<usize>> = HashMap::new();
        let mut followers: HashMap<usize, Vec<usize>> = HashMap::new();
        for (id, node) in graph.nodes() {
            let own = unit(id);
            let wait = waits.entry(own).or_default();
            for input in node.inputs.iter().flatten() {
                if let Some(from) =
                    graph.producer(*input).map(|(from, _)| unit(from)).filter(|from| *from != own)
                    && wait.insert(from)
                {
                    followers.entry(from).or_default().push(own);
                }
            }
        }
        let ids: HashMap<usize, NodeId> = graph.nodes().map(|(id, _)| (id.index(), id)).collect();
        let mut open: HashMap<usize, usize> = waits.iter().map(|(unit, wait)| (*unit, wait.len())).collect();
        let mut ready: BinaryHeap<Reverse<usize>> =
            open.iter().filter(|(_, n)| **n == 0).map(|(unit, _)| Reverse(*unit)).collect();
        let mut order = vec![];
        while let Some(Reverse(unit)) = ready.pop() {
            order.push(match self.of.get(&ids[&unit]) {
                Some(group) => Unit::Group(&self.groups[*group]),
                None => Unit::Node(ids[&unit]),
            });
            for follower in followers.remove(&unit).unwrap_or_default() {
                if let Some(n) = open.get_mut(&follower) {
                    *n -= 1;
                    if *n == 0 {
                        ready.push(Reverse(follower));
                    }
                }
            }
        }
        order
    }
}
