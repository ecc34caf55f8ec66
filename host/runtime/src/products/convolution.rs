//! Convolutions, each position of the result a row of a product: what the window sees there by the weight.

use super::{
    DOMAIN,
    found::{input, ints, picture, producer, swapped},
    product::{Matrix, Term, multiply},
    result::Places,
    window::{Pictures, Window, four},
};
use crate::fused::replace;
use ekphrasis_graph::{Graph, Node, Result, ValueId};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::Float32,
};
use std::borrow::Cow;

/// The operator's name.
const NAME: &str = "Conv";

/// The fewest channels of a result: a vector of columns is computed for fewer, too.
const OUTPUTS: i64 = 6;

/// The fewest products for each number of a result: 3 channels under 3x3 weights took twice as long as in ONNX Runtime.
const PRODUCTS: i64 = 32;

/// Positions of a result that are computed one by one: around a picture of 2x2, more than half of what a window of 3x3
/// sees is padding.
const FEW: usize = 4;

/// The graph with such convolutions in one operator each.
pub(super) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    replace(graph, Found::of, |g, node, found| {
        let Found { weight, turned, window, positions } = found;
        let attrs = [
            ("window".to_owned(), window.numbers().into()),
            ("positions".to_owned(), positions.to_vec().into()),
            ("turned".to_owned(), i64::from(*turned).into()),
        ];
        let mut inputs = node.inputs.clone();
        inputs[1] = Some(*weight);
        let made = g.add_node(&format!("{DOMAIN}::{NAME}"), &inputs, attrs.into(), 1)?;
        Ok(made)
    })
}

/// A convolution.
struct Found {
    /// `[M, C, kernel]`, or turned `[C, M, kernel]` with the kernel's elements backwards.
    weight: ValueId,
    turned: bool,
    window: Window,
    /// Rows and columns of the result.
    positions: [i64; 2],
}

impl Found {
    /// A `Conv` over pictures whose weight is no constant: with those ONNX Runtime does well.
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let w = input(node, 1).filter(|_| node.op == "Conv")?;
        let [outputs, inputs, height, width] = picture(graph, w)?;
        let kernel = [height?, width?];
        let window = Window::of(node, kernel)?;
        picture(graph, input(node, 0)?)?;
        let [_, _, rows, columns] = picture(graph, node.outputs.first().copied()??)?;
        let positions = [rows?, columns?];
        // A matrix product, which ONNX Runtime computes in place.
        let point = window == Window { kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0, 0] };
        let fits = !point
            && outputs? >= OUTPUTS
            && inputs? * kernel[0] * kernel[1] >= PRODUCTS
            && graph.value(w).tensor().is_none();
        let turned = turned(graph, w, kernel).filter(|_| fits);
        let found = Self { weight: turned.unwrap_or(w), turned: turned.is_some(), window, positions };
        fits.then_some(found)
    }
}

/// What a weight is with channels in each other's place and the kernel backwards, as in a gradient by the picture.
fn turned(graph: &Graph, weight: ValueId, kernel: [i64; 2]) -> Option<ValueId> {
    let (mut id, mut flipped) = (weight, kernel.map(|size| size == 1));
    if let Some(node) = producer(graph, id, "Slice") {
        let [starts, ends, axes, steps] = [1, 2, 3, 4].map(|i| ints(graph, node, i));
        let (starts, ends, steps) = (starts?, ends?, steps?);
        let backwards = starts.iter().chain(&steps).all(|v| *v == -1);
        if !backwards || ends.iter().any(|end| *end >= -kernel[0] - kernel[1]) {
            return None;
        }
        for axis in axes? {
            *flipped.get_mut(usize::try_from(axis - 2).ok()?)? = true;
        }
        id = input(node, 0)?;
    }
    swapped(graph, id).filter(|_| flipped == [true; 2])
}

/// The operator: of `x` `[N, C, height, width]`, a weight and perhaps a bias `[M]`.
pub(super) struct Conv;

impl Operator for Conv {
    type Kernel<'attr> = Convolution;

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

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Convolution> {
        let turned = context.get::<i64>("turned").unwrap_or(0) != 0;
        Ok(Convolution { window: Window::read(context)?, positions: positions(context)?, turned })
    }
}

