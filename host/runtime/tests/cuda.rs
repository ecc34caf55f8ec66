//! On a GPU: tensors on either side, and bindings that become CUDA graphs. Skips aloud without one.

#[allow(dead_code, reason = "the tests on the CPU need more of it")]
mod common;

use common::affine;
use ekphrasis_graph::{DType, Dim, Graph, Tensor, ValueId};
use ekphrasis_runtime::{Arena, Config, DeviceTensor, Provider, Runtime, SessionOptions};

/// The runtime on CUDA, if there is one.
fn cuda() -> Option<Runtime> {
    let providers = vec![Provider::new("cuda"), Provider::new("cpu")];
    let runtime = Runtime::start(&Config { providers, ..Config::default() }, &|l| eprintln!("{l}")).unwrap();
    if runtime.provider() != "cuda" {
        eprintln!("skipped: {}", runtime.report());
        return None;
    }
    Some(runtime)
}

fn capturing() -> SessionOptions {
    SessionOptions { capture: true, disable_cpu_fallback: true, ..SessionOptions::default() }
}

#[test]
fn values_reach_the_device_and_come_back() {
    let Some(runtime) = cuda() else { return };
    let there = runtime.zeros(DType::F32, &[6]).unwrap();
    assert!(!there.is_on_host());
    assert_eq!(there.to_f32().unwrap(), [0.0; 6]);
    there.write_f32(&[1., 2., 3., 4., 5., 6.]).unwrap();
    let copy = runtime.zeros(DType::F32, &[6]).unwrap();
    copy.copy_from(&there).unwrap();
    assert_eq!(copy.reshaped(&[2, 3]).unwrap().to_f32().unwrap(), [1., 2., 3., 4., 5., 6.]);
    let arena = Arena::new(&runtime, &[("a".into(), vec![3]), ("b".into(), vec![2])]).unwrap();
    arena.view("b").unwrap().write_f32(&[7., 8.]).unwrap();
    assert_eq!(arena.read().unwrap()[14..19], [0., 0., 7., 8., 0.]);
}

/// What stays bound is captured after its first run; a value written into a tensor on the host, another tensor at its
/// place and another size all reach the next run.
#[test]
fn a_captured_run_sees_what_changes() {
    let Some(runtime) = cuda() else { return };
    for options in [SessionOptions::default(), capturing()] {
        let session = runtime.session(&affine(), &options).unwrap();
        let make = |dims: &[usize], values: &[f32]| DeviceTensor::from_f32(dims, values.to_vec()).unwrap();
        let (x, y) = (make(&[1, 3], &[0.; 3]), make(&[1, 2], &[0.; 2]));
        let mut binding = session.bind().unwrap();
        binding.input("w", &make(&[3, 2], &[1., 0., 1., 0., 1., 2.])).unwrap();
        binding.input("b", &make(&[2], &[0.5, -0.5])).unwrap();
        binding.input("x", &x).unwrap();
        binding.output("y", &y).unwrap();
        for i in 0..6 {
            let v = i as f32;
            x.write_f32(&[v, 1.0, v]).unwrap();
            assert!(binding.run().unwrap().is_empty());
            assert_eq!(y.to_f32().unwrap(), [2.0 * v + 1.5, 2.0 * v - 0.5], "run {i}, {options:?}");
        }
        for i in 0..3 {
            binding.input("x", &make(&[1, 3], &[0.0, 0.0, i as f32])).unwrap();
            binding.run().unwrap();
            assert_eq!(y.to_f32().unwrap(), [i as f32 + 0.5, 2.0 * i as f32 - 0.5], "another tensor {i}");
        }
        let (x, y) = (make(&[2, 3], &[1.; 6]), make(&[2, 2], &[0.; 4]));
        binding.input("x", &x).unwrap();
        binding.output("y", &y).unwrap();
        for i in 0..4 {
            x.write_f32(&[i as f32; 6]).unwrap();
            binding.run().unwrap();
            let (a, b) = (3.0 * i as f32 + 0.5, 2.0 * i as f32 - 0.5);
            assert_eq!(y.to_f32().unwrap(), [a, b, a, b], "another size, run {i}");
        }
        // Results that nobody made room for keep their values while captured runs go on.
        let mut free = session.bind().unwrap();
        free.input("w", &make(&[3, 2], &[1.; 6])).unwrap();
        free.input("b", &make(&[2], &[0.; 2])).unwrap();
        free.input("x", &make(&[2, 3], &[2.; 6])).unwrap();
        let result = free.run().unwrap().remove(0).1;
        assert_eq!(result.is_on_host(), options.capture);
        binding.run().unwrap();
        assert_eq!(result.to_f32().unwrap(), [6.0; 4]);
    }
}

