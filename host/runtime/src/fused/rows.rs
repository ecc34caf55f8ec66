//! Rows added to those of a table that have their numbers: the gradient of an embedding.
//!
//! In standard operators this is `ScatterElements` with an index for each number, on one thread, a fiftieth of the step
//! of an LSTM with attention. One operator adds whole rows, a part of the columns on each thread, in the same order.

use super::{DOMAIN, is_zero, kernel::Shared, replace};
use ekphrasis_graph::{Attrs, AttrsExt, DType, Graph, Node, Result, ValueId};
use ort::{
    operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput},
    value::TensorElementType::{Float32, Int64},
};
use std::{borrow::Cow, slice};

/// The operator's name.
const NAME: &str = "SumRows";

/// Columns that a thread takes at once.
const SHARE: usize = 32;

/// The graph with such `ScatterElements` in one operator each.
pub(super) fn rewrite(graph: &Graph) -> Result<Cow<'_, Graph>> {
    replace(graph, Found::of, |g, _, found| {
        let Found { numbers, rows, count } = *found;
        let attrs = Attrs::from([("count".to_owned(), count.into())]);
        let made = g.add_node(&format!("{DOMAIN}::{NAME}"), &[Some(rows), Some(numbers)], attrs, 1)?;
        Ok(made)
    })
}

/// A sum of rows.
#[derive(Clone, Copy)]
struct Found {
    /// The row of the table to which each row goes, `i64[n, 1]`.
    numbers: ValueId,
    /// `[n, width]`.
    rows: ValueId,
    /// Rows of the table.
    count: i64,
}

impl Found {
    /// What a `ScatterElements` adds to zeros, if these are whole rows of a matrix.
    fn of(graph: &Graph, node: &Node) -> Option<Self> {
        let adds = node.op == "ScatterElements" && node.attrs.text("reduction", "none") == "add";
        let [zeros, indices, rows] = <[Option<ValueId>; 3]>::try_from(node.inputs.clone()).ok()?;
        let (zeros, indices, rows) = (zeros?, indices?, rows?);
        let expanded = |v: ValueId| -> Option<ValueId> {
            graph.producer(v).filter(|(_, n)| n.op == "Expand")?.1.inputs.first().copied()?
        };
        let (zero, numbers) = (expanded(zeros)?, expanded(indices)?);
        let shape = |v: ValueId| graph.value(v).shape.as_deref();
        let [count, width] = shape(zeros)? else { return None };
        let fits = adds
            && node.attrs.int("axis", 0) == 0
            && is_zero(graph, zero)
            && graph.value(rows).dtype == DType::F32
            && graph.value(numbers).dtype == DType::I64
            && matches!((shape(numbers)?, shape(rows)?), ([n, one], [m, all]) if one.is(1) && n == m && all == width)
            && shape(indices) == shape(rows);
        let count = count.known().filter(|_| fits)?;
        Some(Self { numbers, rows, count })
    }
}

/// The operator.
pub(super) struct SumRows;

impl Operator for SumRows {
    type Kernel<'attr> = Table;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32), OperatorInput::required(Int64)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<Table> {
        let count = context.get::<i64>("count").and_then(|n| usize::try_from(n).ok());
        count.map(Table).ok_or_else(|| ort::Error::new("expected a number of rows, found another attribute"))
    }
}

/// A table of so many rows.
pub(super) struct Table(usize);

impl Kernel for Table {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("expected two inputs and a result");
        let (rows, numbers) =
            (context.input(0)?.ok_or_else(missing)?, context.input(1)?.ok_or_else(missing)?);
        let (_, numbers) = numbers.try_extract_tensor::<i64>()?;
        let (shape, rows) = rows.try_extract_tensor::<f32>()?;
        let count = self.0;
        let place = |number: &i64| {
            let number = if *number < 0 { *number + count as i64 } else { *number };
            usize::try_from(number).ok().filter(|n| *n < count)
        };
        let places = numbers.iter().map(place).collect::<Option<Vec<usize>>>();
        let places = places.ok_or_else(|| ort::Error::new(format!("a number is no row of {count}")))?;
        let width = shape.last().and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
        let mut value = context.output(0, vec![count as i64, width as i64])?.ok_or_else(missing)?;
        let (_, table) = value.try_extract_tensor_mut::<f32>()?;
        if rows.len() != places.len() * width || table.len() != count * width {
            return Err(ort::Error::new(format!("{} numbers do not fit {shape:?}", places.len())));
        }
        let (places, target) = (&places[..], Shared(table.as_mut_ptr()));
        let columns = move |i: usize| {
            let target = target;
            let columns = i * SHARE..((i + 1) * SHARE).min(width);
            let part = |row: usize| {
                let start = target.0.wrapping_add(row * width + columns.start);
                // SAFETY: the table has `count` rows of `width` numbers, nobody else touches these columns, and no two
                // of these slices live at once.
                unsafe { slice::from_raw_parts_mut(start, columns.len()) }
            };
            (0..count).for_each(|row| part(row).fill(0.0));
            for (place, row) in places.iter().zip(rows.chunks_exact(width)) {
                part(*place).iter_mut().zip(&row[columns.clone()]).for_each(|(sum, row)| *sum += row);
            }
        };
        context.par_for(width.div_ceil(SHARE), 0, columns)
    }
}
