//! The gradient of a convolution's weight, in the form that is fastest for its shape.

use super::window::{Window, spatial};
use crate::Ctx;
use ekphrasis_graph::{Dim, Result, ValueId};

/// How the weight gradient is computed in standard operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A convolution of the input with the output's gradient as its kernel, batch and channels swapped.
    Swapped,
    /// The same with the two in each other's place: for few output channels, stride 1.
    SwappedBack,
    /// The patches under the window side by side, then one matrix product for each picture.
    Columns,
}

/// What [`conv_dw_form`] decides by.
#[derive(Clone, Debug)]
pub struct ConvShape {
    /// Channels of the larger picture, in all groups.
    pub inputs: i64,
    /// Channels of the smaller picture, in all groups.
    pub outputs: i64,
    /// Groups.
    pub group: i64,
    /// Elements of the kernel.
    pub kernel: i64,
    /// Pixels of the smaller picture.
    pub pixels: i64,
    /// Whether all strides are 1.
    pub dense: bool,
}

/// The form to take for a shape.
pub fn conv_dw_form(shape: &ConvShape) -> Form {
    if shape.group > 1 {
        return Form::Swapped;
    }
    if shape.dense && shape.outputs < 16 && shape.inputs > shape.outputs {
        return Form::SwappedBack;
    }
    let large = shape.pixels >= 512 && shape.inputs >= 32 && shape.kernel <= 9 && shape.kernel > 1;
    if shape.dense && large { Form::Columns } else { Form::Swapped }
}

/// `dW[m, c, k]`, summed over pictures and positions, of the convolution that takes `x` `[N, C, ...]`
/// to the shape of `dy` `[N, M, ...]`.
pub(super) fn emit(c: &mut Ctx, x: ValueId, dy: ValueId, window: &Window, group: i64) -> Result<ValueId> {
    let channels = |c: &Ctx, v: ValueId| -> Result<i64> {
        let d = c.g.dims(v)?.get(1).and_then(Dim::known);
        d.ok_or_else(|| c.error("expected a known number of channels"))
    };
    let (large, small) = (spatial(c, x)?, spatial(c, dy)?);
    let shape = ConvShape {
        inputs: channels(c, x)?,
        outputs: channels(c, dy)?,
        group,
        kernel: window.kernel.iter().product(),
        pixels: small.iter().product(),
        dense: window.dense(),
    };
    emit_form(c, conv_dw_form(&shape), x, dy, window, &shape, (&large, &small))
}

fn emit_form(
    c: &mut Ctx,
    form: Form,
    x: ValueId,
    dy: ValueId,
    window: &Window,
    shape: &ConvShape,
    (large, small): (&[i64], &[i64]),
) -> Result<ValueId> {
    let n = window.rank();
    // How much of the padded input the windows cover; the end of the padding gives way to it.
    let covered = |i: usize| (small[i] - 1) * window.strides[i] + window.extent(i);
    let ends: Vec<i64> = (0..n).map(|i| covered(i) - large[i] - window.pads[i]).collect();
    match form {
        Form::Swapped => swapped(c, x, dy, window, shape, &ends),
        Form::SwappedBack if ends.iter().all(|e| *e >= 0) => swapped_back(c, x, dy, window, &ends),
        Form::SwappedBack => swapped(c, x, dy, window, shape, &ends),
        Form::Columns => columns(c, x, dy, window, shape, small),
    }
}

fn swap(n: usize) -> Vec<i64> {
    [1, 0].into_iter().chain(2..n as i64 + 2).collect()
}

/// Groups lie beside the batch, so that one grouped convolution keeps them apart.
fn swapped(
    c: &mut Ctx,
    x: ValueId,
    dy: ValueId,
    window: &Window,
    shape: &ConvShape,
    ends: &[i64],
) -> Result<ValueId> {
    let n = window.rank();
    let mut image = c.g.transpose(x, &swap(n))?;
    if shape.group > 1 {
        let per = shape.inputs / shape.group;
        let dims = c.g.dims(image)?.to_vec();
        let group = Dim::Known(shape.group);
        // [gC', N, ...] -> [g, C', N, ...] -> [C', g, N, ...] -> [C', gN, ...]
        let apart = [&[group.clone(), Dim::Known(per)], &dims[1..]].concat();
        image = c.g.reshape(image, &apart)?;
        let perm: Vec<i64> = [1, 0].into_iter().chain(2..n as i64 + 3).collect();
        image = c.g.transpose(image, &perm)?;
        let joined = [&[Dim::Known(per), dims[1].mul(&group)], &dims[2..]].concat();
        image = c.g.reshape(image, &joined)?;
    }
    let kernel = c.g.transpose(dy, &swap(n))?;
    let pads = [&window.pads[..n], &ends.iter().map(|e| (*e).max(0)).collect::<Vec<_>>()].concat();
    let attrs = [
        ("strides", window.dilations.as_slice().into()),
        ("dilations", window.strides.as_slice().into()),
        ("pads", pads.into()),
        ("group", shape.group.into()),
    ];
    let mut out = c.g.op("Conv", &[image, kernel], &attrs)?;
    if ends.iter().any(|e| *e < 0) {
        // Input that no window reaches gave positions past the kernel's end.
        let axes: Vec<i64> = (2..n as i64 + 2).collect();
        out = c.g.slice(out, &axes, &vec![0; n], &window.kernel, &vec![1; n])?;
    }
    c.g.transpose(out, &swap(n))
}

