//! Convolutions.

use super::{
    Kind::Dense,
    Row, row, weight_gradient,
    window::{Window, spatial},
};
use crate::{Case, Ctx, Grads, case::any};
use ekphrasis_graph::{Attrs, AttrsExt, Dim, Result, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("Conv", Dense, conv, || {
        let case = |x: &[usize], w: &[usize]| Case::of([any(x), any(w)]).single();
        vec![
            Case::of([any(&[2, 2, 5, 4]), any(&[3, 2, 3, 2]), any(&[3])]).single(),
            case(&[2, 2, 5, 5], &[3, 2, 3, 3]).ints("pads", &[1, 1, 1, 1]),
            case(&[2, 2, 6, 6], &[3, 2, 4, 4]).ints("pads", &[1, 1, 1, 1]).ints("strides", &[2, 2]),
            case(&[2, 2, 6, 7], &[3, 2, 3, 3]).ints("pads", &[1, 0, 2, 1]).ints("strides", &[2, 3]),
            case(&[2, 2, 7, 7], &[3, 2, 3, 2]).ints("dilations", &[2, 3]),
            case(&[2, 2, 8, 7], &[3, 2, 3, 2]).ints("dilations", &[2, 2]).ints("strides", &[2, 1]),
            case(&[2, 4, 5, 5], &[6, 2, 3, 3]).attr("group", 2).ints("pads", &[1, 1, 1, 1]),
            case(&[2, 3, 5, 5], &[3, 1, 3, 3]).attr("group", 3).ints("strides", &[2, 2]),
            case(&[2, 2, 5, 6], &[3, 2, 3, 3]).attr("auto_pad", "SAME_UPPER").ints("strides", &[2, 2]),
            case(&[2, 2, 5, 6], &[3, 2, 2, 2]).attr("auto_pad", "SAME_LOWER"),
            case(&[2, 2, 5, 5], &[3, 2, 2, 2]).ints("pads", &[3, 3, 0, 0]),
            case(&[2, 3, 7], &[4, 3, 3]).ints("strides", &[2]).ints("pads", &[1, 1]),
            case(&[2, 3, 2, 2], &[4, 3, 1, 1]),
            case(&[2, 2, 5, 5], &[3, 2, 3, 3]).attr("auto_pad", "VALID").ints("strides", &[2, 1]),
            case(&[2, 4, 8], &[6, 2, 3]).attr("group", 2).ints("dilations", &[2]).ints("pads", &[3, 1]),
            case(&[2, 2, 3, 4, 3], &[3, 2, 2, 3, 2])
                .ints("strides", &[1, 2, 1])
                .ints("pads", &[1, 0, 0, 0, 1, 1]),
        ]
    }),
    row("ConvTranspose", Dense, conv_transpose, || {
        let case = |x: &[usize], w: &[usize]| Case::of([any(x), any(w)]).single();
        vec![
            Case::of([any(&[2, 3, 3, 2]), any(&[3, 2, 3, 2]), any(&[2])]).single(),
            case(&[2, 3, 3, 3], &[3, 2, 4, 4]).ints("pads", &[1, 1, 1, 1]).ints("strides", &[2, 2]),
            case(&[2, 3, 3, 3], &[3, 2, 3, 3])
                .ints("pads", &[1, 1, 1, 1])
                .ints("strides", &[2, 2])
                .ints("output_padding", &[1, 1]),
            case(&[2, 4, 3, 3], &[4, 1, 3, 3]).attr("group", 2).ints("strides", &[2, 2]),
            case(&[3, 2, 3, 3], &[2, 2, 2, 2]).ints("dilations", &[2, 2]),
            case(&[3, 2, 3, 3], &[2, 2, 3, 3]).ints("strides", &[2, 2]).attr("auto_pad", "SAME_UPPER"),
            case(&[2, 3, 4], &[3, 2, 3]).ints("strides", &[2]),
            case(&[3, 2, 3, 3], &[2, 2, 3, 3]).ints("strides", &[2, 2]).attr("auto_pad", "SAME_LOWER"),
            case(&[3, 2, 3, 3], &[2, 2, 3, 3]).ints("strides", &[2, 1]).attr("auto_pad", "VALID"),
            case(&[2, 3, 3, 3], &[3, 2, 3, 3]).ints("pads", &[1, 0, 0, 2]).ints("strides", &[2, 3]),
            case(&[2, 3, 3, 3], &[3, 2, 3, 3]).ints("strides", &[2, 2]).ints("output_shape", &[6, 6]),
            case(&[2, 4, 4], &[4, 3, 3])
                .attr("group", 2)
                .ints("dilations", &[2])
                .ints("strides", &[3])
                .ints("pads", &[1, 2])
                .ints("output_padding", &[2]),
            case(&[2, 2, 2, 3, 2], &[2, 2, 2, 2, 3])
                .ints("strides", &[1, 2, 2])
                .ints("pads", &[0, 1, 0, 1, 0, 1]),
        ]
    }),
];

fn kernel(c: &Ctx, w: ValueId) -> Result<Vec<i64>> {
    spatial(c, w)
}

