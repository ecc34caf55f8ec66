//! Names in graphs that lie in attributes, and what they use from around them.

use crate::proto;
use std::collections::HashSet;

/// The names that a graph itself gives: to what it is fed, and to what it makes.
pub(super) fn own(graph: &proto::GraphProto) -> HashSet<&str> {
    let made = graph.node.iter().flat_map(|n| &n.output);
    let given = graph.input.iter().map(|p| &p.name).chain(graph.initializer.iter().map(|t| &t.name));
    made.chain(given).map(String::as_str).filter(|n| !n.is_empty()).collect()
}

/// The graphs in a node's attributes.
fn subgraphs(node: &proto::NodeProto) -> impl Iterator<Item = &proto::GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Visits the names that a graph uses from around it. Graphs nest no deeper than a protobuf message can.
pub(super) fn captured<'a>(graph: &'a proto::GraphProto, visit: &mut dyn FnMut(&'a str)) {
    let own = own(graph);
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
    let own: HashSet<String> = own(graph).into_iter().map(str::to_owned).collect();
    let outer = |name: &str| if name.is_empty() || own.contains(name) { None } else { to(name) };
    let change = |name: &mut String| {
        if let Some(new) = outer(name) {
            *name = new;
        }
    };
    for node in &mut graph.node {
        node.input.iter_mut().for_each(change);
        for attribute in &mut node.attribute {
            for sub in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                rename_captured(sub, &outer);
            }
        }
    }
    graph.output.iter_mut().for_each(|port| change(&mut port.name));
}
