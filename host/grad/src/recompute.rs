//! Rematerialisation: the backward pass computes the activations of layers again instead of keeping them
//! (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").

use crate::Result;
use ekphrasis_graph::{DType, Graph, Node, NodeId, Origin, ValueId, is_random};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

/// What a recomputation is about.
pub struct Recompute<'a> {
    /// What the forward pass is for: the loss and all else that is reported or kept.
    pub forward: &'a [ValueId],
    /// The gradients of parameters.
    pub gradients: &'a [ValueId],
    /// Every parameter of the forward pass, with the number of the layer that it belongs to; none for those of
    /// layers whose activations are kept.
    pub parameters: &'a HashMap<ValueId, Option<usize>>,
}

/// A copy of a differentiated graph in which the gradients need no activations from within the given layers: these
/// are computed again from what goes into the layer. Returns also the new ids of `forward` and `gradients`.
///
/// A layer is a stretch of the forward pass, from node to node in its order, that uses the parameters of that layer
/// alone; between two layers it ends where the fewest values are alive. What other nodes of the forward pass use of it
/// is kept, and so is what was drawn at random.
///
/// What goes into a layer is added to a zero that is made of the gradients that come before. So no runtime can
/// start the recomputation early, nor take it for a common subexpression of the forward pass. The gradients keep
/// their bits, but for the sign of a zero.
///
/// # Errors
/// When a node cannot be copied.
pub fn recompute(graph: &Graph, what: &Recompute) -> Result<(Graph, Vec<ValueId>, Vec<ValueId>)> {
    let forward = graph.ancestors(what.forward);
    let all: Vec<ValueId> = what.forward.iter().chain(what.gradients).copied().collect();
    let needed = graph.ancestors(&all);
    let makes = |node: &Node, set: &HashSet<ValueId>| node.outputs.iter().flatten().any(|o| set.contains(o));
    let order: Vec<(NodeId, &Node)> = graph.nodes().filter(|(_, n)| makes(n, &forward)).collect();
    let within = inner_values(&order, what);

    let (to, map) =
        graph.leaves(|v| needed.contains(&v) || matches!(graph.value(v).origin, Origin::Input))?;
    let mut copy = Copy {
        from: graph,
        to,
        map,
        within,
        parameters: what.parameters,
        zeros: HashMap::new(),
        again: HashMap::new(),
        last: None,
        ready: vec![],
    };
    for (_, node) in graph.nodes().filter(|(_, n)| makes(n, &needed)) {
        match makes(node, &forward) {
            true => copy.forward(node)?,
            false => copy.backward(node, what.gradients)?,
        }
    }
    let new = |ids: &[ValueId]| -> Result<Vec<ValueId>> {
        let found = ids.iter().map(|id| copy.map.get(id).copied()).collect::<Option<_>>();
        Ok(found.ok_or_else(|| graph.error("a value to keep is not there"))?)
    };
    let (forward, gradients) = (new(what.forward)?, new(what.gradients)?);
    Ok((copy.to, forward, gradients))
}

/// The values that are made and used within one layer of the forward pass alone, each with the layer's number in order.
fn inner_values(order: &[(NodeId, &Node)], what: &Recompute) -> HashMap<ValueId, usize> {
    let stretches = stretches(order, what);
    let mut stretch_of = vec![None; order.len()];
    for (number, stretch) in stretches.into_iter().enumerate() {
        stretch_of[stretch].fill(Some(number));
    }
    let mut inner = HashMap::new();
    for ((_, node), stretch) in order.iter().zip(&stretch_of) {
        if let Some(stretch) = stretch.filter(|_| !is_random(&node.op)) {
            inner.extend(node.outputs.iter().flatten().map(|o| (*o, stretch)));
        }
    }
    for ((_, node), stretch) in order.iter().zip(&stretch_of) {
        for input in node.inputs.iter().flatten() {
            if inner.get(input).is_some_and(|made| Some(*made) != *stretch) {
                inner.remove(input);
            }
        }
    }
    inner.retain(|value, _| !what.forward.contains(value));
    inner
}

