//! Steps in half precision. On the CPU ONNX Runtime leaves the rounding out (`host/grad/tests/precision.rs` puts it back),
//! so gradients that are not finite are made by a scale at the end of f32.

use super::{
    tests::{BATCH, PLAN, Plan, Values, optimizer, rows, train, values, with_update},
    *,
};

const HALF: Plan = Plan { precision: Precision::Float16, mode: Mode::Train, ..PLAN };

fn weights(world: &World) -> Values {
    let all = world.weights.borrow();
    let own = &all[&Role::Scorer];
    let mut found = values(&own.trainable.get().unwrap());
    if let Some(average) = &own.average {
        let average = values(&average.get().unwrap());
        found.extend(average.into_iter().map(|(name, v)| (format!("average of {name}"), v)));
    }
    found
}

#[test]
fn half_precision_trains_nearly_as_single() {
    let optimizer = optimizer("kind = \"adamw\"\nlearning_rate = 1.0\nclip_norm = 1.0");
    let plan = Plan { steps: 30, rate: 0.01, ..HALF };
    let single = train(&optimizer, Plan { precision: Precision::Float32, ..plan });
    let patterns: &'static [String] = vec!["text.block.*".to_owned()].leak();
    for plan in [plan, Plan { recompute: patterns, ..plan }] {
        let half = train(&optimizer, plan);
        let loss = |made: &[BTreeMap<String, f32>], i: usize| made[i]["loss"];
        assert!(loss(&single.reports, 29) < 0.5 * loss(&single.reports, 0), "{:?}", single.reports);
        for i in 0..30 {
            let (a, b) = (loss(&single.reports, i), loss(&half.reports, i));
            assert!((a - b).abs() < 0.02 * loss(&single.reports, 0), "step {i}: {a} in single, {b} in half");
            assert_eq!((half.reports[i]["loss_scale"], half.reports[i]["skipped"]), (1024.0, 0.0));
        }
    }
    let graphs = with_update(plan, |world, update| step_graphs(world, update, &optimizer).unwrap());
    let products = graphs.pass.nodes().filter(|(_, n)| ekphrasis_grad::IN_HALF.contains(&n.op.as_str()));
    let types: Vec<DType> =
        products.flat_map(|(_, n)| n.inputs.iter().flatten().map(|i| graphs.pass.value(*i).dtype)).collect();
    assert!(types.len() > 50 && types.iter().all(|t| *t == DType::F16), "{types:?}");
    // In parts, where the scale is needed by both graphs.
    let plan = Plan { mode: Mode::Eval, steps: 3, rate: 0.01, ..HALF };
    let (whole, parts) = (train(&optimizer, plan), train(&optimizer, Plan { accumulate: 4, ..plan }));
    for (a, b) in whole.reports.iter().zip(&parts.reports) {
        assert!(
            (a["gradient_norm"] - b["gradient_norm"]).abs() < 0.02 * a["gradient_norm"],
            "{a:?} and {b:?}"
        );
    }
}

#[test]
fn a_gradient_that_is_not_finite_moves_nothing_and_halves_the_scale() {
    let settings =
        optimizer("kind = \"adam\"\nlearning_rate = 1.0\naverage = 0.5\nfreeze = [\"text.position\"]");
    let scale = LossScale { initial: f64::from(2f32.powi(127)), interval: 2 };
    for accumulate in [1, 2] {
        let plan = Plan { loss_scale: scale, accumulate, ..HALF };
        with_update(plan, |world, update| {
            world.keep_average(Role::Scorer).unwrap();
            let mut step = Step::build(world, update, &settings).unwrap();
            let mut state = plan.state(world, &settings);
            let mut run = |state: &mut OptimizerState, i: usize| -> BTreeMap<String, f32> {
                let part = |k| rows(i * BATCH + k * update.batch, update.batch);
                let batches: Vec<Feed> = (0..accumulate).map(part).collect();
                let report = step.run(world, state, &batches, 0.001).unwrap();
                step.metrics.iter().cloned().zip(report).collect()
            };
            let (before, moments) = (weights(world), state.get().unwrap());
            let report = run(&mut state, 0);
            assert_eq!((report["skipped"], report["loss_scale"]), (1.0, 2f32.powi(127)), "{report:?}");
            assert!(report.values().all(|v| v.is_finite()), "{report:?}");
            assert_eq!((weights(world), state.updates), (before.clone(), 0));
            let mut now = state.get().unwrap();
            assert_eq!(now.remove("loss_scale").unwrap(), [2f32.powi(126), 0.0]);
            assert!(moments.iter().all(|(name, v)| name == "loss_scale" || now[name] == *v));

            // Down to where gradients are finite: it moves, and grows again after two steps.
            let mut i = 1;
            let good = loop {
                let report = run(&mut state, i);
                i += 1;
                assert!(i < 150, "{report:?}");
                if report["skipped"] == 0.0 {
                    break report;
                }
            };
            assert!(good["gradient_norm"] > 0.0 && good["loss_scale"] < 2f32.powi(127), "{good:?}");
            assert_ne!(weights(world), before);
            assert_eq!((state.updates, state.get().unwrap()["loss_scale"][1]), (1, 1.0));
            let mut now = state.get().unwrap();
            now.insert("loss_scale".into(), vec![512.0, 1.0]);
            state.set(&now, 1).unwrap();
            let report = run(&mut state, i);
            assert_eq!((report["skipped"], report["loss_scale"]), (0.0, 512.0));
            assert_eq!(state.get().unwrap()["loss_scale"], [1024.0, 0.0]);
        });
    }
}

#[test]
fn what_is_saved_goes_on_to_the_bit() {
    let settings = optimizer("kind = \"adamw\"\nlearning_rate = 1.0");
    let plan = Plan { loss_scale: LossScale { initial: f64::from(2f32.powi(127)), interval: 2 }, ..HALF };
    let run = |cut: Option<usize>| {
        with_update(plan, |world, update| {
            let mut step = Step::build(world, update, &settings).unwrap();
            let mut state = plan.state(world, &settings);
            for i in 0..40 {
                if cut == Some(i) {
                    let (saved, updates) = (state.get().unwrap(), state.updates);
                    (step, state) =
                        (Step::build(world, update, &settings).unwrap(), plan.state(world, &settings));
                    state.set(&saved, updates).unwrap();
                }
                step.run(world, &mut state, &[rows(i * BATCH, BATCH)], 0.001).unwrap();
            }
            (weights(world), state.get().unwrap(), state.updates)
        })
    };
    let whole = run(None);
    assert!(whole.2 > 3 && whole.2 < 40, "some steps are skipped, some are not: {}", whole.2);
    for cut in [5, 25, 38] {
        assert!(run(Some(cut)) == whole, "cut before step {cut}");
    }
    // A phase that was in single precision until now.
    with_update(plan, |world, _| {
        let mut state = plan.state(world, &settings);
        let mut saved = state.get().unwrap();
        saved.remove("loss_scale");
        state.set(&saved, 7).unwrap();
        assert_eq!(state.get().unwrap()["loss_scale"], [2f32.powi(127), 0.0]);
    });
}

#[test]
fn a_precision_that_the_provider_lacks_is_refused() {
    with_update(PLAN, |world, _| {
        let error = check_precision(world, "gan", Precision::Bfloat16).unwrap_err().to_string();
        for part in ["phases.gan.precision: ", "provider `cpu`", "found `bfloat16`", "hint: use `float16`"] {
            assert!(error.contains(part), "{error}");
        }
        check_precision(world, "gan", Precision::Float16).unwrap();
    });
}
