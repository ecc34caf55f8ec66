//! Starting: what is missing or wrong is told apart, and nothing is fetched when that is forbidden.
//! Everything is in one test, since a process starts ONNX Runtime once.

use ekphrasis_runtime::{Config, DeviceTensor, Provider, Runtime, RuntimeError, locate};

#[test]
fn starting_fails_with_reasons_until_it_can_succeed() {
    if std::env::var_os("ORT_DYLIB_PATH").is_some() {
        eprintln!("skipped: ORT_DYLIB_PATH overrides what this test tries");
        return;
    }
    let error = DeviceTensor::from_f32(&[1], vec![0.0]).unwrap_err().to_string();
    assert!(error.contains("hint: call `Runtime::start`"), "{error}");

    let empty = tempfile::tempdir().unwrap();
    let config = Config { cache: empty.path().into(), offline: true, ..Config::default() };
    match locate(&config, &|line| panic!("offline, and yet: {line}")) {
        Ok(found) => assert!(["Python package", "system"].contains(&found.source), "{found:?}"),
        Err(error) => {
            assert!(matches!(error, RuntimeError::Missing { .. }), "{error}");
            let error = error.to_string();
            assert!(
                error.contains(&empty.path().display().to_string()) && error.contains("hint:"),
                "{error}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);

    let library = Some(empty.path().join("libonnxruntime.so"));
    let error = Runtime::start(&Config { library, ..Config::default() }, &|_| {}).unwrap_err();
    assert!(matches!(error, RuntimeError::Library { .. }), "{error}");

    let start = |names: &[&str]| {
        let providers = names.iter().map(|n| Provider::new(n)).collect();
        Runtime::start(&Config { providers, ..Config::default() }, &|line| eprintln!("{line}"))
    };
    let error = start(&["cuba", "cpu"]).unwrap_err().to_string();
    assert!(error.contains("provider `cuba`") && error.contains("hint:"), "{error}");
    match start(&["tensorrt", "cuda"]) {
        Ok(runtime) => assert!(["tensorrt", "cuda"].contains(&runtime.provider())),
        Err(error) => {
            assert!(matches!(error, RuntimeError::NoProvider { .. }), "{error}");
            let error = error.to_string();
            assert!(
                error.contains("tensorrt: ") && error.contains("cuda: ") && error.contains("hint:"),
                "{error}"
            );
        }
    }
    let runtime = start(&["tensorrt", "cuda", "cpu"]).unwrap();
    assert!(runtime.report().starts_with("providers: "), "{}", runtime.report());
    if runtime.provider() == "cpu" {
        assert!(
            runtime.report().contains("(tensorrt: ") && runtime.report().contains("; cuda: "),
            "{}",
            runtime.report()
        );
    }
    eprintln!("{}", runtime.report());
    assert_eq!(DeviceTensor::from_f32(&[1], vec![0.5]).unwrap().to_f32().unwrap(), [0.5]);
}
