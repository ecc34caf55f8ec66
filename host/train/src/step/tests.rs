//! Steps on a small scorer: what the options of an optimiser do to its weights.

use super::*;
use crate::{Config, Layout, Silent, run::start_runtime};
use ekphrasis_graph::Tensor;
use ekphrasis_script::Kind;
use std::{collections::BTreeMap, path::Path, sync::Arc};

const CONFIG: &str = r#"
name = "step"
schedule = "supervised"
data = { format = "shapes", image_size = 8, counts = { train = 4, val = 1, test = 1, compositional = 1 } }
[models]
scorer = { script = "dual_encoder", params = { embedding = 4, image = { dim = 4, channels = 2, hidden = 4 }, text = { dim = 4, heads = 1, layers = 1 } } }
"#;

/// A mean over pictures: each counts alike, whatever else is in the batch.
const LOSS: &str = r#"
return {
  api = 1,
  doc = "Far from its own caption, near to a wall.",
  role = "scorer",
  loss = function(g, p)
    local image, text = g.scorer:image(g:input("image")), g.scorer:text(g:input("tokens"))
    local own = (image * text):sum(-1) * g.scorer:scale() - 1.5
    return { loss = (own * own):mean(), own = own:mean() }
  end,
}
"#;

const BATCH: usize = 8;

fn world(folder: &Path) -> Rc<World> {
    let config = Config::from_table(toml::from_str(CONFIG).unwrap()).unwrap();
    let cache = ekphrasis_runtime::Config::default().cache;
    let runtime = start_runtime(&config, &cache, false, &|line| eprintln!("{line}")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let layout = Layout { root, cache: folder.join("cache") };
    World::open(config, layout, runtime, Box::new(Silent), &|_, _| {}, Arc::default()).unwrap()
}

fn optimizer(text: &str) -> Optimizer {
    toml::from_str(text).unwrap()
}

/// Rows `first..first + count` of an endless batch of pictures and captions.
fn rows(first: usize, count: usize) -> BTreeMap<String, DeviceTensor> {
    let wave = |i: usize| (i as f32 * 0.7).sin();
    let pixels = 3 * 8 * 8;
    let image = (first * pixels..(first + count) * pixels).map(wave).collect();
    let word = |i: usize| 4 + (i * 7 % 5) as i64;
    let tokens = (first * 3..(first + count) * 3).map(word).collect();
    BTreeMap::from([
        ("image".to_owned(), DeviceTensor::from_f32(&[count, 3, 8, 8], image).unwrap()),
        ("tokens".to_owned(), DeviceTensor::from_i64(&[count, 3], tokens).unwrap()),
    ])
}

type Values = BTreeMap<String, Vec<f32>>;

fn values(tensors: &BTreeMap<String, Arc<Tensor>>) -> Values {
    tensors.iter().map(|(n, t)| (n.clone(), t.to_f32().unwrap())).collect()
}

/// What a few steps made.
struct Made {
    start: Values,
    weights: Values,
    average: Option<Values>,
    reports: Vec<BTreeMap<String, f32>>,
}

/// Steps from fresh weights at learning rate 0.05.
fn train(optimizer: &Optimizer, steps: usize) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let script = world.engine.load_text(Kind::Loss, "own.lua", LOSS).unwrap();
    let params = script.params(&serde_json::json!({})).unwrap();
    let loss = script.updates().unwrap().remove(0);
    let update = Update {
        role: Role::Scorer,
        name: "own",
        script: &script,
        function: &loss.function,
        params: &params,
        mode: Mode::Eval,
        batch: BATCH,
        samples: 1,
    };
    if optimizer.average.is_some() {
        world.keep_average(Role::Scorer).unwrap();
    }
    let mut step = Step::build(&world, &update, optimizer).unwrap();
    let len = world.weights.borrow()[&Role::Scorer].trainable.current().len_padded();
    let mut state = OptimizerState::new(&spec(optimizer), len).unwrap();
    let read = || values(&world.weights.borrow()[&Role::Scorer].trainable.get().unwrap());
    let start = read();
    let mut reports = vec![];
    for i in 0..steps {
        let report = step.run(&world, &mut state, &rows(i * BATCH, BATCH), 0.05).unwrap();
        reports.push(step.metrics.iter().cloned().zip(report).collect());
    }
    let weights = world.weights.borrow();
    let average = weights[&Role::Scorer].average.as_ref().map(|a| values(&a.get().unwrap()));
    Made { start, weights: read(), average, reports }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn frozen_parameters_do_not_move_by_a_bit_and_the_others_as_ever() {
    for kind in ["sgd", "adamw"] {
        let base = format!("kind = \"{kind}\"\nlearning_rate = 1.0\nweight_decay = 0.1\naverage = 0.5");
        let all = train(&optimizer(&base), 3);
        let made = train(&optimizer(&format!("{base}\nfreeze = [\"text.*\", \"image*weight\"]")), 3);
        let average = made.average.unwrap();
        let mut counts = [0, 0];
        for (name, before) in &made.start {
            let frozen = name.starts_with("text.") || name.starts_with("image") && name.ends_with("weight");
            counts[usize::from(frozen)] += 1;
            assert_eq!(bits(&made.weights[name]) == bits(before), frozen, "{kind}: {name}");
            assert_eq!(bits(&average[name]) == bits(before), frozen, "{kind}: average of {name}");
            assert_ne!(
                bits(&all.weights[name]),
                bits(before),
                "{kind}: {name} moves where nothing is frozen"
            );
        }
        assert!(counts.iter().all(|n| *n > 2), "{counts:?}: {:?}", made.start.keys());
        assert!(made.reports[0]["gradient_norm"] < all.reports[0]["gradient_norm"]);
        assert_eq!(made.reports[0]["loss"], all.reports[0]["loss"]);
    }
}

#[test]
fn a_frozen_parameter_costs_no_gradient() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let script = world.engine.load_text(Kind::Loss, "own.lua", LOSS).unwrap();
    let params = script.params(&serde_json::json!({})).unwrap();
    let loss = script.updates().unwrap().remove(0);
    let update = Update {
        role: Role::Scorer,
        name: "own",
        script: &script,
        function: &loss.function,
        params: &params,
        mode: Mode::Eval,
        batch: BATCH,
        samples: 1,
    };
    let backward = |text: &str| {
        let optimizer = optimizer(&format!("kind = \"sgd\"\nlearning_rate = 1.0\n{text}"));
        let (graph, _) = step_graph(&world, &update, &optimizer).unwrap();
        graph.nodes().filter(|(_, n)| n.name.starts_with("grad/scorer/text/")).count()
    };
    assert!(backward("") > 100);
    assert_eq!(backward("freeze = [\"text.*\"]"), 0);
}

