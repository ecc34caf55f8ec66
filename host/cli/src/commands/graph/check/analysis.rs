//! What a model is made of, and what of it would train.

use super::super::{dimensions::Dimensions, layers};
use crate::error::Result;
use ekphrasis_grad::{
    Missing, batch_norm_training, gradients, missing_rules, nodes_between, rules, running_statistics,
};
use ekphrasis_graph::{DType, Dim, FileFacts, Graph, ValueId, multiplies, multiply_adds, show_shape};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// All that is known of a model.
#[derive(Serialize)]
pub struct Report {
    pub file: String,
    pub facts: FileFacts,
    /// Name and type of each input.
    pub inputs: Vec<(String, String)>,
    /// Name and type of each output.
    pub outputs: Vec<(String, String)>,
    /// Whether a gradient of all float outputs exists.
    pub trains: bool,
    /// Nodes of that gradient.
    pub gradient_nodes: usize,
    /// Every node on the way of the gradient that has no rule, by operator.
    pub missing: BTreeMap<String, Vec<String>>,
    /// Why the gradient cannot be made, where each node has a rule.
    pub error: Option<String>,
    pub operators: Vec<Operator>,
    /// The sizes for which arithmetic is counted.
    pub sizes: BTreeMap<String, i64>,
    /// The same for people.
    pub sizes_note: String,
    pub layers: Vec<Layer>,
    pub parameters: Vec<Parameter>,
    pub batch_norm: BatchNorm,
    /// Dropout nodes.
    pub dropout: usize,
}

/// One operator, in its form of opset 18.
#[derive(Serialize)]
pub struct Operator {
    pub op: String,
    pub count: usize,
    /// Nodes that the gradient goes through.
    pub on_path: usize,
    pub gradient: Derivative,
}

/// What there is to differentiate an operator.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Derivative {
    /// A rule.
    Rule,
    /// Its definition by other operators.
    Definition,
    /// Nothing is needed: the gradient ends here, or does not come here.
    NotNeeded,
    /// Nothing.
    Missing,
}

/// Parameters and arithmetic of one layer.
#[derive(Default, Serialize)]
pub struct Layer {
    pub name: String,
    /// Elements of all its parameters.
    pub elements: usize,
    /// The parameters' shapes.
    pub shapes: Vec<String>,
    /// Multiply-adds of one forward pass; none where a size is not known.
    pub multiply_adds: Option<i64>,
}

/// One initializer.
#[derive(Serialize)]
pub struct Parameter {
    pub name: String,
    pub layer: String,
    pub kind: String,
    pub float: bool,
    /// Nodes that use it.
    pub uses: usize,
    pub fate: Fate,
}

/// What becomes of an initializer in training.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Trains,
    /// A running statistic.
    State,
    /// It stays as it is, for this reason.
    Frozen(String),
}

/// Batch normalisation, as far as it is left.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchNorm {
    None,
    Present {
        nodes: usize,
    },
    /// The nodes that the exporter has folded it into.
    Folded {
        into: Vec<String>,
    },
}

/// Looks at a graph from all sides.
pub fn analyse(file: &str, facts: FileFacts, graph: &Graph, dimensions: &Dimensions) -> Result<Report> {
    let float = |id: &ValueId| graph.value(*id).dtype.is_float();
    let roots: Vec<ValueId> = graph.outputs().iter().map(|(_, id)| *id).filter(float).collect();
    let statistics = running_statistics(graph);
    let candidates: Vec<ValueId> = (graph.initializers().values().map(|(id, _)| *id))
        .filter(|id| graph.value(*id).dtype == DType::F32 && !statistics.contains(id))
        .collect();
    let missing = missing_rules(graph, &roots, &candidates);
    let (reached, gradient_nodes, error) = match missing.is_empty() {
        true => differentiate(graph, &roots, &candidates),
        false => (reachable(graph, &roots, &candidates), 0, None),
    };
    let parameters = parameters(graph, &statistics, &reached, &roots);
    let trains = missing.is_empty() && error.is_none() && !reached.is_empty();
    let sized = dimensions.apply(graph)?;
    let port = |name: &str, id: ValueId| (name.to_owned(), graph.value(id).describe());
    Ok(Report {
        file: file.to_owned(),
        inputs: graph.inputs().iter().map(|id| port(&graph.value(*id).name, *id)).collect(),
        outputs: graph.outputs().iter().map(|(name, id)| port(name, *id)).collect(),
        trains,
        gradient_nodes,
        missing: by_op(missing),
        error,
        operators: operators(graph, &roots, &candidates),
        sizes: dimensions.sizes.clone(),
        sizes_note: dimensions.describe(),
        layers: layer_list(graph, &sized, dimensions, &parameters),
        parameters,
        batch_norm: batch_norm(graph, &facts),
        dropout: graph.nodes().filter(|(_, n)| n.op == "Dropout").count(),
        facts,
    })
}

