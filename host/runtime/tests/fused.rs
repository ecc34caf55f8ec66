//! Fused arithmetic gives the bits that the single operators give.

mod common;

use common::runtime;
use ekphrasis_graph::{Attr, DType, Dim, Graph, ValueId};
use ekphrasis_runtime::{DeviceTensor, SessionOptions};
use std::collections::HashSet;

/// Numbers that follow no pattern, some of them special.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    fn tensor(&mut self, dims: &[usize]) -> DeviceTensor {
        let one = |n: &mut Self| match n.below(200) {
            0 => 0.0,
            1 => -0.0,
            2 => f32::INFINITY,
            3 => 1e-41,
            _ => n.next() as f32 / (1u32 << 22) as f32 - 2.0,
        };
        let values = (0..dims.iter().product()).map(|_| one(self)).collect();
        DeviceTensor::from_f32(dims, values).unwrap()
    }
}

/// A graph of random arithmetic on inputs of these shapes, with several outputs.
fn arithmetic(shapes: &[Vec<Dim>], nodes: usize, numbers: &mut Numbers) -> Graph {
    let mut g = Graph::new("arithmetic");
    let input = |(i, dims): (usize, &Vec<Dim>)| g.input(&format!("x{i}"), DType::F32, dims.clone()).unwrap();
    let inputs: Vec<ValueId> = shapes.iter().enumerate().map(input).collect();
    // The first has the full shape; each result has it too.
    let mut full = vec![inputs[0]];
    for _ in 0..nodes {
        let a = full[numbers.below(full.len())];
        let b = match numbers.below(2) {
            0 => inputs[numbers.below(inputs.len())],
            _ => full[numbers.below(full.len())],
        };
        let y = match numbers.below(11) {
            0 | 1 => g.add(a, b),
            2 => g.sub(b, a),
            3 | 4 => g.mul(a, b),
            5 => g.div(a, b),
            6 => g.neg(a),
            7 => g.op("Relu", &[a], &[]),
            8 => g.op("LeakyRelu", &[a], &[("alpha", 0.3f32.into())]),
            9 => g.op("HardSigmoid", &[a], &[("alpha", 0.7f32.into()), ("beta", 0.4f32.into())]),
            _ => {
                let a = g.op("Abs", &[a], &[]).unwrap();
                g.sqrt(a)
            }
        };
        full.push(y.unwrap());
    }
    let outputs: HashSet<ValueId> =
        (0..3).map(|_| full[1 + numbers.below(nodes)]).chain(full.last().copied()).collect();
    let mut outputs: Vec<ValueId> = outputs.into_iter().collect();
    outputs.sort();
    for (i, value) in outputs.into_iter().enumerate() {
        g.output(&format!("y{i}"), value).unwrap();
    }
    g
}

#[test]
fn fused_arithmetic_gives_the_same_bits() {
    let (runtime, numbers) = (runtime(), &mut Numbers(7));
    let shapes: [&[&[usize]]; 6] = [
        &[&[3000], &[], &[1]],
        &[&[70, 300], &[300], &[70, 1], &[1, 1]],
        &[&[4, 6, 11, 17], &[6, 1, 1], &[1, 6, 1, 1], &[4, 1, 1, 1], &[17]],
        &[&[2, 3, 5000], &[3, 1], &[2, 3, 1], &[3, 5000]],
        // On several threads, the last piece not whole.
        &[&[131, 997], &[997], &[131, 1]],
        // Two parts that vary are left to ONNX Runtime.
        &[&[9, 8, 70], &[9, 1, 70], &[70]],
    ];
    for dims in shapes {
        for round in 0..6 {
            // In half of the rounds the first dimension is not known.
            let shape = |own: &&[usize]| {
                let leading = own.len() == dims[0].len() && own[0] == dims[0][0] && round % 2 == 1;
                let symbol = |(i, d): (usize, &usize)| match i == 0 && leading {
                    true => Dim::symbol("N"),
                    false => Dim::from(*d),
                };
                own.iter().enumerate().map(symbol).collect::<Vec<Dim>>()
            };
            let g = arithmetic(&dims.iter().map(shape).collect::<Vec<_>>(), 3 + 4 * round, numbers);
            let tensors: Vec<(String, DeviceTensor)> =
                dims.iter().enumerate().map(|(i, d)| (format!("x{i}"), numbers.tensor(d))).collect();
            let known: HashSet<String> = g.inputs().iter().map(|v| g.value(*v).name.clone()).collect();
            let feeds: Vec<(&str, &DeviceTensor)> =
                tensors.iter().filter(|(n, _)| known.contains(n)).map(|(n, t)| (n.as_str(), t)).collect();
            let run = |fused: bool| {
                let options = SessionOptions { fused, ..SessionOptions::default() };
                let outputs = runtime.session(&g, &options).unwrap().run(&feeds).unwrap();
                outputs.iter().map(|t| (t.dims().to_vec(), t.to_f32().unwrap())).collect::<Vec<_>>()
            };
            for ((dims, one), (other_dims, other)) in run(false).into_iter().zip(run(true)) {
                assert_eq!(dims, other_dims);
                // What is no number has many forms.
                let same =
                    |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() || a == b;
                let place = one.iter().zip(&other).position(|pair| !same(pair));
                assert_eq!(
                    place.map(|i| (i, one[i], other[i])),
                    None,
                    "{dims:?} round {round}\n{}",
                    g.describe()
                );
            }
        }
    }
}