/// Two bindings that swap their buffers are two graphs: one alone would write to its own buffer each time.
#[test]
fn double_buffers_are_captured_apart() {
    let Some(runtime) = cuda() else { return };
    let mut g = Graph::new("descent");
    let w = g.input("w", DType::F32, vec![32i64.into()]).unwrap();
    let rate = g.input("rate", DType::F32, vec![]).unwrap();
    let step = g.mul(w, rate).unwrap();
    let next = g.sub(w, step).unwrap();
    g.output("next", next).unwrap();
    let session = runtime.session(&g, &capturing()).unwrap();
    let buffers = [(); 2].map(|()| runtime.zeros(DType::F32, &[32]).unwrap());
    buffers[0].write_f32(&[1024.0; 32]).unwrap();
    let rate = DeviceTensor::from_f32(&[], vec![0.5]).unwrap();
    let mut bindings = [0, 1].map(|now| {
        let mut binding = session.bind().unwrap();
        binding.input("w", &buffers[now]).unwrap();
        binding.input("rate", &rate).unwrap();
        binding.output("next", &buffers[1 - now]).unwrap();
        binding
    });
    let mut expected = 1024.0;
    for step in 0..10 {
        let r = if step < 6 { 0.5 } else { 0.25 };
        rate.write_f32(&[r]).unwrap();
        bindings[step % 2].run().unwrap();
        expected -= r * expected;
        assert_eq!(buffers[(step + 1) % 2].to_f32().unwrap(), [expected; 32], "step {step}");
    }
}

/// What a graph of one input gives with operators of our own on CUDA, and without.
fn both(runtime: &Runtime, dims: &[usize], build: impl Fn(&mut Graph, ValueId) -> ValueId) -> [Vec<f32>; 2] {
    let mut g = Graph::new("one");
    let x = g.input("x", DType::F32, dims.iter().map(|d| (*d).into()).collect::<Vec<Dim>>()).unwrap();
    let y = build(&mut g, x);
    g.output("y", y).unwrap();
    let n: usize = dims.iter().product();
    let values = (0..n).map(|i| ((i * 7919 % 1009) as f32 / 1009.0 - 0.4) * 3.0).collect();
    let x = DeviceTensor::from_f32(dims, values).unwrap();
    [true, false].map(|fused| {
        let options = SessionOptions { fused, ..capturing() };
        let results = runtime.session(&g, &options).unwrap().run(&[("x", &x)]).unwrap();
        let again = runtime.session(&g, &options).unwrap().run(&[("x", &x)]).unwrap();
        assert_eq!(results[0].to_f32().unwrap(), again[0].to_f32().unwrap(), "the same each time");
        results[0].to_f32().unwrap()
    })
}

/// Arithmetic in one kernel is what single operators give, to the bit; functions to their last places.
#[test]
fn programs_compute_what_their_nodes_do() {
    let Some(runtime) = cuda() else { return };
    for dims in [&[7usize, 5, 33][..], &[64, 128, 257], &[3], &[1, 1]] {
        let last = *dims.last().unwrap();
        let arithmetic = both(&runtime, dims, |g, x| {
            let row: Vec<f32> = (0..last).map(|i| 0.5 + i as f32 / 7.0).collect();
            let row = g.constant(Tensor::from_f32(&[last], &row).unwrap());
            let a = g.mul(x, row).unwrap();
            let b = g.sub(a, x).unwrap();
            let c = g.div(b, row).unwrap();
            let half = g.scalar_like(x, 0.3);
            let d = g.mul(c, half).unwrap();
            let e = g.relu(d).unwrap();
            g.add(e, a).unwrap()
        });
        let differ = arithmetic[0].iter().zip(&arithmetic[1]).find(|(a, b)| a != b);
        assert!(differ.is_none(), "{dims:?}: {differ:?}");
        let [ours, theirs] = both(&runtime, dims, |g, x| {
            let a = g.tanh(x).unwrap();
            let b = g.op("Sigmoid", &[a], &[]).unwrap();
            let c = g.mul(a, b).unwrap();
            let d = g.exp(c).unwrap();
            let e = g.op("Log", &[d], &[]).unwrap();
            // ONNX Runtime's multiplies and adds in one.
            g.op("HardSigmoid", &[e], &[("alpha", 0.7.into()), ("beta", 0.1.into())]).unwrap()
        });
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() <= 2e-6 * b.abs().max(1.0), "{a} {b}");
        }
    }
}

/// Sums over first, last, inner and all dimensions, of few terms and of many.
#[test]
fn sums_are_those_of_the_standard_operators() {
    let Some(runtime) = cuda() else { return };
    let cases: [(&[usize], &[i64]); 12] = [
        (&[1280, 1000], &[0]),
        (&[1280, 1000], &[1]),
        (&[16, 64, 32, 32], &[0, 2, 3]),
        (&[16, 64, 32, 32], &[2, 3]),
        (&[16, 3, 5, 7], &[1]),
        (&[16, 3, 5, 7], &[0, 2]),
        (&[16, 3, 5, 7], &[1, 3]),
        (&[300, 1, 700], &[0, 1, 2]),
        (&[70000], &[0]),
        (&[2, 40000], &[-1]),
        (&[40000, 2], &[0]),
        (&[5, 1], &[1]),
    ];
    for (dims, axes) in cases {
        for (keep, mean) in [(false, false), (true, true)] {
            let [ours, theirs] = both(&runtime, dims, |g, x| match mean {
                true => g.reduce_mean(x, axes, keep).unwrap(),
                false => g.reduce_sum(x, axes, keep).unwrap(),
            });
            let scale = theirs.iter().fold(1f32, |m, v| m.max(v.abs()));
            assert_eq!(ours.len(), theirs.len());
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() <= 1e-5 * scale, "{dims:?} {axes:?}: {a} {b}");
            }
        }
    }
}
