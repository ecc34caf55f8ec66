//! The rules of the table, except attention. Definitions: the ONNX operator specification.

use super::{Form, Outputs, element, fail, keep, need, only_default, only_first_output, size};
use crate::{Attr, AttrsExt, DType, Dim, Graph, Result, Tensor, ValueId};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

/// The axis became an input with opset 20.
pub(super) fn dft(graph: &mut Graph, mut form: Form) -> Outputs {
    let x = need(graph, &form, 0)?;
    let axis = match form.inputs.get(2).copied().flatten() {
        None => Some(-2),
        Some(axis) => graph.value(axis).tensor().and_then(|t| t.as_ints()?.first().copied()),
    };
    let Some(axis) = axis else { return Err(fail(graph, &form, "expected a literal axis")) };
    let whole = form.attrs.int("onesided", 0) == 0 || form.attrs.int("inverse", 0) == 0;
    if !whole {
        return Err(fail(graph, &form, "an inverse of one side has no form in opset 18"));
    }
    let axis = if axis < 0 { axis + graph.rank(x)? as i64 } else { axis };
    form.inputs.truncate(2);
    form.attrs.insert("axis".into(), axis.into());
    keep(graph, form)
}

/// Axes were an attribute before opset 18.
pub(super) fn reduce(graph: &mut Graph, mut form: Form) -> Outputs {
    match form.attrs.remove("axes") {
        None => {}
        Some(Attr::Ints(axes)) if form.inputs.len() == 1 => {
            let axes = graph.int_list(&axes);
            form.inputs.push(Some(axes));
        }
        Some(_) => return Err(fail(graph, &form, "expected `axes` to be integers")),
    }
    keep(graph, form)
}

/// Booleans came with opset 20; they go through bytes, whose extremes are right for no elements too.
pub(super) fn reduce_bool(graph: &mut Graph, mut form: Form) -> Outputs {
    let x = need(graph, &form, 0)?;
    if graph.value(x).dtype != DType::Bool {
        return keep(graph, form);
    }
    form.inputs[0] = Some(graph.cast(x, DType::U8)?);
    let inner = Form { name: format!("{}{}", graph.scope, form.op), ..form };
    keep(graph, inner)?.into_iter().map(|y| y.map(|y| graph.cast(y, DType::Bool)).transpose()).collect()
}

/// Opset 18 wants the number of parts where no sizes are given.
pub(super) fn split(graph: &mut Graph, mut form: Form) -> Outputs {
    if form.inputs.get(1).copied().flatten().is_none() {
        let parts = form.wanted.len() as i64;
        if form.attrs.int("num_outputs", parts) != parts {
            return Err(fail(
                graph,
                &form,
                format!("expected as many outputs as `num_outputs`, found {parts}"),
            ));
        }
        form.attrs.insert("num_outputs".into(), parts.into());
    }
    keep(graph, form)
}

/// The value itself.
pub(super) fn identity(graph: &mut Graph, form: Form) -> Outputs {
    Ok(vec![Some(need(graph, &form, 0)?)])
}

/// Rounding and saturation say something for 8-bit floats only.
pub(super) fn cast(graph: &mut Graph, mut form: Form) -> Outputs {
    form.attrs.retain(|name, _| name == "to");
    keep(graph, form)
}

/// A cast to a type that is known here.
pub(super) fn cast_like(graph: &mut Graph, form: Form) -> Outputs {
    let (x, like) = (need(graph, &form, 0)?, need(graph, &form, 1)?);
    let to = graph.value(like).dtype;
    Ok(vec![Some(graph.cast(x, to)?)])
}

/// Before opset 14 training mode was told by the number of outputs.
pub(super) fn batch_normalization(graph: &mut Graph, mut form: Form) -> Outputs {
    if form.wanted.iter().skip(1).any(|w| *w) {
        let hint =
            "in training mode it is supported from opset 14 on\nhint: export the model in inference mode";
        return Err(fail(graph, &form, hint));
    }
    form.wanted.truncate(1);
    keep(graph, form)
}

