//! The gradient of a convolution's weight, in the form that is fastest for its shape.

use super::window::{Window, spatial};
use crate::Ctx;
use ekphrasis_graph::{Dim, Result, Target, Tensor, ValueId};

/// How the weight gradient is computed in standard operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A convolution of the input with the output's gradient as its kernel, batch and channels swapped.
    Swapped,
    /// The patches under the window side by side, of all pictures, then one matrix product.
    JointColumns,
    /// The same with all patches from one `Gather`: a GPU pays for each operator, and knows no convolution whose kernel
    /// is a whole picture. The batch must be known.
    GatheredColumns,
}

/// Indices of a `Gather` that still may become part of a graph: 64 MB.
const MOST_INDICES: i64 = 1 << 24;

/// What [`conv_dw_form`] decides by.
#[derive(Clone, Debug)]
pub struct ConvShape {
    /// Pictures.
    pub batch: Dim,
    /// Channels of the larger picture, in all groups.
    pub inputs: Dim,
    /// Channels of the smaller picture, in all groups.
    pub outputs: Dim,
    /// Groups.
    pub group: i64,
    /// Elements of the kernel.
    pub kernel: i64,
    /// Positions of the smaller picture.
    pub positions: i64,
    /// Whether all strides are 1.
    pub dense: bool,
}

/// The form to take for a shape on a processor. On the CPU the runtime has an operator of its own in the place of
/// either; where it has not, as measured with ONNX Runtime 1.31 on two CPU cores, batch 64 (ms; for the rows with stride
/// 1, which ran on a busy machine, only the order counts):
///
/// | Channels, kernel, stride, picture | Swapped | patches |
/// |---|---|---|
/// | 3 -> 32, 4, 2, 32x32 | **1.4** | 2.3 |
/// | 32 -> 64, 4, 2, 16x16 | **4.4** | 8.9 |
/// | 64 -> 128, 4, 2, 8x8 | **3.0** | 16 |
/// | 64 -> 64, 3, 1, 32x32 | 480 | **196** |
/// | 64 -> 64, 3, 1, 16x16 | 106 | **40** |
/// | 3 -> 24, 3, 1, 32x32 | 9.9 | **3.3** |
/// | 64 -> 32, 1, 1, 16x16 | 21 | **1.6** |
///
/// All patches in one product are up to ten times as fast as a product for each small picture (512 channels of 2x2: 51 ms
/// and 5.3), and as fast for large ones.
pub fn conv_dw_form(shape: &ConvShape, target: Target) -> Form {
    if shape.group > 1 {
        return Form::Swapped;
    }
    // Channels are symbols where a weight gradient is itself differentiated.
    if shape.inputs.known().is_none() || shape.outputs.known().is_none() {
        return Form::Swapped;
    }
    if target == Target::Cpu {
        return if shape.dense { Form::JointColumns } else { Form::Swapped };
    }
    let patched = shape.kernel > 1 || !shape.dense;
    let indices = shape.batch.known().and_then(|n| (shape.kernel * shape.positions).checked_mul(n));
    match indices.is_some_and(|n| patched && n <= MOST_INDICES) {
        true => Form::GatheredColumns,
        false => Form::JointColumns,
    }
}

