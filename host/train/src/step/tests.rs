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

pub(crate) const BATCH: usize = 8;

pub(crate) fn world(folder: &Path) -> Rc<World> {
    let config = Config::from_table(toml::from_str(CONFIG).unwrap()).unwrap();
    let cache = ekphrasis_runtime::Config::default().cache;
    let runtime = start_runtime(&config, &cache, false, &|line| eprintln!("{line}")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let layout = Layout { root, cache: folder.join("cache") };
    World::open(config, layout, runtime, Box::new(Silent), &|_, _| {}, Arc::default()).unwrap()
}

pub(crate) fn optimizer(text: &str) -> Optimizer {
    toml::from_str(text).unwrap()
}

/// Rows `first..first + count` of an endless batch of pictures and captions.
pub(crate) fn rows(first: usize, count: usize) -> BTreeMap<String, DeviceTensor> {
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

pub(crate) type Values = BTreeMap<String, Vec<f32>>;

pub(crate) fn values(tensors: &BTreeMap<String, Arc<Tensor>>) -> Values {
    tensors.iter().map(|(n, t)| (n.clone(), t.to_f32().unwrap())).collect()
}

/// What a few steps made.
pub(crate) struct Made {
    pub start: Values,
    pub weights: Values,
    pub average: Option<Values>,
    pub states: Values,
    pub reports: Vec<BTreeMap<String, f32>>,
}

/// How steps are made.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub steps: usize,
    /// Parts that a batch is cut into.
    pub accumulate: usize,
    pub mode: Mode,
    pub rate: f64,
    pub recompute: &'static [String],
    pub precision: Precision,
    pub loss_scale: LossScale,
}

impl Plan {
    pub fn state(&self, world: &World, optimizer: &Optimizer) -> OptimizerState {
        let len = world.weights.borrow()[&Role::Scorer].trainable.current().len_padded();
        let scale = (self.precision == Precision::Float16).then_some(self.loss_scale);
        OptimizerState::new(&world.runtime, &spec(optimizer), len, scale).unwrap()
    }
}

pub(crate) const PLAN: Plan = Plan {
    steps: 1,
    accumulate: 1,
    mode: Mode::Eval,
    rate: 0.05,
    recompute: &[],
    precision: Precision::Float32,
    loss_scale: LossScale { initial: 1024.0, interval: 100 },
};

/// Calls `f` with a fresh world and the update that a plan describes.
pub(crate) fn with_update<R>(plan: Plan, f: impl FnOnce(&Rc<World>, &Update) -> R) -> R {
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
        mode: plan.mode,
        batch: BATCH / plan.accumulate,
        samples: 1,
        accumulate: plan.accumulate,
        recompute: plan.recompute,
        precision: plan.precision,
        loss_scale: plan.loss_scale,
    };
    f(&world, &update)
}