fn by_op(missing: Vec<Missing>) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Missing { op, node } in missing {
        all.entry(op).or_default().push(node);
    }
    all
}

/// Makes the gradient of all outputs: what it reaches, how many nodes it adds, or why it cannot be.
fn differentiate(
    graph: &Graph,
    roots: &[ValueId],
    candidates: &[ValueId],
) -> (BTreeSet<ValueId>, usize, Option<String>) {
    let attempt = || -> ekphrasis_grad::Result<_> {
        // Values have other ids in the training form, but the names of ports and initializers stay.
        let normalised = graph.nodes().any(|(_, n)| n.op == "BatchNormalization");
        let mut copy = if normalised { batch_norm_training(graph)?.0 } else { graph.clone() };
        let mut seeded = vec![];
        for (name, _) in graph.outputs().iter().filter(|(_, id)| roots.contains(id)) {
            let Some(root) = copy.output_named(name) else { continue };
            let value = copy.value(root).clone();
            let seed = copy.input(&format!("ekphrasis/seed/{name}"), value.dtype, value.shape)?;
            seeded.push((root, Some(seed)));
        }
        let known: Vec<(ValueId, ValueId)> =
            candidates.iter().filter_map(|id| Some((*id, copy.find(&graph.value(*id).name)?))).collect();
        let wrt: Vec<ValueId> = known.iter().map(|(_, new)| *new).collect();
        let found = gradients(&mut copy, &seeded, &wrt)?;
        let reached = known.iter().zip(found).filter(|(_, d)| d.is_some()).map(|((id, _), _)| *id);
        Ok((reached.collect(), copy.nodes().len() - graph.nodes().len()))
    };
    match attempt() {
        Ok((reached, nodes)) => (reached, nodes, None),
        Err(e) => (reachable(graph, roots, candidates), 0, Some(e.to_string())),
    }
}

/// The candidates from which a way leads to the outputs.
fn reachable(graph: &Graph, roots: &[ValueId], candidates: &[ValueId]) -> BTreeSet<ValueId> {
    let nodes = nodes_between(graph, roots, candidates);
    let used: BTreeSet<ValueId> =
        nodes.iter().flat_map(|id| graph.node(*id).inputs.iter().flatten().copied()).collect();
    candidates.iter().copied().filter(|id| used.contains(id)).collect()
}

fn parameters(
    graph: &Graph,
    statistics: &BTreeSet<ValueId>,
    reached: &BTreeSet<ValueId>,
    roots: &[ValueId],
) -> Vec<Parameter> {
    let needed = graph.ancestors(roots);
    let mut uses: BTreeMap<ValueId, usize> = BTreeMap::new();
    for id in graph.nodes().flat_map(|(_, n)| n.inputs.iter().flatten()) {
        *uses.entry(*id).or_default() += 1;
    }
    let one = |(name, (id, _)): (&str, (ValueId, _))| {
        let value = graph.value(id);
        let fate = if statistics.contains(&id) {
            Fate::State
        } else if reached.contains(&id) {
            Fate::Trains
        } else {
            Fate::Frozen(match value.dtype {
                DType::F32 if !needed.contains(&id) => "no float output depends on it".into(),
                DType::F32 => "no gradient reaches it".into(),
                other if other.is_float() => format!("{other}: weights train in f32"),
                other => format!("{other} is no float"),
            })
        };
        let layer = layers::of_initializer(graph, id);
        let uses = uses.get(&id).copied().unwrap_or(0);
        let float = value.dtype.is_float();
        Parameter { name: name.to_owned(), layer, kind: value.describe(), float, uses, fate }
    };
    graph.initializers().into_iter().map(one).collect()
}

fn operators(graph: &Graph, roots: &[ValueId], candidates: &[ValueId]) -> Vec<Operator> {
    let mut all: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (_, node) in graph.nodes() {
        all.entry(&node.op).or_default().0 += 1;
    }
    for id in nodes_between(graph, roots, candidates) {
        all.entry(&graph.node(id).op).or_default().1 += 1;
    }
    let one = |(op, (count, on_path)): (&str, (usize, usize))| {
        let gradient = match rules::find(op) {
            _ if on_path == 0 => Derivative::NotNeeded,
            Some(row) if row.kind == rules::Kind::Definition => Derivative::Definition,
            Some(_) => Derivative::Rule,
            None => Derivative::Missing,
        };
        Operator { op: op.to_owned(), count, on_path, gradient }
    };
    all.into_iter().map(one).collect()
}

