//! Configs: what is wrong in one is found at once, with its place.

use ekphrasis_train::{Config, Decay, Optimizer, OptimizerKind};
use std::fs;

const CONFIG: &str = r#"name = "small"
schedule = "alternate"
data = { format = "shapes" }

[models]
captioner = "lstm_captioner"

[phases.pretrain]
loss = "cross_entropy"
steps = 10
batch = 4
optimizer = { kind = "adam", learning_rate = 1e-3 }

[phases.reinforce]
loss = "policy_gradient"
steps = 5
batch = 2
optimizer = { kind = "sgd", learning_rate = 1e-3 }
rollout = { policy = "multinomial", samples = 2, baseline = "leave_one_out", reward = "cider_d" }
"#;

/// Loads a config file of that text with settings; an error comes as it is shown.
fn load(text: &str, settings: &[&str]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.toml");
    fs::write(&path, text).unwrap();
    let settings: Vec<String> = settings.iter().map(|s| (*s).to_owned()).collect();
    Config::load(&path, &settings).map_err(|e| e.to_string())
}

#[track_caller]
fn refused(text: &str, settings: &[&str], parts: &[&str]) {
    let error = load(text, settings).map(|_| "no error".to_owned()).unwrap_or_else(|e| e);
    for part in parts {
        assert!(error.contains(part), "{settings:?}: expected {part:?} in:\n{error}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let text = CONFIG.replace("steps = 5", "stepz = 5");
    refused(
        &text,
        &[],
        &["small.toml: line 16: phases.reinforce.stepz: unknown key `stepz`", "hint: did you mean `steps`?"],
    );
    let text = CONFIG.replace("schedule =", "scedule =");
    refused(&text, &[], &["line 2: scedule", "hint: did you mean `schedule`?"]);
    refused(
        CONFIG,
        &["models.painter=\"generator\""],
        &["models", "unknown name `painter`", "hint: ", "captioner"],
    );
    refused("name = \"small", &[], &["small.toml", "line 1"]);
}

#[test]
fn settings_reach_any_depth() {
    let config = load(
        CONFIG,
        &["schedule.params.rounds=3", "phases.pretrain.optimizer.kind=adamw", "name=other", "seed = 7"],
    )
    .unwrap();
    // A plain name becomes a table that keeps the name.
    assert_eq!(config.schedule.script, "alternate");
    assert_eq!(config.schedule.params["rounds"], 3);
    assert_eq!(config.phases["pretrain"].optimizer.kind, OptimizerKind::Adamw);
    assert_eq!((config.name.as_str(), config.seed), ("other", 7));
    assert_eq!(load(CONFIG, &[]).unwrap().schedule.params.len(), 0);
    refused(CONFIG, &["seed.x=1"], &["seed"]);
    refused(CONFIG, &["phases.pretrain.steps.x=1"], &["`steps` is a value, not a table"]);
    refused(CONFIG, &["seed"], &["--set seed: expected key=value"]);
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (setting, message) in [
        ("max_length=1", "max_length: expected 2 or more"),
        ("checkpoint_seconds=0", "checkpoint_seconds: expected more than 0"),
        ("checkpoint_seconds=nan", "checkpoint_seconds: expected more than 0"),
        ("evaluation={policy=\"greedy\",batch=0,draws=1}", "evaluation.batch: expected 1 or more"),
        ("limits.seconds=nan", "limits.seconds: expected more than 0"),
        ("limits.memory_mib=0", "limits.memory_mib: expected 1 or more"),
        ("phases.pretrain.steps=0", "phases.pretrain.steps: expected 1 or more"),
        ("phases.pretrain.batch=0", "phases.pretrain.batch: expected 1 or more"),
        (
            "phases.pretrain.loss_scale.initial=0.5",
            "phases.pretrain.loss_scale.initial: expected a number of 1 or",
        ),
        ("phases.pretrain.loss_scale.interval=0", "phases.pretrain.loss_scale.interval: expected 1 or more"),
        ("phases.pretrain.precision=\"half\"", "hint: known are float32, float16, bfloat16"),
        ("phases.pretrain.accumulate=0", "phases.pretrain.accumulate: expected 1 or more"),
        ("phases.pretrain.sampled_captions=1.5", "sampled_captions: expected a share from 0 to 1"),
        ("phases.pretrain.generated_pictures=-0.1", "generated_pictures: expected a share from 0 to 1"),
        ("phases.reinforce.rollout.samples=1", "rollout.samples: expected 2 or more, found 1"),
        (
            "phases.pretrain.optimizer.rates={x=0}",
            "optimizer.rates: expected a number above 0 for `x`, found 0",
        ),
        (
            "phases.pretrain.optimizers={captioner={kind=\"sgd\",learning_rate=1.0,rates={x=nan}}}",
            "captioner.rates: expected a number above 0",
        ),
        ("seed=-1", "seed"),
    ] {
        refused(CONFIG, &[setting], &["small.toml", message]);
    }
    // Only leaving one out needs others.
    load(CONFIG, &["phases.reinforce.rollout.samples=1", "phases.reinforce.rollout.baseline=none"]).unwrap();
}

#[test]
fn a_config_written_out_is_the_same_config() {
    let config = load(
        CONFIG,
        &[
            "schedule.params.rounds=3",
            "phases.pretrain.optimizer.learning_rate=0.1",
            "phases.pretrain.optimizer.rates={\"word.*\"=0.1}",
        ],
    );
    let text = config.unwrap().to_toml().unwrap();
    let again = Config::from_table(toml::from_str(&text).unwrap()).unwrap();
    assert_eq!(again.to_toml().unwrap(), text);
    assert!(text.contains("memory_mib = 256"), "defaults are filled in:\n{text}");
}

#[test]
fn learning_rates_rise_and_fall() {
    let config = load(CONFIG, &[]).unwrap();
    // Ten steps of warm-up, a hundred of decay from 2 to a tenth of it.
    let rate = |decay, step| {
        let optimizer = config.phases["pretrain"].optimizer.clone();
        let optimizer = Optimizer { learning_rate: 2.0, warmup: 10, floor: 0.1, decay, ..optimizer };
        optimizer.rate(step, 110)
    };
    let quarter = 2.0 * (0.1 + 0.9 * 0.5 * (1.0 + 0.5f64.sqrt()));
    for (decay, expected) in [
        (Decay::Constant, [(35, 2.0), (60, 2.0), (90, 2.0), (110, 2.0)]),
        (Decay::Linear, [(35, 1.55), (60, 1.1), (90, 0.56), (110, 0.2)]),
        (Decay::Cosine, [(35, quarter), (60, 1.1), (85, 2.2 - quarter), (110, 0.2)]),
        (Decay::Late, [(35, 2.0), (70, 2.0), (90, 1.1), (110, 0.2)]),
    ] {
        let same = [(0, 0.2), (4, 1.0), (9, 2.0), (10, 2.0)];
        for (step, expected) in same.into_iter().chain(expected).chain([(500, expected[3].1)]) {
            let found = rate(decay, step);
            assert!((found - expected).abs() < 1e-12, "{decay:?}, step {step}: {found}, not {expected}");
        }
    }
    let plain = &config.phases["pretrain"].optimizer;
    assert_eq!((plain.rate(0, 10), plain.rate(10, 10)), (1e-3, 1e-3), "neither warm-up nor decay");
}

#[test]
fn a_single_setting_of_a_table_leaves_the_others_at_their_defaults() {
    let config = load(CONFIG, &["evaluation.policy=multinomial", "limits.seconds=3"]).unwrap();
    assert_eq!(config.evaluation.policy.script, "multinomial");
    assert_eq!((config.evaluation.batch, config.evaluation.draws), (100, 5));
    assert_eq!((config.limits.seconds, config.limits.memory_mib), (3.0, 256));
}