#[test]
fn own_transposes_move_the_same_numbers() {
    let (runtime, numbers) = (runtime(), &mut Numbers(13));
    let cases: [(&[usize], &[i64]); 12] = [
        (&[16, 20, 4, 64], &[0, 2, 1, 3]),
        (&[64, 33, 3, 2, 7], &[3, 0, 2, 1, 4]),
        (&[32, 64, 33], &[1, 0, 2]),
        (&[512, 16, 2, 2], &[1, 0, 2, 3]),
        (&[3, 200, 101], &[0, 2, 1]),
        (&[200, 301], &[1, 0]),
        (&[17, 16, 15, 14], &[3, 1, 2, 0]),
        (&[17, 16, 15, 14], &[2, 3, 0, 1]),
        (&[9, 1, 70, 1, 65], &[4, 1, 2, 0, 3]),
        // Rows and columns of one, and what does not move.
        (&[40000, 1], &[1, 0]),
        (&[40, 1000], &[0, 1]),
        (&[2, 2, 2, 2, 2, 2, 2, 2, 2, 80], &[9, 1, 0, 3, 2, 5, 4, 8, 7, 6]),
    ];
    for (dims, perm) in cases {
        for symbol in [false, true] {
            let mut g = Graph::new("axes");
            let mut shape: Vec<Dim> = dims.iter().map(|d| Dim::from(*d)).collect();
            if symbol {
                shape[0] = Dim::symbol("N");
            }
            let x = g.input("x", DType::F32, shape).unwrap();
            let y = g.transpose(x, perm).unwrap();
            let y = g.op("Erf", &[y], &[]).unwrap();
            g.output("y", y).unwrap();
            let x = numbers.tensor(dims);
            let run = |fused: bool| {
                let options = SessionOptions { fused, ..SessionOptions::default() };
                let outputs = runtime.session(&g, &options).unwrap().run(&[("x", &x)]).unwrap();
                (outputs[0].dims().to_vec(), outputs[0].to_f32().unwrap())
            };
            assert_eq!(run(false), run(true), "{dims:?} {perm:?}");
        }
    }
}

