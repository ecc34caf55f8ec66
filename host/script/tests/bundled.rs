//! The models, losses, policies and rewards that come with the project: they build, their graphs have the ports
//! of their role, and they compute what they should.

use ekphrasis_graph::{Graph, show_shape};
use ekphrasis_runtime::{Config, DeviceTensor, Runtime, SessionOptions};
use ekphrasis_script::{BuiltModel, Engine, Kind, Limits, Tensor, build_model};
use serde_json::{Map, Value as Json, json};
use std::{
    collections::BTreeMap,
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

/// `encode(image f32[B, 3, 32, 32]) -> memory.k0 f32[...]` of each graph.
fn signatures(built: &BuiltModel) -> Vec<String> {
    let show = |graph: &Graph, name: &str, id| {
        let value = graph.value(id);
        let shape = value.shape.as_deref().map_or("?".into(), show_shape);
        format!("{name} {}{shape}", value.dtype)
    };
    built
        .graphs
        .iter()
        .map(|(name, graph)| {
            let inputs: Vec<_> =
                graph.inputs().iter().map(|i| show(graph, &graph.value(*i).name, *i)).collect();
            let outputs: Vec<_> = graph.outputs().iter().map(|(n, i)| show(graph, n, *i)).collect();
            format!("{name}({}) -> {}", inputs.join(", "), outputs.join(", "))
        })
        .collect()
}

/// Dimensions of all initializers by name; one name is one parameter.
fn initializers(built: &BuiltModel) -> BTreeMap<String, Vec<usize>> {
    let graphs = built.graphs.values();
    graphs
        .flat_map(|g| g.initializers().into_iter().map(|(n, (_, t))| (n.to_owned(), t.dims().to_vec())))
        .collect()
}

/// Numbers in initializers for which `counts` holds.
fn count(built: &BuiltModel, counts: impl Fn(&str) -> bool) -> usize {
    let all = initializers(built);
    all.iter().filter(|(n, _)| counts(n)).map(|(_, d)| d.iter().product::<usize>()).sum()
}

fn check(name: &str, expected: &[&str]) -> Result<BuiltModel, Box<dyn Error>> {
    let built = model(name, &json!({}), 32)?;
    assert_eq!(signatures(&built), expected, "{name}");
    Ok(built)
}

/// Numbers that look random, from -1 to 1.
fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as f32 * 12.9898).sin() * 43758.547).fract()).collect()
}

fn f32s(dims: &[usize]) -> Result<DeviceTensor, Box<dyn Error>> {
    Ok(DeviceTensor::from_f32(dims, noise(dims.iter().product()))?)
}

fn i64s(dims: &[usize], values: &[i64]) -> Result<DeviceTensor, Box<dyn Error>> {
    Ok(DeviceTensor::from_i64(dims, values.to_vec())?)
}

/// Rows of captions: words that differ, `end` after `words` of them, then padding up to `width`.
fn captions(words: &[usize], width: usize) -> Result<DeviceTensor, Box<dyn Error>> {
    let mut rows = vec![0; words.len() * width];
    for (i, (n, row)) in words.iter().zip(rows.chunks_mut(width)).enumerate() {
        for (t, token) in row.iter_mut().take(*n).enumerate() {
            *token = 4 + ((7 * i + 5 * t) % (VOCABULARY - 4)) as i64;
        }
        if let Some(end) = row.get_mut(*n) {
            *end = 2;
        }
    }
    i64s(&[words.len(), width], &rows)
}

