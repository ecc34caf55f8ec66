//! A whole training step over parameters that are inputs of the graph, each under its own name.

use crate::{
    GradError, OptimizerInputs, OptimizerSpec, Result, gradient,
    optimizer::{self, Part},
};
use ekphrasis_graph::{DType, Dim, Graph, ValueId};

/// Adds the gradient of `loss` by `parameters` (inputs, `f32` of known sizes) and one update of them.
/// Returns the parameters that a gradient reaches, in their order, and the 2-norm of the whole gradient
/// before clipping; the others stay as they are.
///
/// For each parameter `w` that is reached there is an output `w.next`; for each state of the optimiser
/// (`moment1`, say) an input `w.moment1` and an output `w.moment1.next`, and likewise `w.average` where
/// the optimiser averages. Further inputs, scalars: `count`, the number of the step from 1, and `rate`,
/// the learning rate, unless that is given here.
///
/// # Errors
/// As [`gradient`]; and when no parameter is reached, or a name is taken.
pub fn training_step(
    graph: &mut Graph,
    loss: ValueId,
    parameters: &[ValueId],
    spec: &OptimizerSpec,
    rate: Option<f64>,
) -> Result<(Vec<ValueId>, ValueId)> {
    let found = gradient(graph, loss, None, parameters)?;
    let trained: Vec<(ValueId, ValueId)> =
        parameters.iter().zip(found).filter_map(|(w, grad)| Some((*w, grad?))).collect();
    if trained.is_empty() {
        let message = "the loss depends on no parameter that could train".into();
        return Err(GradError::Request { graph: graph.name.clone(), message });
    }
    let mut flat = Flat { parameters: vec![] };
    let mut parts = vec![];
    for (w, grad) in &trained {
        let (name, dims) = (graph.value(*w).name.clone(), graph.dims(*w)?.to_vec());
        let sizes: Option<Vec<i64>> = dims.iter().map(Dim::known).collect();
        let sizes =
            sizes.ok_or_else(|| graph.error(format!("the sizes of parameter `{name}` are not known")))?;
        let len = sizes.iter().product::<i64>();
        parts.push(Part { grad: Some(*grad), len: usize::try_from(len).unwrap_or(0), padding: 0 });
        flat.parameters.push((name, sizes));
    }
    let scope = std::mem::replace(&mut graph.scope, "optimizer/".into());
    let done = update(graph, &flat, &parts, &trained, spec, rate);
    graph.scope = scope;
    Ok((trained.into_iter().map(|(w, _)| w).collect(), done?))
}

/// The optimiser's part; the norm of the gradient.
fn update(
    graph: &mut Graph,
    flat: &Flat,
    parts: &[Part],
    trained: &[(ValueId, ValueId)],
    spec: &OptimizerSpec,
    rate: Option<f64>,
) -> Result<ValueId> {
    let grad = optimizer::flatten_gradients(graph, parts)?;
    let step = graph.input("count", DType::F32, vec![])?;
    let lr = match rate {
        Some(rate) => graph.scalar_like(step, rate),
        None => graph.input("rate", DType::F32, vec![])?,
    };
    let weights: Vec<ValueId> = trained.iter().map(|(w, _)| *w).collect();
    let w = flat.join(graph, &weights)?;
    let mut states = vec![];
    for state in spec.states() {
        states.push(flat.input(graph, state)?);
    }
    let average = spec.average.map(|_| flat.input(graph, "average")).transpose()?;
    let inputs = OptimizerInputs { w, grad, states, average, lr, step, decay_mask: None, rates: None };
    let out = optimizer::emit(graph, spec, &inputs)?;
    flat.outputs(graph, "", out.w)?;
    for (state, value) in out.states {
        flat.outputs(graph, &format!(".{state}"), value)?;
    }
    if let Some(average) = out.average {
        flat.outputs(graph, ".average", average)?;
    }
    Ok(out.grad_norm)
}

/// Parameters by name and sizes, and how they lie behind each other in one vector.
struct Flat {
    parameters: Vec<(String, Vec<i64>)>,
}

impl Flat {
    /// The vector of these tensors, one for each parameter.
    fn join(&self, graph: &mut Graph, tensors: &[ValueId]) -> Result<ValueId> {
        let line = graph.int_list(&[-1]);
        let mut pieces = vec![];
        for tensor in tensors {
            let flat = graph.dims(*tensor)?.len() == 1;
            pieces.push(if flat { *tensor } else { graph.reshape_to(*tensor, line)? });
        }
        Ok(graph.concat(&pieces, 0)?)
    }

    /// The vector of new inputs `NAME.state`.
    fn input(&self, graph: &mut Graph, state: &str) -> Result<ValueId> {
        let mut inputs = vec![];
        for (name, sizes) in &self.parameters {
            let shape: Vec<Dim> = sizes.iter().copied().map(Dim::Known).collect();
            inputs.push(graph.input(&format!("{name}.{state}"), DType::F32, shape)?);
        }
        self.join(graph, &inputs)
    }

    /// New outputs `NAMEsuffix.next`, the parts of a vector.
    fn outputs(&self, graph: &mut Graph, suffix: &str, vector: ValueId) -> Result<()> {
        let lengths: Vec<i64> = self.parameters.iter().map(|(_, sizes)| sizes.iter().product()).collect();
        let parts = match lengths.as_slice() {
            [_] => vec![vector],
            lengths => {
                let list = graph.int_list(lengths);
                let attrs = [("axis".to_owned(), 0.into())].into_iter().collect();
                graph.add_node("Split", &[Some(vector), Some(list)], attrs, lengths.len())?
            }
        };
        for ((name, sizes), part) in self.parameters.iter().zip(parts) {
            let shaped = match sizes.as_slice() {
                [_] => part,
                sizes => {
                    let shape = graph.int_list(sizes);
                    graph.reshape_to(part, shape)?
                }
            };
            graph.output(&format!("{name}{suffix}.next"), shaped)?;
        }
        Ok(())
    }
}
