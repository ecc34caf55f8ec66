//! The patches under a window, copied once.
//!
//! A weight gradient as one matrix product needs them below each other. In standard operators these are `Transpose`,
//! `Pad`, a `Slice` for each position of the window, and `Concat`: four copies on one thread, a seventh of a ResNet's
//! step. One operator copies the rows to where they belong, on all threads.

use super::{DOMAIN, kernel::Shared};
use ekphrasis_graph::{Attrs, AttrsExt, DType, Dim, Graph, Node, NodeId, Result, ValueId};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::Float32,
};
use std::{borrow::Cow, collections::HashMap, slice};

/// The operator's name.
const NAME: &str = "Patches";

/// What `Concat` along dimension 1 of slices of pictures `[A, B, height, width]` computes: `[A, K B, rows, columns]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// Whether the pictures come as `[B, A, height, width]`.
    swapped: bool,
    /// First row and column of each slice, from before the padding: K pairs.
    starts: Vec<i64>,
    /// Rows and columns of a slice.
    size: [i64; 2],
    /// Rows and columns from one taken to the next.
    steps: [i64; 2],
}

/// The graph with such `Concat`s in one operator each.
pub(super) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    let found: HashMap<NodeId, (ValueId, Window)> =
        graph.nodes().filter_map(|(id, node)| Some((id, Window::find(graph, node)?))).collect();
    if found.is_empty() {
        return Ok(Cow::Borrowed(graph));
    }
    let mut new = graph.clone();
    new.replace_nodes(&found.keys().copied().collect(), |g, id, _| {
        let (pictures, window) = &found[&id];
        let made = g.add_node(&format!("{DOMAIN}::{NAME}"), &[Some(*pictures)], window.attrs(), 1)?;
        Ok::<_, ekphrasis_graph::GraphError>(made.into_iter().map(Some).collect())
    })?;
    new.pruned().map(Cow::Owned)
}

fn ints(graph: &Graph, node: &Node, input: usize) -> Option<Vec<i64>> {
    graph.value(node.inputs.get(input).copied()??).ints.as_ref()?.iter().map(Dim::known).collect()
}

fn first(node: &Node) -> Option<ValueId> {
    node.inputs.first().copied()?
}

impl Window {
    /// The pictures and the window of a `Concat`, if it is one of patches.
    fn find(graph: &Graph, node: &Node) -> Option<(ValueId, Self)> {
        if node.op != "Concat" || node.attrs.int("axis", 0) != 1 || node.inputs.len() < 2 {
            return None;
        }
        let (mut padded, mut starts, mut steps) = (None, vec![], None);
        for part in node.inputs.iter().flatten() {
            let (_, slice) = graph.producer(*part).filter(|(_, n)| n.op == "Slice")?;
            let [from, axes, step] = [1, 3, 4].map(|i| ints(graph, slice, i));
            let (from, step) = (from?, <[i64; 2]>::try_from(step?).ok()?);
            let same =
                *padded.get_or_insert(first(slice)?) == first(slice)? && *steps.get_or_insert(step) == step;
            if !same || axes? != [2, 3] || from.iter().chain(&step).any(|v| *v < 0) {
                return None;
            }
            starts.extend(from);
        }
        let (mut pictures, result) = (padded?, graph.value(node.outputs.first().copied()??));
        if result.dtype != DType::F32 {
            return None;
        }
        let [_, _, rows, columns] = <&[Dim; 4]>::try_from(result.shape.as_deref()?).ok()?;
        let size = [rows.known()?, columns.known()?];
        if let Some((_, pad)) = graph.producer(pictures).filter(|(_, n)| n.op == "Pad")
            && let Some([0, 0, top, left, 0, 0, bottom, right]) = ints(graph, pad, 1).as_deref()
            && pad.attrs.text("mode", "constant") == "constant"
            && pad.inputs.get(2).copied().flatten().is_none_or(|v| is_zero(graph, v))
            && pad.inputs.get(3).copied().flatten().is_none()
            && [top, left, bottom, right].iter().all(|p| **p >= 0)
        {
            starts.chunks_exact_mut(2).for_each(|start| {
                start[0] -= top;
                start[1] -= left;
            });
            pictures = first(pad)?;
        }
        let mut swapped = false;
        if let Some((_, node)) = graph.producer(pictures).filter(|(_, n)| n.op == "Transpose")
            && node.attrs.ints("perm") == Some(&[1, 0, 2, 3])
        {
            (swapped, pictures) = (true, first(node)?);
        }
        Some((pictures, Self { swapped, starts, size, steps: steps? }))
    }

