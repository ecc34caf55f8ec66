//! ONNX Runtime's profile, and the speed of a plain matrix product.

use crate::error::Result;
use ekphrasis_graph::{DType, Graph};
use ekphrasis_runtime::{DeviceTensor, Runtime, SessionOptions};
use serde::Deserialize;
use std::time::Instant;

/// Rows and columns of the plain product.
pub const MATRIX: usize = 768;

/// One run of one kernel.
pub struct Kernel {
    pub node: String,
    pub op: String,
    pub milliseconds: f64,
}

/// An event of Chrome's trace format, in microseconds.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    name: String,
    #[serde(default)]
    ts: i64,
    #[serde(default)]
    dur: i64,
    #[serde(default)]
    args: serde_json::Value,
}

/// The kernels in a profile, without those of the first `warm` runs.
pub fn kernels(text: &str, warm: usize) -> Result<Vec<Kernel>, String> {
    let events: Vec<Event> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut starts: Vec<i64> = events.iter().filter(|e| e.name == "model_run").map(|e| e.ts).collect();
    starts.sort_unstable();
    let from = *starts
        .get(warm)
        .ok_or_else(|| format!("expected more than {warm} runs in it, found {}", starts.len()))?;
    let kernel = |e: Event| {
        let node = e.name.strip_suffix("_kernel_time").filter(|_| e.cat == "Node" && e.ts >= from)?;
        Some(Kernel {
            node: node.to_owned(),
            op: e.args.get("op_name").and_then(|op| op.as_str()).unwrap_or("?").to_owned(),
            milliseconds: e.dur as f64 / 1e3,
        })
    };
    Ok(events.into_iter().filter_map(kernel).collect())
}

/// The middle of some numbers.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Milliseconds that one product of two square matrices takes.
pub fn matrix_product(runtime: &Runtime) -> Result<f64> {
    let mut g = Graph::new("matrix product");
    let shape = || vec![MATRIX.into(), MATRIX.into()];
    let (a, b) = (g.input("a", DType::F32, shape())?, g.input("b", DType::F32, shape())?);
    let y = g.matmul(a, b)?;
    g.output("y", y)?;
    let session = runtime.session(&g, &SessionOptions::default())?;
    let ones = DeviceTensor::from_f32(&[MATRIX, MATRIX], vec![1.0; MATRIX * MATRIX])?;
    let mut times = vec![];
    for _ in 0..9 {
        let start = Instant::now();
        session.run(&[("a", &ones), ("b", &ones)])?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&mut times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_warm_up_do_not_count() {
        let node = |name: &str, ts: i64, dur: i64| {
            format!(
                r#"{{"cat":"Node","name":"{name}_kernel_time","ts":{ts},"dur":{dur},"args":{{"op_name":"Conv"}}}}"#
            )
        };
        let run = |ts: i64| format!(r#"{{"cat":"Session","name":"model_run","ts":{ts},"dur":9}}"#);
        let all = [node("a", 1, 500), run(0), node("a", 11, 2000), node("b", 12, 250), run(10)];
        let kernels = kernels(&format!("[{}]", all.join(",")), 1).unwrap();
        let found: Vec<_> =
            kernels.iter().map(|k| (k.node.as_str(), k.op.as_str(), k.milliseconds)).collect();
        assert_eq!(found, [("a", "Conv", 2.0), ("b", "Conv", 0.25)]);
        assert!(super::kernels("[]", 1).is_err() && super::kernels("{", 0).is_err());
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
