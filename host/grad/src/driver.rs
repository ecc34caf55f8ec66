//! The reverse walk.

use crate::{Ctx, GradError, Missing, Result, broadcast, rules, rules::Kind};
use ekphrasis_graph::{AttrsExt, Dim, Graph, Node, NodeId, ValueId};
use std::collections::{HashMap, HashSet};

/// Gradients of `y` with respect to each of `wrt`, as new nodes of the same graph.
///
/// `seed` is the gradient of `y` itself (a vector for the vector-Jacobian product); without one, `y`
/// must be a scalar and the seed is 1. A value that `y` does not depend on has no gradient (`None`);
/// zeros are never made up. The result can be differentiated again.
///
/// `ekphrasis::StopGradient` (identity) and integer or boolean values end the way.
///
/// # Errors
/// [`GradError::Missing`] names every node on the way that has no rule; [`GradError::Request`] when the
/// seed does not fit; [`GradError::Graph`] when a rule does not cover a node as it is.
pub fn gradient(
    graph: &mut Graph,
    y: ValueId,
    seed: Option<ValueId>,
    wrt: &[ValueId],
) -> Result<Vec<Option<ValueId>>> {
    gradients(graph, &[(y, seed)], wrt)
}

/// Like [`gradient`], for the sum over several outputs of seed times output.
///
/// # Errors
/// As [`gradient`].
pub fn gradients(
    graph: &mut Graph,
    outputs: &[(ValueId, Option<ValueId>)],
    wrt: &[ValueId],
) -> Result<Vec<Option<ValueId>>> {
    let roots: Vec<ValueId> = outputs.iter().map(|(y, _)| *y).collect();
    let path = define(graph, &roots, wrt)?;

    let mut found = Found::new();
    for (y, seed) in outputs {
        let seed = seed_of(graph, *y, *seed)?;
        if path.values.contains(y) {
            found.entry(*y).or_default().push(seed);
        }
    }
    for id in path.nodes.iter().rev() {
        let node = graph.node(*id).clone();
        // The nodes of a gradient bear the name of the node that it is of, for profiles and errors.
        let scope = std::mem::replace(&mut graph.scope, format!("grad/{}/", node.name));
        let done = step(graph, &node, &path.values, &mut found);
        graph.scope = scope;
        done?;
    }
    let mut result = vec![];
    for w in wrt {
        let grad = total(graph, &mut found, *w)?;
        result.push(grad.map(|d| broadcast::dense(graph, d, *w)).transpose()?);
    }
    Ok(result)
}

/// `x` as a value that gradients do not pass.
///
/// # Errors
/// When the node cannot be added.
pub fn stop_gradient(graph: &mut Graph, x: ValueId) -> Result<ValueId> {
    Ok(graph.op(rules::STOP_GRADIENT, &[x], &[])?)
}

/// Every node between `wrt` and `outputs` that has no rule, in topological order: what
/// [`GradError::Missing`] would name.
pub fn missing_rules(graph: &Graph, outputs: &[ValueId], wrt: &[ValueId]) -> Vec<Missing> {
    missing(graph, &path(graph, outputs, wrt).nodes)
}

/// The nodes that a gradient of `outputs` by `wrt` goes through.
pub fn nodes_between(graph: &Graph, outputs: &[ValueId], wrt: &[ValueId]) -> Vec<NodeId> {
    path(graph, outputs, wrt).nodes
}

/// The nodes and values that lie between `wrt` and `roots`.
struct Path {
    nodes: Vec<NodeId>,
    values: HashSet<ValueId>,
}

fn path(graph: &Graph, roots: &[ValueId], wrt: &[ValueId]) -> Path {
    let needed = graph.ancestors(roots);
    let float = |v: &ValueId| graph.value(*v).dtype.is_float();
    let mut values: HashSet<ValueId> = wrt.iter().copied().filter(float).collect();
    let mut nodes = vec![];
    for (id, node) in graph.nodes() {
        if rules::stops(&node.op) || !node.inputs.iter().flatten().any(|i| values.contains(i)) {
            continue;
        }
        let mut outputs = node.outputs.iter().flatten().filter(|o| needed.contains(o) && float(o)).peekable();
        if outputs.peek().is_some() {
            nodes.push(id);
            values.extend(outputs);
        }
    }
    Path { nodes, values }
}