/// Where the layers lie in the order of the forward pass.
fn stretches(order: &[(NodeId, &Node)], what: &Recompute) -> Vec<Range<usize>> {
    // Uses of parameters, one run for each layer: its number, first and last node.
    let mut runs: Vec<(Option<usize>, usize, usize)> = vec![];
    for (i, (_, node)) in order.iter().enumerate() {
        for layer in node.inputs.iter().flatten().filter_map(|input| what.parameters.get(input)) {
            match runs.last_mut() {
                Some((same, _, last)) if same == layer => *last = i,
                _ => runs.push((*layer, i, i)),
            }
        }
    }
    let alive = alive(order, what.forward);
    let cut = |from: usize, to: usize| (from..=to).min_by_key(|i| alive[*i]).unwrap_or(from);
    let mut begin = 0;
    let mut found = vec![];
    for (i, (layer, first, last)) in runs.iter().enumerate() {
        if i == 0 {
            begin = cut(0, *first);
        }
        let next = runs.get(i + 1).map_or(order.len(), |(_, first, _)| *first);
        let end = cut((*last + 1).min(next), next);
        if layer.is_some() {
            found.push(begin..end);
        }
        begin = end;
    }
    found
}

/// How many values are made before each place in the order and used from there on.
fn alive(order: &[(NodeId, &Node)], roots: &[ValueId]) -> Vec<usize> {
    let mut last_use: HashMap<ValueId, usize> = HashMap::new();
    for (i, (_, node)) in order.iter().enumerate() {
        last_use.extend(node.inputs.iter().flatten().map(|input| (*input, i)));
    }
    last_use.extend(roots.iter().map(|root| (*root, order.len())));
    let mut alive = vec![0; order.len() + 1];
    for (i, (_, node)) in order.iter().enumerate() {
        for last in node.outputs.iter().flatten().filter_map(|o| last_use.get(o)) {
            (i + 1..=*last).for_each(|place| alive[place] += 1);
        }
    }
    alive
}

struct Copy<'a> {
    from: &'a Graph,
    to: Graph,
    map: HashMap<ValueId, ValueId>,
    /// Values that the backward pass computes again, with the number of their layer.
    within: HashMap<ValueId, usize>,
    parameters: &'a HashMap<ValueId, Option<usize>>,
    /// For each layer the zero that comes with its gradient; none where the gradient begins in it.
    zeros: HashMap<usize, Option<ValueId>>,
    /// What was computed again, by old id.
    again: HashMap<(usize, ValueId), ValueId>,
    /// The last float that the backward pass made.
    last: Option<ValueId>,
    /// Gradients of parameters that were made since a layer was computed again.
    ready: Vec<ValueId>,
}

