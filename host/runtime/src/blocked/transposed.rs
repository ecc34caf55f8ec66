//! Strided `ConvTranspose` in blocks: an ordinary convolution for each phase of the stride.
//!
//! With stride s, the positions `i s + a` of the result see only the weights `t` for which `a + pad - t` is a
//! multiple of s: a dense convolution with a smaller kernel for each `a` (Shi et al. 2016, "Real-Time Single Image
//! and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network"). Their results interlace.

use super::{
    Blocked, Inputs, PADDED, op, reorder_input, reorder_output, reshape, sizes, turned::Turned, weight_sizes,
};
use ekphrasis_graph::{Attrs, AttrsExt, Graph, Node, Result, ValueId};

/// One phase of one dimension.
struct Phase {
    /// Position of the weight that comes first, of those that it takes backwards in strides.
    first: i64,
    /// How many it takes.
    taps: i64,
    /// Padding before and behind.
    pads: [i64; 2],
}

/// A transposed convolution that can be blocked.
pub(super) struct Plan {
    inputs: Inputs,
    /// Of the weight: inputs, outputs, height, width.
    weight: [i64; 4],
    /// Of the result: height, width.
    result: [i64; 2],
    strides: [i64; 2],
    /// By row and by column.
    phases: [Vec<Phase>; 2],
}

fn pair(node: &Node, name: &str, default: i64) -> Option<[i64; 2]> {
    match node.attrs.ints(name) {
        Some(values) => values.try_into().ok(),
        None => Some([default; 2]),
    }
}

/// The phases of a dimension from `small` to `large` positions.
fn phases(small: i64, large: i64, kernel: i64, stride: i64, pad: i64) -> Option<Vec<Phase>> {
    if large % stride != 0 {
        return None;
    }
    let count = large / stride;
    let phase = |a: i64| {
        let least = (a + pad) % stride;
        let taps = (least..kernel).step_by(stride as usize).count() as i64;
        let first = least + (taps - 1) * stride;
        // How far from its own position the first and the last weight look.
        let (from, to) = ((a + pad - first) / stride, (a + pad - least) / stride);
        let pads = [-from, count - 1 + to - (small - 1)];
        (taps > 0 && pads.iter().all(|p| *p >= 0)).then_some(Phase { first, taps, pads })
    };
    (0..stride).map(phase).collect()
}

impl Blocked {
    /// Whether a `ConvTranspose` can be blocked: two dimensions of known size, strided, one group, not dilated.
    pub(super) fn plan_transposed(&self, graph: &Graph, node: &Node) -> Option<Plan> {
        let taken = Inputs::of(node)?;
        let y = node.outputs.first().copied()??;
        let weight @ [inputs, outputs, height, width] = weight_sizes(graph, taken.w)?;
        let ([_, _, small_h, small_w], [_, _, large_h, large_w]) = (sizes(graph, taken.x)?, sizes(graph, y)?);
        let (small, large) = ([small_h?, small_w?], [large_h?, large_w?]);
        let (strides, dilations) = (pair(node, "strides", 1)?, pair(node, "dilations", 1)?);
        let plain = node.attrs.int("group", 1) == 1
            && dilations == [1, 1]
            && node.attrs.text("auto_pad", "NOTSET") == "NOTSET"
            && !node.attrs.contains_key("output_shape");
        let fits = self.fits(inputs) && self.fits(outputs) && inputs.min(outputs) >= self.block;
        if !plain || !fits || strides == [1, 1] || weight.iter().product::<i64>() > 16 * PADDED {
            return None;
        }
        let pads = node.attrs.ints("pads").unwrap_or(&[0; 4]);
        let of = |i: usize, kernel: i64| phases(small[i], large[i], kernel, strides[i], *pads.get(i)?);
        Some(Plan { inputs: taken, weight, result: large, strides, phases: [of(0, height)?, of(1, width)?] })
    }

    /// The convolutions of all phases, interlaced.
    pub(super) fn transposed(&self, g: &mut Graph, plan: &Plan) -> Result<ValueId> {
        let outputs = plan.weight[1];
        let Inputs { x, w, bias } = plan.inputs;
        let x = reorder_input(g, x)?;
        let bias = bias.map(|bias| self.bias(g, bias, outputs)).transpose()?;
        let [s, t] = plan.strides;
        let [height, width] = [plan.result[0] / s, plan.result[1] / t];
        let mut rows = vec![];
        for down in &plan.phases[0] {
            let mut columns = vec![];
            for across in &plan.phases[1] {
                // From the first weight backwards.
                let rows = (0..down.taps).map(|i| down.first - i * s);
                let place =
                    |row: i64| (0..across.taps).map(move |i| row * plan.weight[3] + across.first - i * t);
                let (of, taps) = (w, rows.flat_map(place).collect());
                let turned = Turned { of, taps, size: [down.taps, across.taps] };
                let part = self.turned(g, &turned, plan.weight)?;
                let attrs = Attrs::from([
                    ("kernel_shape".to_owned(), vec![down.taps, across.taps].into()),
                    (
                        "pads".to_owned(),
                        vec![down.pads[0], across.pads[0], down.pads[1], across.pads[1]].into(),
                    ),
                    ("strides".to_owned(), vec![1i64, 1].into()),
                    ("dilations".to_owned(), vec![1i64, 1].into()),
                    ("group".to_owned(), 1.into()),
                ]);
                let y = op(g, "Conv", &[Some(x), Some(part), bias], attrs)?;
                columns.push(reshape(g, y, &[-1, height, 1, width, self.block])?);
            }
            // Neighbours in a row: [.., H, 1, W, t b].
            rows.push(g.concat(&columns, 4)?);
        }
        // Rows below each other: [.., H, s, W, t b].
        let all = g.concat(&rows, 2)?;
        let [height, width] = plan.result;
        let all = reshape(g, all, &[-1, self.whole(outputs), height, width])?;
        reorder_output(g, all, outputs)
    }
}
