//! The settings of a phase: its loss, its optimisers, its rollouts.

use crate::{Choice, Result, Role, TrainError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One kind of training that a schedule can ask for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The loss script.
    pub loss: Choice,
    /// Steps of one call.
    pub steps: u64,
    /// Pictures in a batch.
    pub batch: usize,
    /// Batches whose mean gradient makes one step.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Patterns of layers whose activations the backward pass computes again instead of keeping them.
    #[serde(default)]
    pub recompute: Vec<String>,
    /// What products are computed in.
    #[serde(default)]
    pub precision: Precision,
    /// How the loss is scaled where that is `float16`.
    #[serde(default)]
    pub loss_scale: LossScale,
    /// Split to train on.
    #[serde(default = "train_split")]
    pub split: String,
    /// Whether the models that train use batch statistics (`train`) or running ones (`eval`).
    #[serde(default)]
    pub mode: Mode,
    /// Batches among which captions are sorted by length, so that a batch holds little padding.
    #[serde(default = "one")]
    pub buckets: usize,
    /// Pixels by which a batch may be moved, as augmentation.
    #[serde(default)]
    pub shift: u32,
    /// The optimiser, for each role that the loss updates.
    pub optimizer: Optimizer,
    /// Other optimisers for single roles.
    #[serde(default)]
    pub optimizers: BTreeMap<Role, Optimizer>,
    /// Sampling and rewards, for losses that use `advantage`.
    pub rollout: Option<Rollout>,
    /// Share of pictures that the generator paints from their captions instead of real ones.
    #[serde(default)]
    pub generated_pictures: f64,
    /// Share of captions that the captioner writes instead of real ones.
    #[serde(default)]
    pub sampled_captions: f64,
    /// Steps over which learning rates fall, where the phase is called several times; its own steps otherwise.
    pub horizon: Option<u64>,
}

impl Phase {
    /// The phase `name` with settings changed, as `{ steps = 100 }`.
    pub fn with(&self, name: &str, overrides: &Map<String, Value>) -> Result<Self> {
        if overrides.is_empty() {
            return Ok(self.clone());
        }
        let wrong = |e: String| TrainError::config(format!("train(\"{name}\", ...)"), e);
        let mut value = serde_json::to_value(self).map_err(|e| wrong(e.to_string()))?;
        merge(&mut value, &Value::Object(overrides.clone()));
        serde_path_to_error::deserialize(value).map_err(|e| wrong(format!("{}: {}", e.path(), e.inner())))
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in b {
                merge(a.entry(key).or_insert(Value::Null), value);
            }
        }
        (a, b) => *a = b.clone(),
    }
}

/// How batch normalisation behaves in the models that a phase trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Statistics of the batch; running ones are updated.
    #[default]
    Train,
    /// Running statistics, unchanged.
    Eval,
}

/// What products (`MatMul`, `Gemm`, convolutions) of a step are computed in; all else is single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    Float32,
    /// IEEE half precision, with loss scaling.
    Float16,
    /// Brain floats: half as many digits, and the range of single precision.
    Bfloat16,
}

/// Dynamic loss scaling, for `float16`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossScale {
    /// The scale at first.
    pub initial: f64,
    /// Steps with finite gradients after which it doubles.
    pub interval: u64,
}

impl Default for LossScale {
    /// As `torch.amp.GradScaler`.
    fn default() -> Self {
        Self { initial: 65536.0, interval: 2000 }
    }
}

/// An optimiser and its learning rate over time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// `sgd`, `adam` or `adamw`.
    pub kind: OptimizerKind,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// First decay rate of Adam; momentum of SGD.
    #[serde(default = "point_nine")]
    pub beta1: f64,
    /// Second decay rate of Adam.
    #[serde(default = "point_nine_nine_nine")]
    pub beta2: f64,
    /// Added to Adam's denominator.
    #[serde(default = "tiny")]
    pub epsilon: f64,
    /// Weight decay (decoupled for `adamw`).
    #[serde(default)]
    pub weight_decay: f64,
    /// Largest global norm of the gradient.
    pub clip_norm: Option<f64>,
    /// Decay of the moving average of the weights, which then is what gets evaluated.
    pub average: Option<f64>,
    /// Steps over which the learning rate rises from 0.
    #[serde(default)]
    pub warmup: u64,
    /// How it falls afterwards.
    #[serde(default)]
    pub decay: Decay,
    /// The share of the learning rate that is left at the end.
    #[serde(default)]
    pub floor: f64,
    /// Patterns of parameters that stay as they are.
    #[serde(default)]
    pub freeze: Vec<String>,
    /// Patterns of parameters without weight decay.
    #[serde(default)]
    pub no_decay: Vec<String>,
    /// What the learning rate is multiplied by, for patterns of parameters.
    #[serde(default)]
    pub rates: BTreeMap<String, f64>,
}

/// The kind of optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum `beta1`.
    Sgd,
    /// Adam (Kingma and Ba 2015).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw,
}

/// How a learning rate falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Not at all.
    #[default]
    Constant,
    /// In a straight line to the floor.
    Linear,
    /// Half a cosine to the floor.
    Cosine,
    /// Constant for 60% of the time, then in a straight line.
    Late,
}

impl Optimizer {
    /// The learning rate of `step` (from 0) of `total`.
    pub fn rate(&self, step: u64, total: u64) -> f64 {
        let warm = if self.warmup > 0 { ((step + 1) as f64 / self.warmup as f64).min(1.0) } else { 1.0 };
        let since = step.saturating_sub(self.warmup) as f64;
        let progress = (since / total.saturating_sub(self.warmup).max(1) as f64).min(1.0);
        let left = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - progress,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Decay::Late => (2.5 * (1.0 - progress)).min(1.0),
        };
        self.learning_rate * warm * (self.floor + (1.0 - self.floor) * left)
    }
}

/// Sampling captions and turning their rewards into advantages.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// The sampling policy.
    pub policy: Choice,
    /// Captions for each picture.
    pub samples: usize,
    /// What is taken off the rewards.
    pub baseline: Baseline,
    /// The reward, a script or a compiled plugin.
    pub reward: Choice,
}

/// What is taken off a reward before it weighs a caption's log-probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Nothing: plain REINFORCE (Williams 1992).
    None,
    /// A moving average of rewards.
    MovingAverage,
    /// The reward of the greedy caption: self-critical (Rennie et al. 2017).
    Greedy,
    /// The mean reward of the other samples of the picture (Kool et al. 2019).
    LeaveOneOut,
}

fn point_nine() -> f64 {
    0.9
}
fn point_nine_nine_nine() -> f64 {
    0.999
}
fn one() -> usize {
    1
}
fn tiny() -> f64 {
    1e-8
}
fn train_split() -> String {
    "train".into()
}
