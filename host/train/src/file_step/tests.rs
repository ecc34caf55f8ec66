//! The step of a file is the step of a run: the same losses, weights and statistics.

use super::*;
use crate::{
    LossScale, Precision, Role, World,
    step::{
        self, OptimizerState, Step, Update,
        tests::{BATCH, Values, optimizer, rows, values, world},
    },
};
use ekphrasis_runtime::{DeviceTensor, SessionOptions};
use ekphrasis_script::Kind;

const STEPS: usize = 3;
const RATE: f64 = 0.01;

fn loss(role: &str, embedding: &str) -> String {
    format!(
        "return {{ api = 1, doc = 'x', role = '{role}', loss = function(g, p)
           local error = {embedding} - 0.3
           return {{ loss = (error * error):mean(), error = error:mean() }}
         end }}"
    )
}

type Reports = Vec<BTreeMap<String, f32>>;

/// Steps of a run on the scorer's `image`.
fn in_a_run(world: &Rc<World>, settings: &crate::Optimizer) -> (Reports, Values) {
    let text = loss("scorer", "g.scorer:image(g:input('image'))");
    let script = world.engine.load_text(Kind::Loss, "run.lua", &text).unwrap();
    let params = script.params(&serde_json::json!({})).unwrap();
    let function = script.updates().unwrap().remove(0).function;
    let update = Update {
        role: Role::Scorer,
        name: "run",
        script: &script,
        function: &function,
        params: &params,
        mode: Mode::Train,
        batch: BATCH,
        samples: 1,
        accumulate: 1,
        precision: Precision::Float32,
        loss_scale: LossScale::default(),
        recompute: &[],
    };
    world.keep_average(Role::Scorer).unwrap();
    let mut step = Step::build(world, &update, settings).unwrap();
    let len = world.weights.borrow()[&Role::Scorer].trainable.current().len_padded();
    let mut state = OptimizerState::new(&world.runtime, &step::spec(settings), len, None).unwrap();
    let mut reports = vec![];
    for i in 0..STEPS {
        let report = step.run(world, &mut state, &[rows(i * BATCH, BATCH)], RATE).unwrap();
        reports.push(step.metrics.iter().cloned().zip(report).collect());
    }
    let all = world.weights.borrow();
    let own = &all[&Role::Scorer];
    let mut found = values(&own.trainable.get().unwrap());
    found.extend(values(&own.states.as_ref().unwrap().get().unwrap()));
    let average = values(&own.average.as_ref().unwrap().get().unwrap());
    found.extend(average.into_iter().map(|(name, v)| (format!("{name}.average"), v)));
    (reports, found)
}

/// The same steps by the graph that `graph grad --loss` writes, its outputs fed back by name.
fn of_a_file(world: &Rc<World>, settings: &crate::Optimizer) -> (Reports, Values) {
    let script =
        world.engine.load_text(Kind::Loss, "file.lua", &loss(ROLE, "g:output('embedding')")).unwrap();
    let params = script.params(&serde_json::json!({})).unwrap();
    let spec = step::spec(settings);
    let step =
        FileStep { script: &script, params: &params, optimizer: &spec, rate: Some(RATE), mode: Mode::Train };
    let model = world.model(Role::Scorer).unwrap().graph("image").unwrap();
    let graph = file_step(&world.engine, model, &step).unwrap();
    let session = world.runtime.session(&graph, &SessionOptions::default()).unwrap();
    let mut state: BTreeMap<String, DeviceTensor> = BTreeMap::new();
    for port in session.inputs() {
        let initial =
            model.initializers().get(port.name.trim_end_matches(".average")).map(|(_, t)| (*t).clone());
        let value = match initial {
            Some(tensor) => DeviceTensor::from_tensor(&tensor).unwrap(),
            None => {
                let dims: Vec<usize> = port.shape.iter().map(|d| d.unwrap_or(BATCH)).collect();
                DeviceTensor::zeros(DType::F32, &dims).unwrap()
            }
        };
        state.insert(port.name.clone(), value);
    }
    let mut reports = vec![];
    for i in 0..STEPS {
        state.insert("count".into(), DeviceTensor::from_f32(&[], vec![i as f32 + 1.0]).unwrap());
        state.insert("image".into(), rows(i * BATCH, BATCH).remove("image").unwrap());
        let feeds: Vec<_> = state.iter().map(|(name, t)| (name.as_str(), t)).collect();
        let mut report = BTreeMap::new();
        for (port, value) in session.outputs().iter().zip(session.run(&feeds).unwrap()) {
            match port.name.strip_suffix(".next") {
                Some(name) => drop(state.insert(name.into(), value)),
                None => drop(report.insert(port.name.clone(), value.to_f32().unwrap()[0])),
            }
        }
        reports.push(report);
    }
    let values = state.iter().filter(|(name, _)| *name != "image" && *name != "count");
    (reports, values.map(|(name, t)| (name.clone(), t.to_f32().unwrap())).collect())
}

#[test]
fn a_file_takes_the_steps_of_a_run() {
    for kind in ["sgd", "adam", "adamw"] {
        let settings = optimizer(&format!(
            "kind = \"{kind}\"\nlearning_rate = 1.0\nepsilon = 1e-3\nweight_decay = 0.1\nclip_norm = 0.05\naverage = 0.5"
        ));
        let folder = tempfile::tempdir().unwrap();
        let world = world(folder.path());
        let (file_reports, file) = of_a_file(&world, &settings);
        let start = values(&world.model(Role::Scorer).unwrap().trainable);
        let (run_reports, run) = in_a_run(&world, &settings);
        let close = |what: &str, a: f32, b: f32| {
            assert!(
                (a - b).abs() <= 1e-5 * a.abs().max(1.0),
                "{kind}, {what}: {a} in a run, {b} by the file"
            );
        };
        for (run, file) in run_reports.iter().zip(&file_reports) {
            assert!(run.keys().eq(file.keys()), "{:?} and {:?}", run.keys(), file.keys());
            assert!(run["gradient_norm"] > 0.05, "it is clipped");
            run.iter().for_each(|(name, value)| close(name, *value, file[name]));
        }
        let mut compared = 0;
        for (name, values) in file.iter().filter(|(name, _)| run.contains_key(*name)) {
            values.iter().zip(&run[name]).for_each(|(f, r)| close(name, *r, *f));
            compared += 1;
            if let Some(start) = start.get(name) {
                assert_ne!(start, values, "{kind}: {name} moves");
            }
        }
        // Weights, averages and statistics of the image's half.
        assert!(compared > 10, "{:?}", file.keys());
    }
}