/// Outputs by name.
fn run(
    runtime: &Runtime,
    graph: &Graph,
    feeds: &[(&str, &DeviceTensor)],
) -> Result<BTreeMap<String, DeviceTensor>, Box<dyn Error>> {
    let session = runtime.session(graph, &SessionOptions::default())?;
    let names = session.outputs().iter().map(|p| p.name.clone());
    Ok(names.zip(session.run(feeds)?).collect())
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn transformer_captioner_has_its_ports() -> Outcome {
    let built = check(
        "transformer_captioner",
        &[
            "decode(tokens i64[B, T], memory.k0 f32[B, 4, 16, 32], memory.v0 f32[B, 4, 16, 32], \
         memory.k1 f32[B, 4, 16, 32], memory.v1 f32[B, 4, 16, 32]) -> logits f32[B, T, 60]",
            "encode(image f32[B, 3, 32, 32]) -> memory.k0 f32[B, 4, 16, 32], memory.v0 f32[B, 4, 16, 32], \
         memory.k1 f32[B, 4, 16, 32], memory.v1 f32[B, 4, 16, 32]",
            "step(token i64[B], state.k0 f32[B, 4, P, 32], state.v0 f32[B, 4, P, 32], state.k1 f32[B, 4, P, 32], \
         state.v1 f32[B, 4, P, 32], memory.k0 f32[B, 4, 16, 32], memory.v0 f32[B, 4, 16, 32], \
         memory.k1 f32[B, 4, 16, 32], memory.v1 f32[B, 4, 16, 32]) -> next.k0 f32[B, 4, P + 1, 32], \
         next.v0 f32[B, 4, P + 1, 32], next.k1 f32[B, 4, P + 1, 32], next.v1 f32[B, 4, P + 1, 32], \
         logits f32[B, 60]",
        ],
    )?;
    let (d, v) = (128, VOCABULARY);
    let cnn = 48 * 32 + 16 * 32 * 64 + 16 * 64 * d;
    let places = 16 * d + 2 * d + 2 * (d + 1) * d;
    // Three norms; self-attention in and out (3 + 1 widths), cross-attention (1 + 2 + 1); the inner layer of 3.
    let block = 3 * 2 * d + (d + 1) * 8 * d + (d + 1) * 3 * d + (3 * d + 1) * d;
    let words = v * d + LENGTH * d + 2 * d + (d + 1) * v;
    let norms = 2 * (32 + 64 + d);
    let trained = count(&built, |n| !built.states.contains(n));
    assert_eq!(trained, cnn + norms + places + 2 * block + words);
    assert_eq!(count(&built, |n| built.states.contains(n)), norms);
    Ok(())
}

#[test]
fn lstm_captioner_has_its_ports() -> Outcome {
    let built = check(
        "lstm_captioner",
        &[
            "decode(tokens i64[B, 20], memory.places f32[B, 16, 128], memory.keys f32[B, 128, 16]) \
         -> logits f32[B, 20, 60]",
            "encode(image f32[B, 3, 32, 32]) -> memory.places f32[B, 16, 128], memory.keys f32[B, 128, 16]",
            "step(token i64[B], state.h f32[B, 256], state.c f32[B, 256], memory.places f32[B, 16, 128], \
         memory.keys f32[B, 128, 16]) -> logits f32[B, 60], next.h f32[B, 256], next.c f32[B, 256]",
        ],
    )?;
    let (d, h, v) = (128, 256, VOCABULARY);
    let cnn = 48 * 32 + 16 * 32 * 64 + 16 * 64 * d + 2 * (32 + 64 + d);
    let places = 16 * d + 2 * d + 2 * (d + 1) * d;
    let lstm = (d + 1) * 4 * h + (d + h) * 4 * h + d * d + h * d;
    assert_eq!(count(&built, |n| !built.states.contains(n)), cnn + places + lstm + v * d + (h + 1) * v);
    Ok(())
}

#[test]
fn the_pair_of_the_gan_and_the_scorer_have_their_ports() -> Outcome {
    let generator =
        check("generator", &["generate(noise f32[B, 32], tokens i64[B, T]) -> image f32[B, 3, 32, 32]"])?;
    let discriminator =
        check("discriminator", &["judge(image f32[B, 3, 32, 32], tokens i64[B, T]) -> score f32[B]"])?;
    let scorer = check(
        "dual_encoder",
        &[
            "image(image f32[B, 3, 32, 32]) -> embedding f32[B, 128]",
            "scale() -> scale f32[]",
            "text(tokens i64[B, T]) -> embedding f32[B, 128]",
        ],
    )?;

    // The encoder of captions is one and the same, so that it can be the scorer's in all three.
    let text = |built: &BuiltModel| -> BTreeMap<String, Vec<usize>> {
        initializers(built).into_iter().filter(|(n, _)| n.starts_with("text.")).collect()
    };
    assert_eq!(text(&scorer).len(), 18);
    assert_eq!(text(&generator), text(&scorer));
    assert_eq!(text(&discriminator), text(&scorer));

    let own = |built: &BuiltModel| count(built, |n| !n.starts_with("text.") && !built.states.contains(n));
    let up = 16 * (128 * 64 + 64 * 48 + 48 * 24) + 2 * (128 + 64 + 48 + 24);
    assert_eq!(own(&generator), 129 * 128 + (128 + 32 + 1) * 128 * 16 + up + 27 * 24 + 3);
    let down = 48 * 32 + 32 + 16 * 32 * 64 + 64 + 16 * 64 * 96 + 96;
    let joint = 129 * 64 + 64 * 128 + 97 * 128 + (128 * 16 + 1) * 64 + 65;
    assert_eq!(own(&discriminator), down + joint + 129 * 128 + (96 * 16 + 1) * 128);
    let image = 48 * 32 + 16 * 32 * 64 + 16 * 64 * 96 + 2 * (32 + 64 + 96) + (96 * 16 + 1) * 256 + 257 * 128;
    assert_eq!(own(&scorer), image + 1);
    Ok(())
}

#[test]
fn pictures_of_other_sizes() -> Outcome {
    for (size, places) in [(16, 16), (48, 36), (64, 16), (224, 49)] {
        let captioner = model("transformer_captioner", &json!({}), size)?;
        let expected = format!("-> memory.k0 f32[B, 4, {places}, 32]");
        assert!(signatures(&captioner).iter().any(|s| s.contains(&expected)), "{size}: {expected}");
        let generator = model("generator", &json!({}), size)?;
        let expected = format!("-> image f32[B, 3, {size}, {size}]");
        assert!(signatures(&generator)[0].contains(&expected), "{:?}", signatures(&generator));
        for name in ["lstm_captioner", "discriminator", "dual_encoder"] {
            model(name, &json!({}), size)?;
        }
    }
    let error = model("generator", &json!({}), 50).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("image_size: expected 4 to 7 times a power of two, found 50"), "{error}");
    let odd = json!({ "heads": 3 });
    let error = model("transformer_captioner", &odd, 32).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("heads: expected a divisor of dim = 128, found 3"), "{error}");
    Ok(())
}