#[test]
fn the_gradient_of_pooling_adds_where_the_maxima_are() {
    let (runtime, numbers) = (runtime(), &mut Numbers(17));
    type Pool<'a> = &'a [(&'a str, &'a [i64])];
    let pools: [Pool; 5] = [
        &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])],
        &[("kernel_shape", &[3, 3]), ("strides", &[2, 2]), ("pads", &[1, 1, 1, 1])],
        &[("kernel_shape", &[3, 2]), ("strides", &[1, 2]), ("pads", &[2, 0, 0, 1]), ("dilations", &[1, 2])],
        // Windows that lie apart, and those of all padding's kinds.
        &[("kernel_shape", &[2, 2]), ("strides", &[3, 4])],
        &[("kernel_shape", &[3, 3]), ("strides", &[2, 2]), ("pads", &[1, 1, 1, 1]), ("ceil_mode", &[1])],
    ];
    for pool in pools {
        for (symbol, equal) in [(false, false), (true, false), (false, true)] {
            let mut g = Graph::new("pooling");
            let first = if symbol { Dim::symbol("N") } else { 3.into() };
            let x = g.input("x", DType::F32, vec![first, 5.into(), 11.into(), 12.into()]).unwrap();
            let attrs: Vec<_> = pool
                .iter()
                .map(|(name, values)| match values {
                    [one] => (*name, (*one).into()),
                    values => (*name, (*values).into()),
                })
                .collect();
            let attrs = attrs.into_iter().map(|(n, a): (&str, Attr)| (n.to_owned(), a)).collect();
            let made = g.add_node("MaxPool", &[Some(x)], attrs, 2).unwrap();
            let dy = g.mul(made[0], made[0]).unwrap();
            let line = g.int_list(&[-1]);
            let (places, dy) = (g.reshape_to(made[1], line).unwrap(), g.reshape_to(dy, line).unwrap());
            let flat = g.reshape_to(x, line).unwrap();
            let zeros = g.zeros_like(flat).unwrap();
            let sum = g.op("ScatterElements", &[zeros, places, dy], &[("reduction", "add".into())]).unwrap();
            let dx = g.reshape_like(sum, x).unwrap();
            let dx = g.op("Erf", &[dx], &[]).unwrap();
            g.output("dx", dx).unwrap();
            let x = match equal {
                true => DeviceTensor::from_f32(&[3, 5, 11, 12], vec![0.7; 3 * 5 * 11 * 12]).unwrap(),
                false => numbers.tensor(&[3, 5, 11, 12]),
            };
            let run = |fused: bool| {
                let options = SessionOptions { fused, ..SessionOptions::default() };
                runtime.session(&g, &options).unwrap().run(&[("x", &x)]).unwrap()[0].to_f32().unwrap()
            };
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            assert_eq!(bits(run(false)), bits(run(true)), "{pool:?}");
        }
    }
}

#[test]
fn joined_vectors_give_the_same_bits() {
    let (runtime, numbers) = (runtime(), &mut Numbers(19));
    // Pieces shorter and longer than those in which the program runs, and some that end where such a one does.
    let sizes = [700, 1, 323, 1024, 5000, 16_384, 40_001, 3];
    let mut g = Graph::new("vectors");
    let mut feeds = vec![];
    let mut input = |g: &mut Graph, name: String, n: usize| {
        feeds.push((name.clone(), numbers.tensor(&[n])));
        g.input(&name, DType::F32, vec![n.into()]).unwrap()
    };
    let parts: Vec<ValueId> =
        sizes.iter().enumerate().map(|(i, n)| input(&mut g, format!("x{i}"), *n)).collect();
    let w = input(&mut g, "w".into(), sizes.iter().sum());
    let all = g.concat(&parts, 0).unwrap();
    let square = g.mul(all, all).unwrap();
    let y = g.add(square, w).unwrap();
    g.output("y", y).unwrap();
    let feeds: Vec<(&str, &DeviceTensor)> = feeds.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let run = |fused: bool| {
        let options = SessionOptions { fused, ..SessionOptions::default() };
        let y = runtime.session(&g, &options).unwrap().run(&feeds).unwrap()[0].to_f32().unwrap();
        y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn sums_of_rows_give_the_same_bits() {
    let (runtime, numbers) = (runtime(), &mut Numbers(23));
    for width in [1, 31, 32, 100] {
        let mut g = Graph::new("table");
        let rows = g.input("rows", DType::F32, vec![Dim::symbol("N"), width.into()]).unwrap();
        let places = g.input("places", DType::I64, vec![Dim::symbol("N"), 1.into()]).unwrap();
        let (zero, shape) = (g.scalar_like(rows, 0.0), g.int_list(&[300, width as i64]));
        let zeros = g.expand_to(zero, shape).unwrap();
        let indices = g.expand_like(places, rows).unwrap();
        let sum = g.op("ScatterElements", &[zeros, indices, rows], &[("reduction", "add".into())]).unwrap();
        // Behind each other with others of its type.
        let all = g.concat(&[sum, rows], 0).unwrap();
        g.output("table", all).unwrap();
        let rows = numbers.tensor(&[500, width]);
        let run = |fused: bool, places: &[i64]| {
            let options = SessionOptions { fused, ..SessionOptions::default() };
            let places = DeviceTensor::from_i64(&[places.len(), 1], places.to_vec()).unwrap();
            let feeds = [("rows", &rows), ("places", &places)];
            let table = runtime.session(&g, &options).unwrap().run(&feeds);
            table.map(|t| t[0].to_f32().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        // Many at one place, none at others, some counted from the end.
        let mut places: Vec<i64> = (0..500).map(|_| numbers.below(70) as i64 - 35).collect();
        assert_eq!(run(false, &places).unwrap(), run(true, &places).unwrap());
        places[7] = 300;
        assert!(run(false, &places).is_err() && run(true, &places).is_err(), "there is no such row");
    }
}
