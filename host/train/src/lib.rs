//! Training: roles and their models, weights, steps as single graphs, rollouts, rewards, and the run loop.
//!
//! This crate knows roles, parameters, graphs and batches. What is optimised, sampled, rewarded and in
//! which order stands in scripts.

mod alarms;
mod baseline;
mod bound;
mod calls;
mod captions;
mod checkpoint;
mod config;
mod encoder;
mod error;
pub mod evaluate;
mod file_step;
pub mod files;
mod folder_lock;
mod journal;
pub mod loss;
mod loss_scale;
mod meteor;
mod model;
mod noise;
mod observer;
mod parameters;
mod phase;
mod recorder;
pub mod reward;
mod role;
mod rollout;
mod run;
mod run_folder;
mod runner;
mod schedule;
mod scoring;
mod settings;
mod step;
mod step_graph;
mod weights;
mod world;

pub use alarms::{Alarm, Alarms, Watch};
pub use baseline::{MovingAverage, advantages};
pub use captions::Captions;
pub use config::{Choice, Config, Evaluation, Limits};
pub use encoder::{Encoded, Encoder, EncoderForm};
pub use error::{Result, TrainError};
pub use file_step::{FileStep, file_step};
pub use folder_lock::FolderLock;
pub use journal::{Entry, Journal};
pub use model::{Kept, Model};
pub use observer::{Observer, SampleRow, SampleSheet, Silent};
pub use role::{Role, Sizes, check as check_contract};
pub use rollout::Rollout;
pub use run::{Surroundings, open_trained, run, start_runtime};
pub use run_folder::RunFolder;
pub use runner::Runner;
pub use scoring::{Prepared, Scoring};
pub use settings::{
    Baseline, Decay, LossScale, Mode, Optimizer, OptimizerKind, Phase, Precision, Rollout as RolloutSettings,
};
pub use weights::{AllWeights, Double, Weights};
pub use world::{Layout, World, classes};