/// Word by word with the state passed on, a captioner says what it says of the whole caption.
fn steps_equal_decode(name: &str, states: &[(&str, &[usize])]) -> Outcome {
    let runtime = runtime()?;
    let built = model(name, &json!({}), 32)?;
    let (n, image) = (3, f32s(&[3, 3, 32, 32])?);
    let memory = run(&runtime, &built.graphs["encode"], &[("image", &image)])?;
    let tokens = captions(&[19, 6, 0], LENGTH)?;
    let mut feeds: Vec<(&str, &DeviceTensor)> = memory.iter().map(|(k, v)| (k.as_str(), v)).collect();
    feeds.push(("tokens", &tokens));
    let whole = run(&runtime, &built.graphs["decode"], &feeds)?["logits"].to_f32()?;
    assert!(whole.iter().all(|x| x.is_finite()));
    // Another first word changes what follows, so that equality below says something.
    let mut other = tokens.to_i64()?;
    other[0] += 1;
    let other = i64s(&[n, LENGTH], &other)?;
    let last = feeds.len() - 1;
    feeds[last] = ("tokens", &other);
    let changed = run(&runtime, &built.graphs["decode"], &feeds)?["logits"].to_f32()?;
    let v = VOCABULARY;
    assert_eq!(whole[..v], changed[..v], "a word sees itself");
    assert!(largest_difference(&whole[v..2 * v], &changed[v..2 * v]) > 1e-4);

    let session = runtime.session(&built.graphs["step"], &SessionOptions::default())?;
    let mut state: BTreeMap<String, DeviceTensor> = BTreeMap::new();
    for (port, dims) in states {
        let dims: Vec<usize> = std::iter::once(n).chain(dims.iter().copied()).collect();
        state.insert((*port).into(), DeviceTensor::zeros(ekphrasis_graph::DType::F32, &dims)?);
    }
    let ids = tokens.to_i64()?;
    let mut before = vec![1; n];
    for t in 0..LENGTH {
        let token = i64s(&[n], &before)?;
        let held: Vec<(String, &DeviceTensor)> =
            state.iter().map(|(k, v)| (format!("state.{k}"), v)).collect();
        let mut feeds: Vec<(&str, &DeviceTensor)> = memory.iter().map(|(k, v)| (k.as_str(), v)).collect();
        feeds.extend(held.iter().map(|(k, v)| (k.as_str(), *v)));
        feeds.push(("token", &token));
        let names = session.outputs().iter().map(|p| p.name.clone());
        let mut outputs: BTreeMap<String, DeviceTensor> = names.zip(session.run(&feeds)?).collect();
        let logits = outputs.remove("logits").ok_or("no logits")?.to_f32()?;
        for row in 0..n {
            let expected = &whole[(row * LENGTH + t) * v..][..v];
            let difference = largest_difference(&logits[row * v..][..v], expected);
            assert!(difference < 1e-4, "row {row}, position {t}: {difference}");
        }
        state =
            outputs.into_iter().filter_map(|(k, x)| Some((k.strip_prefix("next.")?.to_owned(), x))).collect();
        before = ids.chunks(LENGTH).map(|row| row[t]).collect();
    }
    Ok(())
}