/// The sum over everything but the channels.
fn bias(c: &mut Ctx, dy: ValueId) -> Result<Option<ValueId>> {
    if !c.wants(2) {
        return Ok(None);
    }
    let axes: Vec<i64> = (0..c.g.rank(dy)? as i64).filter(|i| *i != 1).collect();
    c.g.reduce_sum(dy, &axes, false).map(Some)
}

fn attrs(window: &Window, group: i64, pads: Vec<i64>) -> Attrs {
    [
        ("strides".to_owned(), window.strides.clone().into()),
        ("dilations".to_owned(), window.dilations.clone().into()),
        ("pads".to_owned(), pads.into()),
        ("group".to_owned(), group.into()),
    ]
    .into()
}

fn first(values: Vec<ValueId>) -> Option<ValueId> {
    values.first().copied()
}

fn conv(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, w) = (c.dy()?, c.x(0)?, c.x(1)?);
    let group = c.attrs().int("group", 1);
    let window = Window::of(c, kernel(c, w)?, x, dy)?;
    let mut grads = vec![None, None, bias(c, dy)?];
    if c.wants(0) {
        grads[0] = data_gradient(c, dy, &window, group)?;
    }
    if c.wants(1) {
        grads[1] = Some(weight_gradient::emit(c, x, dy, &window, group)?);
    }
    Ok(grads)
}

/// With stride 1 a convolution with the flipped kernel, which is faster than `ConvTranspose`.
fn data_gradient(c: &mut Ctx, dy: ValueId, window: &Window, group: i64) -> Result<Option<ValueId>> {
    let (x, w, n) = (c.x(0)?, c.x(1)?, window.rank());
    let flipped: Vec<i64> = (0..2 * n).map(|i| window.extent(i % n) - 1 - window.pads[i]).collect();
    if window.dense() && flipped.iter().all(|p| *p >= 0) {
        let w = turned(c, w, group)?;
        return Ok(first(c.g.add_node("Conv", &[Some(dy), Some(w)], attrs(window, group, flipped), 1)?));
    }
    let (size, out) = (spatial(c, x)?, spatial(c, dy)?);
    // What the stride left over at the end of the input got no gradient.
    let extra: Vec<i64> = (0..n)
        .map(|i| {
            let covered = (out[i] - 1) * window.strides[i] + window.extent(i);
            size[i] + window.pads[i] + window.pads[i + n] - covered
        })
        .collect();
    let mut attrs = attrs(window, group, window.pads.clone());
    // ONNX Runtime wants it below the stride or the dilation; the rest is padded.
    let allowed: Vec<i64> =
        (0..n).map(|i| extra[i].min(window.strides[i].max(window.dilations[i]) - 1)).collect();
    attrs.insert("output_padding".into(), allowed.clone().into());
    let dx = first(c.g.add_node("ConvTranspose", &[Some(dy), Some(w)], attrs, 1)?);
    let Some(dx) = dx else { return Ok(None) };
    let rest: Vec<_> = (0..n).map(|i| (i + 2, 0, extra[i] - allowed[i])).collect();
    c.pad(dx, &rest).map(Some)
}

/// The kernel for going back: input and output channels swapped within each group, positions flipped.
fn turned(c: &mut Ctx, w: ValueId, group: i64) -> Result<ValueId> {
    let dims = c.g.dims(w)?.to_vec();
    let rank = dims.len();
    let mut w = w;
    if group == 1 {
        let perm: Vec<i64> = [1, 0].into_iter().chain(2..rank as i64).collect();
        w = c.g.transpose(w, &perm)?;
    } else {
        let per = dims[0].div_exact(&Dim::Known(group));
        let per = per.ok_or_else(|| c.error(format!("{} channels in {group} groups", dims[0])))?;
        let split = [&[Dim::Known(group), per.clone()], &dims[1..]].concat();
        w = c.g.reshape(w, &split)?;
        let perm: Vec<i64> = [0, 2, 1].into_iter().chain(3..rank as i64 + 1).collect();
        w = c.g.transpose(w, &perm)?;
        let joined = [&[dims[1].mul(&Dim::Known(group)), per], &dims[2..]].concat();
        w = c.g.reshape(w, &joined)?;
    }
    let axes: Vec<i64> = (2..rank as i64).filter(|i| !dims[*i as usize].is(1)).collect();
    if axes.is_empty() {
        return Ok(w);
    }
    let (starts, ends) = (vec![-1; axes.len()], vec![-i64::MAX; axes.len()]);
    c.g.slice(w, &axes, &starts, &ends, &starts)
}

/// The transpose of a convolution: its gradient is that convolution.
fn conv_transpose(c: &mut Ctx) -> Result<Grads> {
    let (dy, x, w) = (c.dy()?, c.x(0)?, c.x(1)?);
    let group = c.attrs().int("group", 1);
    let window = Window::of(c, kernel(c, w)?, dy, x)?;
    let mut grads = vec![None, None, bias(c, dy)?];
    if c.wants(0) {
        let attrs = attrs(&window, group, window.pads.clone());
        grads[0] = first(c.g.add_node("Conv", &[Some(dy), Some(w)], attrs, 1)?);
    }
    if c.wants(1) {
        grads[1] = Some(weight_gradient::emit(c, dy, x, &window, group)?);
    }
    Ok(grads)
}