/// Positions come out in reverse.
fn swapped_back(c: &mut Ctx, x: ValueId, dy: ValueId, window: &Window, ends: &[i64]) -> Result<ValueId> {
    let n = window.rank();
    let image = c.g.transpose(dy, &swap(n))?;
    let kernel = c.g.transpose(x, &swap(n))?;
    let reach = |i: usize| window.extent(i) - 1;
    let pads: Vec<i64> =
        (0..n).map(|i| reach(i) - window.pads[i]).chain((0..n).map(|i| reach(i) - ends[i])).collect();
    // A negative padding cuts; the operator knows only the other kind.
    let (image, pads) = cut(c, image, pads)?;
    let attrs = [("strides", window.dilations.as_slice().into()), ("pads", pads.into())];
    let out = c.g.op("Conv", &[image, kernel], &attrs)?;
    let axes: Vec<i64> = (2..n as i64 + 2).collect();
    c.g.slice(out, &axes, &vec![-1; n], &vec![-i64::MAX; n], &vec![-1; n])
}

fn cut(c: &mut Ctx, image: ValueId, mut pads: Vec<i64>) -> Result<(ValueId, Vec<i64>)> {
    if pads.iter().all(|p| *p >= 0) {
        return Ok((image, pads));
    }
    let n = pads.len() / 2;
    let negative: Vec<i64> = pads.iter().map(|p| (*p).min(0)).collect();
    pads.iter_mut().for_each(|p| *p = (*p).max(0));
    let (amounts, zero) = (c.g.int_list(&negative), c.g.scalar_like(image, 0.0));
    let axes: Vec<i64> = (2..n as i64 + 2).collect();
    let axes = c.g.int_list(&axes);
    Ok((c.g.op("Pad", &[image, amounts, zero, axes], &[])?, pads))
}

fn columns(
    c: &mut Ctx,
    x: ValueId,
    dy: ValueId,
    window: &Window,
    shape: &ConvShape,
    small: &[i64],
) -> Result<ValueId> {
    let n = window.rank();
    let axes: Vec<i64> = (2..n as i64 + 2).collect();
    let mut padded = x;
    if window.pads.iter().any(|p| *p != 0) {
        let (pads, zero) = (c.g.int_list(&window.pads), c.g.scalar_like(x, 0.0));
        let along = c.g.int_list(&axes);
        padded = c.g.op("Pad", &[x, pads, zero, along], &[])?;
    }
    let mut parts = vec![];
    for position in 0..shape.kernel {
        let (mut starts, mut rest) = (vec![0; n], position);
        for i in (0..n).rev() {
            starts[i] = rest % window.kernel[i] * window.dilations[i];
            rest /= window.kernel[i];
        }
        let ends: Vec<i64> = (0..n).map(|i| starts[i] + (small[i] - 1) * window.strides[i] + 1).collect();
        parts.push(c.g.slice(padded, &axes, &starts, &ends, &window.strides)?);
    }
    let patches = c.g.concat(&parts, 1)?;
    let batch = c.g.dims(x)?[0].clone();
    let flat = |rows: i64| vec![batch.clone(), Dim::Known(rows), Dim::Known(shape.pixels)];
    let patches = c.g.reshape(patches, &flat(shape.kernel * shape.inputs))?;
    let dy = c.g.reshape(dy, &flat(shape.outputs))?;
    let turned = c.g.transpose_last(patches)?;
    let each = c.g.matmul(dy, turned)?;
    let sum = c.g.reduce_sum(each, &[0], false)?;
    // [M, K * C] -> [M, C, K]
    let split = [shape.outputs, shape.kernel, shape.inputs].map(Dim::Known);
    let sum = c.g.reshape(sum, &split)?;
    let sum = c.g.transpose(sum, &[0, 2, 1])?;
    let dims: Vec<Dim> =
        [shape.outputs, shape.inputs].iter().chain(&window.kernel).map(|d| Dim::Known(*d)).collect();
    c.g.reshape(sum, &dims)
}
