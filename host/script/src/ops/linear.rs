//! Matrix products, convolutions, pooling, normalisation with parameters.

use super::{Call, Emit, Op, op};
use crate::Fault;
use ekphrasis_graph::{Attrs, Dim, ValueId};

fn linear(c: &mut Call) -> Emit {
    let (x, w, b) = (c.this()?, c.tensor(0)?, c.tensor_or_none(1)?);
    Ok(vec![emit_linear(c.g, x, w, b)?])
}

/// `x @ w + b`, in one node where `x` is a matrix.
pub(crate) fn emit_linear(
    g: &mut ekphrasis_graph::Graph,
    x: ValueId,
    w: ValueId,
    b: Option<ValueId>,
) -> Result<ValueId, Fault> {
    Ok(match b {
        Some(b) if g.rank(x)? == 2 && g.rank(w)? == 2 => g.op("Gemm", &[x, w, b], &[])?,
        Some(b) => {
            let y = g.matmul(x, w)?;
            g.add(y, b)?
        }
        None => g.matmul(x, w)?,
    })
}

/// Number of spatial axes of a picture `[N, C, ...]`.
fn spatial(c: &Call, x: ValueId) -> Result<usize, Fault> {
    let rank = c.g.rank(x)?;
    if rank < 3 {
        let found = c.g.value(x).describe();
        return Err(Fault::new(format!("expected a picture [N, C, H, W] or a row [N, C, L], found {found}")));
    }
    Ok(rank - 2)
}

fn window(attrs: &mut Attrs, strides: Vec<i64>, pads: Vec<i64>) {
    attrs.insert("pads".into(), [pads.clone(), pads].concat().into());
    attrs.insert("strides".into(), strides.into());
}

fn conv(c: &mut Call) -> Emit {
    let (x, w) = (c.this()?, c.tensor(0)?);
    let n = spatial(c, x)?;
    let o = c.options(1, &["bias", "stride", "pad", "dilation", "groups"])?;
    let mut attrs = Attrs::new();
    window(&mut attrs, o.ints("stride", n, 1)?, o.ints("pad", n, 0)?);
    attrs.insert("dilations".into(), o.ints("dilation", n, 1)?.into());
    attrs.insert("group".into(), o.int("groups", 1)?.into());
    let bias = o.tensor("bias")?;
    convolve(c, "Conv", x, w, bias, attrs)
}

fn conv_transpose(c: &mut Call) -> Emit {
    let (x, w) = (c.this()?, c.tensor(0)?);
    let n = spatial(c, x)?;
    let o = c.options(1, &["bias", "stride", "pad", "output_pad", "dilation", "groups"])?;
    let mut attrs = Attrs::new();
    window(&mut attrs, o.ints("stride", n, 1)?, o.ints("pad", n, 0)?);
    attrs.insert("dilations".into(), o.ints("dilation", n, 1)?.into());
    attrs.insert("output_padding".into(), o.ints("output_pad", n, 0)?.into());
    attrs.insert("group".into(), o.int("groups", 1)?.into());
    let bias = o.tensor("bias")?;
    convolve(c, "ConvTranspose", x, w, bias, attrs)
}

fn convolve(
    c: &mut Call,
    name: &str,
    x: ValueId,
    w: ValueId,
    bias: Option<ValueId>,
    mut attrs: Attrs,
) -> Emit {
    let kernel: Option<Vec<i64>> = c.dims(w)?.iter().skip(2).map(Dim::known).collect();
    if let Some(kernel) = kernel {
        attrs.insert("kernel_shape".into(), kernel.into());
    }
    let mut inputs = vec![Some(x), Some(w)];
    inputs.extend(bias.map(Some));
    Ok(c.g.add_node(name, &inputs, attrs, 1)?)
}

fn pool(c: &mut Call, name: &str) -> Emit {
    let x = c.this()?;
    let n = spatial(c, x)?;
    let kernel = match c.ints(0)?.as_slice() {
        [k] => vec![*k; n],
        list => list.to_vec(),
    };
    let o = c.options(1, &["stride", "pad"])?;
    let mut attrs = Attrs::new();
    let strides = if kernel.len() == n { o.ints("stride", n, 0)? } else { vec![] };
    let strides = strides.iter().zip(&kernel).map(|(s, k)| if *s == 0 { *k } else { *s }).collect();
    window(&mut attrs, strides, o.ints("pad", n, 0)?);
    attrs.insert("kernel_shape".into(), kernel.into());
    if name == "AveragePool" {
        attrs.insert("count_include_pad".into(), 1.into());
    }
    Ok(c.g.add_node(name, &[Some(x)], attrs, 1)?)
}

