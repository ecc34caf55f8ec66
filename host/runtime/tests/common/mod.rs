//! What the tests of this crate share.

use ekphrasis_graph::{DType, Graph};
use ekphrasis_runtime::{Config, Runtime};

/// The runtime on the CPU, with two threads.
pub fn runtime() -> Runtime {
    let config = Config { threads: Some(2), ..Config::default() };
    Runtime::start(&config, &|line| eprintln!("{line}")).unwrap()
}

/// `y = x w + b` with `x: f32[B, 3]`, `w: f32[3, 2]`, `b: f32[2]`.
#[allow(dead_code)]
pub fn affine() -> Graph {
    let mut g = Graph::new("affine");
    let x = g.input("x", DType::F32, vec!["B".into(), 3i64.into()]).unwrap();
    let w = g.input("w", DType::F32, vec![3i64.into(), 2i64.into()]).unwrap();
    let b = g.input("b", DType::F32, vec![2i64.into()]).unwrap();
    let y = g.matmul(x, w).unwrap();
    let y = g.add(y, b).unwrap();
    g.output("y", y).unwrap();
    g
}