/// `dW[m, c, k]`, summed over pictures and positions, of the convolution that takes `x` `[N, C, ...]`
/// to the shape of `dy` `[N, M, ...]`.
pub(super) fn emit(c: &mut Ctx, x: ValueId, dy: ValueId, window: &Window, group: i64) -> Result<ValueId> {
    let channels = |c: &Ctx, v: ValueId| -> Result<Dim> {
        c.g.dims(v)?.get(1).cloned().ok_or_else(|| c.error("expected channels"))
    };
    let (large, small) = (spatial(c, x)?, spatial(c, dy)?);
    let shape = ConvShape {
        batch: c.g.dims(x)?[0].clone(),
        inputs: channels(c, x)?,
        outputs: channels(c, dy)?,
        group,
        kernel: window.kernel.iter().product(),
        positions: small.iter().product(),
        dense: window.dense(),
    };
    emit_form(c, conv_dw_form(&shape, c.g.target), x, dy, window, &shape, (&large, &small))
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
        Form::JointColumns | Form::GatheredColumns => joint_columns(c, form, x, dy, window, shape, small),
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
        let group = Dim::Known(shape.group);
        let per = shape.inputs.div_exact(&group);
        let per = per.ok_or_else(|| c.error(format!("{} channels in {group} groups", shape.inputs)))?;
        let dims = c.g.dims(image)?.to_vec();
        // [gC', N, ...] -> [g, C', N, ...] -> [C', g, N, ...] -> [C', gN, ...]
        let apart = [&[group.clone(), per.clone()], &dims[1..]].concat();
        image = c.g.reshape(image, &apart)?;
        let perm: Vec<i64> = [1, 0].into_iter().chain(2..n as i64 + 3).collect();
        image = c.g.transpose(image, &perm)?;
        let joined = [&[per, dims[1].mul(&group)], &dims[2..]].concat();
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

/// For each element of the kernel the part of the padded picture that it sees.
fn patches(
    c: &mut Ctx,
    x: ValueId,
    window: &Window,
    shape: &ConvShape,
    small: &[i64],
) -> Result<Vec<ValueId>> {
    let n = window.rank();
    let axes: Vec<i64> = (2..n as i64 + 2).collect();
    let amounts: Vec<_> = (0..n).map(|i| (i + 2, window.pads[i], window.pads[i + n])).collect();
    let padded = c.pad(x, &amounts)?;
    if shape.kernel == 1 && window.dense() {
        return Ok(vec![padded]);
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
    Ok(parts)
}

/// Channels come first, so that pictures and positions are one long dimension to sum over, and the patches of a
/// channel lie as the weight's kernel does.
fn joint_columns(
    c: &mut Ctx,
    form: Form,
    x: ValueId,
    dy: ValueId,
    window: &Window,
    shape: &ConvShape,
    small: &[i64],
) -> Result<ValueId> {
    let swap = swap(window.rank());
    let image = c.g.transpose(x, &swap)?;
    let patches = match (form, shape.batch.known()) {
        (Form::GatheredColumns, Some(batch)) => gathered(c, image, window, shape, small, batch)?,
        _ => {
            let parts = patches(c, image, window, shape, small)?;
            c.g.concat(&parts, 1)?
        }
    };
    let summed = shape.batch.mul(&Dim::Known(shape.positions));
    let patches = c.g.reshape(patches, &[shape.inputs.mul(&Dim::Known(shape.kernel)), summed.clone()])?;
    let dy = c.g.transpose(dy, &swap)?;
    let dy = c.g.reshape(dy, &[shape.outputs.clone(), summed])?;
    let sum = c.g.op("Gemm", &[dy, patches], &[("transB", 1.into())])?;
    c.g.reshape(sum, &weight_dims(window, shape))
}

/// The patches `[C, K, N * P]` of a picture `[C, N, ...]` by one `Gather`.
fn gathered(
    c: &mut Ctx,
    image: ValueId,
    window: &Window,
    shape: &ConvShape,
    small: &[i64],
    batch: i64,
) -> Result<ValueId> {
    let n = window.rank();
    let amounts: Vec<_> = (0..n).map(|i| (i + 2, window.pads[i], window.pads[i + n])).collect();
    let padded = c.pad(image, &amounts)?;
    let large = spatial(c, padded)?;
    let pixels: i64 = large.iter().product();
    let rows = c.g.reshape(padded, &[shape.inputs.clone(), Dim::Known(batch * pixels)])?;
    // Where each element of the kernel lies from a window's corner, and each corner from the picture's.
    let inside = offsets(&window.kernel, &window.dilations, &large);
    let corners = offsets(small, &window.strides, &large);
    let mut indices = Vec::with_capacity(inside.len() * corners.len() * batch as usize);
    for element in &inside {
        for picture in 0..batch {
            for corner in &corners {
                let index = i32::try_from(picture * pixels + corner + element);
                indices.push(index.map_err(|_| c.error("expected a batch of less than 2^31 pixels"))?);
            }
        }
    }
    let dims = [inside.len(), batch as usize * corners.len()];
    let indices = c.g.constant(Tensor::from_i32(&dims, &indices)?);
    c.g.gather(rows, indices, 1)
}

/// Positions in a picture of `large` dimensions of a grid of `counts` points, `steps` apart, in order.
fn offsets(counts: &[i64], steps: &[i64], large: &[i64]) -> Vec<i64> {
    let mut all = vec![0];
    for ((count, step), size) in counts.iter().zip(steps).zip(large) {
        all = all.iter().flat_map(|base| (0..*count).map(move |i| base * size + i * step)).collect();
    }
    all
}

fn weight_dims(window: &Window, shape: &ConvShape) -> Vec<Dim> {
    let kernel = window.kernel.iter().map(|k| Dim::Known(*k));
    [shape.outputs.clone(), shape.inputs.clone()].into_iter().chain(kernel).collect()
}