fn batch_norm(c: &mut Call) -> Emit {
    let x = c.this()?;
    let parts = [c.tensor(0)?, c.tensor(1)?, c.tensor(2)?, c.tensor(3)?];
    let o = c.options(4, &["eps", "momentum"])?;
    let (eps, momentum) = (o.number("eps", 1e-5)?, o.number("momentum", 0.1)?);
    let [scale, bias, mean, var] = parts;
    // PyTorch's momentum weighs the new statistic, ONNX's the old one.
    Ok(vec![c.g.op(
        "BatchNormalization",
        &[x, scale, bias, mean, var],
        &[("epsilon", (eps as f32).into()), ("momentum", ((1.0 - momentum) as f32).into())],
    )?])
}

fn layer_norm(c: &mut Call) -> Emit {
    let (x, scale, bias) = (c.this()?, c.tensor(0)?, c.tensor(1)?);
    let eps = c.number_or(2, 1e-5)? as f32;
    Ok(vec![c.g.op(
        "LayerNormalization",
        &[x, scale, bias],
        &[("axis", (-1).into()), ("epsilon", eps.into())],
    )?])
}

fn upsample(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (n, factor) = (spatial(c, x)?, c.int(0)?);
    if factor < 1 {
        return Err(Fault::new(format!("`factor`: expected at least 1, found {factor}")));
    }
    let scales: Vec<f32> = [1.0, 1.0].into_iter().chain(std::iter::repeat_n(factor as f32, n)).collect();
    let scales = c.g.constant(ekphrasis_graph::Tensor::from_f32(&[n + 2], &scales)?);
    let attrs: Attrs = [
        ("mode".into(), "nearest".into()),
        ("coordinate_transformation_mode".into(), "asymmetric".into()),
        ("nearest_mode".into(), "floor".into()),
    ]
    .into();
    Ok(c.g.add_node("Resize", &[Some(x), None, Some(scales)], attrs, 1)?)
}

pub(super) const ROWS: &[Op] = &[
    op(
        "matmul",
        "(other: Tensor): Tensor",
        "Matrix product over the last two axes; leading axes broadcast.",
        |c| {
            let (a, b) = (c.this()?, c.tensor(0)?);
            Ok(vec![c.g.matmul(a, b)?])
        },
    ),
    op(
        "linear",
        "(weight: Tensor, bias?: Tensor): Tensor",
        "x @ weight + bias, with the weight as [in, out].",
        linear,
    ),
    op(
        "conv",
        "(weight: Tensor, options?: { bias?: Tensor, stride?: integer|integer[], pad?: integer|integer[], \
         dilation?: integer|integer[], groups?: integer }): Tensor",
        "Convolution of [N, C, ...] with a weight [out, C / groups, ...].",
        conv,
    ),
    op(
        "conv_transpose",
        "(weight: Tensor, options?: { bias?: Tensor, stride?: integer|integer[], pad?: integer|integer[], \
         output_pad?: integer|integer[], dilation?: integer|integer[], groups?: integer }): Tensor",
        "Transposed convolution of [N, C, ...] with a weight [C, out / groups, ...].",
        conv_transpose,
    ),
    op(
        "batch_norm",
        "(scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor, options?: { eps?: number, momentum?: number }): \
         Tensor",
        "Batch normalisation over all axes but 1, with given statistics; in a model that trains, the host \
         replaces them by those of the batch.",
        batch_norm,
    ),
    op(
        "layer_norm",
        "(scale: Tensor, bias: Tensor, eps?: number): Tensor",
        "Layer normalisation over the last axis.",
        layer_norm,
    ),
    op(
        "max_pool",
        "(kernel: integer|integer[], options?: { stride?: integer|integer[], pad?: integer|integer[] }): Tensor",
        "Largest element of each window; the stride is the kernel unless given.",
        |c| pool(c, "MaxPool"),
    ),
    op(
        "avg_pool",
        "(kernel: integer|integer[], options?: { stride?: integer|integer[], pad?: integer|integer[] }): Tensor",
        "Mean of each window, padding counted in; the stride is the kernel unless given.",
        |c| pool(c, "AveragePool"),
    ),
    op("global_avg_pool", "(): Tensor", "Mean over all axes after the second, which become 1.", |c| {
        let x = c.this()?;
        Ok(vec![c.g.op("GlobalAveragePool", &[x], &[])?])
    }),
    op(
        "upsample",
        "(factor: integer): Tensor",
        "Each element `factor` times along the axes after the second.",
        upsample,
    ),
];
