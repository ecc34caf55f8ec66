//! Weights turned for the way back, made of the blocks of the weights for the way there.
//!
//! A gradient by the picture is a convolution whose weight has input and output channels swapped and positions
//! backwards. `Transpose` and `Slice` with negative steps take an element at a time: 13 ms for 512 channels under 3x3
//! on one core, blocking included. Blocks that are blocked already move whole: 3 ms.

use super::{Blocked, reorder_input, reshape};
use ekphrasis_graph::{AttrsExt, Dim, Graph, Result, ValueId};

/// A weight that is another one turned.
pub(super) struct Turned {
    /// The other, `[M, C, kh, kw]`.
    pub of: ValueId,
    /// Its positions that come, in order.
    pub taps: Vec<i64>,
    /// The rows and columns in which they lie.
    pub size: [i64; 2],
}

impl Turned {
    /// Looks whether a weight `[C, M, kh, kw]` is another one, channels swapped and positions flipped.
    pub fn find(graph: &Graph, weight: ValueId, size: [i64; 2]) -> Option<Self> {
        let (mut id, mut flipped) = (weight, [size[0] == 1, size[1] == 1]);
        if let Some((_, node)) = graph.producer(id).filter(|(_, n)| n.op == "Slice") {
            let ints = |i: usize| -> Option<Vec<i64>> {
                graph.value(node.inputs.get(i).copied()??).ints.as_ref()?.iter().map(Dim::known).collect()
            };
            let (starts, ends, axes, steps) = (ints(1)?, ints(2)?, ints(3)?, ints(4)?);
            let backwards = starts.iter().chain(&steps).all(|v| *v == -1);
            if !backwards || ends.iter().any(|end| *end >= -size[0] - size[1]) {
                return None;
            }
            for axis in axes {
                *flipped.get_mut(usize::try_from(axis - 2).ok()?)? = true;
            }
            id = node.inputs.first().copied()??;
        }
        let (_, node) = graph.producer(id).filter(|(_, n)| n.op == "Transpose")?;
        let of = node.inputs.first().copied()??;
        let taps = (0..size[0] * size[1]).rev().collect();
        (node.attrs.ints("perm") == Some(&[1, 0, 2, 3]) && flipped == [true; 2]).then_some(Self {
            of,
            taps,
            size,
        })
    }
}

impl Blocked {
    /// The blocks `[C / b, M / b, rows, columns, b of M, b of C]`, called `[C, M, rows, columns]`, of a weight
    /// `[M, C, kh, kw]` that is turned. Both channels are a block at least.
    pub(super) fn turned(&self, g: &mut Graph, turned: &Turned, dims: [i64; 4]) -> Result<ValueId> {
        let [outputs, inputs, height, width] = dims;
        let blocked = self.weight(g, turned.of, dims)?;
        let (b, positions) = (self.block, height * width);
        let (outputs, inputs) = (self.whole(outputs), self.whole(inputs));
        let rows = reshape(g, blocked, &[outputs / b * (inputs / b) * positions, b * b])?;
        let place = |i: i64, o: i64| (o * (inputs / b) + i) * positions;
        let order: Vec<i64> = (0..inputs / b)
            .flat_map(|i| (0..outputs / b).map(move |o| (i, o)))
            .flat_map(|(i, o)| turned.taps.iter().map(move |tap| place(i, o) + tap))
            .collect();
        let order_list = g.int_list(&order);
        let rows = g.gather(rows, order_list, 0)?;
        // Each block is turned as a picture of `b` channels is reordered.
        let rows = reshape(g, rows, &[order.len() as i64, b, b, 1])?;
        let rows = reorder_input(g, rows)?;
        reshape(g, rows, &[inputs, outputs, turned.size[0], turned.size[1]])
    }
}
