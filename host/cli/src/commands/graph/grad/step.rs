//! `--loss` and `--optimizer`: a whole training step.

use crate::{
    Context,
    error::{CliError, Result, suggestion},
};
use ekphrasis_grad::{OptimizerKind, OptimizerSpec};
use ekphrasis_graph::Graph;
use ekphrasis_runtime::Runtime;
use ekphrasis_script::{Engine, Kind, Limits};
use ekphrasis_train::{FileStep, Mode, classes, file_step};
use std::path::{Path, PathBuf};

/// What a training step needs beside the model.
#[derive(clap::Args)]
#[group(skip)]
pub struct Args {
    /// Write a whole training step for the loss in this script instead
    #[arg(long, value_name = "FILE.lua")]
    pub loss: Option<PathBuf>,
    /// Change a parameter of the loss
    #[arg(long, value_name = "KEY=VALUE", requires = "loss")]
    loss_set: Vec<String>,
    /// The optimiser of the step
    #[arg(long, value_enum, default_value_t = Optimizer::Adam, requires = "loss")]
    optimizer: Optimizer,
    /// Change a setting of the optimiser, as lr=0.001
    #[arg(long, value_name = "KEY=VALUE", requires = "loss")]
    optimizer_set: Vec<String>,
    /// Whether batch normalisation uses the statistics of the batch or the running ones
    #[arg(long, value_enum, default_value_t = Statistics::Train, requires = "loss")]
    mode: Statistics,
}

/// The optimisers.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Optimizer {
    Adam,
    Adamw,
    Sgd,
}

/// Which statistics batch normalisation uses.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Statistics {
    /// Those of the batch; running ones are updated
    Train,
    /// The running ones
    Eval,
}

/// The training step of a model.
pub fn step(context: &Context, model: &Graph, loss: &Path, args: &Args) -> Result<Graph> {
    let (optimizer, rate) = optimizer(args.optimizer, &args.optimizer_set)?;
    let config = ekphrasis_runtime::Config { offline: context.offline, ..Default::default() };
    let runtime = Runtime::start(&config, &|line| context.screen.say(line))?;
    let engine = Engine::new(Limits::default(), Some(runtime))?;
    classes(&engine)?;
    let script = engine.load(Kind::Loss, loss)?;
    let mut overrides = serde_json::Map::new();
    for setting in &args.loss_set {
        let (key, value) = pair("--loss-set", setting)?;
        // What is no JSON is text.
        overrides.insert(key.into(), serde_json::from_str(value).unwrap_or_else(|_| value.into()));
    }
    let params = script.params(&overrides.into())?;
    let mode = match args.mode {
        Statistics::Train => Mode::Train,
        Statistics::Eval => Mode::Eval,
    };
    let step = FileStep { script: &script, params: &params, optimizer: &optimizer, rate, mode };
    Ok(file_step(&engine, model, &step)?)
}

fn pair<'a>(option: &str, setting: &'a str) -> Result<(&'a str, &'a str)> {
    let found = setting.split_once('=');
    found.ok_or_else(|| CliError::Usage(format!("{option} {setting}: expected KEY=VALUE")))
}

/// The optimiser with its settings, and the learning rate, if it is among them.
fn optimizer(kind: Optimizer, settings: &[String]) -> Result<(OptimizerSpec, Option<f64>)> {
    let mut spec = OptimizerSpec { kind: OptimizerKind::Adam, ..OptimizerSpec::default() };
    let (mut rate, mut momentum, mut nesterov) = (None, 0.0, false);
    let keys: &[&str] = match kind {
        Optimizer::Sgd => &["lr", "momentum", "nesterov", "weight_decay", "clip_norm", "average"],
        _ => &["lr", "beta1", "beta2", "epsilon", "weight_decay", "clip_norm", "average"],
    };
    for setting in settings {
        let (key, value) = pair("--optimizer-set", setting)?;
        let wrong = |message: String| CliError::Usage(format!("--optimizer-set {setting}: {message}"));
        if !keys.contains(&key) {
            return Err(wrong(format!("there is no setting `{key}`\n{}", suggestion(key, keys.to_vec()))));
        }
        if key == "nesterov" {
            nesterov = value.parse().map_err(|_| wrong("expected true or false".into()))?;
            continue;
        }
        let number: Option<f64> = value.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
        let number = number.ok_or_else(|| wrong("expected a number of 0 or more".into()))?;
        match key {
            "beta1" | "beta2" | "average" if number >= 1.0 => {
                return Err(wrong("expected a number from 0 to below 1".into()));
            }
            "lr" => rate = Some(number),
            "momentum" => momentum = number,
            "beta1" => spec.beta1 = number,
            "beta2" => spec.beta2 = number,
            "epsilon" => spec.epsilon = number,
            "weight_decay" => spec.weight_decay = number,
            "clip_norm" => spec.clip_norm = Some(number),
            _ => spec.average = Some(number),
        }
    }
    spec.kind = match kind {
        Optimizer::Adam => OptimizerKind::Adam,
        Optimizer::Adamw => OptimizerKind::AdamW,
        Optimizer::Sgd => OptimizerKind::Sgd { momentum, nesterov },
    };
    Ok((spec, rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let set = |kind, settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(|s| (*s).into()).collect();
            optimizer(kind, &settings).map_err(|e| e.to_string())
        };
        let (spec, rate) = set(Optimizer::Sgd, &["lr=0.1", "momentum=0.9", "nesterov=true"]).unwrap();
        assert_eq!(spec.kind, OptimizerKind::Sgd { momentum: 0.9, nesterov: true });
        assert_eq!(rate, Some(0.1));
        let (spec, rate) = set(Optimizer::Adamw, &["weight_decay=0.01", "clip_norm=1"]).unwrap();
        assert_eq!((spec.weight_decay, spec.clip_norm, rate), (0.01, Some(1.0), None));
        for (setting, part) in [
            ("beta3=0.5", "did you mean `beta1`?"),
            ("beta1=1", "below 1"),
            ("lr=fast", "expected a number"),
            ("lr", "expected KEY=VALUE"),
            ("momentum=0.9", "no setting `momentum`"),
        ] {
            let message = set(Optimizer::Adam, &[setting]).unwrap_err();
            assert!(message.contains(setting) && message.contains(part), "{message}");
        }
    }
}
