//! The first sessions of a process, made at once; nothing else is in this file, so that they are the first.

mod common;

use common::runtime;
use ekphrasis_graph::{DType, Graph};
use ekphrasis_runtime::SessionOptions;

#[test]
fn many_threads_may_make_the_first_sessions() {
    let runtime = runtime();
    let mut g = Graph::new("first");
    let x = g.input("x", DType::F32, vec![2.into()]).unwrap();
    let y = g.neg(x).unwrap();
    g.output("y", y).unwrap();
    let make = || runtime.session(&g, &SessionOptions::default()).map(|_| ()).map_err(|e| e.to_string());
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(made, vec![Ok(()); 16]);
}
