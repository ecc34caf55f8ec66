//! The graph builder of model scripts: ports, parameters, and layers that bring their parameters.

mod options;

use crate::{Class, Fault, Tensor, init::Init, model::GraphBuilder, model::numbers, ops};
use ekphrasis_graph::{Attrs, DType, Graph, ValueId};
use mlua::Value;
use options::Options;

type One = Result<ValueId, Fault>;

impl GraphBuilder {
    fn value(&self, name: &str, dims: &[usize], init: Init) -> One {
        self.parameter(name, dims, init, false)?.id_in(&self.trace)
    }

    /// Emits into the graph and gives the tensor.
    fn emit(&self, work: impl FnOnce(&mut Graph) -> One) -> Result<Tensor, Fault> {
        let id = self.trace.with(work)?;
        Ok(self.trace.tensor(id))
    }

    /// The size of `x` along an axis, which must be a number.
    fn width(&self, x: &Tensor, axis: i64) -> Result<usize, Fault> {
        let shape = x.shape()?;
        let dim = &shape[ops::axis_in(axis, shape.len())?];
        let n = dim.known().and_then(|n| usize::try_from(n).ok());
        n.ok_or_else(|| Fault::new(format!("expected a known size along axis {axis} of {x:?}, found {dim}")))
    }

    fn linear(&self, x: &Tensor, name: &str, out: usize, bias: bool) -> Result<Tensor, Fault> {
        let width = self.width(x, -1)?;
        let init = Init::kaiming(width);
        let w = self.value(&format!("{name}.weight"), &[width, out], init)?;
        let b = if bias { Some(self.value(&format!("{name}.bias"), &[out], init)?) } else { None };
        let x = x.id_in(&self.trace)?;
        self.emit(|g| ops::emit_linear(g, x, w, b))
    }

    fn conv(&self, x: &Tensor, name: &str, options: &Value, transposed: bool) -> Result<Tensor, Fault> {
        let known = ["out", "kernel", "stride", "pad", "bias", "groups", "output_pad"];
        let o = Options::read(options, if transposed { &known } else { &known[..6] })?;
        let (out, kernel) = (o.count("out", None)?, o.count("kernel", None)?);
        let (stride, pad) = (o.count("stride", Some(1))? as i64, o.count("pad", Some(0))? as i64);
        let groups = o.count("groups", Some(1))?.max(1);
        let (n, width) = (x.shape()?.len().saturating_sub(2), self.width(x, 1)?);
        if width % groups != 0 || out % groups != 0 {
            return Err(Fault::new(format!(
                "{width} channels in and {out} out do not divide into {groups} groups"
            )));
        }
        let mut dims = if transposed { vec![width, out / groups] } else { vec![out, width / groups] };
        let per = dims[1];
        dims.extend(std::iter::repeat_n(kernel, n));
        // PyTorch counts the second axis of the weight as input in both.
        let init = Init::kaiming(per * kernel.pow(n as u32));
        let mut inputs =
            vec![Some(x.id_in(&self.trace)?), Some(self.value(&format!("{name}.weight"), &dims, init)?)];
        if o.flag("bias", true)? {
            inputs.push(Some(self.value(&format!("{name}.bias"), &[out], init)?));
        }
        let mut attrs: Attrs = [
            ("kernel_shape".into(), vec![kernel as i64; n].into()),
            ("strides".into(), vec![stride; n].into()),
            ("pads".into(), vec![pad; 2 * n].into()),
            ("group".into(), (groups as i64).into()),
        ]
        .into();
        if transposed {
            attrs.insert("output_padding".into(), vec![o.count("output_pad", Some(0))? as i64; n].into());
        }
        let op = if transposed { "ConvTranspose" } else { "Conv" };
        self.emit(|g| {
            g.add_node(op, &inputs, attrs, 1)?.first().copied().ok_or_else(|| Fault::new("no output"))
        })
    }

    fn batch_norm(&self, x: &Tensor, name: &str, options: &Value) -> Result<Tensor, Fault> {
        let o = Options::read(options, &["momentum", "eps"])?;
        let (momentum, eps) = (o.number("momentum", 0.1)?, o.number("eps", 1e-5)?);
        let n = [self.width(x, 1)?];
        let inputs = [
            x.id_in(&self.trace)?,
            self.value(&format!("{name}.weight"), &n, Init::Constant(1.0))?,
            self.value(&format!("{name}.bias"), &n, Init::Constant(0.0))?,
            self.parameter(&format!("{name}.mean"), &n, Init::Constant(0.0), true)?.id_in(&self.trace)?,
            self.parameter(&format!("{name}.var"), &n, Init::Constant(1.0), true)?.id_in(&self.trace)?,
        ];
        // PyTorch's momentum weighs the new statistic, ONNX's the old one.
        let attrs = [("epsilon", (eps as f32).into()), ("momentum", ((1.0 - momentum) as f32).into())];
        self.emit(|g| Ok(g.op("BatchNormalization", &inputs, &attrs)?))
    }

