//! The gradient of a convolution by its weight, as a product of what the window sees by the gradient of the result.
//!
//! In standard operators it is a convolution whose kernel is a whole picture, or a product over patches that are
//! copied side by side. Here nothing is copied but the padding: each element of the window reads the pictures where
//! they lie.

use super::{
    DOMAIN,
    found::{SWAP, input, ints, picture, producer, swapped},
    product::{Matrix, Term, multiply},
    result::Places,
    window::{Pictures, Window, four},
};
use crate::fused::replace;
use ekphrasis_graph::{AttrsExt, Dim, Graph, Node, Result, ValueId};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::Float32,
};
use std::borrow::Cow;

/// The operator's name.
const NAME: &str = "ConvWeightGradient";

/// The graph with such gradients in one operator each.
pub(super) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    replace(graph, Found::of, |g, node, found| {
        let Found { x, dy, window } = found;
        let attrs = [("window".to_owned(), window.numbers().into())].into();
        let made = g.add_node(&format!("{DOMAIN}::{NAME}"), &[Some(*x), Some(*dy)], attrs, 1)?;
        let gradient = made.first().copied().ok_or_else(|| g.error("a gradient has no output"))?;
        let channels = |g: &Graph, v: ValueId| Some(g.value(v).shape.as_deref()?.get(1)?.clone());
        if let (Some(outputs), Some(inputs)) = (channels(g, *dy), channels(g, *x)) {
            let kernel = window.kernel.map(Dim::from);
            g.assume_shape(gradient, [outputs, inputs].into_iter().chain(kernel).collect());
        }
        if node.op != "Gemm" {
            return Ok(vec![gradient]);
        }
        // The product's result has a row for each output.
        let result = node.outputs.first().copied().flatten();
        let columns = result.and_then(|y| g.value(y).shape.as_deref()?.get(1)?.known()).unwrap_or(-1);
        let rows = g.int_list(&[-1, columns]);
        Ok(vec![g.op("Reshape", &[gradient, rows], &[])?])
    })
}

/// The gradient of a convolution by its weight.
struct Found {
    /// What was convolved, `[N, C, height, width]`.
    x: ValueId,
    /// The gradient of what came out, `[N, M, rows, columns]`.
    dy: ValueId,
    window: Window,
}

impl Found {
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let found = match node.op.as_str() {
            "Transpose" => Self::of_convolution(graph, node)?,
            "Gemm" => Self::of_patches(graph, node)?,
            _ => return None,
        };
        picture(graph, found.x)?;
        picture(graph, found.dy)?;
        Some(found)
    }

    /// A convolution of pictures by gradients, both with channels before pictures, and so the result.
    fn of_convolution(graph: &Graph, node: &Node) -> Option<Self> {
        let [_, _, height, width] = picture(graph, *node.outputs.first()?.as_ref()?)?;
        let mut conv = input(node, 0).filter(|_| node.attrs.ints("perm") == Some(SWAP))?;
        if let Some(slice) = producer(graph, conv, "Slice") {
            let from_start = ints(graph, slice, 1)?.iter().all(|s| *s == 0)
                && ints(graph, slice, 3)? == [2, 3]
                && ints(graph, slice, 4)?.iter().all(|s| *s == 1);
            conv = input(slice, 0).filter(|_| from_start)?;
        }
        let conv = producer(graph, conv, "Conv").filter(|n| n.inputs.len() < 3 || n.inputs[2].is_none())?;
        let (x, dy) = (swapped(graph, input(conv, 0)?)?, swapped(graph, input(conv, 1)?)?);
        // What are strides to the weight are dilations to the gradient, which is the kernel there.
        let Window { kernel, strides, dilations, pads } = Window::of(conv, [height?, width?])?;
        Some(Self { x, dy, window: Window { kernel, strides: dilations, dilations: strides, pads } })
    }

    /// A product of gradients `[M, N P]` by patches `[C K, N P]`.
    fn of_patches(graph: &Graph, node: &Node) -> Option<Self> {
        let plain = node.attrs.int("transA", 0) == 0
            && node.attrs.int("transB", 0) == 1
            && node.attrs.float("alpha", 1.0) == 1.0
            && node.inputs.get(2).copied().flatten().is_none();
        let flat = |i: usize| input(producer(graph, input(node, i)?, "Reshape")?, 0);
        graph.value(node.outputs.first().copied()??).shape.as_deref()?.get(1)?.known()?;
        let dy = swapped(graph, flat(0).filter(|_| plain)?)?;
        let patches = flat(1)?;
        let [_, _, rows, columns] = picture(graph, dy)?;
        if let Some(x) = swapped(graph, patches) {
            let [_, _, height, width] = picture(graph, x)?;
            let window = Window { kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0, 0] };
            return (rows? == height? && columns? == width?).then_some(Self { x, dy, window });
        }
        let concat = producer(graph, patches, "Concat").filter(|n| n.attrs.int("axis", 0) == 1)?;
        let (mut padded, mut starts, mut strides) = (None, vec![], None);
        for part in concat.inputs.iter().flatten() {
            let slice = producer(graph, *part, "Slice")?;
            let [from, axes, step] = [1, 3, 4].map(|i| ints(graph, slice, i));
            let (from, step) = (<[i64; 2]>::try_from(from?).ok()?, <[i64; 2]>::try_from(step?).ok()?);
            let of = input(slice, 0)?;
            if *padded.get_or_insert(of) != of || *strides.get_or_insert(step) != step || axes? != [2, 3] {
                return None;
            }
            starts.push(from);
        }
        let (mut image, mut pads) = (padded?, [0, 0]);
        if let Some(pad) = producer(graph, image, "Pad") {
            let [0, 0, top, left, 0, 0, bottom, right] = ints(graph, pad, 1)?[..] else { return None };
            let zeros = pad.attrs.text("mode", "constant") == "constant"
                && input(pad, 2).is_none_or(|v| crate::fused::is_zero(graph, v))
                && input(pad, 3).is_none()
                && bottom >= 0
                && right >= 0;
            image = input(pad, 0).filter(|_| zeros)?;
            pads = [top, left];
        }
        let (kernel, dilations) = grid(&starts)?;
        let window = Window { kernel, strides: strides?, dilations, pads };
        Some(Self { x: swapped(graph, image)?, dy, window })
    }
}

