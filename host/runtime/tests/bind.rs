//! Bindings share memory with what is bound: two arenas swap roles, writes are seen.

mod common;

use common::{affine, runtime};
use ekphrasis_graph::{DType, Graph};
use ekphrasis_runtime::{Arena, DeviceTensor, RuntimeError, SessionOptions};

/// Plain descent over two parameters: reads their views and a flat gradient, writes them flat.
/// The layout is that of an arena: `w` at 0, padded to 16; `b` at 16, padded to 32.
fn descent(lr: f64) -> Graph {
    let mut g = Graph::new("descent");
    let w = g.input("w", DType::F32, vec![2i64.into(), 3i64.into()]).unwrap();
    let b = g.input("b", DType::F32, vec![3i64.into()]).unwrap();
    let grad = g.input("grad", DType::F32, vec![32i64.into()]).unwrap();
    let w = g.reshape(w, &[6i64.into()]).unwrap();
    let pad =
        |g: &mut Graph, n: usize| g.constant(ekphrasis_graph::Tensor::from_f32(&[n], &vec![0.0; n]).unwrap());
    let (p, q) = (pad(&mut g, 10), pad(&mut g, 13));
    let flat = g.concat(&[w, p, b, q], 0).unwrap();
    let step = g.scale(grad, lr).unwrap();
    let new = g.sub(flat, step).unwrap();
    g.output("flat", new).unwrap();
    g
}

#[test]
fn two_arenas_swap_roles_for_ten_steps() {
    let runtime = runtime();
    let layout = [("w".to_owned(), vec![2, 3]), ("b".to_owned(), vec![3])];
    let arenas = [Arena::new(&runtime, &layout).unwrap(), Arena::new(&runtime, &layout).unwrap()];
    assert_eq!(arenas[0].len_padded(), 32);
    assert_eq!(arenas[0].offsets().iter().map(|s| s.offset).collect::<Vec<_>>(), [0, 16]);
    arenas[0].view("w").unwrap().write_f32(&[1., 2., 3., 4., 5., 6.]).unwrap();
    arenas[0].view("b").unwrap().write_f32(&[-1., 0., 1.]).unwrap();
    assert_eq!(arenas[0].read().unwrap()[14..19], [0., 0., -1., 0., 1.]);
    let grad = DeviceTensor::zeros(DType::F32, &[32]).unwrap();
    let session = runtime.session(&descent(0.5), &SessionOptions::default()).unwrap();
    let mut bindings = [(0, 1), (1, 0)].map(|(from, to)| {
        let mut binding = session.bind().unwrap();
        for (name, view) in arenas[from].views() {
            binding.input(name, view).unwrap();
        }
        binding.input("grad", &grad).unwrap();
        binding.output("flat", arenas[to].flat()).unwrap();
        binding
    });
    let mut expected: Vec<f32> = arenas[0].read().unwrap();
    for step in 0..10 {
        // Written into the tensor that both bindings hold.
        let values: Vec<f32> =
            (0..32).map(|i| if i < 6 || (16..19).contains(&i) { (i + step) as f32 } else { 0.0 }).collect();
        grad.write_f32(&values).unwrap();
        expected.iter_mut().zip(&values).for_each(|(w, g)| *w -= 0.5 * g);
        assert!(bindings[step % 2].run().unwrap().is_empty());
        assert_eq!(arenas[(step + 1) % 2].read().unwrap(), expected, "step {step}");
    }
    assert_eq!(arenas[0].view("b").unwrap().to_f32().unwrap(), expected[16..19]);
    // The other arena is one step behind; copying catches up.
    assert_ne!(arenas[1].read().unwrap(), expected);
    arenas[1].copy_from(&arenas[0]).unwrap();
    assert_eq!(arenas[1].read().unwrap(), expected);
}

#[test]
fn views_are_aligned_and_outlive_their_arena() {
    let runtime = runtime();
    let layout: Vec<(String, Vec<usize>)> = (1..20).map(|i| (format!("p{i}"), vec![i])).collect();
    let arena = Arena::new(&runtime, &layout).unwrap();
    for (name, view) in arena.views() {
        assert_eq!(view.with_f32(|v| v.as_ptr() as usize % 64).unwrap(), 0, "{name}");
    }
    let view = arena.view("p7").unwrap().clone();
    arena.write(&vec![2.5; arena.len_padded()]).unwrap();
    drop(arena);
    assert_eq!(view.to_f32().unwrap(), [2.5; 7]);
    let square = runtime.zeros(DType::F32, &[6]).unwrap().reshaped(&[2, 3]).unwrap();
    assert_eq!(square.dims(), [2, 3]);
}

#[test]
fn a_port_bound_again_is_replaced() {
    let session = runtime().session(&affine(), &SessionOptions::default()).unwrap();
    let make = |dims: &[usize], v: f32| DeviceTensor::from_f32(dims, vec![v; dims.iter().product()]).unwrap();
    let mut binding = session.bind().unwrap();
    binding.input("x", &make(&[1, 3], 1.0)).unwrap();
    binding.input("w", &make(&[3, 2], 1.0)).unwrap();
    binding.input("b", &make(&[2], 0.0)).unwrap();
    let first = binding.run().unwrap().remove(0).1;
    binding.input("x", &make(&[2, 3], 2.0)).unwrap();
    let second = binding.run().unwrap().remove(0).1;
    let room = make(&[2, 2], 0.0);
    binding.output("y", &room).unwrap();
    assert!(binding.run().unwrap().is_empty());
    // Results of earlier runs keep their values.
    assert_eq!((first.dims(), first.to_f32().unwrap()), (&[1, 2][..], vec![3.0; 2]));
    assert_eq!((second.dims(), second.to_f32().unwrap()), (&[2, 2][..], vec![6.0; 4]));
    assert_eq!(room.to_f32().unwrap(), [6.0; 4]);
    // Room of the wrong size is refused by ONNX Runtime, with the graph's name.
    binding.output("y", &make(&[5, 2], 0.0)).unwrap();
    let error = binding.run().unwrap_err().to_string();
    assert!(error.starts_with("graph `affine`: running: "), "{error}");
}