/// The way, after nodes on it that are defined by others gave way to these.
fn define(graph: &mut Graph, roots: &[ValueId], wrt: &[ValueId]) -> Result<Path> {
    loop {
        let path = path(graph, roots, wrt);
        check_rules(graph, &path.nodes)?;
        let defined = |id: &NodeId| rules::find(&graph.node(*id).op).filter(|r| r.kind == Kind::Definition);
        let rows: HashMap<NodeId, _> =
            path.nodes.iter().filter_map(|id| Some((*id, defined(id)?.rule))).collect();
        if rows.is_empty() {
            return Ok(path);
        }
        graph.replace_nodes(&rows.keys().copied().collect(), |g, id, node| {
            let mut ctx = Ctx { g, node, grads: vec![], wants: vec![], fitted: vec![] };
            rows[&id](&mut ctx)
        })?;
    }
}

fn missing(graph: &Graph, nodes: &[NodeId]) -> Vec<Missing> {
    let without = nodes.iter().map(|id| graph.node(*id)).filter(|n| rules::find(&n.op).is_none());
    without.map(|n| Missing { op: n.op.clone(), node: n.name.clone() }).collect()
}

fn check_rules(graph: &Graph, nodes: &[NodeId]) -> Result<()> {
    let missing = missing(graph, nodes);
    match missing.is_empty() {
        true => Ok(()),
        false => Err(GradError::Missing { graph: graph.name.clone(), missing }),
    }
}

fn seed_of(graph: &mut Graph, y: ValueId, seed: Option<ValueId>) -> Result<ValueId> {
    let value = graph.value(y).clone();
    let request = |message: String| GradError::Request { graph: graph.name.clone(), message };
    if !value.dtype.is_float() {
        let message =
            format!("expected floats to differentiate, found {} (`{}`)", value.describe(), value.name);
        return Err(request(message));
    }
    let Some(seed) = seed else {
        let scalar = value.shape.as_ref().is_some_and(|s| s.iter().all(|d| d.is(1)));
        if !scalar {
            return Err(request(format!(
                "expected a scalar to differentiate, found {} (`{}`)\nhint: reduce it, or give a seed of its shape",
                value.describe(),
                value.name
            )));
        }
        let one = graph.scalar_like(y, 1.0);
        return Ok(graph.reshape_like(one, y)?);
    };
    let given = graph.value(seed);
    let fits = match (&given.shape, &value.shape) {
        (Some(a), Some(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(x, y)| x == y || x.known().is_none() || y.known().is_none())
        }
        _ => true,
    };
    if given.dtype != value.dtype || !fits {
        return Err(request(format!(
            "expected a seed like `{}`, {}; found {} (`{}`)",
            value.name,
            value.describe(),
            given.describe(),
            given.name
        )));
    }
    Ok(seed)
}

/// What each value's consumers contributed to its gradient.
type Found = HashMap<ValueId, Vec<ValueId>>;

/// The gradient of a value once all its consumers have been walked.
fn total(graph: &mut Graph, found: &mut Found, of: ValueId) -> Result<Option<ValueId>> {
    let Some(parts) = found.get_mut(&of) else { return Ok(None) };
    let parts = std::mem::take(parts);
    let mut rest = joined_products(graph, parts)?.into_iter();
    let Some(mut sum) = rest.next() else { return Ok(None) };
    for part in rest {
        sum = graph.add(sum, part)?;
    }
    found.insert(of, vec![sum]);
    Ok(Some(sum))
}

/// From so many products `A^T B` on, their sum is taken as one product of all rows.
const MANY: usize = 4;

