//! Dynamic loss scaling for gradients in half precision (Micikevicius et al. 2018), in the graph of a step and without
//! branches. As `torch.amp.GradScaler`: a step with a gradient that is not finite moves nothing and halves the scale;
//! after so many steps without one it doubles.

use crate::{LossScale, Result};
use ekphrasis_graph::{DType, Graph, ValueId};

/// The input that holds the scale and the number of good steps since it changed, `f32[2]`; with `.next`, the output.
pub(crate) const NAME: &str = "loss_scale";

/// The largest scale: far beyond what is of use, and far from the end of f32.
const LARGEST: f64 = 16_777_216.0;

/// The scale in a graph.
pub(crate) struct Scaling {
    /// The scale, a scalar.
    pub scale: ValueId,
    good: ValueId,
}

impl Scaling {
    /// The input, added where it is not there yet.
    pub fn input(graph: &mut Graph) -> Result<Self> {
        let state = match graph.find(NAME) {
            Some(known) => known,
            None => graph.input(NAME, DType::F32, vec![2.into()])?,
        };
        let mut part = |i: i64| -> Result<ValueId> {
            let one = graph.slice(state, &[0], &[i], &[i + 1], &[1])?;
            Ok(graph.squeeze(one, &[0])?)
        };
        Ok(Self { scale: part(0)?, good: part(1)? })
    }

    /// Whether a norm, and with it all of a gradient, is finite: a boolean scalar.
    pub fn finite(graph: &mut Graph, norm: ValueId) -> Result<ValueId> {
        // 0 where it is, else NaN.
        let nothing = graph.sub(norm, norm)?;
        let strange = graph.op("IsNaN", &[nothing], &[])?;
        Ok(graph.not(strange)?)
    }

    /// Adds the output: the state for the next step.
    pub fn output(&self, graph: &mut Graph, finite: ValueId, settings: &LossScale) -> Result<()> {
        let Self { scale, good } = *self;
        let more = graph.shift(good, 1.0)?;
        let enough = graph.scalar_like(good, settings.interval as f64);
        let grows = graph.greater_equal(more, enough)?;
        let (twice, half) = (graph.scale(scale, 2.0)?, graph.scale(scale, 0.5)?);
        let (most, least) = (graph.scalar_like(scale, LARGEST), graph.scalar_like(scale, 1.0));
        let (twice, half) = (graph.min(twice, most)?, graph.max(half, least)?);
        let zero = graph.scalar_like(good, 0.0);
        let (kept, counted) = (graph.select(grows, twice, scale)?, graph.select(grows, zero, more)?);
        let scale = graph.select(finite, kept, half)?;
        let good = graph.select(finite, counted, zero)?;
        let parts = [graph.unsqueeze(scale, &[0])?, graph.unsqueeze(good, &[0])?];
        let state = graph.concat(&parts, 0)?;
        Ok(graph.output(&format!("{NAME}.next"), state)?)
    }
}
