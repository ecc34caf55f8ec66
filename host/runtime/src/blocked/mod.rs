//! Convolutions of training graphs in ONNX Runtime's blocked layout, on the CPU.
//!
//! Its CPU provider has direct convolutions over pictures whose channels lie in blocks as wide as a vector
//! register (NCHWc: `[N, C / b, H, W, b]`). It uses them by itself only where the weight is a constant. In a step
//! that trains, weights are inputs, and the "weight" of a weight gradient is another gradient; there it takes the
//! slower way over patches. The operators can be asked for by name, though: this pass puts them in the place of
//! [`Conv`](convolution) and strided [`ConvTranspose`](transposed), with conversions of layout around them.
//!
//! GFLOP/s on two cores of an AMD EPYC (AVX-512), ONNX Runtime 1.31.1; a matrix product reached 191 beside the first
//! two columns, 145 beside the last:
//!
//! | N, C -> M, picture, kernel, stride | Conv, before and after | data gradient, likewise | weight gradient, likewise |
//! |---|---|---|---|
//! | 32, 64 -> 64, 32x32, 3, 1 | 180, 207 | | 34, 77 |
//! | 32, 64 -> 128, 32x32, 4, 2 | 155, 189 | 146, 186 | 66, 97 |
//! | 64, 32 -> 64, 16x16, 3, 2 | 152, 180 | 62, 151 | 18, 94 |
//! | 64, 64 -> 128, 8x8, 3, 2 | 67, 193 | 69, 177 | 25, 118 |
//!
//! Standard operators stay where they are for other providers, and for shapes that would be padded much.

mod convolution;
mod transposed;
mod turned;

use crate::{DeviceTensor, Runtime, Session, SessionOptions};
use ekphrasis_graph::{Attrs, DType, Dim, Graph, Node, NodeId, Result, ValueId};
use std::{borrow::Cow, collections::HashMap};

/// The domain of ONNX Runtime's blocked operators.
const DOMAIN: &str = "com.microsoft.nchwc";

/// The most that a number of channels may grow by, when it is rounded up to whole blocks: to 3/2.
const WASTE: (i64, i64) = (3, 2);

/// The most elements of a weight that is padded to whole blocks.
const PADDED: i64 = 1 << 18;

/// The blocked layout of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// Channels in a block: 8 or 16, as wide as a vector register.
    block: i64,
}

/// What to put in the place of a node.
enum Plan {
    Convolution(convolution::Plan),
    Transposed(transposed::Plan),
}

impl Blocked {
    /// Asks ONNX Runtime how it blocks; `None` where it does not.
    pub fn of(runtime: &Runtime) -> Option<Self> {
        if !runtime.on_cpu_alone() {
            return None;
        }
        let probe = || -> Option<usize> {
            let mut g = Graph::new("layout");
            // Four channels are the least that it reorders; they come back as a whole block.
            let x = g.input("x", DType::F32, vec![1.into(), 4.into(), 1.into(), 1.into()]).ok()?;
            let y = reorder_input(&mut g, x).ok()?;
            g.output("y", y).ok()?;
            let session =
                Session::new(runtime, &g.name, &g.to_bytes().ok()?, &SessionOptions::default()).ok()?;
            let x = DeviceTensor::zeros(DType::F32, &[1, 4, 1, 1]).ok()?;
            session.run(&[("x", &x)]).ok()?.first()?.dims().get(1).copied()
        };
        let block = probe().and_then(|b| i64::try_from(b).ok()).filter(|b| *b > 4)?;
        Some(Self { block })
    }