    fn layer_norm(&self, x: &Tensor, name: &str, options: &Value) -> Result<Tensor, Fault> {
        let eps = Options::read(options, &["eps"])?.number("eps", 1e-5)? as f32;
        let n = [self.width(x, -1)?];
        let w = self.value(&format!("{name}.weight"), &n, Init::Constant(1.0))?;
        let b = self.value(&format!("{name}.bias"), &n, Init::Constant(0.0))?;
        let x = x.id_in(&self.trace)?;
        self.emit(|g| {
            Ok(g.op("LayerNormalization", &[x, w, b], &[("axis", (-1).into()), ("epsilon", eps.into())])?)
        })
    }

    fn embedding(
        &self,
        tokens: &Tensor,
        name: &str,
        count: usize,
        dim: usize,
        init: Init,
    ) -> Result<Tensor, Fault> {
        let table = self.value(&format!("{name}.weight"), &[count, dim], init)?;
        let tokens = tokens.id_in(&self.trace)?;
        self.emit(|g| {
            let tokens =
                if g.value(tokens).dtype == DType::I32 { tokens } else { g.cast(tokens, DType::I64)? };
            Ok(g.gather(table, tokens, 0)?)
        })
    }

    /// `x @ w_ih + h @ w_hh + b`, the input of all gates.
    fn gates(
        &self,
        x: &Tensor,
        h: &Tensor,
        name: &str,
        hidden: usize,
        n: usize,
    ) -> Result<[ValueId; 2], Fault> {
        let init = Init::kaiming(hidden);
        let part = |t: &Tensor, which: &str| -> One {
            let w = self.value(&format!("{name}.weight_{which}"), &[self.width(t, -1)?, n * hidden], init)?;
            let b = self.value(&format!("{name}.bias_{which}"), &[n * hidden], init)?;
            let t = t.id_in(&self.trace)?;
            self.trace.with(|g| ops::emit_linear(g, t, w, Some(b)))
        };
        Ok([part(x, "ih")?, part(h, "hh")?])
    }

    /// LSTM with gates in the order input, forget, cell, output, as PyTorch's LSTMCell.
    fn lstm_cell(
        &self,
        x: &Tensor,
        h: &Tensor,
        c: &Tensor,
        name: &str,
        n: usize,
    ) -> Result<(Tensor, Tensor), Fault> {
        let [a, b] = self.gates(x, h, name, n, 4)?;
        let c = c.id_in(&self.trace)?;
        let (h, c) = self.trace.with(|g| -> Result<_, Fault> {
            let all = g.add(a, b)?;
            let parts = split(g, all, n, 4)?;
            let (i, f, o) = (g.sigmoid(parts[0])?, g.sigmoid(parts[1])?, g.sigmoid(parts[3])?);
            let new = g.tanh(parts[2])?;
            let (kept, added) = (g.mul(f, c)?, g.mul(i, new)?);
            let c = g.add(kept, added)?;
            let shown = g.tanh(c)?;
            Ok((g.mul(o, shown)?, c))
        })?;
        Ok((self.trace.tensor(h), self.trace.tensor(c)))
    }

    /// GRU with gates in the order reset, update, new, as PyTorch's GRUCell.
    fn gru_cell(&self, x: &Tensor, h: &Tensor, name: &str, n: usize) -> Result<Tensor, Fault> {
        let [a, b] = self.gates(x, h, name, n, 3)?;
        let h = h.id_in(&self.trace)?;
        self.emit(|g| {
            let (a, b) = (split(g, a, n, 3)?, split(g, b, n, 3)?);
            let (r, z) = (g.add(a[0], b[0])?, g.add(a[1], b[1])?);
            let (r, z) = (g.sigmoid(r)?, g.sigmoid(z)?);
            let gated = g.mul(r, b[2])?;
            let new = g.add(a[2], gated)?;
            let new = g.tanh(new)?;
            let difference = g.sub(h, new)?;
            let kept = g.mul(z, difference)?;
            Ok(g.add(new, kept)?)
        })
    }

