//! Losses on models: a bundled one that no bundled config trains with, and a model that cannot be trained.

#[allow(dead_code, reason = "not every test file needs all of it")]
mod common;

use common::Project;
use ekphrasis_graph::{DType, Graph, Tensor};
use serde_json::Value;
use std::{fs, sync::Arc};

const SCHEDULE: &str =
    r#"return { api = 1, doc = "The GAN alone.", run = function(host) host:train("gan") end }"#;

#[test]
fn a_critic_learns_to_keep_its_slope() {
    let project = Project::new();
    project.write("scripts/schedules/gan.lua", SCHEDULE);
    let options = "schedule=gan --set phases.gan.loss=wgan_gp --set phases.gan.steps=60";
    project.ekphrasis(&format!("run configs/tiny.toml --set {options}")).ok();
    let lines = fs::read_to_string(project.path("runs/tiny/metrics.jsonl")).unwrap();
    let found = |name: &str| -> Vec<f64> {
        let lines = lines.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
        lines.filter_map(|l| l[format!("critic.{name}")].as_f64()).collect()
    };
    let (penalty, slope) = (found("penalty"), found("slope"));
    assert!(penalty.len() > 1 && slope.len() == penalty.len(), "{lines}");
    assert!(penalty.iter().chain(&slope).all(|v| v.is_finite()), "{lines}");
    // The penalty goes down, that is, the slope comes nearer to 1.
    assert!(penalty[penalty.len() - 1] < penalty[0], "{penalty:?} {slope:?}");
}

/// Every operator without a rule is named with its node, graph and file, before anything runs.
#[test]
fn a_model_with_operators_that_have_no_rule() {
    let mut g = Graph::new("judge");
    let side = 16.into();
    let image = g.input("image", DType::F32, vec!["B".into(), 3.into(), side, 16.into()]).unwrap();
    g.input("tokens", DType::I64, vec!["B".into(), "T".into()]).unwrap();
    let weight = Arc::new(Tensor::from_f32(&[16], &[0.5; 16]).unwrap());
    let weight = g.initializer("weight", weight).unwrap();
    let scaled = g.mul(image, weight).unwrap();
    let first = g.op("Det", &[scaled], &[]).unwrap();
    let shifted = g.shift(scaled, 1.0).unwrap();
    let second = g.op("Det", &[shifted], &[]).unwrap();
    let sum = g.add(first, second).unwrap();
    let score = g.reduce_sum(sum, &[1], false).unwrap();
    g.output("score", score).unwrap();

    let project = Project::new();
    project.write("scripts/schedules/gan.lua", SCHEDULE);
    project.write(
        "plugins/models/odd/model.toml",
        "name = \"odd\"\nrole = \"discriminator\"\ndoc = \"For a test.\"\ngraphs = { judge = \"judge.onnx\" }\ntrain = [\"*\"]\n",
    );
    g.save(project.path("plugins/models/odd/judge.onnx")).unwrap();
    project.ekphrasis("run configs/tiny.toml --set schedule=gan --set models.discriminator=odd").fails(
        1,
        &[
            "model `odd`: ",
            "plugins/models/odd/judge.onnx: graph `",
            "no gradient rule for Det (node `discriminator/judge/Det_1`), Det (node `discriminator/judge/Det_3`)",
            "hint: put `ekphrasis::StopGradient`",
        ],
    );
}
