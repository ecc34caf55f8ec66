//! Inputs for a run that is only to be timed.

use super::size;
use crate::error::{CliError, Result};
use ekphrasis_graph::{DType, Graph};
use ekphrasis_runtime::DeviceTensor;

/// A value for each input: floats between -1 and 1, the model's own weights where a training step takes
/// them, zeros for the optimiser's state and for integers and booleans.
pub fn random(graph: &Graph, model: &Graph, file: &str) -> Result<Vec<(String, DeviceTensor)>> {
    let weights = model.initializers();
    let own: Vec<String> = model.inputs().iter().map(|id| model.value(*id).name.clone()).collect();
    let mut state = 1u64;
    let mut uniform = || {
        // Knuth's linear congruential generator: timing needs no better numbers.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut feeds = vec![];
    for id in graph.inputs() {
        let value = graph.value(*id);
        let name = value.name.clone();
        let dims: Option<Vec<usize>> =
            value.shape.as_ref().and_then(|shape| shape.iter().map(size).collect());
        let dims = dims.ok_or_else(|| {
            let found = value.describe();
            CliError::Message(format!(
                "{file}: input `{name}`: expected known sizes, found {found}\nhint: set them by --set NAME=SIZE"
            ))
        })?;
        let state_of_a_weight = name.rsplit_once('.').is_some_and(|(weight, _)| weights.contains_key(weight));
        let tensor = match (weights.get(name.as_str()), value.dtype) {
            (Some((_, tensor)), _) => DeviceTensor::from_tensor(tensor)?,
            (None, DType::F32) if name == "count" && !own.contains(&name) => {
                DeviceTensor::from_f32(&dims, vec![1.0])?
            }
            (None, DType::F32) if name == "rate" && !own.contains(&name) => {
                DeviceTensor::from_f32(&dims, vec![1e-3])?
            }
            (None, DType::F32) if !state_of_a_weight => {
                let n = dims.iter().product();
                DeviceTensor::from_f32(&dims, (0..n).map(|_| uniform()).collect())?
            }
            (None, dtype) => DeviceTensor::zeros(dtype, &dims)?,
        };
        feeds.push((name, tensor));
    }
    Ok(feeds)
}
