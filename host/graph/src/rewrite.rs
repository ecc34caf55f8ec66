//! Graphs made from graphs: what a value needs, inlining, pruning, fixing sizes.

use crate::{Attrs, Graph, GraphError, Node, NodeId, Origin, Result, Tensor, ValueId, graph::node_key};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

impl Graph {
    /// The values that `roots` need, themselves included.
    pub fn ancestors(&self, roots: &[ValueId]) -> HashSet<ValueId> {
        let mut seen: HashSet<ValueId> = HashSet::new();
        let mut stack = roots.to_vec();
        while let Some(v) = stack.pop() {
            if seen.insert(v)
                && let Some((_, node)) = self.producer(v)
            {
                stack.extend(node.inputs.iter().flatten());
            }
        }
        seen
    }

    /// Copies `other` into this graph and returns the values of its outputs, in order.
    ///
    /// `feed` gives the value for each input port by name; `initializer` makes the value that stands
    /// for an initializer (called once for each that the outputs need). Nodes that no output needs
    /// are left behind.
    pub fn inline<E: From<GraphError>>(
        &mut self,
        other: &Graph,
        feed: &HashMap<String, ValueId>,
        mut initializer: impl FnMut(&mut Graph, &str, &Arc<Tensor>) -> Result<ValueId, E>,
    ) -> Result<Vec<ValueId>, E> {
        let roots: Vec<_> = other.outputs().iter().map(|(_, v)| *v).collect();
        let needed = other.ancestors(&roots);
        let mut map: HashMap<ValueId, ValueId> = HashMap::new();
        for (id, value) in other.values().filter(|(id, _)| needed.contains(id)) {
            let new = match &value.origin {
                Origin::Input => *feed.get(&value.name).ok_or_else(|| {
                    self.error(format!(
                        "graph `{}` needs input `{}`, which is not given",
                        other.name, value.name
                    ))
                })?,
                Origin::Initializer(t) => initializer(self, &value.name, t)?,
                Origin::Constant(t) => self.constant((**t).clone()),
                Origin::Node(_) => continue,
            };
            map.insert(id, new);
        }
        for (_, node) in other.nodes() {
            if !node.outputs.iter().flatten().any(|o| needed.contains(o)) {
                continue;
            }
            let inputs: Vec<_> = node.inputs.iter().map(|i| i.and_then(|i| map.get(&i).copied())).collect();
            let wanted: Vec<_> = node.outputs.iter().map(Option::is_some).collect();
            let name = format!("{}{}", self.scope, node.name);
            let outs = self.add_node_named(&name, &node.op, &inputs, node.attrs.clone(), &wanted)?;
            for (old, new) in node.outputs.iter().zip(outs) {
                let (Some(old), Some(new)) = (old, new) else { continue };
                map.insert(*old, new);
                // Of operators that inference does not know, somebody may have said more.
                let (known, value) = (other.value(*old), &mut self.values[new.0 as usize]);
                if value.shape.is_none() && node.op.contains("::") {
                    (value.dtype, value.shape) = (known.dtype, known.shape.clone());
                }
            }
        }
        roots
            .iter()
            .map(|r| map.get(r).copied().ok_or_else(|| self.error("an output has no value").into()))
            .collect()
    }

    /// A graph without nodes that has those inputs, initializers and literals of this one that `wanted` takes, and
    /// the values that stand for them there: where a copy with other nodes begins.
    pub fn leaves(&self, wanted: impl Fn(ValueId) -> bool) -> Result<(Graph, HashMap<ValueId, ValueId>)> {
        let (mut graph, mut map) = (Graph::new(&self.name), HashMap::new());
        graph.target = self.target;
        for (id, value) in self.values().filter(|(id, _)| wanted(*id)) {
            let new = match &value.origin {
                Origin::Input => graph.input(&value.name, value.dtype, value.shape.clone())?,
                Origin::Initializer(t) => graph.initializer(&value.name, t.clone())?,
                Origin::Constant(t) => graph.constant((**t).clone()),
                Origin::Node(_) => continue,
            };
            map.insert(id, new);
        }
        Ok((graph, map))
    }

