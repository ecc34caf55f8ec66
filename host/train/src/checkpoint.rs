//! Checkpoints: all weights and optimiser states in one safetensors file, with where the run stood.

use crate::{Result, Role, TrainError, World, baseline::MovingAverage, files, weights::Double};
use ekphrasis_graph::Tensor;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a run stood.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Position {
    /// Number of the call in the journal, from 0.
    pub call: usize,
    /// Steps that this call had made.
    pub step: u64,
    /// Seconds that it had taken.
    pub seconds: f64,
    /// Steps of the whole run.
    pub global_step: u64,
    /// Bytes of `metrics.jsonl` that belong to it.
    pub metrics_bytes: u64,
    /// State of each phase that has run.
    pub phases: BTreeMap<String, PhasePosition>,
}

/// State of a phase besides its tensors.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct PhasePosition {
    /// Steps made, over all calls.
    pub done: u64,
    /// Updates of each role's optimiser.
    pub updates: BTreeMap<Role, u64>,
    /// The moving average of rewards.
    pub average: MovingAverage,
    /// Sums of what the current call reports.
    pub totals: BTreeMap<String, f64>,
}

/// Vectors of an optimiser by phase, role and name.
pub type OptimizerTensors = BTreeMap<(String, Role, String), Vec<f32>>;

/// What a checkpoint file holds.
pub struct Checkpoint {
    /// Where the run stood.
    pub position: Position,
    /// Vectors of the optimisers.
    pub optimizers: OptimizerTensors,
    weights: BTreeMap<String, Arc<Tensor>>,
}

/// How many checkpoints are kept.
const KEPT: usize = 2;

fn names(folder: &Path) -> Vec<(u64, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|e| {
            let path = e.path();
            let number = path
                .file_name()?
                .to_str()?
                .strip_prefix("step-")?
                .strip_suffix(".safetensors")?
                .parse()
                .ok()?;
            Some((number, path))
        })
        .collect();
    found.sort();
    found
}

/// Writes a checkpoint into `folder` and drops all but the last ones.
pub fn save(
    folder: &Path,
    world: &World,
    position: &Position,
    optimizers: &OptimizerTensors,
) -> Result<PathBuf> {
    let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (role, weights) in world.weights.borrow().iter() {
        let parts = [
            ("weights", Some(&weights.trainable)),
            ("states", weights.states.as_ref()),
            ("average", weights.average.as_ref()),
        ];
        for (kind, double) in parts {
            let Some(double) = double else { continue };
            for (name, tensor) in double.get()? {
                tensors.insert(
                    format!("{kind}/{role}/{name}"),
                    (Dtype::F32, tensor.dims().to_vec(), tensor.bytes().to_vec()),
                );
            }
        }
    }
    for ((phase, role, name), values) in optimizers {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        tensors.insert(format!("optimizer/{phase}/{role}/{name}"), (Dtype::F32, vec![values.len()], bytes));
    }
    let path = folder.join(format!("step-{:08}.safetensors", position.global_step));
    let wrong = |e: String| TrainError::folder(&path, e);
    let mut views = vec![];
    for (name, (dtype, dims, bytes)) in &tensors {
        let view = TensorView::new(*dtype, dims.clone(), bytes).map_err(|e| wrong(e.to_string()))?;
        views.push((name.as_str(), view));
    }
    let text = serde_json::to_string(position).map_err(|e| wrong(e.to_string()))?;
    let about = HashMap::from([
        ("position".to_owned(), text),
        ("format".to_owned(), "ekphrasis checkpoint 1".to_owned()),
    ]);
    let bytes = safetensors::serialize(views, Some(about)).map_err(|e| wrong(e.to_string()))?;
    files::write(&path, &bytes)?;
    let all = names(folder);
    for (_, old) in all.iter().take(all.len().saturating_sub(KEPT)) {
        std::fs::remove_file(old).map_err(TrainError::io("remove", old))?;
    }
    Ok(path)
}

/// Reads the newest checkpoint that is whole; a damaged newer one is named in `note`.
pub fn load_newest(folder: &Path, note: &mut dyn FnMut(String)) -> Result<Option<Checkpoint>> {
    let mut failed = None;
    for (_, path) in names(folder).into_iter().rev() {
        match load(&path) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => {
                note(format!("{error}; going back to the one before"));
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(None), Err)
}

/// Reads a checkpoint.
pub fn load(path: &Path) -> Result<Checkpoint> {
    let bytes = std::fs::read(path).map_err(TrainError::io("read", path))?;
    let wrong = |e: String| TrainError::folder(path, format!("expected a checkpoint: {e}"));
    let (_, about) = SafeTensors::read_metadata(&bytes).map_err(|e| wrong(e.to_string()))?;
    let text = about.metadata().as_ref().and_then(|m| m.get("position"));
    let text = text.ok_or_else(|| wrong("it does not say where the run stood".into()))?;
    let position: Position = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
    let (mut weights, mut optimizers) = (BTreeMap::new(), BTreeMap::new());
    for (name, view) in SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?.tensors() {
        let tensor = Tensor::new(ekphrasis_graph::DType::F32, view.shape(), view.data().to_vec())?;
        match name.strip_prefix("optimizer/") {
            None => drop(weights.insert(name, Arc::new(tensor))),
            Some(rest) => {
                let mut parts = rest.splitn(3, '/');
                let (Some(phase), Some(role), Some(vector)) =
                    (parts.next(), parts.next().and_then(Role::from_name), parts.next())
                else {
                    return Err(wrong(format!("tensor `{name}` is not known")));
                };
                optimizers
                    .insert((phase.to_owned(), role, vector.to_owned()), tensor.to_f32().unwrap_or_default());
            }
        }
    }
    Ok(Checkpoint { position, optimizers, weights })
}

impl Checkpoint {
    /// Puts the weights in place.
    pub fn restore(&self, world: &World) -> Result<()> {
        let roles: Vec<Role> = world.models().keys().copied().collect();
        for role in roles {
            let of = |kind: &str| -> BTreeMap<String, Arc<Tensor>> {
                let prefix = format!("{kind}/{role}/");
                let found = self
                    .weights
                    .iter()
                    .filter_map(|(n, t)| Some((n.strip_prefix(&prefix)?.to_owned(), t.clone())));
                found.collect()
            };
            let average = of("average");
            if !average.is_empty() {
                world.keep_average(role)?;
            }
            let all = world.weights.borrow();
            let Some(weights) = all.get(&role) else { continue };
            let set = |double: Option<&Double>, values| double.map_or(Ok(()), |d: &Double| d.set(&values));
            set(Some(&weights.trainable), of("weights"))?;
            set(weights.states.as_ref(), of("states"))?;
            set(weights.average.as_ref(), average)?;
        }
        Ok(())
    }
}

/// A hash over the weights that evaluation uses, by role and name.
pub fn hash(world: &World) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for (role, weights) in world.weights.borrow().iter() {
        for (name, tensor) in weights.values()? {
            hasher.update(format!("{role}/{name}").as_bytes());
            hasher.update(tensor.bytes());
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests;