    fn attrs(&self) -> Attrs {
        let numbers = [self.size, self.steps].concat();
        [
            ("swapped", i64::from(self.swapped).into()),
            ("starts", self.starts.clone().into()),
            ("window", numbers.into()),
        ]
        .map(|(name, attr)| (name.to_owned(), attr))
        .into()
    }

    /// Copies the patch of the picture `from` `[height, width]` whose first corner is `start`; zeros outside of it.
    fn copy(&self, from: &[f32], [height, width]: [i64; 2], start: [i64; 2], to: &mut [f32]) {
        let columns = self.size[1];
        // The columns that lie in the picture.
        let inside = |j: i64| (0..width).contains(&(start[1] + j * self.steps[1]));
        let low = (0..columns).find(|j| inside(*j)).unwrap_or(columns);
        let high = (low..columns).find(|j| !inside(*j)).unwrap_or(columns);
        for (i, row) in to.chunks_exact_mut(columns as usize).enumerate() {
            let y = start[0] + i as i64 * self.steps[0];
            if !(0..height).contains(&y) || low == high {
                row.fill(0.0);
                continue;
            }
            let (low, high) = (low as usize, high as usize);
            let first = (y * width + start[1] + low as i64 * self.steps[1]) as usize;
            row[..low].fill(0.0);
            row[high..].fill(0.0);
            match self.steps[1] {
                1 => row[low..high].copy_from_slice(&from[first..first + high - low]),
                step => {
                    let line = from[first..].iter().step_by(step as usize);
                    row[low..high].iter_mut().zip(line).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// Whether a value is known to be zeros.
pub(super) fn is_zero(graph: &Graph, v: ValueId) -> bool {
    let values = graph.value(v).tensor().and_then(|t| t.to_f32());
    values.is_some_and(|values| values.iter().all(|v| *v == 0.0))
}

/// The operator.
pub(super) struct Patches;

impl Operator for Patches {
    type Kernel<'attr> = Window;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Window> {
        let read = || {
            let numbers = context.get::<Vec<i64>>("window")?;
            let [rows, columns, down, across] = <[i64; 4]>::try_from(numbers).ok()?;
            let starts = context.get::<Vec<i64>>("starts").filter(|s| s.len() % 2 == 0)?;
            let swapped = context.get::<i64>("swapped")? != 0;
            let sane = rows > 0 && columns > 0 && down > 0 && across > 0;
            sane.then_some(Window { swapped, starts, size: [rows, columns], steps: [down, across] })
        };
        read().ok_or_else(|| ort::Error::new("expected a window, found another attribute"))
    }
}

impl Kernel for Window {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let value = context.input(0)?.ok_or_else(|| ort::Error::new("the pictures are missing"))?;
        let (shape, data) = value.try_extract_tensor::<f32>()?;
        let [a, b, height, width] = <[i64; 4]>::try_from(shape.to_vec())
            .map_err(|s| ort::Error::new(format!("expected pictures of 4 dimensions, found {s:?}")))?;
        let (outer, inner) = if self.swapped { (b, a) } else { (a, b) };
        let count = self.starts.len() as i64 / 2;
        let mut value = context
            .output(0, vec![outer, count * inner, self.size[0], self.size[1]])?
            .ok_or_else(|| ort::Error::new("the result is missing"))?;
        let (_, result) = value.try_extract_tensor_mut::<f32>()?;
        let (picture, patch) = ((height * width) as usize, (self.size[0] * self.size[1]) as usize);
        let rows = (outer * count) as usize;
        if result.len() != rows * inner as usize * patch || data.len() != (a * b) as usize * picture {
            return Err(ort::Error::new(format!("expected another result, found {} numbers", result.len())));
        }
        let (window, target) = (&*self, Shared(result.as_mut_ptr()));
        // All patches at one place of the window, of one outer picture.
        let row = move |i: usize| {
            let target = target;
            let (o, k) = (i / count as usize, i % count as usize);
            let start = [window.starts[2 * k], window.starts[2 * k + 1]];
            for n in 0..inner as usize {
                let at = if window.swapped { n * outer as usize + o } else { o * inner as usize + n };
                let to = target.0.wrapping_add((i * inner as usize + n) * patch);
                // SAFETY: the result holds `rows * inner` patches, and nobody else writes this one.
                let to = unsafe { slice::from_raw_parts_mut(to, patch) };
                window.copy(&data[at * picture..][..picture], [height, width], start, to);
            }
        };
        context.par_for(rows, 0, row)
    }
}
