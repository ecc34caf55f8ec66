//! Graphs in another precision, so that differences of their values mean something.

use crate::function::Feeds;
use ekphrasis_graph::{Attr, Attrs, DType, Graph, GraphError, Origin, Result, Tensor, ValueId};
use std::collections::HashMap;

/// Inputs of type float that stand for sizes or switches, by operator and place.
const SETTINGS: [(&str, usize); 4] = [("Resize", 1), ("Resize", 2), ("Dropout", 1), ("RoiAlign", 1)];

/// A copy of a graph in which all floats are of the type `to` (f32 or f64), and all that is no quantity
/// (sizes, indices, switches) is a literal with the value that it is fed with.
///
/// # Errors
/// When an operator is given a type that it does not take.
pub fn widen(graph: &Graph, feeds: &Feeds, to: DType) -> Result<Graph> {
    let mut copy = Graph::new(&graph.name);
    let mut map: HashMap<ValueId, ValueId> = HashMap::new();
    for (id, value) in graph.values() {
        let quantity = value.dtype.is_float() && !is_setting(graph, id);
        let new = match (&value.origin, feeds.get(&value.name)) {
            (Origin::Input, Some(t)) if !quantity => copy.constant(t.clone()),
            (Origin::Input, _) => {
                let dtype = if value.dtype.is_float() { to } else { value.dtype };
                copy.input(&value.name, dtype, value.shape.clone())?
            }
            (Origin::Initializer(t) | Origin::Constant(t), _) => {
                copy.constant(if quantity { tensor(t, to)? } else { (**t).clone() })
            }
            (Origin::Node(_), _) => continue,
        };
        map.insert(id, new);
    }
    for (_, node) in graph.nodes() {
        let inputs: Vec<_> = node.inputs.iter().map(|i| i.and_then(|i| map.get(&i).copied())).collect();
        let wanted: Vec<_> = node.outputs.iter().map(Option::is_some).collect();
        let attrs =
            node.attrs.iter().map(|(n, a)| Ok((n.clone(), attr(n, a, to)?))).collect::<Result<Attrs>>()?;
        let outputs = copy.add_node_named(&node.name, &node.op, &inputs, attrs, &wanted)?;
        map.extend(node.outputs.iter().zip(outputs).filter_map(|(old, new)| Some(((*old)?, new?))));
    }
    for (name, value) in graph.outputs() {
        let value =
            map.get(value).copied().ok_or_else(|| copy.error(format!("output `{name}` has no value")))?;
        copy.output(name, value)?;
    }
    Ok(copy)
}

fn is_setting(graph: &Graph, id: ValueId) -> bool {
    let uses = graph.nodes().flat_map(|(_, n)| n.inputs.iter().enumerate().map(move |(i, x)| (n, i, x)));
    let mut uses = uses.filter(|(_, _, x)| **x == Some(id)).peekable();
    uses.peek().is_some() && uses.all(|(n, i, _)| SETTINGS.iter().any(|(op, at)| *op == n.op && *at == i))
}

/// A tensor whose floats are of the type `to`.
pub fn tensor(t: &Tensor, to: DType) -> Result<Tensor> {
    if !t.dtype().is_float() {
        return Ok(t.clone());
    }
    let wrong = |message: String| GraphError::Tensor { name: "widened".into(), message };
    crate::data::tensor(to, t.dims(), &crate::data::floats(t).map_err(wrong)?).map_err(wrong)
}

/// An attribute that names a type, or holds a tensor.
fn attr(name: &str, value: &Attr, to: DType) -> Result<Attr> {
    let is_float = |n: &i64| i32::try_from(*n).ok().and_then(DType::from_onnx).is_some_and(DType::is_float);
    Ok(match value {
        Attr::Int(n) if matches!(name, "to" | "dtype" | "output_datatype") && is_float(n) => to.into(),
        Attr::Tensor(t) => tensor(t, to)?.into(),
        other => other.clone(),
    })
}
