//! Cases that nobody here wrote: ONNX's node tests, whole models from PyTorch and TensorFlow,
//! operators' samples from PyTorch.
//!
//! `cargo test -p ekphrasis-tests --test conformance -- --ignored --nocapture` runs all of them; the first
//! time it installs what writes the cases (ONNX, PyTorch, TensorFlow) into the cache folder. Without `--ignored` only the
//! fixtures run that lie in the repository.

mod backward;
mod data;
mod forward;
mod function;
mod models;
mod oracle;
mod python;
mod samples;
mod tally;
mod widen;

use data::Case;
use python::Script;
use std::collections::HashMap;
use tally::{Expected, Outcome, Tally};

const NODE: Script = Script { name: "node_cases", requirements: "requirements-node.txt" };

/// Runs each case, and differentiates it where it runs.
fn nodes(suites: [&'static str; 2], cases: &[Case], expected: [Expected; 2]) -> [Result<(), String>; 2] {
    let [mut forward, mut backward] = suites.map(Tally::new);
    for case in cases {
        let (outcome, graph) = forward::forward(case);
        forward.add(&case.name, outcome);
        if let Some(outcome) = graph.and_then(|graph| backward::backward(case, &graph)) {
            backward.add(&case.name, outcome);
        }
    }
    [forward.finish(&expected[0]), backward.finish(&expected[1])]
}

#[test]
#[ignore = "installs ONNX, and writes 1,900 cases with it"]
fn onnx_node_tests() {
    let suites = ["ONNX node tests, forward", "ONNX node tests, gradient"];
    let expected = [Expected { found: 1884, passed: 1453 }, Expected { found: 1189, passed: 1087 }];
    assert_eq!(nodes(suites, &python::cases(&NODE).unwrap(), expected), [Ok(()), Ok(())]);
}

/// Written by `control_cases.py`.
#[test]
fn control_flow_from_fixtures() {
    let suites = ["control flow, forward (fixtures)", "control flow, gradient (fixtures)"];
    let expected = [Expected { found: 8, passed: 8 }, Expected { found: 8, passed: 8 }];
    assert_eq!(nodes(suites, &python::fixtures("control_cases"), expected), [Ok(()), Ok(())]);
}

const ONNX_AD: Script = Script { name: "onnx_ad_cases", requirements: "requirements-onnx-ad.txt" };

#[test]
#[ignore = "installs ONNX and onnx-ad"]
fn onnx_ad() {
    let nodes: HashMap<String, Case> =
        python::cases(&NODE).unwrap().into_iter().map(|c| (c.name.clone(), c)).collect();
    let mut tally = Tally::new("onnx-ad on ONNX's node tests");
    for adjoint in python::cases(&ONNX_AD).unwrap() {
        let node = &nodes[&adjoint.name];
        // What is not imported, or not right forward, is told by the suite of the node tests.
        if let (Outcome::Passed, Some(graph)) = forward::forward(node) {
            tally.add(&adjoint.name, oracle::compare(node, &graph, &adjoint));
        }
    }
    assert_eq!(tally.finish(&Expected { found: 764, passed: 660 }), Ok(()));
}

const MODELS: Script = Script { name: "pytorch_models", requirements: "requirements-torch.txt" };

/// Trains each model; DCGAN's two together.
fn train(suite: &'static str, cases: &[Case], expected: &Expected) -> Result<(), String> {
    let mut tally = Tally::new(suite);
    for case in cases {
        let name = &case.name;
        let outcome = match name.strip_prefix("dcgan_") {
            None => models::supervised(case),
            Some(part) if part.starts_with("discriminator") => continue,
            Some(part) => {
                let other = format!("dcgan_{}", part.replace("generator", "discriminator"));
                match cases.iter().find(|c| c.name == other) {
                    Some(other) => models::adversarial(case, other),
                    None => Outcome::Failed(format!("expected `{other}` beside it")),
                }
            }
        };
        tally.add(name, outcome);
    }
    tally.finish(expected)
}

#[test]
fn pytorch_models_from_fixtures() {
    let cases = python::fixtures("pytorch_models");
    assert_eq!(train("PyTorch models (fixtures)", &cases, &Expected { found: 12, passed: 12 }), Ok(()));
}

#[test]
#[ignore = "installs PyTorch"]
fn pytorch_models() {
    let cases = python::cases(&MODELS).unwrap();
    assert_eq!(train("PyTorch models", &cases, &Expected { found: 20, passed: 20 }), Ok(()));
}

const TENSORFLOW: Script = Script { name: "tensorflow_models", requirements: "requirements-tensorflow.txt" };

#[test]
fn tensorflow_models_from_fixtures() {
    let cases = python::fixtures("tensorflow_models");
    assert_eq!(train("TensorFlow models (fixtures)", &cases, &Expected { found: 3, passed: 3 }), Ok(()));
}

#[test]
#[ignore = "installs TensorFlow"]
fn tensorflow_models() {
    let cases = python::cases(&TENSORFLOW).unwrap();
    assert_eq!(train("TensorFlow models", &cases, &Expected { found: 3, passed: 3 }), Ok(()));
}

const SAMPLES: Script = Script { name: "pytorch_samples", requirements: "requirements-torch.txt" };

fn differentiate(suite: &'static str, cases: &[Case], expected: &Expected) -> Result<(), String> {
    let mut tally = Tally::new(suite);
    for case in cases {
        tally.add(&case.name, samples::sample(case));
    }
    tally.finish(expected)
}

#[test]
fn pytorch_samples_from_fixtures() {
    let cases = python::fixtures("pytorch_samples");
    assert_eq!(
        differentiate("PyTorch operators (fixtures)", &cases, &Expected { found: 79, passed: 62 }),
        Ok(())
    );
}

#[test]
#[ignore = "installs PyTorch"]
fn pytorch_samples() {
    let cases = python::cases(&SAMPLES).unwrap();
    assert_eq!(differentiate("PyTorch operators", &cases, &Expected { found: 840, passed: 756 }), Ok(()));
}
