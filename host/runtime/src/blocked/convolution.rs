//! `Conv` in blocks.

use super::{
    Blocked, Inputs, PADDED, op, reorder_input, reorder_output, sizes, turned::Turned, weight_sizes,
};
use ekphrasis_graph::{Attr, AttrsExt, Graph, Node, Result, ValueId};

/// The least products for each number of the result: 3 channels under 3x3 weights were slower, under 4x4 faster.
const LEAST: i64 = 32;

/// A convolution that can be blocked.
pub(super) struct Plan {
    inputs: Inputs,
    /// Of the weight: outputs, inputs, height, width.
    weight: [i64; 4],
    /// Where the weight is another one turned.
    turned: Option<Turned>,
}

impl Blocked {
    /// Whether a `Conv` can be blocked: two dimensions, one group, channels that fill their blocks, and a weight that is
    /// no constant, for that one ONNX Runtime blocks itself.
    pub(super) fn plan_convolution(&self, graph: &Graph, node: &Node) -> Option<Plan> {
        let taken = Inputs::of(node)?;
        let weight @ [outputs, inputs, height, width] = weight_sizes(graph, taken.w)?;
        sizes(graph, taken.x)?;
        if graph.value(taken.w).tensor().is_some() {
            return None;
        }
        let direct = inputs < self.block;
        // The result is written once more, which a few products for each number do not pay for.
        if inputs * height * width < LEAST {
            return None;
        }
        let padded = self.whole(outputs) != outputs || (!direct && self.whole(inputs) != inputs);
        let fits = self.fits(outputs) && (direct || self.fits(inputs));
        let small = outputs * inputs * height * width <= PADDED;
        let turned =
            (inputs.min(outputs) >= self.block).then(|| Turned::find(graph, taken.w, [height, width]));
        (node.attrs.int("group", 1) == 1 && fits && (small || !padded)).then_some(Plan {
            inputs: taken,
            weight,
            turned: turned.flatten(),
        })
    }

    /// The convolution in blocks, with the changes of layout around it.
    pub(super) fn convolution(&self, g: &mut Graph, node: &Node, plan: &Plan) -> Result<ValueId> {
        let [outputs, inputs, height, width] = plan.weight;
        let Inputs { x, w, bias } = plan.inputs;
        // Less than a block of inputs is read as it lies.
        let x = if inputs < self.block { x } else { reorder_input(g, x)? };
        let w = match &plan.turned {
            Some(turned) => self.turned(g, turned, [inputs, outputs, height, width])?,
            None => self.weight(g, w, plan.weight)?,
        };
        let bias = bias.map(|bias| self.bias(g, bias, outputs)).transpose()?;
        let mut attrs = node.attrs.clone();
        attrs.insert("kernel_shape".into(), Attr::Ints(vec![height, width]));
        let y = op(g, "Conv", &[Some(x), Some(w), bias], attrs)?;
        reorder_output(g, y, outputs)
    }
}
