//! Names become edges: every value is made once, before it is used.

use super::{Step, function::Flat, scope::captured_by_node};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

/// The nodes in topological order; nodes that are in order already stay as they are.
pub(super) fn sort(nodes: Vec<Flat>, given: &HashSet<&str>) -> Step<Vec<Flat>> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (i, flat) in nodes.iter().enumerate() {
        for name in flat.node.output.iter().filter(|n| !n.is_empty()) {
            if given.contains(name.as_str()) {
                return Err(format!(
                    "{}: output `{name}` bears the name of an input or initializer",
                    flat.label()
                ));
            }
            if let Some(first) = makers.insert(name, i) {
                return Err(format!(
                    "value `{name}` is made twice, by {} and by {}",
                    nodes[first].label(),
                    flat.label()
                ));
            }
        }
    }
    let mut waits = vec![0usize; nodes.len()];
    let mut users: Vec<Vec<usize>> = vec![vec![]; nodes.len()];
    for (i, flat) in nodes.iter().enumerate() {
        for name in flat.node.input.iter().filter(|n| !n.is_empty() && !given.contains(n.as_str())) {
            let maker = *makers.get(name.as_str()).ok_or_else(|| {
                format!("{}: input `{name}` is made by no node, and is no input or initializer", flat.label())
            })?;
            waits[i] += 1;
            users[maker].push(i);
        }
        // What a branch takes from around it must be there too; whether it is said where it is used.
        captured_by_node(&flat.node, &mut |name| {
            if let Some(maker) = makers.get(name) {
                waits[i] += 1;
                users[*maker].push(i);
            }
        });
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..nodes.len()).filter(|i| waits[*i] == 0).map(Reverse).collect();
    let mut order = vec![];
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        for user in &users[i] {
            waits[*user] -= 1;
            if waits[*user] == 0 {
                ready.push(Reverse(*user));
            }
        }
    }
    if order.len() < nodes.len() {
        return Err(cycle(&nodes, &makers, &waits));
    }
    let mut nodes: Vec<Option<Flat>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|i| nodes[i].take()).collect())
}

/// Says which nodes wait for each other.
fn cycle(nodes: &[Flat], makers: &HashMap<&str, usize>, waits: &[usize]) -> String {
    // Backwards from any waiting node along waiting makers, a node must come again.
    let mut at = waits.iter().position(|w| *w > 0).unwrap_or(0);
    let mut path: Vec<usize> = vec![];
    let mut seen = HashSet::new();
    while seen.insert(at) {
        path.push(at);
        let inputs = nodes[at].node.input.iter();
        let waiting = inputs.filter_map(|n| makers.get(n.as_str())).find(|m| waits[**m] > 0);
        at = waiting.copied().unwrap_or(at);
    }
    let from = path.iter().position(|i| *i == at).unwrap_or(0);
    let ring = &path[from..];
    let shown: Vec<_> = ring.iter().take(5).map(|i| nodes[*i].label()).collect();
    let more = if ring.len() > shown.len() {
        format!(" and {} more", ring.len() - shown.len())
    } else {
        String::new()
    };
    format!("expected no cycle, found one through {}{more}", shown.join(", "))
}
