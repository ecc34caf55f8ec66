//! Graphs run, and what does not fit is refused with the place.

mod common;

use common::{affine, runtime};
use ekphrasis_graph::{DType, Graph, Tensor};
use ekphrasis_runtime::{DeviceTensor, RuntimeError, SessionOptions};

fn f32s(dims: &[usize], values: &[f32]) -> DeviceTensor {
    DeviceTensor::from_f32(dims, values.to_vec()).unwrap()
}

#[test]
fn an_affine_graph_runs_with_batches_of_any_size() {
    let session = runtime().session(&affine(), &SessionOptions::default()).unwrap();
    assert_eq!(
        session.inputs().iter().map(|p| p.describe()).collect::<Vec<_>>(),
        ["f32[B, 3]", "f32[3, 2]", "f32[2]"]
    );
    assert_eq!(session.outputs()[0].shape, [None, Some(2)]);
    let (w, b) = (f32s(&[3, 2], &[1., 2., 3., 4., 5., 6.]), f32s(&[2], &[0.5, -0.5]));
    let x = f32s(&[1, 3], &[1., 1., 2.]);
    let y = session.run(&[("x", &x), ("w", &w), ("b", &b)]).unwrap();
    assert_eq!((y[0].dims(), y[0].to_f32().unwrap()), (&[1, 2][..], vec![14.5, 17.5]));
    let x = f32s(&[2, 3], &[1., 0., 0., 0., 0., 1.]);
    let y = session.run(&[("b", &b), ("x", &x), ("w", &w)]).unwrap();
    assert_eq!(y[0].to_f32().unwrap(), [1.5, 1.5, 5.5, 5.5]);
}

#[test]
fn feeds_that_do_not_fit_are_named() {
    let session = runtime().session(&affine(), &SessionOptions::default()).unwrap();
    let (x, w, b) = (f32s(&[1, 3], &[0.; 3]), f32s(&[3, 2], &[0.; 6]), f32s(&[2], &[0.; 2]));
    let ints = DeviceTensor::from_i64(&[1, 3], vec![0; 3]).unwrap();
    let wide = f32s(&[1, 4], &[0.; 4]);
    let flat = f32s(&[3], &[0.; 3]);
    type Case<'a> = (&'a [(&'a str, &'a DeviceTensor)], &'a [&'a str]);
    let cases: [Case; 5] = [
        (&[("x", &ints)], &["`affine`", "input `x`", "expected f32[B, 3]", "found i64[1, 3]"]),
        (&[("x", &wide)], &["expected f32[B, 3]", "found f32[1, 4]"]),
        (&[("x", &flat)], &["found f32[3]"]),
        (&[("z", &x)], &["input `z`", "one of x, w, b", "no such port"]),
        (&[("x", &x), ("w", &w)], &["input `b`", "expected f32[2]", "nothing bound"]),
    ];
    for (feeds, parts) in cases {
        let error = session.run(feeds).unwrap_err().to_string();
        assert!(parts.iter().all(|p| error.contains(p)), "{error}");
    }
    session.run(&[("x", &x), ("w", &w), ("b", &b)]).unwrap();
}

#[test]
fn inputs_must_agree_about_symbols() {
    let mut g = Graph::new("pair");
    let x = g.input("x", DType::F32, vec!["B".into(), 2i64.into()]).unwrap();
    let y = g.input("y", DType::F32, vec!["B".into(), 2i64.into()]).unwrap();
    let z = g.mul(x, y).unwrap();
    g.output("z", z).unwrap();
    let session = runtime().session(&g, &SessionOptions::default()).unwrap();
    let error = session.run(&[("x", &f32s(&[1, 2], &[0.; 2])), ("y", &f32s(&[3, 2], &[0.; 6]))]).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("input `y`") && error.contains("B = 1 as in `x`"), "{error}");
}

#[test]
fn tensors_without_elements_are_inputs_and_outputs() {
    let mut g = Graph::new("cache");
    let old = g.input("old", DType::F32, ["2", "4", "P", "8"].map(Into::into).to_vec()).unwrap();
    let new = g.input("new", DType::F32, [2i64, 4, 1, 8].map(Into::into).to_vec()).unwrap();
    let all = g.concat(&[old, new], 2).unwrap();
    let twice = g.add(old, old).unwrap();
    g.output("all", all).unwrap();
    g.output("twice", twice).unwrap();
    let session = runtime().session(&g, &SessionOptions::default()).unwrap();
    let new = f32s(&[2, 4, 1, 8], &[1.5; 64]);
    let none = DeviceTensor::zeros(DType::F32, &[2, 4, 0, 8]).unwrap();
    let mut binding = session.bind().unwrap();
    binding.input("old", &none).unwrap();
    binding.input("new", &new).unwrap();
    // Outputs grow from run to run as they are fed back.
    for step in 1..=3 {
        let outputs = binding.run().unwrap();
        let (all, twice) = (&outputs[0].1, &outputs[1].1);
        assert_eq!(all.dims(), [2, 4, step, 8]);
        assert_eq!(twice.dims(), [2, 4, step - 1, 8]);
        assert!(all.to_f32().unwrap().iter().all(|v| *v == 1.5));
        assert!(twice.to_f32().unwrap().iter().all(|v| *v == 3.0));
        binding.input("old", all).unwrap();
    }
    assert_eq!(none.to_f32().unwrap(), []);
    assert_eq!(none.reshaped(&[0]).unwrap().dims(), [0]);
}