    /// The graph with blocked operators wherever they pay.
    pub fn rewrite<'a>(&self, graph: &'a Graph) -> Result<Cow<'a, Graph>> {
        let plans: HashMap<NodeId, Plan> =
            graph.nodes().filter_map(|(id, node)| Some((id, self.plan(graph, node)?))).collect();
        if plans.is_empty() {
            return Ok(Cow::Borrowed(graph));
        }
        let mut new = graph.clone();
        new.replace_nodes(&plans.keys().copied().collect(), |g, id, node| {
            let made = match &plans[&id] {
                Plan::Convolution(plan) => self.convolution(g, node, plan)?,
                Plan::Transposed(plan) => self.transposed(g, plan)?,
            };
            Ok::<_, ekphrasis_graph::GraphError>(vec![Some(made)])
        })?;
        Ok(Cow::Owned(new))
    }

    fn plan(&self, graph: &Graph, node: &Node) -> Option<Plan> {
        match node.op.as_str() {
            "Conv" => self.plan_convolution(graph, node).map(Plan::Convolution),
            "ConvTranspose" => self.plan_transposed(graph, node).map(Plan::Transposed),
            _ => None,
        }
    }

    /// Channels in whole blocks.
    fn whole(&self, channels: i64) -> i64 {
        (channels + self.block - 1) / self.block * self.block
    }

    /// Whether so many channels are blocked without much padding. ONNX Runtime reorders multiples of four.
    fn fits(&self, channels: i64) -> bool {
        let (most, of) = WASTE;
        channels > 0 && channels % 4 == 0 && self.whole(channels) * of <= channels * most
    }

    /// A weight `[M, C, kh, kw]` in blocks of both channels, padded to whole ones:
    /// `[M / b, C / b, kh, kw, b of C, b of M]`, called `[M, C, kh, kw]`. With less than a block of inputs, whose
    /// pictures stay as they are: `[M / b, C, kh, kw, b of M]`.
    ///
    /// Blocking pictures is fast and `Transpose` is not, so the weight is blocked as if it were pictures.
    fn weight(&self, g: &mut Graph, w: ValueId, dims: [i64; 4]) -> Result<ValueId> {
        let [outputs, inputs, height, width] = dims;
        let whole = self.whole(outputs);
        let mut w = w;
        if whole != outputs {
            let pads = g.int_list(&[0, 0, 0, 0, whole - outputs, 0, 0, 0]);
            w = g.op("Pad", &[w, pads], &[])?;
        }
        let mut columns = inputs;
        if inputs >= self.block {
            w = reorder_input(g, w)?;
            columns = self.whole(inputs);
        }
        let rows = reshape(g, w, &[whole / self.block, self.block, columns * height * width, 1])?;
        let blocked = reorder_input(g, rows)?;
        reshape(g, blocked, &[whole, columns, height, width])
    }

    /// A bias `[M]`, padded to whole blocks.
    fn bias(&self, g: &mut Graph, bias: ValueId, outputs: i64) -> Result<ValueId> {
        let more = self.whole(outputs) - outputs;
        if more == 0 {
            return Ok(bias);
        }
        let pads = g.int_list(&[0, more]);
        g.op("Pad", &[bias, pads], &[])
    }
}

/// A blocked operator with one output, of a shape that the graph does not know.
fn op(g: &mut Graph, name: &str, inputs: &[Option<ValueId>], attrs: Attrs) -> Result<ValueId> {
    let made = g.add_node(&format!("{DOMAIN}::{name}"), inputs, attrs, 1)?;
    made.first().copied().ok_or_else(|| g.error(format!("`{name}` has no output")))
}

/// From NCHW to blocks.
fn reorder_input(g: &mut Graph, x: ValueId) -> Result<ValueId> {
    op(g, "ReorderInput", &[Some(x)], Attrs::new())
}

/// From blocks to NCHW with so many channels.
fn reorder_output(g: &mut Graph, x: ValueId, channels: i64) -> Result<ValueId> {
    op(g, "ReorderOutput", &[Some(x)], Attrs::from([("channels".to_owned(), channels.into())]))
}

fn reshape(g: &mut Graph, x: ValueId, dims: &[i64]) -> Result<ValueId> {
    let dims = g.int_list(dims);
    g.op("Reshape", &[x, dims], &[])
}

/// What a convolution takes.
#[derive(Clone, Copy)]
struct Inputs {
    x: ValueId,
    w: ValueId,
    bias: Option<ValueId>,
}

impl Inputs {
    fn of(node: &Node) -> Option<Self> {
        let input = |i: usize| node.inputs.get(i).copied().flatten();
        Some(Self { x: input(0)?, w: input(1)?, bias: input(2) })
    }
}

