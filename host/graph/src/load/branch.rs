//! `If` with a condition that is known when the model is read: the branch that is taken takes its
//! place. Exporters write such nodes where a shape decides, as in `squeeze`.

use super::{Import, Step, function, function::Flat, order};
use crate::{DType, Dim, Graph, ValueId, proto};
use std::collections::HashSet;

/// Branches may nest this deep, calls of functions between them included.
const DEPTH: usize = 32;

impl Import<'_> {
    /// Reads the branch that is taken in the place of its node.
    pub(super) fn branch(&mut self, flat: Flat) -> Step<()> {
        let label = flat.label();
        self.taken(flat).map_err(|e| format!("{label}: {e}"))
    }

    fn taken(&mut self, flat: Flat) -> Step<()> {
        let Flat { node, opset, .. } = flat;
        let condition = node.input.first().and_then(|name| self.values.get(name)).copied();
        let condition = condition.ok_or("expected a condition as input 0")?;
        let truth = truth(&self.graph, condition, 0).ok_or_else(|| {
            format!(
                "its condition `{}` is not known before the model runs, which is not supported\n\
                 hint: export the model with fixed sizes, or without control flow",
                self.graph.value(condition).name
            )
        })?;
        let wanted = if truth { "then_branch" } else { "else_branch" };
        let body = node.attribute.into_iter().find(|a| a.name == wanted).and_then(|a| a.g);
        let mut body = body.ok_or_else(|| format!("expected a graph as `{wanted}`, found none"))?;
        if body.output.len() != node.output.len() {
            return Err(format!(
                "expected {} outputs of `{wanted}`, found {}",
                node.output.len(),
                body.output.len()
            ));
        }
        if self.depth >= DEPTH {
            return Err(format!("expected branches that nest at most {DEPTH} deep"));
        }
        self.branches += 1;
        make_unique(&mut body, &format!("#branch{}", self.branches));
        for inner in &mut body.node {
            let own = if inner.name.is_empty() { &inner.op_type } else { &inner.name };
            inner.name = format!("{}/{own}", node.name);
        }
        for tensor in std::mem::take(&mut body.initializer) {
            self.initializer(tensor)?;
        }
        let body_nodes = std::mem::take(&mut body.node);
        let nodes = function::flatten(body_nodes, self.functions, opset)?;
        self.left = self.left.checked_sub(nodes.len()).ok_or("its branches expand to too many nodes")?;
        let mut used: HashSet<String> = HashSet::new();
        for flat in &nodes {
            let mut known = |name: &str| {
                if self.values.contains_key(name) || self.sequences.contains(name) {
                    used.insert(name.to_owned());
                }
            };
            flat.node.input.iter().for_each(|name| known(name));
            captured_by_node(&flat.node, &mut known);
        }
        let sorted = order::sort(nodes, &used.iter().map(String::as_str).collect())?;
        self.depth += 1;
        for inner in sorted {
            self.node(inner)?;
        }
        self.depth -= 1;
        for (port, name) in body.output.iter().zip(&node.output).filter(|(_, name)| !name.is_empty()) {
            if !self.alias(&port.name, name)? {
                return Err(format!("output `{}` of `{wanted}` is made by no node", port.name));
            }
        }
        Ok(())
    }
}