/// Steps from fresh weights.
pub(crate) fn train(optimizer: &Optimizer, plan: Plan) -> Made {
    with_update(plan, |world, update| {
        if optimizer.average.is_some() {
            world.keep_average(Role::Scorer).unwrap();
        }
        let mut step = Step::build(world, update, optimizer).unwrap();
        let mut state = plan.state(world, optimizer);
        let read = || values(&world.weights.borrow()[&Role::Scorer].trainable.get().unwrap());
        let start = read();
        let mut reports = vec![];
        for i in 0..plan.steps {
            let part = |k| rows(i * BATCH + k * update.batch, update.batch);
            let batches: Vec<Feed> = (0..plan.accumulate).map(part).collect();
            let report = step.run(world, &mut state, &batches, plan.rate).unwrap();
            reports.push(step.metrics.iter().cloned().zip(report).collect());
        }
        let all = world.weights.borrow();
        let own = &all[&Role::Scorer];
        let average = own.average.as_ref().map(|a| values(&a.get().unwrap()));
        let states = values(&own.states.as_ref().unwrap().get().unwrap());
        Made { start, weights: read(), average, states, reports }
    })
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn frozen_parameters_do_not_move_by_a_bit_and_the_others_as_ever() {
    for kind in ["sgd", "adamw"] {
        let base = format!("kind = \"{kind}\"\nlearning_rate = 1.0\nweight_decay = 0.1\naverage = 0.5");
        let all = train(&optimizer(&base), Plan { steps: 3, ..PLAN });
        let made = train(
            &optimizer(&format!("{base}\nfreeze = [\"text.*\", \"image*weight\"]")),
            Plan { steps: 3, ..PLAN },
        );
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
    let backward = |text: &str| {
        let optimizer = optimizer(&format!("kind = \"sgd\"\nlearning_rate = 1.0\n{text}"));
        let graphs = with_update(PLAN, |world, update| step_graphs(world, update, &optimizer).unwrap());
        graphs.pass.nodes().filter(|(_, n)| n.name.starts_with("grad/scorer/text/")).count()
    };
    assert!(backward("") > 100);
    assert_eq!(backward("freeze = [\"text.*\"]"), 0);
}

#[test]
fn a_tenth_of_the_rate_moves_a_tenth() {
    let base = "kind = \"sgd\"\nlearning_rate = 1.0\nbeta1 = 0.0";
    let all = train(&optimizer(base), PLAN);
    let made = train(&optimizer(&format!("{base}\nrates = {{ \"text.*\" = 0.1 }}")), PLAN);
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
    let plain = train(&optimizer(base), PLAN);
    let decayed = train(&optimizer(&format!("{base}\nweight_decay = 0.5\nno_decay = [\"*bias\"]")), PLAN);
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

/// The mean of the parts' gradients is that of the whole, to rounding.
#[test]
fn a_batch_in_parts_is_a_batch() {
    for kind in ["sgd", "adamw"] {
        let extra = "weight_decay = 0.1\nclip_norm = 0.5\naverage = 0.5\nfreeze = [\"image.cnn.0.weight\"]";
        let optimizer =
            optimizer(&format!("kind = \"{kind}\"\nlearning_rate = 1.0\nepsilon = 1e-3\n{extra}"));
        let plan = Plan { steps: 3, ..PLAN };
        let whole = train(&optimizer, plan);
        for accumulate in [2, 4, 8] {
            let parts = train(&optimizer, Plan { accumulate, ..plan });
            let close = |what: &str, a: f32, b: f32| {
                assert!(
                    (a - b).abs() <= 2e-5 * a.abs().max(1.0),
                    "{kind}, {accumulate} parts: {what}: {a} and {b}"
                );
            };
            for (name, values) in &whole.weights {
                values.iter().zip(&parts.weights[name]).for_each(|(a, b)| close(name, *a, *b));
            }
            for (whole, parts) in whole.reports.iter().zip(&parts.reports) {
                assert!(whole.keys().eq(parts.keys()));
                whole.iter().for_each(|(name, value)| close(name, *value, parts[name]));
            }
            // The weights moved further than that by far.
            let moved = |(name, start): (&String, &Vec<f32>)| (start[0] - whole.weights[name][0]).abs();
            assert!(whole.start.iter().map(moved).fold(0.0, f32::max) > 1e-2);
        }
    }
}

#[test]
fn running_statistics_see_every_part() {
    let optimizer = optimizer("kind = \"sgd\"\nlearning_rate = 1.0\nbeta1 = 0.0");
    let plan = Plan { mode: Mode::Train, rate: 0.0, ..PLAN };
    let parts = train(&optimizer, Plan { accumulate: 2, ..plan });
    // The same batches as steps that move nothing.
    let steps = with_update(Plan { accumulate: 2, ..plan }, |world, update| {
        let mut step = Step::build(world, &Update { accumulate: 1, ..*update }, &optimizer).unwrap();
        let mut state = plan.state(world, &optimizer);
        let start = values(&world.weights.borrow()[&Role::Scorer].states.as_ref().unwrap().get().unwrap());
        for k in 0..2 {
            step.run(world, &mut state, &[rows(k * update.batch, update.batch)], 0.0).unwrap();
        }
        let end = values(&world.weights.borrow()[&Role::Scorer].states.as_ref().unwrap().get().unwrap());
        assert_ne!(start, end);
        end
    });
    assert_eq!(parts.states, steps);
}

/// Nothing but the memory changes.
#[test]
fn what_is_computed_again_is_the_same() {
    let patterns: &'static [String] = vec!["text.block.*".to_owned(), "image.cnn.*".to_owned()].leak();
    let optimizer = optimizer("kind = \"sgd\"\nlearning_rate = 1.0");
    let plan = Plan { steps: 3, mode: Mode::Train, ..PLAN };
    let kept = train(&optimizer, plan);
    let again = train(&optimizer, Plan { recompute: patterns, ..plan });
    for (name, values) in &kept.weights {
        assert_ne!(bits(values), bits(&kept.start[name]), "{name} moves");
        for (a, b) in values.iter().zip(&again.weights[name]) {
            assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
    let graphs = |recompute| {
        with_update(Plan { recompute, ..plan }, |world, u| step_graphs(world, u, &optimizer).unwrap())
    };
    let again = |part: &str| {
        let pass = graphs(patterns).pass;
        pass.nodes().filter(|(_, n)| n.name.starts_with(&format!("again/scorer/{part}/"))).count()
    };
    assert!(again("text") > 10 && again("image") > 3, "{} and {}", again("text"), again("image"));
    assert!(graphs(&[]).pass.nodes().all(|(_, n)| !n.name.starts_with("again/")));
}
