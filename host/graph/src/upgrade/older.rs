//! Forms of opsets 11 and 12 that opset 13 changed.

use super::{Form, Outputs, fail, keep, need, rules};
use crate::{Attr, AttrsExt, Graph, Tensor};

/// What was a list in an attribute is an input now.
fn list_as_input(graph: &mut Graph, form: &mut Form, name: &str) -> crate::Result<()> {
    match form.attrs.remove(name) {
        None => Ok(()),
        Some(Attr::Ints(list)) if form.inputs.len() == 1 => {
            form.inputs.push(Some(graph.int_list(&list)));
            Ok(())
        }
        Some(_) => Err(fail(graph, form, format!("expected `{name}` to be integers"))),
    }
}

/// `Squeeze` and `Unsqueeze`.
pub(super) fn axes(graph: &mut Graph, mut form: Form) -> Outputs {
    list_as_input(graph, &mut form, "axes")?;
    keep(graph, form)
}

/// Sizes of the parts.
pub(super) fn split(graph: &mut Graph, mut form: Form) -> Outputs {
    list_as_input(graph, &mut form, "split")?;
    rules::split(graph, form)
}

/// The ratio was an attribute, and there was no training.
pub(super) fn dropout(graph: &mut Graph, mut form: Form) -> Outputs {
    let ratio = form.attrs.float("ratio", 0.5);
    form.attrs.remove("ratio");
    let ratio = graph.constant(Tensor::scalar_f32(ratio));
    form.inputs.truncate(1);
    form.inputs.push(Some(ratio));
    rules::dropout(graph, form)
}

/// `Softmax`, `LogSoftmax` and `Hardmax` went over all axes from `axis` (1) on at once.
pub(super) fn softmax(graph: &mut Graph, mut form: Form) -> Outputs {
    let x = need(graph, &form, 0)?;
    let rank = graph.rank(x)? as i64;
    let axis = form.attrs.int("axis", 1);
    let at = if axis < 0 { axis + rank } else { axis };
    if at == rank - 1 {
        form.attrs.insert("axis".into(), (-1).into());
        return keep(graph, form);
    }
    let flat = graph.op("Flatten", &[x], &[("axis", axis.into())])?;
    let y = graph.op(&form.op, &[flat], &[("axis", (-1).into())])?;
    Ok(vec![Some(graph.reshape_like(y, x)?)])
}