#[test]
fn types_keep_their_values() {
    let mut g = Graph::new("types");
    let i = g.input("i", DType::I64, vec!["N".into()]).unwrap();
    let b = g.input("b", DType::Bool, vec!["N".into()]).unwrap();
    let zero = g.zeros_like(i).unwrap();
    let kept = g.select(b, i, zero).unwrap();
    let not = g.not(b).unwrap();
    g.output("kept", kept).unwrap();
    g.output("not", not).unwrap();
    let session = runtime().session(&g, &SessionOptions::default()).unwrap();
    let i = DeviceTensor::from_i64(&[3], vec![i64::MAX, -7, 3]).unwrap();
    let b = DeviceTensor::from_bool(&[3], vec![true, false, true]).unwrap();
    let outputs = session.run(&[("i", &i), ("b", &b)]).unwrap();
    assert_eq!(outputs[0].to_i64().unwrap(), [i64::MAX, 0, 3]);
    assert_eq!(outputs[1].to_bool().unwrap(), [false, true, false]);
    let tensor = Tensor::from_f64(&[1, 2], &[0.1, -0.2]).unwrap();
    let back = DeviceTensor::from_tensor(&tensor).unwrap().to_tensor().unwrap();
    assert_eq!(back, tensor);
    for error in [
        DeviceTensor::from_f32(&[3], vec![0.0; 2]).unwrap_err(),
        i.to_f32().unwrap_err(),
        i.write_f32(&[0.0; 3]).unwrap_err(),
        i.write_i64(&[0; 4]).unwrap_err(),
        i.reshaped(&[2, 2]).unwrap_err(),
        DeviceTensor::zeros(DType::F32, &[usize::MAX, 2]).unwrap_err(),
    ] {
        assert!(matches!(error, RuntimeError::Tensor { .. }), "{error}");
    }
}

#[test]
fn a_model_that_is_none_is_an_error_with_its_name() {
    let error =
        runtime().session_from_bytes("broken", b"not a model", &SessionOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("graph `broken`: making a session: "), "{error}");
}

#[test]
fn a_failing_run_names_the_graph_and_leaves_the_session_usable() {
    let mut g = Graph::new("lookup");
    let table = g.input("table", DType::F32, vec!["V".into()]).unwrap();
    let at = g.input("at", DType::I64, vec!["N".into()]).unwrap();
    let y = g.gather(table, at, 0).unwrap();
    g.output("y", y).unwrap();
    let session = runtime().session(&g, &SessionOptions::default()).unwrap();
    let table = f32s(&[2], &[5., 6.]);
    let at = DeviceTensor::from_i64(&[1], vec![9]).unwrap();
    let error = session.run(&[("table", &table), ("at", &at)]).unwrap_err().to_string();
    assert!(error.starts_with("graph `lookup`: running: ") && error.contains("Gather"), "{error}");
    at.write_i64(&[1]).unwrap();
    assert_eq!(session.run(&[("table", &table), ("at", &at)]).unwrap()[0].to_f32().unwrap(), [6.0]);
}

#[test]
fn a_profile_is_written_where_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let options = SessionOptions { profile: Some(folder.path().join("affine")), ..SessionOptions::default() };
    let session = runtime().session(&affine(), &options).unwrap();
    let (x, w, b) = (f32s(&[1, 3], &[0.; 3]), f32s(&[3, 2], &[0.; 6]), f32s(&[2], &[0.; 2]));
    session.run(&[("x", &x), ("w", &w), ("b", &b)]).unwrap();
    let profile = session.end_profile().unwrap();
    assert!(profile.starts_with(folder.path()));
    assert!(std::fs::read_to_string(profile).unwrap().contains("model_run"));
}

#[test]
fn sessions_move_between_threads() {
    let session = runtime().session(&affine(), &SessionOptions::default()).unwrap();
    let (w, b) = (f32s(&[3, 2], &[1.; 6]), f32s(&[2], &[0.; 2]));
    let sums = std::thread::scope(|scope| {
        let runs = (0..4).map(|i| {
            let (session, w, b) = (session.clone(), w.clone(), b.clone());
            scope.spawn(move || {
                let x = f32s(&[1, 3], &[i as f32; 3]);
                session.run(&[("x", &x), ("w", &w), ("b", &b)]).unwrap()[0].to_f32().unwrap()[0]
            })
        });
        runs.collect::<Vec<_>>().into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(sums, [0.0, 3.0, 6.0, 9.0]);
}

#[test]
fn the_doctor_knows_the_library() {
    let runtime = runtime();
    let doctor = runtime.doctor();
    assert!(doctor.library.is_file() && doctor.version.starts_with("1."), "{doctor:?}");
    assert!(doctor.built_in.iter().any(|n| n == "CPUExecutionProvider"), "{doctor:?}");
    assert!(!doctor.devices.is_empty() && doctor.cores > 0 && doctor.threads == 2, "{doctor:?}");
    eprintln!("{doctor:?}");
    assert_eq!(runtime.provider(), "cpu");
    assert_eq!(runtime.report(), "providers: cpu");
    // Once for the process.
    let again = ekphrasis_runtime::Runtime::start(&ekphrasis_runtime::Config::default(), &|_| {}).unwrap();
    assert_eq!(again.threads(), 2);
}