/// The sizes of a tensor of four dimensions, where they are known.
fn sizes(graph: &Graph, id: ValueId) -> Option<[Option<i64>; 4]> {
    let value = graph.value(id);
    let shape = value.shape.as_deref().filter(|_| value.dtype == DType::F32)?;
    <&[Dim; 4]>::try_from(shape).ok().map(|dims| dims.each_ref().map(Dim::known))
}

/// The sizes of a weight, where all are known.
fn weight_sizes(graph: &Graph, id: ValueId) -> Option<[i64; 4]> {
    let [a, b, c, d] = sizes(graph, id)?;
    Some([a?, b?, c?, d?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operators of a graph with one node, after the pass with blocks of 16.
    fn rewritten(op: &str, x: [i64; 4], w: [i64; 4], attrs: &[(&str, i64)], constant: bool) -> Vec<String> {
        let mut g = Graph::new("one");
        let x = g.input("x", DType::F32, x.map(Dim::from).to_vec()).unwrap();
        let w = match constant {
            true => {
                let dims = w.map(|d| d as usize);
                let zeros = vec![0.0; dims.iter().product()];
                g.constant(ekphrasis_graph::Tensor::from_f32(&dims, &zeros).unwrap())
            }
            false => g.input("w", DType::F32, w.map(Dim::from).to_vec()).unwrap(),
        };
        let attrs = attrs.iter().map(|(n, v)| {
            let value = if *n == "group" { (*v).into() } else { vec![*v; 2].into() };
            ((*n).to_owned(), value)
        });
        let y = g.add_node(op, &[Some(x), Some(w)], attrs.collect(), 1).unwrap()[0];
        g.output("y", y).unwrap();
        let new = Blocked { block: 16 }.rewrite(&g).unwrap();
        assert_eq!(new.value(y).shape, g.value(y).shape);
        new.nodes().map(|(_, n)| n.op.clone()).collect()
    }

    fn blocked(ops: &[String]) -> usize {
        ops.iter().filter(|op| *op == "com.microsoft.nchwc::Conv").count()
    }

    #[test]
    fn what_fills_its_blocks_is_blocked() {
        let conv = |x, w, attrs: &[_]| blocked(&rewritten("Conv", x, w, attrs, false));
        assert_eq!(conv([2, 32, 8, 8], [48, 32, 3, 3], &[]), 1);
        assert_eq!(conv([2, 24, 8, 8], [24, 24, 3, 3], &[]), 1);
        assert_eq!(conv([2, 3, 8, 8], [32, 3, 4, 4], &[]), 1);
        assert_eq!(conv([2, 3, 8, 8], [32, 3, 3, 3], &[]), 0);
        assert_eq!(conv([2, 32, 8, 8], [3, 32, 3, 3], &[]), 0);
        assert_eq!(conv([2, 20, 8, 8], [32, 20, 3, 3], &[]), 0);
        assert_eq!(conv([2, 32, 8, 8], [32, 16, 3, 3], &[("group", 2)]), 0);
        let transposed =
            |w, attrs: &[_]| blocked(&rewritten("ConvTranspose", [2, 16, 4, 4], w, attrs, false));
        assert_eq!(transposed([16, 32, 3, 3], &[("strides", 2)]), 0, "a result of odd size");
        assert_eq!(transposed([16, 32, 2, 2], &[("strides", 2)]), 4);
        assert_eq!(transposed([16, 32, 3, 3], &[("strides", 3)]), 9);
        assert_eq!(transposed([16, 32, 3, 3], &[]), 0);
    }

    /// ONNX Runtime blocks those of `Conv` itself, without changes of layout in between, and those of `ConvTranspose`
    /// not at all.
    #[test]
    fn constant_weights_are_left_alone_where_onnx_runtime_blocks_them() {
        assert_eq!(rewritten("Conv", [2, 32, 8, 8], [48, 32, 3, 3], &[], true), ["Conv"]);
        let strided = [("strides", 2)];
        assert_eq!(blocked(&rewritten("ConvTranspose", [2, 16, 4, 4], [16, 32, 2, 2], &strided, true)), 4);
    }
}