#[test]
fn a_tenth_of_the_rate_moves_a_tenth() {
    let base = "kind = \"sgd\"\nlearning_rate = 1.0\nbeta1 = 0.0";
    let all = train(&optimizer(base), 1);
    let made = train(&optimizer(&format!("{base}\nrates = {{ \"text.*\" = 0.1 }}")), 1);
    for (name, start) in &made.start {
        let scale = if name.starts_with("text.") { 0.1 } else { 1.0 };
        for ((w, full), start) in made.weights[name].iter().zip(&all.weights[name]).zip(start) {
            let expected = start + scale * (full - start);
            assert!((w - expected).abs() <= 1e-6, "{name}: expected {expected}, found {w}");
        }
    }
}

#[test]
fn weight_decay_leaves_out_what_it_is_told_to() {
    let base = "kind = \"adamw\"\nlearning_rate = 1.0";
    let plain = train(&optimizer(base), 1);
    let decayed = train(&optimizer(&format!("{base}\nweight_decay = 0.5\nno_decay = [\"*bias\"]")), 1);
    let mut counts = [0, 0];
    for (name, start) in &plain.start {
        let without = name.ends_with("bias");
        counts[usize::from(without)] += 1;
        let share = if without { 0.0 } else { 0.05 * 0.5 };
        for ((w, plain), start) in decayed.weights[name].iter().zip(&plain.weights[name]).zip(start) {
            assert!((w - (plain - share * start)).abs() <= 1e-6, "{name}: {w}, {plain}, {start}");
        }
    }
    assert!(counts.iter().all(|n| *n > 0), "{:?}", plain.start.keys());
}
