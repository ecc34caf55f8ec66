//! The gradient of `MaxPool` over pictures.
//!
//! In standard operators it is a `MaxPool` that also gives the places of the maxima, which ONNX Runtime computes
//! slowly, and a `ScatterElements` on one thread: together a thirtieth of a ResNet's step. One operator finds the
//! places again and adds there, a picture's channel at a time, on all threads and in the same order.

use super::{DOMAIN, is_zero, kernel::Shared, replace};
use ekphrasis_graph::{Attrs, AttrsExt, DType, Graph, Node, Result, ValueId};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::Float32,
};
use std::{borrow::Cow, slice};

/// The operator's name.
const NAME: &str = "MaxPoolGradient";

/// Rows and columns of a window, from one to the next, within one, and before the picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    size: [i64; 2],
    strides: [i64; 2],
    dilations: [i64; 2],
    pads: [i64; 2],
}

/// The graph with such `ScatterElements` in one operator each.
pub(super) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    replace(graph, Found::of, |g, node, found| {
        let Found { x, dy, window } = found;
        let attrs = window.attrs();
        let made = g.add_node(&format!("{DOMAIN}::{NAME}"), &[Some(*x), Some(*dy)], attrs, 1)?;
        let shape = node.outputs.iter().flatten().find_map(|v| graph.value(*v).shape.as_deref());
        let length = shape.and_then(|s| s.first()?.known()).unwrap_or(-1);
        let line = g.int_list(&[length]);
        let flat = made.iter().map(|dx| g.op("Reshape", &[*dx, line], &[]));
        flat.collect()
    })
}

/// A gradient of `MaxPool`.
struct Found {
    /// What was pooled, `[N, C, height, width]`.
    x: ValueId,
    /// The gradient of what came out.
    dy: ValueId,
    window: Window,
}

impl Found {
    /// What a `ScatterElements` adds to zeros where a `MaxPool` found its maxima, if it does that.
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        if node.op != "ScatterElements" || node.attrs.text("reduction", "none") != "add" {
            return None;
        }
        let [zeros, places, updates] = <[Option<ValueId>; 3]>::try_from(node.inputs.clone()).ok()?;
        let before = |v: ValueId, op: &str| -> Option<ValueId> {
            graph.producer(v).filter(|(_, n)| n.op == op)?.1.inputs.first().copied()?
        };
        let (places, dy) = (before(places?, "Reshape")?, before(updates?, "Reshape")?);
        let (_, pool) = graph.producer(places).filter(|(_, n)| n.op == "MaxPool")?;
        let x = pool.inputs.first().copied()??;
        let shape = |v: ValueId| graph.value(v).shape.as_deref();
        let size =
            |v: ValueId| shape(v).map(|s| s.iter().fold(1.into(), |n: ekphrasis_graph::Dim, d| n.mul(d)));
        let fits = pool.outputs.get(1) == Some(&Some(places))
            && is_zero(graph, before(zeros?, "Expand")?)
            && shape(zeros?)?.len() == 1
            && size(zeros?) == size(x)
            && shape(dy) == shape(places)
            && shape(x)?.len() == 4
            && graph.value(x).dtype == DType::F32;
        let window = Window::of(pool)?;
        fits.then_some(Self { x, dy, window })
    }
}

impl Window {
    fn of(pool: &Node) -> Option<Self> {
        let pair = |name: &str| match pool.attrs.ints(name) {
            Some(values) => <[i64; 2]>::try_from(values).ok(),
            None => Some([1, 1]),
        };
        let plain =
            pool.attrs.text("auto_pad", "NOTSET") == "NOTSET" && pool.attrs.int("storage_order", 0) == 0;
        let pads = pool.attrs.ints("pads").unwrap_or(&[0; 4]);
        let size = pool.attrs.ints("kernel_shape")?.try_into().ok()?;
        let pads = [*pads.first()?, *pads.get(1)?];
        plain.then_some(Self { size, strides: pair("strides")?, dilations: pair("dilations")?, pads })
    }

    fn attrs(&self) -> Attrs {
        let numbers = [self.size, self.strides, self.dilations, self.pads].concat();
        [("window".to_owned(), numbers.into())].into()
    }

    /// For each column of the window, the first place in a row whose column lies in the picture, how many do, and the
    /// column of the picture that the first sees.
    fn columns(&self, width: i64, places: i64) -> Vec<[usize; 3]> {
        let step = self.strides[1];
        let up = |n: i64| (n.max(0) + step - 1) / step;
        let starts = (0..self.size[1]).map(|k| k * self.dilations[1] - self.pads[1]);
        let seen = starts.map(|start| (start, up(-start), up(width - start).min(places)));
        let some = seen.filter(|(_, low, high)| low < high);
        some.map(|(start, low, high)| [low, high - low, start + low * step].map(|n| n as usize)).collect()
    }