#[test]
fn transformer_steps_equal_decode() -> Outcome {
    let none: &[usize] = &[4, 0, 32];
    steps_equal_decode("transformer_captioner", &[("k0", none), ("v0", none), ("k1", none), ("v1", none)])
}

#[test]
fn lstm_steps_equal_decode() -> Outcome {
    steps_equal_decode("lstm_captioner", &[("h", &[256]), ("c", &[256])])
}

#[test]
fn embeddings_do_not_see_padding_and_have_length_one() -> Outcome {
    let runtime = runtime()?;
    let built = model("dual_encoder", &json!({}), 32)?;
    let text = |words: &[usize], width| -> Result<Vec<f32>, Box<dyn Error>> {
        let tokens = captions(words, width)?;
        Ok(run(&runtime, &built.graphs["text"], &[("tokens", &tokens)])?["embedding"].to_f32()?)
    };
    let narrow = text(&[5, 3], 6)?;
    assert!(largest_difference(&narrow, &text(&[5, 3], LENGTH)?) < 1e-6);
    assert!(largest_difference(&narrow[..128], &narrow[128..]) > 1e-3);
    assert!(text(&[5, 4], 4)?.iter().all(|x| x.is_finite()), "captions cut before their end");
    // The order of words counts.
    let order = |ids: &[i64]| -> Result<Vec<f32>, Box<dyn Error>> {
        let tokens = i64s(&[1, 4], ids)?;
        Ok(run(&runtime, &built.graphs["text"], &[("tokens", &tokens)])?["embedding"].to_f32()?)
    };
    assert!(largest_difference(&order(&[9, 5, 7, 2])?, &order(&[7, 5, 9, 2])?) > 1e-3);

    let image = run(&runtime, &built.graphs["image"], &[("image", &f32s(&[2, 3, 32, 32])?)])?;
    for row in image["embedding"].to_f32()?.chunks(128).chain(narrow.chunks(128)) {
        assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let scale = run(&runtime, &built.graphs["scale"], &[])?["scale"].to_f32()?;
    assert!((scale[0] - 2.7f32.exp()).abs() < 1e-4, "{scale:?}");
    Ok(())
}

#[test]
fn pictures_and_scores_depend_on_captions() -> Outcome {
    let runtime = runtime()?;
    let generator = model("generator", &json!({}), 32)?;
    let discriminator = model("discriminator", &json!({}), 32)?;
    let (noise, tokens) = (f32s(&[2, 32])?, captions(&[5, 3], 8)?);
    let swapped = {
        let ids = tokens.to_i64()?;
        i64s(&[2, 8], &[&ids[8..], &ids[..8]].concat())?
    };
    let paint = |noise: &DeviceTensor, tokens: &DeviceTensor| -> Result<Vec<f32>, Box<dyn Error>> {
        let feeds = [("noise", noise), ("tokens", tokens)];
        Ok(run(&runtime, &generator.graphs["generate"], &feeds)?["image"].to_f32()?)
    };
    let image = paint(&noise, &tokens)?;
    assert!(image.iter().all(|x| (-1.0..=1.0).contains(x)));
    assert!(largest_difference(&image, &paint(&noise, &swapped)?) > 1e-4);
    assert!(
        largest_difference(&image, &paint(&DeviceTensor::from_f32(&[2, 32], vec![0.0; 64])?, &tokens)?)
            > 1e-4
    );

    let image = f32s(&[2, 3, 32, 32])?;
    let judge = |tokens: &DeviceTensor| -> Result<Vec<f32>, Box<dyn Error>> {
        let feeds = [("image", &image), ("tokens", tokens)];
        Ok(run(&runtime, &discriminator.graphs["judge"], &feeds)?["score"].to_f32()?)
    };
    let scores = judge(&tokens)?;
    assert!(scores.len() == 2 && scores.iter().all(|x| x.is_finite()));
    assert!(largest_difference(&scores, &judge(&swapped)?) > 1e-4);
    Ok(())
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
    for name in ["cross_entropy", "info_nce", "hinge_gan", "policy_gradient", "greedy", "multinomial", "mix"]
    {
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
