//! The forms of a convolution's weight gradient, on shapes that choose each of them.

mod common;

use common::{Feeds, Function, tensor, values};
use ekphrasis_grad::{ConvShape, Form, conv_dw_form, gradient};
use ekphrasis_graph::{DType, Dim, Graph, Target};

fn wave(n: usize, speed: f64) -> Vec<f64> {
    (0..n).map(|i| ((i as f64) * speed).sin()).collect()
}

/// `sum(seed * conv(x, w))` is linear in `w`: its gradient is what one weight of 1 gives.
fn check(x: &[usize], w: &[usize], stride: i64, pads: &[i64], form: Form) {
    check_on(Target::Cpu, x, w, stride, pads, form);
}

fn check_on(target: Target, x: &[usize], w: &[usize], stride: i64, pads: &[i64], form: Form) {
    let mut g = Graph::new("convolution");
    g.target = target;
    let dims = |d: &[usize]| d.iter().map(|d| Dim::from(*d)).collect::<Vec<_>>();
    let mut image = dims(x);
    if form != Form::GatheredColumns {
        image[0] = Dim::symbol("B");
    }
    let xv = g.input("x", DType::F32, image.clone()).unwrap();
    let wv = g.input("w", DType::F32, dims(w)).unwrap();
    let attrs = [("strides", [stride, stride].as_slice().into()), ("pads", pads.into())];
    let y = g.op("Conv", &[xv, wv], &attrs).unwrap();
    let out = g.value(y).shape.clone().unwrap();
    let shape = ConvShape {
        batch: image[0].clone(),
        inputs: x[1].into(),
        outputs: w[0].into(),
        group: 1,
        kernel: (w[2] * w[3]) as i64,
        positions: out[2..].iter().filter_map(Dim::known).product(),
        dense: stride == 1,
    };
    assert_eq!(conv_dw_form(&shape, target), form);
    let seed = g.input("seed", DType::F32, out.clone()).unwrap();
    let product = g.mul(y, seed).unwrap();
    let loss = g.reduce_sum(product, &[], false).unwrap();
    let before = Function::new(&g, &[loss]).unwrap();
    let grad = gradient(&mut g, loss, None, &[wv]).unwrap()[0].unwrap();

    let n: usize = w.iter().product();
    let sizes: Vec<usize> = out.iter().map(|d| d.known().map_or(x[0], |n| n as usize)).collect();
    let mut feeds: Feeds = vec![
        ("x".into(), tensor(DType::F32, x, &wave(x.iter().product(), 0.37))),
        ("seed".into(), tensor(DType::F32, &sizes, &wave(sizes.iter().product(), 0.53))),
        ("w".into(), tensor(DType::F32, w, &vec![0.0; n])),
    ];
    let found = values(&Function::new(&g, &[grad]).unwrap().run(&feeds).unwrap()[0]);
    assert_eq!(found.len(), n);
    for i in (0..n).step_by(n / 25 + 1) {
        let mut unit = vec![0.0; n];
        unit[i] = 1.0;
        feeds[2].1 = tensor(DType::F32, w, &unit);
        let expected = values(&before.run(&feeds).unwrap()[0])[0];
        assert!(
            (found[i] - expected).abs() < 2e-3 * expected.abs().max(1.0),
            "{form:?} {i}: {expected} {}",
            found[i]
        );
    }
}

#[test]
fn every_form_gives_the_weight_gradient() {
    check(&[2, 4, 9, 8], &[5, 4, 4, 3], 2, &[1, 0, 1, 2], Form::Swapped);
    check(&[2, 18, 7, 6], &[3, 18, 3, 3], 1, &[4, 3, 0, 0], Form::JointColumns);
    check(&[2, 3, 17, 16], &[17, 3, 3, 2], 1, &[1, 0, 2, 1], Form::JointColumns);
    check(&[2, 3, 7, 6], &[17, 3, 3, 2], 1, &[1, 0, 2, 1], Form::JointColumns);
    check(&[2, 20, 5, 4], &[17, 20, 1, 1], 1, &[0, 0, 0, 0], Form::JointColumns);
    let on_gpu = |x, w, stride, pads, form| check_on(Target::Gpu, x, w, stride, pads, form);
    on_gpu(&[2, 4, 9, 8], &[5, 4, 4, 3], 2, &[1, 0, 1, 2], Form::GatheredColumns);
    on_gpu(&[2, 4, 9, 8], &[5, 4, 1, 1], 2, &[0, 0, 0, 0], Form::GatheredColumns);
    on_gpu(&[2, 4, 9, 8], &[5, 4, 4, 3], 2, &[1, 0, 1, 2], Form::JointColumns);
    on_gpu(&[2, 20, 5, 4], &[17, 20, 1, 1], 1, &[0, 0, 0, 0], Form::JointColumns);
}