    /// Adds gradients to `dx` where, in the picture `x`, the first of the largest numbers lies that the window sees at
    /// each of its places. All places of a row take one step through the window after the other.
    fn add(&self, x: &[f32], [height, width]: [usize; 2], columns: &[[usize; 3]], dy: Rows, dx: &mut [f32]) {
        let (mut largest, mut places) = (vec![0.0; dy.len], vec![0; dy.len]);
        for (row, dy) in dy.data.chunks_exact(dy.len).enumerate() {
            largest.fill(f32::MIN);
            places.fill(u32::MAX);
            for k in 0..self.size[0] {
                let top = row as i64 * self.strides[0] - self.pads[0] + k * self.dilations[0];
                let Some(top) = usize::try_from(top).ok().filter(|top| *top < height) else { continue };
                for [low, count, first] in columns {
                    let start = top * width + first;
                    let (seen, part) = (&x[start..(top + 1) * width], *low..low + count);
                    let found = (&mut largest[part.clone()], &mut places[part]);
                    match self.strides[1] {
                        1 => choose(seen, start, 1, found),
                        2 => choose(seen, start, 2, found),
                        step => choose(seen, start, step as usize, found),
                    }
                }
            }
            for (place, dy) in places.iter().zip(dy) {
                if let Some(dx) = dx.get_mut(*place as usize) {
                    *dx += dy;
                }
            }
        }
    }
}

/// Gradients in rows of so many.
#[derive(Clone, Copy)]
struct Rows<'a> {
    data: &'a [f32],
    len: usize,
}

/// Takes what is larger of every `step`th number, which lie from `start` on, and what was found before. By masks: a
/// processor guesses the outcome of comparisons wrong too often, which takes three times as long.
#[inline(always)]
fn choose(seen: &[f32], start: usize, step: usize, (largest, places): (&mut [f32], &mut [u32])) {
    let n = largest.len().min(places.len());
    let seen = &seen[..(n.max(1) - 1) * step + 1];
    for i in 0..n {
        let number = seen[i * step];
        let more = u32::from(number > largest[i]).wrapping_neg();
        largest[i] = f32::from_bits(largest[i].to_bits() & !more | number.to_bits() & more);
        places[i] = places[i] & !more | (start + i * step) as u32 & more;
    }
}

/// The operator: of `x` `[N, C, height, width]` and the gradient of the result that by `x`.
pub(super) struct MaxPoolGradient;

impl Operator for MaxPoolGradient {
    type Kernel<'attr> = Window;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32), OperatorInput::required(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Window> {
        let read = || {
            let numbers = context.get::<Vec<i64>>("window")?;
            let [a, b, c, d, e, f, g, h] = <[i64; 8]>::try_from(numbers).ok()?;
            let sane = [a, b, c, d, e, f].iter().all(|v| *v > 0);
            sane.then_some(Window { size: [a, b], strides: [c, d], dilations: [e, f], pads: [g, h] })
        };
        read().ok_or_else(|| ort::Error::new("expected a window, found another attribute"))
    }
}

impl Kernel for Window {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("expected two inputs and a result");
        let (x, dy) = (context.input(0)?.ok_or_else(missing)?, context.input(1)?.ok_or_else(missing)?);
        let ((shape, x), (small, dy)) = (x.try_extract_tensor::<f32>()?, dy.try_extract_tensor::<f32>()?);
        let mut value = context.output(0, shape.to_vec())?.ok_or_else(missing)?;
        let (_, dx) = value.try_extract_tensor_mut::<f32>()?;
        let ([n, c, height, width], [m, d, rows, columns]) = (four(shape)?, four(small)?);
        let (planes, large) = ((n * c) as usize, (height * width) as usize);
        let small = (rows * columns) as usize;
        if n * c != m * d || x.len() != planes * large || dx.len() != x.len() || dy.len() != planes * small {
            return Err(ort::Error::new(format!(
                "a gradient of {} numbers does not fit {shape:?}",
                dy.len()
            )));
        }
        let (window, seen) = (&*self, &self.columns(width, columns)[..]);
        let target = Shared(dx.as_mut_ptr());
        let plane = move |i: usize| {
            let target = target;
            // SAFETY: the result has `planes` times `large` numbers, and nobody else writes these.
            let dx = unsafe { slice::from_raw_parts_mut(target.0.wrapping_add(i * large), large) };
            dx.fill(0.0);
            let (x, dy) = (&x[i * large..][..large], &dy[i * small..][..small]);
            let dy = Rows { data: dy, len: columns.max(1) as usize };
            window.add(x, [height, width].map(|n| n as usize), seen, dy, dx);
        };
        context.par_for(planes, 0, plane)
    }
}

fn four(shape: &[i64]) -> ort::Result<[i64; 4]> {
    shape.try_into().map_err(|_| ort::Error::new(format!("expected 4 dimensions, found {shape:?}")))
}