    /// A copy with only what the outputs need; input ports stay.
    pub fn pruned(&self) -> Result<Graph> {
        let mut graph = Graph::new(&self.name);
        graph.target = self.target;
        let mut feed = HashMap::new();
        for id in self.inputs() {
            let v = self.value(*id);
            feed.insert(v.name.clone(), graph.input(&v.name, v.dtype, v.shape.clone())?);
        }
        let outs = graph.inline::<GraphError>(self, &feed, |g, name, t| g.initializer(name, t.clone()))?;
        for ((name, _), value) in self.outputs().iter().zip(outs) {
            graph.output(name, value)?;
        }
        Ok(graph)
    }

    /// Replaces each node of `which` by the nodes that `define` adds, which returns their values for the
    /// node's outputs. All other values, and the outputs themselves, keep their ids. After an error the
    /// graph is as it was.
    pub fn replace_nodes<E: From<GraphError>>(
        &mut self,
        which: &HashSet<NodeId>,
        mut define: impl FnMut(&mut Graph, NodeId, &Node) -> Result<Vec<Option<ValueId>>, E>,
    ) -> Result<(), E> {
        let mut new = self.clone();
        new.nodes.clear();
        new.node_names.clear();
        new.seen.retain(|key, _| key.starts_with("constant "));
        for (id, node) in self.nodes() {
            if !which.contains(&id) {
                new.push_node(node.clone());
                continue;
            }
            let mark = new.nodes.len();
            let scope = std::mem::replace(&mut new.scope, format!("{}/", node.name));
            let made = define(&mut new, id, node);
            new.scope = scope;
            let mut renamed = HashMap::new();
            for (output, made) in node.outputs.iter().zip(made?) {
                let (Some(output), Some(made)) = (*output, made) else { continue };
                let made = renamed.get(&made).copied().unwrap_or(made);
                let own = matches!(new.value(made).origin, Origin::Node(n) if n.index() >= mark);
                if own && !node.outputs.contains(&Some(made)) {
                    new.rename_value(mark, made, output);
                    renamed.insert(made, output);
                } else {
                    new.push_node(Node {
                        name: format!("{}/Identity_{}", node.name, new.nodes.len()),
                        op: "Identity".into(),
                        inputs: vec![Some(made)],
                        outputs: vec![Some(output)],
                        attrs: Attrs::new(),
                    });
                }
                if new.value(output).shape.is_none() {
                    new.values[output.0 as usize].shape = new.value(made).shape.clone();
                }
            }
        }
        *self = new;
        Ok(())
    }

    /// Adds a node whose outputs are values already.
    fn push_node(&mut self, node: Node) {
        let id = NodeId(self.nodes.len() as u32);
        for output in node.outputs.iter().flatten() {
            self.values[output.0 as usize].origin = Origin::Node(id);
        }
        let wanted: Vec<bool> = node.outputs.iter().map(Option::is_some).collect();
        if let Some(key) = node_key(&node.op, &node.inputs, &node.attrs, &wanted) {
            self.seen.entry(key).or_insert_with(|| node.outputs.clone());
        }
        self.node_names.insert(node.name.clone());
        self.nodes.push(node);
    }

    /// Puts `to` in the place of `from` in all nodes from `mark` on.
    fn rename_value(&mut self, mark: usize, from: ValueId, to: ValueId) {
        let nodes = self.nodes.split_off(mark);
        self.seen.retain(|_, values| !values.contains(&Some(from)));
        for mut node in nodes {
            for v in node.inputs.iter_mut().chain(&mut node.outputs).filter(|v| **v == Some(from)) {
                *v = Some(to);
            }
            self.push_node(node);
        }
    }

    /// A copy in which symbols of the input shapes have the given sizes.
    pub fn with_sizes(&self, sizes: &BTreeMap<String, i64>) -> Result<Graph> {
        let mut copy = self.clone();
        for id in self.inputs() {
            if let Some(shape) = &mut copy.values[id.0 as usize].shape {
                shape.iter_mut().for_each(|d| *d = d.substitute(sizes));
            }
        }
        copy.pruned()
    }
}