    /// Multi-head attention with projections (Vaswani et al. 2017); q: [B, Tq, D], k and v: [B, Tk, D].
    fn attention(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        name: &str,
        options: &Value,
    ) -> Result<Tensor, Fault> {
        let o = Options::read(options, &["heads", "causal", "mask"])?;
        let (heads, width) = (o.count("heads", Some(4))?.max(1), self.width(q, -1)?);
        if width % heads != 0 {
            return Err(Fault::new(format!("{width} features do not divide into {heads} heads")));
        }
        let causal = o.flag("causal", false)?;
        let mask = match o.get("mask") {
            Value::Nil => None,
            value => match Tensor::from_value(&value) {
                Some(mask) => Some(mask.id_in(&self.trace)?),
                None => return o.wrong("mask", "a tensor that is added to the scores"),
            },
        };
        let project = |x: &Tensor, which: &str| -> One {
            self.linear(x, &format!("{name}.{which}"), width, true)?.id_in(&self.trace)
        };
        let parts = [project(q, "q")?, project(k, "k")?, project(v, "v")?];
        let scale = ((width / heads) as f64).powf(-0.5);
        let out = self.emit(|g| {
            let split_heads = |g: &mut Graph, x: ValueId, perm: [i64; 4]| -> One {
                let list = g.int_list(&[0, 0, heads as i64, (width / heads) as i64]);
                let x = g.reshape_to(x, list)?;
                Ok(g.transpose(x, &perm)?)
            };
            let q = g.scale(parts[0], scale)?;
            let q = split_heads(g, q, [0, 2, 1, 3])?;
            let k = split_heads(g, parts[1], [0, 2, 3, 1])?;
            let v = split_heads(g, parts[2], [0, 2, 1, 3])?;
            let mut scores = g.matmul(q, k)?;
            if causal {
                let later = causal_mask(g, scores)?;
                scores = g.add(scores, later)?;
            }
            if let Some(mask) = mask {
                scores = g.add(scores, mask)?;
            }
            let weights = g.softmax(scores, -1)?;
            let mixed = g.matmul(weights, v)?;
            let mixed = g.transpose(mixed, &[0, 2, 1, 3])?;
            let list = g.int_list(&[0, 0, width as i64]);
            Ok(g.reshape_to(mixed, list)?)
        })?;
        self.linear(&out, &format!("{name}.out"), width, true)
    }
}

/// -1e9 where a key stands after its query, else 0: [Tq, Tk] for scores [B, H, Tq, Tk].
fn causal_mask(g: &mut Graph, scores: ValueId) -> One {
    let shape = g.shape_of(scores)?;
    let [zero, one] = [0, 1].map(|v| g.constant(ekphrasis_graph::Tensor::scalar_i64(v)));
    let positions = |g: &mut Graph, axis: i64, new: i64| -> One {
        let at = g.constant(ekphrasis_graph::Tensor::scalar_i64(axis));
        let size = g.gather(shape, at, 0)?;
        let all = g.op("Range", &[zero, size, one], &[])?;
        Ok(g.unsqueeze(all, &[new])?)
    };
    let (rows, columns) = (positions(g, 2, 1)?, positions(g, 3, 0)?);
    let later = g.greater(columns, rows)?;
    let later = g.cast(later, DType::F32)?;
    Ok(g.scale(later, -1e9)?)
}

fn split(g: &mut Graph, x: ValueId, each: usize, n: usize) -> Result<Vec<ValueId>, Fault> {
    let sizes = g.int_list(&vec![each as i64; n]);
    Ok(g.add_node("Split", &[Some(x), Some(sizes)], [("axis".into(), (-1).into())].into(), n)?)
}

const LAYER: &str = "(x: Tensor, name: string, options?: table): Tensor";

