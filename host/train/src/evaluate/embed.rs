//! Pictures and captions in the space of the scorer.

use super::{pictures, tokens};
use crate::{Result, Role, TrainError, World};
use ekphrasis_data::Split;
use ekphrasis_metrics::Embeddings;
use ekphrasis_runtime::DeviceTensor;
use std::collections::HashMap;

/// Embeddings, one in a row.
pub struct Embedded {
    /// What errors call them.
    what: String,
    pub values: Vec<f32>,
    pub width: usize,
}

impl Embedded {
    /// Checked, for metrics that compare directions.
    pub fn rows(&self) -> Result<Embeddings<'_>> {
        Ok(Embeddings::new(&self.what, &self.values, self.width)?)
    }
}

/// Captions by the scorer's `text`.
pub fn captions(world: &World, what: &str, captions: &[Vec<u32>]) -> Result<Embedded> {
    run(world, "text", "tokens", what, tokens(world, captions)?.into_iter().map(Ok))
}

/// The pictures of a split by the scorer's `image`.
pub fn real(world: &World, split: &Split) -> Result<Embedded> {
    let all: Vec<usize> = (0..split.len()).collect();
    let parts = all.chunks(world.config.evaluation.batch).map(|part| pictures(split, part));
    run(world, "image", "image", &format!("pictures of {}", split.name), parts)
}

/// Pictures in parts by the scorer's `image`.
pub fn images(world: &World, what: &str, parts: Vec<DeviceTensor>) -> Result<Embedded> {
    run(world, "image", "image", what, parts.into_iter().map(Ok))
}

/// Runs a graph with one input over parts, and joins the rows of its output.
fn run(
    world: &World,
    graph: &str,
    port: &str,
    what: &str,
    parts: impl Iterator<Item = Result<DeviceTensor>>,
) -> Result<Embedded> {
    let model = &world.model(Role::Scorer)?.name;
    let (mut values, mut width) = (vec![], 1);
    for part in parts {
        let out = world.forward(Role::Scorer, graph, &HashMap::from([(port.to_owned(), part?)]))?;
        let out = out.into_iter().next().ok_or_else(|| TrainError::model(model, "it gave no embedding"))?;
        width = out.dims().last().copied().unwrap_or(1).max(1);
        values.extend(out.to_f32()?);
    }
    Ok(Embedded { what: format!("embeddings by {model} of {what}"), values, width })
}