/// A convolution to so many rows and columns.
pub(super) struct Convolution {
    window: Window,
    positions: [usize; 2],
    turned: bool,
}

impl Kernel for Convolution {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("expected pictures, a weight and a result");
        let (x, w) = (context.input(0)?.ok_or_else(missing)?, context.input(1)?.ok_or_else(missing)?);
        let ((shape, x), (weight, w)) = (x.try_extract_tensor::<f32>()?, w.try_extract_tensor::<f32>()?);
        let (dims @ [n, inputs, ..], [a, b, ..]) = (four(shape)?, four(weight)?);
        let (outputs, taken) = if self.turned { (b, a) } else { (a, b) };
        let size = self.window.size();
        if taken != inputs || w.len() != inputs * outputs * size {
            return Err(ort::Error::new(format!(
                "a weight of {weight:?} does not fit pictures of {shape:?}"
            )));
        }
        let bias = context.input(2)?;
        let bias = bias.as_ref().map(|b| b.try_extract_tensor::<f32>()).transpose()?.map(|(_, b)| b);
        let [rows, columns] = self.positions;
        let result = vec![n as i64, outputs as i64, rows as i64, columns as i64];
        let mut value = context.output(0, result)?.ok_or_else(missing)?;
        let (_, result) = value.try_extract_tensor_mut::<f32>()?;

        let seen = Pictures::under(context, x, dims, &self.window, self.positions)?;
        let plane = rows * columns;
        let few = plane <= FEW;
        // All positions are rows of one product, or each of few is a term without what lies in the padding.
        let left = match few {
            true => seen.places([1, 1], [1, 1]).collect(),
            false => seen.places(self.positions, self.window.steps()).collect(),
        };
        let term = |y: usize, x: usize| {
            let only = |size: usize| few.then_some(size);
            let (down, across) = (self.sight(0, y, only(dims[2])), self.sight(1, x, only(dims[3])));
            let channel = if self.turned { outputs * size } else { size };
            let steps = seen.steps([&down, &across], [self.window.kernel[1] as usize, channel]);
            Term { steps, behind: y * columns + x }
        };
        let terms = match few {
            true => {
                (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))).map(|(y, x)| term(y, x)).collect()
            }
            false => vec![term(0, 0)],
        };
        let line = if self.turned { size } else { inputs * size };
        let matrices = [
            Matrix { numbers: &seen, lines: left },
            Matrix { numbers: w, lines: (0..outputs).map(|m| m * line).collect() },
        ];
        let each = if few { 1 } else { plane };
        let rows = (0..n).flat_map(|n| (0..each).map(move |p| n * outputs * plane + p)).collect();
        let places = Places::of(result, rows, (0..outputs).map(|m| m * plane).collect());
        // SAFETY: each picture and output has a plane of its own, and each position its place there.
        unsafe { multiply(context, matrices, terms, bias, places) }
    }
}

impl Convolution {
    /// The rows or columns of the weight in the order in which they lie, and those of the picture that they see at a
    /// position; if its size is given, without its padding.
    fn sight(&self, dimension: usize, position: usize, size: Option<usize>) -> Vec<(usize, usize)> {
        let Window { kernel, strides, dilations, pads } = self.window;
        let [kernel, stride, dilation, pad] =
            [kernel, strides, dilations, pads].map(|pair| pair[dimension] as usize);
        let sees = |k: usize| position * stride + if self.turned { kernel - 1 - k } else { k } * dilation;
        let inside = |at: usize| size.is_none_or(|size| (pad..pad + size).contains(&at));
        (0..kernel).map(|k| (k, sees(k))).filter(|(_, at)| inside(*at)).collect()
    }
}

/// The rows and columns of an operator's result.
pub(super) fn positions(context: &KernelContext) -> ort::Result<[usize; 2]> {
    let read = context.get::<Vec<i64>>("positions").unwrap_or_default();
    let some: Vec<usize> = read.iter().filter_map(|p| usize::try_from(*p).ok()).collect();
    some.try_into().map_err(|_| ort::Error::new(format!("expected rows and columns, found {read:?}")))
}
