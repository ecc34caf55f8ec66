//! Stretches of flat vectors: those that an optimiser works on.

use ekphrasis_graph::{Graph, GraphError, ValueId};
use std::ops::Range;

/// Stretches of a flat vector, in order; all else of it stays as it is, bit for bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    total: usize,
    ranges: Vec<Range<usize>>,
}

impl Ranges {
    /// These stretches of `total` numbers. They come in order and do not overlap; neighbours become one.
    pub fn new(total: usize, ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut joined: Vec<Range<usize>> = vec![];
        for range in ranges {
            match joined.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => joined.push(range),
            }
        }
        Self { total, ranges: joined }
    }

    /// How many numbers they hold.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether they hold nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn whole(&self) -> bool {
        self.len() == self.total
    }

    /// The stretches of a vector `[total]`, joined to `[len]`; the vector itself where they are all of it.
    ///
    /// # Errors
    /// When a node cannot be added.
    pub fn take(&self, graph: &mut Graph, vector: ValueId) -> Result<ValueId, GraphError> {
        if self.whole() {
            return Ok(vector);
        }
        let pieces = self.ranges.iter().map(|r| slice(graph, vector, r)).collect::<Result<Vec<_>, _>>()?;
        graph.concat(&pieces, 0)
    }

    /// The vector `[total]` with `part`, `[len]`, in the place of its stretches.
    ///
    /// # Errors
    /// When a node cannot be added.
    pub fn put(&self, graph: &mut Graph, vector: ValueId, part: ValueId) -> Result<ValueId, GraphError> {
        if self.whole() {
            return Ok(part);
        }
        let (mut pieces, mut at, mut taken) = (vec![], 0, 0);
        for range in &self.ranges {
            if at < range.start {
                pieces.push(slice(graph, vector, &(at..range.start))?);
            }
            let end = taken + range.len();
            pieces.push(slice(graph, part, &(taken..end))?);
            (at, taken) = (range.end, end);
        }
        if at < self.total {
            pieces.push(slice(graph, vector, &(at..self.total))?);
        }
        graph.concat(&pieces, 0)
    }
}

fn slice(graph: &mut Graph, x: ValueId, range: &Range<usize>) -> Result<ValueId, GraphError> {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    graph.slice(x, &[0], &[number(range.start)], &[number(range.end)], &[1])
}
