//! Batch normalisation for training: statistics of the batch, in standard operators.

use crate::Result;
use ekphrasis_graph::{AttrsExt, Graph, GraphError, Node, Origin, ValueId, product};
use std::collections::{BTreeSet, HashMap};

/// A running statistic of the training graph: state that the step reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningStatistic {
    /// The initializer that holds it.
    pub initializer: String,
    /// The output port that gives its next value.
    pub output: String,
}

/// The running means and variances of a graph's `BatchNormalization`.
pub fn running_statistics(graph: &Graph) -> BTreeSet<ValueId> {
    let norms = graph.nodes().filter(|(_, n)| n.op == "BatchNormalization");
    norms.flat_map(|(_, n)| n.inputs.iter().skip(3).flatten().copied()).collect()
}

/// A copy of a graph in which each `BatchNormalization` (inference form, running statistics in
/// initializers) normalises by the statistics of its batch; further outputs give the next running
/// statistics.
///
/// As in PyTorch the batch is normalised by the biased variance and the running variance takes the
/// unbiased one. ONNX's `momentum` is the weight of the *old* statistic.
///
/// # Errors
/// When a statistic is not an initializer, or two nodes share one.
pub fn batch_norm_training(graph: &Graph) -> Result<(Graph, Vec<RunningStatistic>)> {
    let (to, map) = graph.leaves(|_| true)?;
    let mut copy = Copy { to, map, running: vec![] };
    for (_, node) in graph.nodes() {
        match node.op.as_str() {
            "BatchNormalization" => copy.batch_norm(graph, node)?,
            _ => copy.node(node)?,
        }
    }
    for (name, value) in graph.outputs() {
        let value = copy.map.get(value).copied();
        let value = value.ok_or_else(|| graph.error(format!("output `{name}` has no value")))?;
        copy.to.output(name, value)?;
    }
    let mut statistics = vec![];
    for (initializer, value) in copy.running {
        let output = format!("{initializer}.next");
        copy.to.output(&output, value)?;
        statistics.push(RunningStatistic { initializer, output });
    }
    Ok((copy.to, statistics))
}

struct Copy {
    to: Graph,
    map: HashMap<ValueId, ValueId>,
    running: Vec<(String, ValueId)>,
}

impl Copy {
    fn node(&mut self, node: &Node) -> Result<()> {
        let inputs: Vec<_> = node.inputs.iter().map(|i| i.and_then(|i| self.map.get(&i).copied())).collect();
        let wanted: Vec<_> = node.outputs.iter().map(Option::is_some).collect();
        let outputs = self.to.add_node_named(&node.name, &node.op, &inputs, node.attrs.clone(), &wanted)?;
        for (old, new) in node.outputs.iter().zip(outputs) {
            if let (Some(old), Some(new)) = (old, new) {
                self.map.insert(*old, new);
            }
        }
        Ok(())
    }

    fn batch_norm(&mut self, graph: &Graph, node: &Node) -> Result<()> {
        let error = |message: &str| GraphError::Node {
            graph: graph.name.clone(),
            node: node.name.clone(),
            op: node.op.clone(),
            message: message.into(),
        };
        let [Some(x), Some(scale), Some(bias), Some(mean), Some(variance)] = *node.inputs.as_slice() else {
            return Err(error("expected five inputs").into());
        };
        let own = |v: ValueId| self.map.get(&v).copied().ok_or_else(|| error("an input comes later"));
        let (x, scale, bias) = (own(x)?, own(scale)?, own(bias)?);
        let (old_mean, old_variance) = (own(mean)?, own(variance)?);
        for v in [mean, variance] {
            let value = graph.value(v);
            let taken = mean == variance || self.running.iter().any(|(name, _)| *name == value.name);
            if !matches!(value.origin, Origin::Initializer(_)) || taken {
                let message = format!(
                    "expected an initializer of its own as `{}`\nhint: PyTorch's older exporter merges equal ones; export with `dynamo=True`",
                    value.name
                );
                return Err(error(&message).into());
            }
        }
        let (epsilon, momentum) = (node.attrs.float("epsilon", 1e-5), node.attrs.float("momentum", 0.9));
        let g = &mut self.to;
        let scope = std::mem::replace(&mut g.scope, format!("{}/", node.name));
        let y = normalise(g, x, scale, bias, f64::from(epsilon))?;
        for (name, old, new) in [
            (&graph.value(mean).name, old_mean, y.mean),
            (&graph.value(variance).name, old_variance, y.unbiased),
        ] {
            let kept = g.scale(old, f64::from(momentum))?;
            let new = g.scale(new, 1.0 - f64::from(momentum))?;
            self.running.push((name.clone(), g.add(kept, new)?));
        }
        g.scope = scope;
        if let Some(Some(old)) = node.outputs.first() {
            self.map.insert(*old, y.out);
        }
        Ok(())
    }
}

struct Normalised {
    out: ValueId,
    mean: ValueId,
    unbiased: ValueId,
}

/// `(x - mean) * (scale / deviation) + bias` with statistics over all axes but 1; five passes over `x`.
fn normalise(
    g: &mut Graph,
    x: ValueId,
    scale: ValueId,
    bias: ValueId,
    epsilon: f64,
) -> Result<Normalised, GraphError> {
    let dims = g.dims(x)?.to_vec();
    let rank = dims.len();
    let axes: Vec<i64> = (0..rank as i64).filter(|i| *i != 1).collect();
    let mean = g.reduce_mean(x, &axes, true)?;
    let centred = g.sub(x, mean)?;
    let square = g.mul(centred, centred)?;
    let variance = g.reduce_mean(square, &axes, true)?;
    let safe = g.shift(variance, epsilon)?;
    let deviation = g.sqrt(safe)?;
    let spatial: Vec<i64> = (1..rank as i64 - 1).collect();
    let (scale, bias) = (g.unsqueeze(scale, &spatial)?, g.unsqueeze(bias, &spatial)?);
    let k = g.div(scale, deviation)?;
    let scaled = g.mul(centred, k)?;
    let out = g.add(scaled, bias)?;

    let (flat_mean, flat_variance) = (g.squeeze(mean, &axes)?, g.squeeze(variance, &axes)?);
    // n / (n - 1), where n elements make one statistic.
    let each: Vec<_> = axes.iter().map(|a| dims[*a as usize].clone()).collect();
    let unbiased = match product(&each).known() {
        Some(n) => g.scale(flat_variance, n as f64 / (n as f64 - 1.0).max(1.0))?,
        None => {
            let n = crate::broadcast::count(g, x, mean)?;
            let less = g.shift(n, -1.0)?;
            let factor = g.div(n, less)?;
            g.mul(flat_variance, factor)?
        }
    };
    Ok(Normalised { out, mean: flat_mean, unbiased })
}
