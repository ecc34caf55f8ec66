//! Products of two matrices.
//!
//! ONNX Runtime packs both matrices at each product, and copies one that comes turned. Ours packs the smaller one, which
//! is faster for weight gradients, by up to a third, and for few rows, as in the steps of a recurrent layer, by up to
//! a half. For many rows both are as fast, and ONNX Runtime's can take what follows along.

use super::{
    DOMAIN,
    found::input,
    product::{Matrix, Term, multiply},
    result::Places,
};
use crate::fused::replace;
use ekphrasis_graph::{Attrs, AttrsExt, DType, Dim, Graph, Node, Result, ValueId};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::Float32,
};
use std::borrow::Cow;

/// The operator's name.
const NAME: &str = "Gemm";

/// The fewest columns, and rows of a weight gradient.
const LEAST: i64 = 16;

/// Rows that are few.
const FEW: i64 = 256;

/// The graph with such products in one operator each.
pub(super) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    replace(graph, find, |g, node, found| {
        let attrs = Attrs::from([("turned".to_owned(), found.map(i64::from).to_vec().into())]);
        let made = g.add_node(&format!("{DOMAIN}::{NAME}"), &node.inputs, attrs, 1)?;
        Ok(made)
    })
}

/// Which matrices of a `Gemm` come turned, where it is worth while.
fn find(graph: &Graph, node: &Node) -> Option<[bool; 2]> {
    let bias = input(node, 2);
    let plain = node.op == "Gemm"
        && node.attrs.float("alpha", 1.0) == 1.0
        && (bias.is_none() || node.attrs.float("beta", 1.0) == 1.0);
    let (a, b) = (input(node, 0).filter(|_| plain)?, input(node, 1)?);
    // ONNX Runtime packs constants once.
    let varies = |id: ValueId| {
        let value = graph.value(id);
        (value.dtype == DType::F32 && value.tensor().is_none()).then_some(value.shape.as_deref()?)
    };
    let (left, right) = (<&[Dim; 2]>::try_from(varies(a)?).ok()?, <&[Dim; 2]>::try_from(varies(b)?).ok()?);
    let turned = ["transA", "transB"].map(|name| node.attrs.int(name, 0) != 0);
    let (rows, columns) = (&left[usize::from(turned[0])], &right[usize::from(!turned[1])]);
    let biased = |bias: ValueId| varies(bias) == Some(std::slice::from_ref(columns));
    let many = |dim: &Dim| dim.known().is_some_and(|d| d >= LEAST);
    let fits = if turned[0] { many(rows) } else { rows.known().is_some_and(|d| (2..=FEW).contains(&d)) };
    (fits && many(columns) && bias.is_none_or(biased)).then_some(turned)
}

/// The operator: of two matrices and perhaps a bias for each column.
pub(super) struct Gemm;

impl Operator for Gemm {
    type Kernel<'attr> = Linear;

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

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Linear> {
        let turned = context.get::<Vec<i64>>("turned").unwrap_or_default();
        let flags = <[i64; 2]>::try_from(turned);
        let flags = flags.map_err(|found| ort::Error::new(format!("expected two flags, found {found:?}")))?;
        Ok(Linear { turned: flags.map(|flag| flag != 0) })
    }
}

/// A product of matrices of which some come turned.
pub(super) struct Linear {
    turned: [bool; 2],
}

impl Kernel for Linear {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("expected two matrices and a result");
        let (a, b) = (context.input(0)?.ok_or_else(missing)?, context.input(1)?.ok_or_else(missing)?);
        let ((left, a), (right, b)) = (a.try_extract_tensor::<f32>()?, b.try_extract_tensor::<f32>()?);
        let bias = context.input(2)?;
        let bias = bias.as_ref().map(|b| b.try_extract_tensor::<f32>()).transpose()?.map(|(_, b)| b);
        let (&[first, second], &[third, fourth]) = (&left[..], &right[..]) else {
            return Err(ort::Error::new(format!("{left:?} by {right:?} is no product of matrices")));
        };
        let [turned_a, turned_b] = self.turned;
        let (rows, steps) = if turned_a { (second, first) } else { (first, second) };
        let (others, columns) = if turned_b { (fourth, third) } else { (third, fourth) };
        let mut value = context.output(0, vec![rows, columns])?.ok_or_else(missing)?;
        let (_, result) = value.try_extract_tensor_mut::<f32>()?;
        let each = |count: i64, apart: i64| (0..count).map(move |i| (i * apart) as usize).collect::<Vec<_>>();
        // Lines side by side, or one after the other.
        let matrix = |numbers, lines: i64, steps: i64, beside: bool| match beside {
            true => (Matrix { numbers, lines: each(lines, 1) }, each(steps, lines)),
            false => (Matrix { numbers, lines: each(lines, steps) }, each(steps, 1)),
        };
        let (left, across) = matrix(a, rows, steps, turned_a);
        let (right, down) = matrix(b, columns, others, !turned_b);
        let places = Places::of(result, each(rows, columns), each(columns, 1));
        // SAFETY: each row has its own columns.
        unsafe {
            multiply(context, [left, right], vec![Term { steps: [across, down], behind: 0 }], bias, places)
        }
    }
}