#[test]
fn an_output_may_not_share_memory_with_another_port() {
    let runtime = runtime();
    let session = runtime.session(&descent(1.0), &SessionOptions::default()).unwrap();
    let arena = Arena::new(&runtime, &[("w".to_owned(), vec![2, 3]), ("b".to_owned(), vec![3])]).unwrap();
    let mut binding = session.bind().unwrap();
    for (name, view) in arena.views() {
        binding.input(name, view).unwrap();
    }
    binding.input("grad", &DeviceTensor::zeros(DType::F32, &[32]).unwrap()).unwrap();
    binding.output("flat", arena.flat()).unwrap();
    let error = binding.run().unwrap_err().to_string();
    assert!(error.contains("output `flat`") && error.contains("memory of its own"), "{error}");
    let room = Arena::new(&runtime, &[("all".to_owned(), vec![32])]).unwrap();
    binding.output("flat", room.flat()).unwrap();
    binding.run().unwrap();
}

/// A graph of which an output is an input, another a constant, and two are one value.
fn shortcuts() -> Graph {
    let mut g = Graph::new("shortcuts");
    let x = g.input("x", DType::F32, vec!["N".into()]).unwrap();
    let one = g.constant(ekphrasis_graph::Tensor::from_f32(&[2], &[1.0; 2]).unwrap());
    let twice = g.add(x, x).unwrap();
    for (name, value) in [("same", x), ("one", one), ("twice", twice), ("again", twice)] {
        g.output(name, value).unwrap();
    }
    g
}

#[test]
fn outputs_have_memory_of_their_own() {
    let runtime = runtime();
    let session = runtime.session(&shortcuts(), &SessionOptions::default()).unwrap();
    let arena = Arena::new(&runtime, &[("x".to_owned(), vec![2])]).unwrap();
    let x = arena.view("x").unwrap().clone();
    x.write_f32(&[3., 4.]).unwrap();
    let expected = [vec![3., 4.], vec![1.; 2], vec![6., 8.], vec![6., 8.]];
    let outputs = session.run(&[("x", &x)]).unwrap();
    for i in 0..4 {
        let values: Vec<Vec<f32>> = outputs.iter().map(|t| t.to_f32().unwrap()).collect();
        assert_eq!(values[i..], expected[i..]);
        outputs[i].write_f32(&[-1., -1.]).unwrap();
    }
    assert_eq!(x.to_f32().unwrap(), [3., 4.]);
    // Where some outputs have room and some do not, each gets its own values.
    let room = [0, 1].map(|_| DeviceTensor::zeros(DType::F32, &[2]).unwrap());
    let mut binding = session.bind().unwrap();
    binding.input("x", &x).unwrap();
    binding.output("again", &room[0]).unwrap();
    binding.output("same", &room[1]).unwrap();
    let rest = binding.run().unwrap();
    assert_eq!(rest.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one", "twice"]);
    assert_eq!(rest.iter().map(|(_, t)| t.to_f32().unwrap()).collect::<Vec<_>>(), expected[1..3]);
    assert_eq!(room.map(|t| t.to_f32().unwrap()), [vec![6., 8.], vec![3., 4.]]);
}

#[test]
fn an_input_that_is_itself_an_output_is_refused() {
    let mut g = Graph::new("handed_on");
    let x = g.input("x", DType::F32, vec!["N".into()]).unwrap();
    g.output("x", x).unwrap();
    let error = runtime().session(&g, &SessionOptions::default()).unwrap_err().to_string();
    assert!(error.contains("`handed_on`") && error.contains("`x`"), "{error}");
}

#[test]
fn memory_in_use_is_refused_not_raced_on() {
    let session = runtime().session(&affine(), &SessionOptions::default()).unwrap();
    let x = DeviceTensor::from_f32(&[1, 3], vec![1.0; 3]).unwrap();
    let rest =
        [("w", &[3, 2][..]), ("b", &[2])].map(|(n, d)| (n, DeviceTensor::zeros(DType::F32, d).unwrap()));
    let mut binding = session.bind().unwrap();
    binding.input("x", &x).unwrap();
    rest.iter().for_each(|(name, tensor)| binding.input(name, tensor).unwrap());
    let y = DeviceTensor::zeros(DType::F32, &[1, 2]).unwrap();
    binding.output("y", &y).unwrap();
    x.with_f32(|_| {
        assert!(matches!(x.write_f32(&[0.0; 3]), Err(RuntimeError::Busy { .. })));
        binding.run().unwrap(); // Two may read.
    })
    .unwrap();
    y.with_f32(|_| assert!(matches!(binding.run(), Err(RuntimeError::Busy { .. })))).unwrap();
    x.write_f32(&[0.0; 3]).unwrap();
    binding.run().unwrap();
}