/// In training mode the gradient needs the mask, which the file may have left out.
pub(super) fn dropout(graph: &mut Graph, mut form: Form) -> Outputs {
    let training = form.inputs.get(2).copied().flatten();
    let off = training.is_none_or(|id| graph.value(id).tensor().is_some_and(|t| t.as_scalar() == Some(0.0)));
    let asked = form.wanted.len();
    if !off {
        form.wanted = vec![true, true];
    }
    let mut made = keep(graph, form)?;
    made.truncate(asked);
    Ok(made)
}

/// Dilations came with opset 19.
pub(super) fn average_pool(graph: &mut Graph, mut form: Form) -> Outputs {
    if form.attrs.ints("dilations").is_some_and(|d| d.iter().any(|d| *d != 1)) {
        return Err(fail(graph, &form, "`dilations` other than 1 have no form in opset 18"));
    }
    form.attrs.remove("dilations");
    keep(graph, form)
}

/// Scales by blocks and output types came with opsets 21 and 23.
pub(super) fn quantize(graph: &mut Graph, mut form: Form) -> Outputs {
    for name in ["block_size", "output_dtype", "precision"] {
        only_default(graph, &mut form, name, 0)?;
    }
    form.attrs.remove("saturate");
    keep(graph, form)
}

/// Narrow floats came with opset 20.
pub(super) fn is_inf(graph: &mut Graph, mut form: Form) -> Outputs {
    let x = need(graph, &form, 0)?;
    if matches!(graph.value(x).dtype, DType::F16 | DType::BF16) {
        form.inputs[0] = Some(graph.cast(x, DType::F32)?);
    }
    keep(graph, form)
}

/// Scales in narrow floats came with opset 21.
pub(super) fn quantized_product(graph: &mut Graph, mut form: Form) -> Outputs {
    for i in [1, 4, 6] {
        let scale = need(graph, &form, i)?;
        form.inputs[i] = Some(graph.cast(scale, DType::F32)?);
    }
    keep(graph, form)
}

/// Floats with the sign of the divisor came with opset 28.
pub(super) fn modulo(graph: &mut Graph, form: Form) -> Outputs {
    let (x, by) = (need(graph, &form, 0)?, need(graph, &form, 1)?);
    if !graph.value(x).dtype.is_float() || form.attrs.int("fmod", 0) != 0 {
        return keep(graph, form);
    }
    let rest = graph.op("Mod", &[x, by], &[("fmod", 1.into())])?;
    let (a, b) = (graph.sign(rest)?, graph.sign(by)?);
    let signs = graph.mul(a, b)?;
    let zero = graph.scalar_like(signs, 0.0);
    let opposite = graph.less(signs, zero)?;
    let moved = graph.add(rest, by)?;
    Ok(vec![Some(graph.select(opposite, moved, rest)?)])
}

/// The mode `wrap` came with opset 19: elements taken by their place modulo the size, axis by axis.
pub(super) fn pad(graph: &mut Graph, form: Form) -> Outputs {
    if form.attrs.text("mode", "constant") != "wrap" {
        return keep(graph, form);
    }
    let (mut x, pads) = (need(graph, &form, 0)?, need(graph, &form, 1)?);
    let axes = match form.inputs.get(3).copied().flatten() {
        None => (0..graph.rank(x)? as i64).collect(),
        Some(axes) => match graph.value(axes).tensor().and_then(|t| t.as_ints()) {
            Some(axes) => axes,
            None => return Err(fail(graph, &form, "expected literal `axes` in the mode `wrap`")),
        },
    };
    let count = graph.value(pads).shape.as_deref().and_then(|s| s.first()?.known());
    if let Some(found) = count.filter(|n| *n != 2 * axes.len() as i64) {
        return Err(fail(graph, &form, format!("expected {} pads, found {found}", 2 * axes.len())));
    }
    let literal = graph.value(pads).tensor().and_then(|t| t.as_ints());
    for (i, axis) in axes.iter().enumerate() {
        let ends = [i, i + axes.len()];
        if literal.as_ref().is_some_and(|all| ends.iter().all(|at| all.get(*at) == Some(&0))) {
            continue;
        }
        let n = size(graph, x, *axis)?;
        let (before, after) = (element(graph, pads, ends[0] as i64)?, element(graph, pads, ends[1] as i64)?);
        let [zero, one] = [0, 1].map(|n| graph.constant(Tensor::scalar_i64(n)));
        let (first, last) = (graph.sub(zero, before)?, graph.add(n, after)?);
        let places = graph.op("Range", &[first, last, one], &[])?;
        let places = graph.op("Mod", &[places, n], &[])?;
        x = graph.gather(x, places, *axis)?;
    }
    Ok(vec![Some(x)])
}