/// What a condition is, if that follows from literals and shapes.
fn truth(g: &Graph, id: ValueId, depth: usize) -> Option<bool> {
    if depth > DEPTH {
        return None;
    }
    let value = g.value(id);
    if let Some(t) = value.tensor() {
        return (t.dtype() == DType::Bool && t.len() == 1).then(|| t.bytes() != [0]);
    }
    let (_, node) = g.producer(id)?;
    let input = |i: usize| node.inputs.get(i).copied().flatten();
    let truth = |i: usize| truth(g, input(i)?, depth + 1);
    let number = |i: usize| -> Option<Dim> {
        let value = g.value(input(i)?);
        match (value.ints.as_deref(), value.tensor().and_then(|t| t.as_ints()).as_deref()) {
            (Some([one]), _) => Some(one.clone()),
            (_, Some([one])) => Some(Dim::Known(*one)),
            _ => None,
        }
    };
    let known = |i: usize| number(i).as_ref().and_then(Dim::known);
    match node.op.as_str() {
        "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" => truth(0),
        "Not" => Some(!truth(0)?),
        "And" => Some(truth(0)? && truth(1)?),
        "Or" => Some(truth(0)? || truth(1)?),
        "Cast" => Some(known(0)? != 0),
        // Two sizes that are the same symbol are equal whatever it is.
        "Equal" => match (number(0)?, number(1)?) {
            (a, b) if a == b => Some(true),
            (a, b) => a.known().zip(b.known()).map(|(a, b)| a == b),
        },
        "Less" => Some(known(0)? < known(1)?),
        "LessOrEqual" => Some(known(0)? <= known(1)?),
        "Greater" => Some(known(0)? > known(1)?),
        "GreaterOrEqual" => Some(known(0)? >= known(1)?),
        _ => None,
    }
}

/// The names that a graph itself makes.
fn made(graph: &proto::GraphProto) -> HashSet<String> {
    let nodes = graph.node.iter().flat_map(|n| &n.output);
    nodes.chain(graph.initializer.iter().map(|t| &t.name)).filter(|n| !n.is_empty()).cloned().collect()
}

/// The graphs in a node's attributes.
fn subgraphs(node: &proto::NodeProto) -> impl Iterator<Item = &proto::GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Visits the names that a graph uses from around it. Graphs nest no deeper than a protobuf message can.
pub(super) fn captured<'a>(graph: &'a proto::GraphProto, visit: &mut dyn FnMut(&'a str)) {
    let own = made(graph);
    let mut outer = |name: &'a str| {
        if !name.is_empty() && !own.contains(name) {
            visit(name);
        }
    };
    for node in &graph.node {
        node.input.iter().for_each(|name| outer(name));
        subgraphs(node).for_each(|sub| captured(sub, &mut outer));
    }
    graph.output.iter().for_each(|port| outer(&port.name));
}

/// Visits the names that the subgraphs of a node use from around it.
pub(super) fn captured_by_node<'a>(node: &'a proto::NodeProto, visit: &mut dyn FnMut(&'a str)) {
    subgraphs(node).for_each(|sub| captured(sub, visit));
}

/// Gives other names to what a graph uses from around it.
pub(super) fn rename_captured(graph: &mut proto::GraphProto, to: &dyn Fn(&str) -> Option<String>) {
    let own = made(graph);
    let outer = |name: &str| if name.is_empty() || own.contains(name) { None } else { to(name) };
    rename(graph, &outer);
}

/// Gives other names to what a graph makes.
fn make_unique(graph: &mut proto::GraphProto, suffix: &str) {
    let own = made(graph);
    let to = |name: &str| own.contains(name).then(|| format!("{name}{suffix}"));
    rename(graph, &to);
    let outputs = graph.node.iter_mut().flat_map(|n| &mut n.output);
    for name in outputs.chain(graph.initializer.iter_mut().map(|t| &mut t.name)) {
        if let Some(new) = to(name) {
            *name = new;
        }
    }
}

/// Renames what nodes take, here and in subgraphs, and what the graph gives.
fn rename(graph: &mut proto::GraphProto, to: &dyn Fn(&str) -> Option<String>) {
    let change = |name: &mut String| {
        if let Some(new) = to(name) {
            *name = new;
        }
    };
    for node in &mut graph.node {
        node.input.iter_mut().for_each(change);
        for attribute in &mut node.attribute {
            for sub in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                rename_captured(sub, to);
            }
        }
    }
    graph.output.iter_mut().for_each(|port| change(&mut port.name));
}