impl Copy<'_> {
    fn forward(&mut self, node: &Node) -> Result<()> {
        let inputs: Vec<_> = node.inputs.iter().map(|i| i.and_then(|i| self.map.get(&i).copied())).collect();
        self.add(&node.name, node, &inputs).map(|made| self.map.extend(made))
    }

    fn backward(&mut self, node: &Node, gradients: &[ValueId]) -> Result<()> {
        let mut inputs = vec![];
        for input in &node.inputs {
            inputs.push(match input {
                Some(input) => match self.within.get(input).copied() {
                    Some(layer) => Some(self.again(layer, *input)?),
                    None => self.map.get(input).copied(),
                },
                None => None,
            });
        }
        for (old, new) in self.add(&node.name, node, &inputs)? {
            self.map.insert(old, new);
            if self.to.value(new).dtype.is_float() && matches!(self.to.value(new).origin, Origin::Node(_)) {
                self.last = Some(new);
                if gradients.contains(&old) {
                    self.ready.push(new);
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: &str,
        node: &Node,
        inputs: &[Option<ValueId>],
    ) -> Result<Vec<(ValueId, ValueId)>> {
        let wanted: Vec<_> = node.outputs.iter().map(Option::is_some).collect();
        let made = self.to.add_node_named(name, &node.op, inputs, node.attrs.clone(), &wanted)?;
        Ok(node.outputs.iter().zip(made).filter_map(|(old, new)| Some(((*old)?, new?))).collect())
    }

    /// A value of a layer for the backward pass: computed again, or as it was where it does not depend on what goes
    /// into the layer.
    fn again(&mut self, layer: usize, value: ValueId) -> Result<ValueId> {
        if let Some(known) = self.again.get(&(layer, value)) {
            return Ok(*known);
        }
        // Nodes to copy, deepest first; a stack of our own, since layers may be long.
        let mut stack = vec![value];
        while let Some(top) = stack.pop() {
            if self.again.contains_key(&(layer, top)) {
                continue;
            }
            let inner = self.within.get(&top) == Some(&layer);
            let Some((_, node)) = self.from.producer(top).filter(|_| inner) else {
                let tied = self.tied(layer, top)?;
                self.again.insert((layer, top), tied);
                continue;
            };
            let missing: Vec<ValueId> = node
                .inputs
                .iter()
                .flatten()
                .filter(|i| !self.again.contains_key(&(layer, **i)))
                .copied()
                .collect();
            if !missing.is_empty() {
                stack.push(top);
                stack.extend(missing);
                continue;
            }
            let inputs: Vec<_> =
                node.inputs.iter().map(|i| i.and_then(|i| self.again.get(&(layer, i)).copied())).collect();
            let same = node
                .inputs
                .iter()
                .zip(&inputs)
                .all(|(old, new)| old.is_none_or(|old| self.map.get(&old) == new.as_ref()));
            let made = match same {
                true => node.outputs.iter().flatten().filter_map(|o| Some((*o, *self.map.get(o)?))).collect(),
                false => self.add(&format!("again/{}", node.name), node, &inputs)?,
            };
            self.again.extend(made.into_iter().map(|(old, new)| ((layer, old), new)));
        }
        self.again.get(&(layer, value)).copied().ok_or_else(|| self.from.error("a value is not there").into())
    }

    /// What goes into a layer, but only once the layer's gradient has come. Parameters, literals and whole numbers
    /// are as they were.
    fn tied(&mut self, layer: usize, value: ValueId) -> Result<ValueId> {
        let new = self.map.get(&value).copied();
        let new = new.ok_or_else(|| self.from.error("a value comes later"))?;
        let described = self.to.value(new);
        let dtype = described.dtype;
        let literal = matches!(described.origin, Origin::Constant(_) | Origin::Initializer(_));
        if literal || !dtype.is_float() || self.parameters.contains_key(&value) {
            return Ok(new);
        }
        match self.zero(layer)? {
            Some(zero) => {
                let zero = self.to.cast(zero, dtype)?;
                Ok(self.to.add(new, zero)?)
            }
            None => Ok(new),
        }
    }

    /// A scalar 0 of f32 that is there once the gradients before this layer are.
    fn zero(&mut self, layer: usize) -> Result<Option<ValueId>> {
        if let Some(zero) = self.zeros.get(&layer) {
            return Ok(*zero);
        }
        let waits: Vec<ValueId> = std::mem::take(&mut self.ready).into_iter().chain(self.last).collect();
        let scope = std::mem::replace(&mut self.to.scope, format!("again/{layer}/"));
        let zero = if waits.is_empty() { None } else { Some(zero_of(&mut self.to, &waits)?) };
        self.to.scope = scope;
        self.zeros.insert(layer, zero);
        Ok(zero)
    }
}

/// 0, whatever the values are.
fn zero_of(g: &mut Graph, values: &[ValueId]) -> Result<ValueId> {
    let mut firsts = vec![];
    for value in values {
        let line = g.int_list(&[-1]);
        let flat = g.reshape_to(*value, line)?;
        let first = g.slice(flat, &[0], &[0], &[1], &[1])?;
        firsts.push(g.cast(first, DType::F32)?);
    }
    let joined = g.concat(&firsts, 0)?;
    let strange = g.op("IsNaN", &[joined], &[])?;
    let strange = g.cast(strange, DType::F32)?;
    let strange = g.reduce_sum(strange, &[], false)?;
    Ok(g.scale(strange, 0.0)?)
}
