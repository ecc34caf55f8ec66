//! Sessions share their working memory. On its own, since it watches the memory of the process.

mod common;

use common::runtime;
use ekphrasis_graph::{DType, Graph};
use ekphrasis_runtime::{DeviceTensor, SessionOptions, peak_memory_bytes};

/// A graph that holds sixteen tensors of 4 MiB at once.
fn wide(name: &str) -> Graph {
    let mut g = Graph::new(name);
    let x = g.input("x", DType::F32, vec!["N".into()]).unwrap();
    let mut parts = vec![x];
    for _ in 0..16 {
        parts.push(g.tanh(parts[parts.len() - 1]).unwrap());
    }
    let all = g.concat(&parts[1..], 0).unwrap();
    let mean = g.reduce_mean(all, &[], false).unwrap();
    g.output("mean", mean).unwrap();
    g
}

#[test]
fn eight_sessions_need_the_room_of_one() {
    let Some(before) = peak_memory_bytes() else {
        eprintln!("skipped: the system does not tell how much memory is used");
        return;
    };
    let runtime = runtime();
    let x = DeviceTensor::from_f32(&[1 << 20], vec![0.5; 1 << 20]).unwrap();
    let run = |name: String| {
        let session = runtime.session(&wide(&name), &SessionOptions::default()).unwrap();
        session.run(&[("x", &x)]).unwrap();
        session
    };
    let _first = run("first".into());
    let one = peak_memory_bytes().unwrap();
    assert!(one - before > 60 << 20, "a run holds 64 MiB at once, but the peak grew by {}", one - before);
    let _others: Vec<_> = (0..7).map(|i| run(format!("other{i}"))).collect();
    let all = peak_memory_bytes().unwrap();
    eprintln!("peak: {} MiB before, {} with one session, {} with eight", before >> 20, one >> 20, all >> 20);
    assert!(all - one < 40 << 20, "seven more sessions took {} MiB", (all - one) >> 20);
}