/// A weight that is used at every step gets a product `A^T B` from each. Their sum is one product of all
/// the `A` and all the `B` below each other, which saves as many passes over the weight, where that is larger
/// than the factors.
fn joined_products(graph: &mut Graph, parts: Vec<ValueId>) -> Result<Vec<ValueId>> {
    let (products, mut rest): (Vec<ValueId>, Vec<ValueId>) =
        parts.iter().copied().partition(|v| transposed_product(graph, *v).is_some());
    if products.len() < MANY {
        return Ok(parts);
    }
    let (left, right): (Vec<ValueId>, Vec<ValueId>) =
        products.iter().filter_map(|v| transposed_product(graph, *v)).unzip();
    // To join reads and writes the factors, to add reads and writes the products.
    let size = |values: &[ValueId]| -> Option<i64> {
        let one = |v: &ValueId| graph.dims(*v).ok()?.iter().map(Dim::known).product::<Option<i64>>();
        values.iter().map(one).sum()
    };
    if let (Some(a), Some(b), Some(added)) = (size(&left), size(&right), size(&products))
        && a + b > 2 * added
    {
        return Ok(parts);
    }
    let (left, right) = (graph.concat(&left, 0)?, graph.concat(&right, 0)?);
    rest.insert(0, graph.op("Gemm", &[left, right], &[("transA", true.into())])?);
    Ok(rest)
}

/// The factors of `A^T B`.
fn transposed_product(graph: &Graph, v: ValueId) -> Option<(ValueId, ValueId)> {
    let (_, node) = graph.producer(v)?;
    let plain = node.attrs.int("transA", 0) != 0
        && node.attrs.int("transB", 0) == 0
        && node.attrs.float("alpha", 1.0) == 1.0;
    match *node.inputs.as_slice() {
        [Some(a), Some(b)] if node.op == "Gemm" && plain => Some((a, b)),
        _ => None,
    }
}

/// Differentiates one node: from the gradients of its outputs to those of its inputs.
fn step(graph: &mut Graph, node: &Node, active: &HashSet<ValueId>, found: &mut Found) -> Result<()> {
    let mut grads = vec![];
    for output in &node.outputs {
        grads.push(match output {
            Some(output) => total(graph, found, *output)?,
            None => None,
        });
    }
    if grads.iter().all(Option::is_none) {
        return Ok(());
    }
    let Some(row) = rules::find(&node.op) else { return Ok(()) };
    if row.kind == Kind::Dense {
        for (grad, output) in grads.iter_mut().zip(&node.outputs) {
            if let (Some(d), Some(y)) = (*grad, *output) {
                *grad = Some(broadcast::dense(graph, d, y)?);
            }
        }
    }
    let wants: Vec<bool> = node.inputs.iter().map(|i| i.is_some_and(|i| active.contains(&i))).collect();
    let mut ctx = Ctx { g: graph, node, grads, wants, fitted: vec![] };
    let results = (row.rule)(&mut ctx)?;
    let (wants, fitted) = (ctx.wants, ctx.fitted);
    for (i, (input, grad)) in node.inputs.iter().zip(results).enumerate() {
        let (Some(input), Some(grad), true) = (*input, grad, wants[i]) else { continue };
        let grad = match node.outputs.first().copied().flatten() {
            Some(y) if row.kind == Kind::Elementwise && !fitted.contains(&i) => {
                fit(graph, node, grad, input, y)?
            }
            _ => grad,
        };
        found.entry(input).or_default().push(grad);
    }
    Ok(())
}

/// Un-broadcasting after an elementwise rule.
fn fit(graph: &mut Graph, node: &Node, grad: ValueId, x: ValueId, y: ValueId) -> Result<ValueId> {
    if [grad, x, y].iter().all(|v| graph.value(*v).shape.is_some()) {
        return Ok(broadcast::fit(graph, grad, x, y)?);
    }
    if node.inputs.len() == 1 {
        return Ok(grad);
    }
    Err(GradError::Request {
        graph: graph.name.clone(),
        message: format!(
            "node `{}` ({}): expected operands of known rank, to undo broadcasting\nhint: give the graph's inputs shapes",
            node.name, node.op
        ),
    })
}
