//! The models, losses, policies and rewards that come with the project: they build, their graphs have the ports
//! of their role, and they compute what they should.

mod ports;
mod values;

use ekphrasis_runtime::{Config, DeviceTensor, Runtime};
use ekphrasis_script::{BuiltModel, Engine, Kind, Limits, Tensor, build_model};
use serde_json::{Map, Value as Json, json};
use std::{
    error::Error,
    path::{Path, PathBuf},
};

type Outcome = Result<(), Box<dyn Error>>;

const VOCABULARY: usize = 60;
const LENGTH: usize = 20;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the host tells a model.
fn facts(image_size: usize) -> Map<String, Json> {
    let (pad, bos, eos) = (0, 1, 2);
    let facts = [
        ("vocabulary", VOCABULARY),
        ("image_size", image_size),
        ("max_length", LENGTH),
        ("pad", pad),
        ("bos", bos),
        ("eos", eos),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
}

fn runtime() -> Result<Runtime, Box<dyn Error>> {
    Ok(Runtime::start(&Config::default(), &|line| eprintln!("{line}"))?)
}

fn model(name: &str, params: &Json, image_size: usize) -> Result<BuiltModel, Box<dyn Error>> {
    let engine = Engine::new(Limits::default(), None)?;
    let script = engine.load(Kind::Model, &root().join("plugins/models").join(name).join("model.lua"))?;
    Ok(build_model(&engine, &script, params, &facts(image_size), 7)?)
}

#[test]
fn policies_choose_as_they_say() -> Outcome {
    let engine = Engine::new(Limits::default(), Some(runtime()?))?;
    let choose = |name: &str,
                  params: Json,
                  logits: &[f32],
                  noise: &[f32]|
     -> Result<Vec<i64>, Box<dyn Error>> {
        let script = engine.load(Kind::Policy, &root().join(format!("scripts/policies/{name}.lua")))?;
        let params = engine.value(&script.params(&params)?)?;
        let n = noise.len();
        let logits = DeviceTensor::from_f32(&[n, logits.len()], logits.repeat(n))?;
        let noise = DeviceTensor::from_f32(&[n, 1], noise.to_vec())?;
        let state = engine.lua().create_table()?;
        let values =
            engine.call(&script, "sample", (Tensor::Eager(logits), state, Tensor::Eager(noise), params))?;
        let chosen = values.front().and_then(Tensor::from_value).ok_or("expected a tensor")?;
        let Tensor::Eager(chosen) = chosen else { return Err("expected numbers".into()) };
        Ok(chosen.to_i64()?)
    };
    // Probabilities 0, 1/8, 0, 5/8, 2/8.
    let logits = [-1e9, 1f32.ln(), -1e9, 5f32.ln(), 2f32.ln()];
    assert_eq!(choose("greedy", json!({}), &logits, &[0.0, 0.99])?, [3, 3]);
    let noise = [0.0, 0.12, 0.13, 0.74, 0.76, 0.999_999_94];
    assert_eq!(choose("multinomial", json!({}), &logits, &noise)?, [1, 1, 3, 3, 4, 4]);
    // At temperature 1/2 they are squared: 0, 1/30, 0, 25/30, 4/30.
    let noise = [0.03, 0.04, 0.86, 0.87];
    assert_eq!(choose("multinomial", json!({ "temperature": 0.5 }), &logits, &noise)?, [1, 3, 3, 4]);
    let error = choose("multinomial", json!({ "temperature": 0 }), &logits, &[0.5]);
    let error = error.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("temperature: expected more than 0, found 0"), "{error}");
    Ok(())
}

#[test]
fn every_script_loads() -> Outcome {
    let engine = Engine::new(Limits::default(), None)?;
    let mut loaded = vec![];
    for (kind, folder) in [(Kind::Loss, "losses"), (Kind::Policy, "policies"), (Kind::Reward, "rewards")] {
        for entry in std::fs::read_dir(root().join("scripts").join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|x| x == "lua") {
                let script = engine.load(kind, &path)?;
                assert!(script.doc().ends_with('.'), "{}: the doc is a sentence", path.display());
                loaded.push(script.name().to_owned());
            }
        }
    }
    for name in [
        "cross_entropy",
        "info_nce",
        "hinge_gan",
        "wgan_gp",
        "policy_gradient",
        "greedy",
        "multinomial",
        "mix",
    ] {
        assert!(loaded.iter().any(|l| l == name), "{name} is missing from {loaded:?}");
    }
    let gan = engine.load(Kind::Loss, &root().join("scripts/losses/hinge_gan.lua"))?;
    let updates: Vec<_> = gan.updates()?.into_iter().map(|u| (u.name, u.role, u.every)).collect();
    let row = |name: &str, role: &str, every| (name.to_owned(), role.to_owned(), every);
    assert_eq!(
        updates,
        [
            row("discriminator", "discriminator", 1),
            row("r1", "discriminator", 16),
            row("generator", "generator", 1)
        ]
    );
    Ok(())
}