/// The accumulation type of narrow floats is not ours to choose.
pub(super) fn range(graph: &mut Graph, mut form: Form) -> Outputs {
    form.attrs.remove("stash_type");
    keep(graph, form)
}

/// An empty tensor stood for an absent one before opset 18; one mode is newer, one older than opset 13.
pub(super) fn resize(graph: &mut Graph, mut form: Form) -> Outputs {
    let mode = form.attrs.text("coordinate_transformation_mode", "half_pixel");
    if matches!(mode, "half_pixel_symmetric" | "tf_half_pixel_for_nn") {
        let message = format!("the mode `{mode}` has no form in opset 18");
        return Err(fail(graph, &form, message));
    }
    for input in form.inputs.iter_mut().skip(1) {
        let empty = |v: &mut ValueId| graph.value(*v).shape.as_deref().is_some_and(|s| s == [Dim::Known(0)]);
        if input.as_mut().is_some_and(empty) {
            *input = None;
        }
    }
    keep(graph, form)
}

/// The default was another before opset 16.
pub(super) fn roi_align(graph: &mut Graph, mut form: Form) -> Outputs {
    form.attrs.insert("coordinate_transformation_mode".into(), "output_half_pixel".into());
    keep(graph, form)
}

/// The order of channels came with opset 28; before, it was depth first.
pub(super) fn space_to_depth(graph: &mut Graph, mut form: Form) -> Outputs {
    if form.attrs.text("mode", "DCR") != "DCR" {
        return Err(fail(graph, &form, "the mode `CRD` has no form in opset 18"));
    }
    form.attrs.remove("mode");
    keep(graph, form)
}

/// Modes were renamed and volumes added in opset 20.
pub(super) fn grid_sample(graph: &mut Graph, mut form: Form) -> Outputs {
    let x = need(graph, &form, 0)?;
    if graph.value(x).shape.as_ref().is_some_and(|s| s.len() != 4) {
        let message = format!("expected 4 dimensions, found {}", graph.value(x).describe());
        return Err(fail(graph, &form, message));
    }
    let mode = match form.attrs.text("mode", "linear") {
        "linear" => "bilinear",
        "cubic" => "bicubic",
        other => other,
    };
    form.attrs.insert("mode".into(), mode.into());
    keep(graph, form)
}

/// `x / 2 * (1 + erf(x / sqrt 2))`, or the form with tanh.
pub(super) fn gelu(graph: &mut Graph, form: Form) -> Outputs {
    let x = need(graph, &form, 0)?;
    let inner = match form.attrs.text("approximate", "none") {
        "none" => {
            let z = graph.scale(x, FRAC_1_SQRT_2)?;
            graph.erf(z)?
        }
        "tanh" => {
            let square = graph.mul(x, x)?;
            let cubic = graph.scale(square, 0.044715)?;
            let factor = graph.shift(cubic, 1.0)?;
            let z = graph.mul(x, factor)?;
            let z = graph.scale(z, FRAC_2_PI.sqrt())?;
            graph.tanh(z)?
        }
        other => {
            return Err(fail(graph, &form, format!("expected `approximate` none or tanh, found `{other}`")));
        }
    };
    let gate = graph.shift(inner, 1.0)?;
    let half = graph.scale(x, 0.5)?;
    Ok(vec![Some(graph.mul(half, gate)?)])
}

