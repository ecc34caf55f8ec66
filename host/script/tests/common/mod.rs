//! What the tests share: an engine over the real runtime.
#![allow(dead_code)]

use ekphrasis_runtime::{Config, Runtime};
use ekphrasis_script::{Engine, Kind, Limits, Script, ScriptError};
use std::time::Duration;

/// An engine that computes.
pub fn engine() -> Engine {
    let runtime =
        Runtime::start(&Config::default(), &|line| eprintln!("{line}")).expect("ONNX Runtime starts");
    Engine::new(limits(), Some(runtime)).expect("an engine")
}

/// An engine that computes and has the time to run into the memory limit.
pub fn patient() -> Engine {
    let runtime =
        Runtime::start(&Config::default(), &|line| eprintln!("{line}")).expect("ONNX Runtime starts");
    Engine::new(Limits { wall: Duration::from_secs(60), ..limits() }, Some(runtime)).expect("an engine")
}

/// An engine that only traces.
pub fn tracer() -> Engine {
    Engine::new(limits(), None).expect("an engine")
}

/// Short limits, so that what runs into them is over soon.
pub fn limits() -> Limits {
    Limits { wall: Duration::from_millis(700), memory: 64 << 20 }
}

/// A study whose function is `function(a, b) BODY end`.
pub fn script(engine: &Engine, body: &str) -> Script {
    let text = format!("return {{ api = 1, doc = 'test', study = function(a, b)\n{body}\nend }}");
    engine.load_text(Kind::Study, "scripts/test.lua", &text).expect("the script loads")
}

/// Runs a body and gives its error.
pub fn error_of(engine: &Engine, body: &str) -> ScriptError {
    let script = script(engine, body);
    match engine.call(&script, "study", ()) {
        Ok(values) => panic!("expected an error of\n{body}\nfound {values:?}"),
        Err(e) => e,
    }
}