/// The size and the steps of a grid from the origin, if that is what the points are, in order.
fn grid(points: &[[i64; 2]]) -> Option<([i64; 2], [i64; 2])> {
    let width = points.iter().take_while(|p| p[0] == 0).count();
    let height = points.len() / width.max(1);
    let step = |i: usize, at: usize| points.get(at).map_or(1, |p| p[i]);
    let steps = [if height > 1 { step(0, width) } else { 1 }, if width > 1 { step(1, 1) } else { 1 }];
    let all = (0..height as i64).flat_map(|y| (0..width as i64).map(move |x| [y * steps[0], x * steps[1]]));
    let fits = width > 0 && points.iter().copied().eq(all) && steps.iter().all(|s| *s > 0);
    fits.then_some(([height as i64, width as i64], steps))
}

/// The operator: of `x` `[N, C, height, width]` and `dy` `[N, M, rows, columns]` the gradient `[M, C, kernel]`.
pub(super) struct ConvWeightGradient;

impl Operator for ConvWeightGradient {
    type Kernel<'attr> = Gradient;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32), OperatorInput::required(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Gradient> {
        Window::read(context).map(Gradient)
    }
}

/// Such a gradient.
pub(super) struct Gradient(Window);

impl Kernel for Gradient {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("expected two inputs and a result");
        let (x, dy) = (context.input(0)?.ok_or_else(missing)?, context.input(1)?.ok_or_else(missing)?);
        let ((shape, x), (small, dy)) = (x.try_extract_tensor::<f32>()?, dy.try_extract_tensor::<f32>()?);
        let (dims, [n, outputs, rows, columns]) = (four(shape)?, four(small)?);
        if n != dims[0] {
            return Err(ort::Error::new(format!("expected {} pictures, found {small:?}", dims[0])));
        }
        let shape = vec![outputs as i64, dims[1] as i64, self.0.kernel[0], self.0.kernel[1]];
        let mut value = context.output(0, shape)?.ok_or_else(missing)?;
        let (_, result) = value.try_extract_tensor_mut::<f32>()?;
        let window = self.0;
        let seen = Pictures::under(context, x, dims, &window, [rows, columns])?;
        let [down, across] = window.elements();
        let (positions, taken) = (rows * columns, dims[1] * window.size());
        let left = Matrix { numbers: &seen, lines: seen.taps(&down, &across).collect() };
        let right = Matrix { numbers: dy, lines: (0..outputs).map(|m| m * positions).collect() };
        let at = (0..n).flat_map(|n| (0..positions).map(move |p| n * outputs * positions + p));
        let steps = [seen.places([rows, columns], window.steps()).collect(), at.collect()];
        let columns = (0..outputs).map(|m| m * taken).collect();
        let places = Places::of(result, (0..taken).collect(), columns);
        // SAFETY: each output has a row of its own.
        unsafe { multiply(context, [left, right], vec![Term { steps, behind: 0 }], None, places) }
    }
}