/// Layers in the order in which the graph comes to them.
fn layer_list(graph: &Graph, sized: &Graph, dimensions: &Dimensions, parameters: &[Parameter]) -> Vec<Layer> {
    let mut all: Vec<Layer> = vec![];
    fn entry<'a>(all: &'a mut Vec<Layer>, name: &str) -> &'a mut Layer {
        let at = all.iter().position(|l| l.name == name).unwrap_or_else(|| {
            all.push(Layer { name: name.to_owned(), multiply_adds: Some(0), ..Layer::default() });
            all.len() - 1
        });
        &mut all[at]
    }
    for (_, node) in sized.nodes() {
        if !multiplies(&node.op) {
            continue;
        }
        let cost = multiply_adds(sized, node).map(|n| n.substitute(&dimensions.sizes));
        let cost = cost.as_ref().and_then(Dim::known);
        let layer = entry(&mut all, &layers::of_node(sized, node));
        layer.multiply_adds = layer.multiply_adds.zip(cost).map(|(a, b)| a.saturating_add(b));
    }
    let initializers = graph.initializers();
    // Axes, shapes and tables are no parameters.
    for p in parameters.iter().filter(|p| p.float) {
        let Some((id, tensor)) = initializers.get(p.name.as_str()) else { continue };
        let layer = entry(&mut all, &p.layer);
        layer.elements += tensor.len();
        layer.shapes.push(graph.value(*id).shape.as_deref().map_or_else(String::new, show_shape));
    }
    all
}

fn batch_norm(graph: &Graph, facts: &FileFacts) -> BatchNorm {
    match graph.nodes().filter(|(_, n)| n.op == "BatchNormalization").count() {
        0 if facts.folded.is_empty() => BatchNorm::None,
        0 => BatchNorm::Folded { into: facts.folded.clone() },
        nodes => BatchNorm::Present { nodes },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ekphrasis_graph::{Attrs, Tensor};
    use std::sync::Arc;

    fn facts(producer: &str) -> FileFacts {
        let mut g = Graph::new("empty");
        let x = g.input("x", DType::F32, vec![]).unwrap();
        g.output("y", x).unwrap();
        let folder = tempfile::tempdir().unwrap();
        g.save(folder.path().join("m.onnx")).unwrap();
        let facts = FileFacts::read(folder.path().join("m.onnx")).unwrap();
        FileFacts { producer: producer.into(), ..facts }
    }

    fn tensor(dims: &[usize], value: f32) -> Arc<Tensor> {
        Arc::new(Tensor::from_f32(dims, &vec![value; dims.iter().product()]).unwrap())
    }

    /// A convolution whose bias is called `bias`, and a layer behind it by `op`.
    fn network(bias: &str, op: &str) -> Graph {
        let mut g = Graph::new("network");
        let x = g.input("x", DType::F32, vec!["B".into(), 2.into(), 8.into(), 8.into()]).unwrap();
        let w = g.initializer("conv.weight", tensor(&[4, 2, 3, 3], 0.1)).unwrap();
        let b = g.initializer(bias, tensor(&[4], 0.5)).unwrap();
        g.initializer("idle", tensor(&[2], 0.5)).unwrap();
        let y = g.op("Conv", &[x, w, b], &[]).unwrap();
        let y = g.add_node(op, &[Some(y)], Attrs::new(), 1).unwrap()[0];
        g.output("y", y).unwrap();
        g
    }

    fn report(graph: &Graph, settings: &[&str]) -> Report {
        let settings: Vec<String> = settings.iter().map(|s| (*s).into()).collect();
        let dimensions = Dimensions::read(graph, &settings).unwrap();
        analyse("m.onnx", facts("pytorch"), graph, &dimensions).unwrap()
    }

    #[test]
    fn what_trains_and_what_it_costs() {
        let report = report(&network("conv.bias", "Relu"), &["B=2"]);
        assert!(report.trains && report.gradient_nodes > 0 && report.missing.is_empty());
        let fates: Vec<_> =
            report.parameters.iter().map(|p| (p.name.as_str(), p.fate == Fate::Trains)).collect();
        assert_eq!(fates, [("conv.bias", true), ("conv.weight", true), ("idle", false)]);
        assert_eq!(report.layers[0].name, "conv");
        assert_eq!(report.layers[0].multiply_adds, Some(2 * 4 * 6 * 6 * 2 * 9));
        assert_eq!(report.layers[0].elements, 4 * 2 * 9 + 4);
        assert!(matches!(report.batch_norm, BatchNorm::None));
    }

    #[test]
    fn every_missing_rule_is_named() {
        let report = report(&network("conv.bias", "maker::Unheard"), &[]);
        assert!(!report.trains);
        assert_eq!(report.missing.keys().collect::<Vec<_>>(), ["maker::Unheard"]);
        assert_eq!(report.missing["maker::Unheard"].len(), 1);
    }
}