/// `x * sigmoid(alpha x)`.
pub(super) fn swish(graph: &mut Graph, form: Form) -> Outputs {
    let x = need(graph, &form, 0)?;
    let alpha = f64::from(form.attrs.float("alpha", 1.0));
    let z = if alpha == 1.0 { x } else { graph.scale(x, alpha)? };
    let gate = graph.sigmoid(z)?;
    Ok(vec![Some(graph.mul(x, gate)?)])
}

/// `x / sqrt(mean(x^2) + epsilon) * scale` over the axes from `axis` on, in f32 for narrower types.
pub(super) fn rms_normalization(graph: &mut Graph, form: Form) -> Outputs {
    only_first_output(graph, &form)?;
    let (x, scale) = (need(graph, &form, 0)?, need(graph, &form, 1)?);
    let narrow = graph.value(x).dtype;
    let wide = if narrow == DType::F64 { DType::F64 } else { DType::F32 };
    let rank = graph.rank(x)? as i64;
    let axis = form.attrs.int("axis", -1);
    let first = if axis < 0 { axis + rank } else { axis };
    if !(0..rank).contains(&first) {
        return Err(fail(
            graph,
            &form,
            format!("expected an axis from {} to {}, found {axis}", -rank, rank - 1),
        ));
    }
    let axes: Vec<i64> = (first..rank).collect();
    let z = graph.cast(x, wide)?;
    let square = graph.mul(z, z)?;
    let mean = graph.reduce_mean(square, &axes, true)?;
    let mean = graph.shift(mean, f64::from(form.attrs.float("epsilon", 1e-5)))?;
    let root = graph.sqrt(mean)?;
    let normal = graph.div(z, root)?;
    let to = graph.value(scale).dtype;
    let normal = graph.cast(normal, to)?;
    Ok(vec![Some(graph.mul(normal, scale)?)])
}

/// `x` as `[N, groups, rest]`, normalised over the rest with a scale and bias for each group.
fn by_group(graph: &mut Graph, form: &Form, x: ValueId, scale: ValueId, bias: ValueId) -> Result<ValueId> {
    let groups = form.attrs.int("num_groups", 0);
    if groups < 1 {
        return Err(fail(graph, form, format!("expected `num_groups` of 1 or more, found {groups}")));
    }
    let target = graph.int_list(&[0, groups, -1]);
    let grouped = graph.reshape_to(x, target)?;
    let epsilon = Attr::Float(form.attrs.float("epsilon", 1e-5));
    let normal = graph.op("InstanceNormalization", &[grouped, scale, bias], &[("epsilon", epsilon)])?;
    graph.reshape_like(normal, x)
}

/// Opset 18: scale and bias `[groups]`.
pub(super) fn group_normalization(graph: &mut Graph, form: Form) -> Outputs {
    let [x, scale, bias] = [0, 1, 2].map(|i| need(graph, &form, i));
    Ok(vec![Some(by_group(graph, &form, x?, scale?, bias?)?)])
}

/// Opset 21: scale and bias `[channels]`.
pub(super) fn group_normalization_by_channel(graph: &mut Graph, form: Form) -> Outputs {
    let [x, scale, bias] = [0, 1, 2].map(|i| need(graph, &form, i));
    let (x, scale, bias) = (x?, scale?, bias?);
    let groups = form.attrs.int("num_groups", 0);
    let dtype = graph.value(x).dtype;
    let mut vector = |value: f64| {
        let one = Tensor::scalar(dtype, value);
        let count = usize::try_from(groups).unwrap_or(0).min(1 << 20);
        Tensor::new(dtype, &[count], one.bytes().repeat(count)).map(|t| graph.constant(t))
    };
    let (ones, zeros) = (vector(1.0)?, vector(0.0)?);
    let normal = by_group(graph, &form, x, ones, zeros)?;
    // One number a channel, against [N, C, ...].
    let spatial: Vec<i64> = (1..graph.rank(x)? as i64 - 1).collect();
    let (scale, bias) = (graph.unsqueeze(scale, &spatial)?, graph.unsqueeze(bias, &spatial)?);
    let scaled = graph.mul(normal, scale)?;
    Ok(vec![Some(graph.add(scaled, bias)?)])
}