/// The rows that scripts see.
pub(crate) fn class() -> Class<GraphBuilder> {
    let class = Class::<GraphBuilder>::new("GraphBuilder", "One graph of a model under construction.");
    let class = class
        .method(
            "input",
            "(name: string, dtype: string, sizes: (integer|string)[]): Tensor",
            "An input port; sizes are numbers or symbols such as \"B\".",
            |_, g, (name, dtype, dims): (String, String, Value)| Ok(g.input(&name, &dtype, &dims)?),
        )
        .method("output", "(name: string, tensor: Tensor)", "An output port.", |_, g, (name, t): (String, Tensor)| {
            Ok(g.output(&name, &t)?)
        })
        .method(
            "param",
            "(name: string, sizes: integer[], init: string|number|table): Tensor",
            "A trained parameter, f32. init: \"zeros\", \"ones\", a number, { \"normal\", std }, \
             { \"uniform\", bound }, { \"kaiming_uniform\", fan_in }. One name is one parameter in all graphs.",
            |_, g, (name, dims, init): (String, Value, Value)| {
                Ok(g.parameter(&name, &numbers(&dims)?, Init::read(&init)?, false)?)
            },
        )
        .method(
            "state",
            "(name: string, sizes: integer[], init: string|number|table): Tensor",
            "A running statistic, f32: kept with the model, changed by no gradient.",
            |_, g, (name, dims, init): (String, Value, Value)| {
                Ok(g.parameter(&name, &numbers(&dims)?, Init::read(&init)?, true)?)
            },
        )
        .method(
            "linear",
            "(x: Tensor, name: string, out: integer, options?: { bias?: boolean }): Tensor",
            "x @ name.weight [in, out] + name.bias.",
            |_, g, (x, name, out, o): (Tensor, String, usize, Value)| {
                let bias = Options::read(&o, &["bias"])?.flag("bias", true)?;
                Ok(g.linear(&x, &name, out, bias)?)
            },
        );
    let class = class
        .method(
            "conv",
            LAYER,
            "Convolution with name.weight and name.bias; options out, kernel, stride=1, pad=0, groups=1, bias=true.",
            |_, g, (x, name, o): (Tensor, String, Value)| Ok(g.conv(&x, &name, &o, false)?),
        )
        .method(
            "conv_transpose",
            LAYER,
            "Transposed convolution; options out, kernel, stride=1, pad=0, output_pad=0, groups=1, bias=true.",
            |_, g, (x, name, o): (Tensor, String, Value)| Ok(g.conv(&x, &name, &o, true)?),
        )
        .method(
            "batch_norm",
            LAYER,
            "Batch normalisation over all axes but 1 with name.weight, name.bias and the statistics name.mean and \
             name.var; options momentum=0.1, eps=1e-5.",
            |_, g, (x, name, o): (Tensor, String, Value)| Ok(g.batch_norm(&x, &name, &o)?),
        )
        .method(
            "layer_norm",
            LAYER,
            "Layer normalisation over the last axis with name.weight and name.bias; option eps=1e-5.",
            |_, g, (x, name, o): (Tensor, String, Value)| Ok(g.layer_norm(&x, &name, &o)?),
        )
        .method(
            "embedding",
            "(tokens: Tensor, name: string, count: integer, dim: integer, init?: string|number|table): Tensor",
            "Rows of name.weight [count, dim] by token; starts normal with deviation 1 unless said.",
            |_, g, (tokens, name, count, dim, init): (Tensor, String, usize, usize, Value)| {
                let init = if init.is_nil() { Init::Normal(1.0) } else { Init::read(&init)? };
                Ok(g.embedding(&tokens, &name, count, dim, init)?)
            },
        );
    class
        .method(
            "lstm_cell",
            "(x: Tensor, h: Tensor, c: Tensor, name: string, hidden: integer): Tensor, Tensor",
            "One step of an LSTM: the new h and c. Parameters name.weight_ih, weight_hh, bias_ih, bias_hh.",
            |_, g, (x, h, c, name, n): (Tensor, Tensor, Tensor, String, usize)| {
                Ok(g.lstm_cell(&x, &h, &c, &name, n)?)
            },
        )
        .method(
            "gru_cell",
            "(x: Tensor, h: Tensor, name: string, hidden: integer): Tensor",
            "One step of a GRU: the new h. Parameters name.weight_ih, weight_hh, bias_ih, bias_hh.",
            |_, g, (x, h, name, n): (Tensor, Tensor, String, usize)| Ok(g.gru_cell(&x, &h, &name, n)?),
        )
        .method(
            "attention",
            "(q: Tensor, k: Tensor, v: Tensor, name: string, options?: { heads?: integer, causal?: boolean, \
             mask?: Tensor }): Tensor",
            "Multi-head attention of q [B, Tq, D] over k and v [B, Tk, D], each projected by name.q, .k, .v, and \
             the result by name.out; a mask is added to the scores [B, heads, Tq, Tk].",
            |_, g, (q, k, v, name, o): (Tensor, Tensor, Tensor, String, Value)| {
                Ok(g.attention(&q, &k, &v, &name, &o)?)
            },
        )
}
