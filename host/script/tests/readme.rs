//! The scripts in the guide load, and the ones that need no model run.

mod common;

use ekphrasis_graph::{DType, Graph};
use ekphrasis_runtime::DeviceTensor;
use ekphrasis_script::{Engine, Kind, Script, Tensor, Trace};
use std::path::Path;

fn examples(engine: &Engine) -> Vec<Script> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/README.md");
    let text = std::fs::read_to_string(path).expect("the guide");
    let blocks = text.split("```lua\n").skip(1).filter_map(|b| b.split_once("```").map(|(code, _)| code));
    let load = |code: &str| {
        let class = code.lines().next().unwrap_or_default().trim_start_matches("---@type ekphrasis.");
        let kind = Kind::ALL.into_iter().find(|k| k.name() == class.to_lowercase()).expect("a kind");
        engine.load_text(kind, "scripts/README.md", code).unwrap_or_else(|e| panic!("{e}"))
    };
    blocks.map(load).collect()
}

#[test]
fn examples_load_and_the_policy_samples() {
    let engine = common::engine();
    let examples = examples(&engine);
    assert_eq!(
        examples.iter().map(Script::kind).collect::<Vec<_>>(),
        [Kind::Reward, Kind::Loss, Kind::Policy]
    );
    let policy = &examples[2];
    let p = engine.value(policy.defaults()).expect("parameters");
    // Probabilities 1/4, 1/2, 1/4 in both rows: a quarter falls to the first, .8 to the last.
    let logits = [0.25f32.ln(), 0.5f32.ln(), 0.25f32.ln()].repeat(2);
    let logits = Tensor::Eager(DeviceTensor::from_f32(&[2, 3], logits).expect("fits"));
    let noise = Tensor::Eager(DeviceTensor::from_f32(&[2, 1], vec![0.1, 0.8]).expect("fits"));
    let out =
        engine.call(policy, "sample", (logits, false, noise, p.clone())).unwrap_or_else(|e| panic!("{e}"));
    let out = Tensor::from_value(&out[0]).expect("a tensor");
    assert_eq!(out.eager("test").expect("eager").to_i64().expect("i64"), [0, 2]);
    // The same lines trace.
    let trace = Trace::new(Graph::new("step"));
    let logits = trace.with(|g| g.input("logits", DType::F32, vec!["B".into(), 3.into()])).expect("a port");
    let noise = trace.with(|g| g.input("noise", DType::F32, vec!["B".into(), 1.into()])).expect("a port");
    let args = (trace.tensor(logits), false, trace.tensor(noise), p);
    let out = engine.call(policy, "sample", args).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(Tensor::from_value(&out[0]).expect("a tensor").describe(), "i64[B]");
}
