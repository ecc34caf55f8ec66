//! Transposed convolutions, a product for each phase of the stride.
//!
//! With stride s, the positions `i s + a` of the result see only the weights `t` for which `a + pad - t d` is a
//! multiple of s: a dense convolution with a smaller kernel for each `a` (Shi et al. 2016, "Real-Time Single Image
//! and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network"). Their results interlace.

use super::{
    DOMAIN,
    convolution::positions,
    found::{input, picture},
    product::{Matrix, Term, multiply},
    result::Places,
    window::{Pictures, Window, four},
};
use crate::fused::replace;
use ekphrasis_graph::{Graph, Node, Result};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::Float32,
};
use std::borrow::Cow;

/// The operator's name.
const NAME: &str = "ConvTranspose";

/// The graph with such convolutions in one operator each.
pub(super) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    replace(graph, Found::of, |g, node, found| {
        let Found { window, positions } = found;
        let attrs = [
            ("window".to_owned(), window.numbers().into()),
            ("positions".to_owned(), positions.to_vec().into()),
        ];
        let made = g.add_node(&format!("{DOMAIN}::{NAME}"), &node.inputs, attrs.into(), 1)?;
        Ok(made)
    })
}

/// A transposed convolution to so many rows and columns.
struct Found {
    window: Window,
    positions: [i64; 2],
}

impl Found {
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let w = input(node, 1).filter(|_| node.op == "ConvTranspose")?;
        let [_, _, height, width] = picture(graph, w)?;
        let window = Window::of(node, [height?, width?])?;
        picture(graph, input(node, 0)?)?;
        let [_, _, rows, columns] = picture(graph, node.outputs.first().copied()??)?;
        let said = !node.attrs.contains_key("output_shape");
        said.then_some(Self { window, positions: [rows?, columns?] })
    }
}

/// The operator: of `x` `[N, C, height, width]`, a weight `[C, M, kernel]` and perhaps a bias `[M]`.
pub(super) struct ConvTranspose;

impl Operator for ConvTranspose {
    type Kernel<'attr> = Transposed;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let required = || OperatorInput::required(Float32);
        [required(), required(), OperatorInput::optional(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Transposed> {
        Ok(Transposed { window: Window::read(context)?, positions: positions(context)? })
    }
}

/// A transposed convolution.
pub(super) struct Transposed {
    window: Window,
    positions: [usize; 2],
}

/// One phase of one dimension.
#[derive(Debug, PartialEq)]
struct Phase {
    /// Its first position of the result; the others follow a stride apart.
    first: usize,
    /// How many there are.
    count: usize,
    /// Elements of the kernel that it sees, and at which position of the padded picture each of them begins.
    taps: Vec<(usize, usize)>,
}

impl Transposed {
    /// The phases of a dimension, the positions that are seen before the first of the picture, and all that are seen.
    fn phases(&self, dimension: usize) -> (Vec<Phase>, usize, usize) {
        let [stride, dilation, pad, kernel] =
            [self.window.strides, self.window.dilations, self.window.pads, self.window.kernel]
                .map(|pair| pair[dimension]);
        let result = self.positions[dimension] as i64;
        let seen = |a: i64| {
            (0..kernel).map(move |t| (t, a + pad - t * dilation)).filter(move |(_, at)| at % stride == 0)
        };
        let before = (0..stride).flat_map(seen).map(|(_, at)| -at / stride).max().unwrap_or(0).max(0);
        let mut covered = 1;
        let phase = |a: i64| {
            let count = (result - a + stride - 1) / stride;
            let taps: Vec<_> = seen(a).map(|(t, at)| (t as usize, (at / stride + before) as usize)).collect();
            let last = taps.iter().map(|(_, at)| at + count as usize).max().unwrap_or(1);
            covered = covered.max(last);
            Phase { first: a as usize, count: count as usize, taps }
        };
        let phases = (0..stride.min(result)).map(phase).collect();
        (phases, before as usize, covered)
    }
}

impl Kernel for Transposed {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("expected pictures, a weight and a result");
        let (x, w) = (context.input(0)?.ok_or_else(missing)?, context.input(1)?.ok_or_else(missing)?);
        let ((shape, x), (weight, w)) = (x.try_extract_tensor::<f32>()?, w.try_extract_tensor::<f32>()?);
        let (dims @ [n, inputs, ..], [taken, outputs, ..]) = (four(shape)?, four(weight)?);
        let size = self.window.size();
        if taken != inputs || w.len() != inputs * outputs * size {
            return Err(ort::Error::new(format!(
                "a weight of {weight:?} does not fit pictures of {shape:?}"
            )));
        }
        let bias = context.input(2)?;
        let bias = bias.as_ref().map(|b| b.try_extract_tensor::<f32>()).transpose()?.map(|(_, b)| b);
        let [height, width] = self.positions;
        let result = vec![n as i64, outputs as i64, height as i64, width as i64];
        let mut value = context.output(0, result)?.ok_or_else(missing)?;
        let (_, result) = value.try_extract_tensor_mut::<f32>()?;
        let plane = height * width;
        if result.len() != n * outputs * plane || bias.is_some_and(|b| b.len() != outputs) {
            return Err(ort::Error::new(format!("expected another result, found {} numbers", result.len())));
        }
        let ((downs, top, down), (acrosses, left, across)) = (self.phases(0), self.phases(1));
        let seen = Pictures::of(context, x, dims, [top, left], [down, across])?;
        let [stride, step] = self.window.steps();
        for down in &downs {
            // Phases with equally many columns go together, so that rows are written from front to back.
            for acrosses in acrosses.chunk_by(|a, b| a.count == b.count) {
                let across = acrosses[0].count;
                let sizes = [self.window.kernel[1] as usize, outputs * size];
                let term = |across: &Phase| Term {
                    steps: seen.steps([&down.taps, &across.taps], sizes),
                    behind: across.first,
                };
                let terms = acrosses.iter().map(term).collect();
                let left =
                    Matrix { numbers: &seen, lines: seen.places([down.count, across], [1, 1]).collect() };
                let right = Matrix { numbers: w, lines: (0..outputs).map(|m| m * size).collect() };
                let row = |y: usize| (down.first + y * stride) * width;
                let rows = (0..n).flat_map(|n| {
                    let line =
                        move |y: usize| (0..across).map(move |x| n * outputs * plane + row(y) + x * step);
                    (0..down.count).flat_map(line)
                });
                let places = Places::of(result, rows.collect(), (0..outputs).map(|m| m * plane).collect());
                // SAFETY: each picture and output has a plane of its own, and each phase rows and columns.
                unsafe { multiply(context, [left, right], terms, bias, places)? }
            }
        }
        Ok(())
    }
}
