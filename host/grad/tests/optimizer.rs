//! Optimisers against plain loops in double precision.

mod common;

use common::{Feeds, Function, tensor, values};
use ekphrasis_grad::optimizer::Part;
use ekphrasis_grad::{
    GradError, OptimizerInputs, OptimizerKind, OptimizerSpec, Ranges, flatten_gradients, optimizer::emit,
};
use ekphrasis_graph::{DType, Graph, ValueId};

const P: usize = 32;
const LR: [f64; 5] = [0.1, 0.05, 0.02, 0.1, 0.01];

fn wave(step: usize, scale: f64) -> Vec<f64> {
    (0..P).map(|i| f64::from(((i as f64 * 1.7 + step as f64 * 0.9).sin() * scale) as f32)).collect()
}

fn mask() -> Vec<f64> {
    (0..P).map(|i| f64::from(u8::from(i % 3 == 0))).collect()
}

/// Multipliers of the learning rate.
fn multipliers() -> Vec<f64> {
    (0..P).map(|i| [1.0, 0.1, 3.0, 0.5][i % 4]).map(|r| f64::from(r as f32)).collect()
}

/// What the reference keeps between steps.
struct State {
    w: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    average: Vec<f64>,
}

/// One step of `torch.optim`, element by element; returns the norm of the gradient.
fn reference(spec: &OptimizerSpec, s: &mut State, grad: &[f64], rates: &[f64], t: i32, mask: &[f64]) -> f64 {
    let norm = grad.iter().map(|g| g * g).sum::<f64>().sqrt();
    let clip = spec.clip_norm.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0));
    for i in 0..P {
        let (mut g, lr) = (grad[i] * clip, rates[i]);
        let decay = spec.weight_decay * mask[i];
        match spec.kind {
            OptimizerKind::Sgd { momentum, nesterov } => {
                g += decay * s.w[i];
                if momentum != 0.0 {
                    s.a[i] = if t == 1 { g } else { momentum * s.a[i] + g };
                    g = if nesterov { g + momentum * s.a[i] } else { s.a[i] };
                }
                s.w[i] -= lr * g;
            }
            OptimizerKind::Adam | OptimizerKind::AdamW => {
                if spec.kind == OptimizerKind::AdamW {
                    s.w[i] *= 1.0 - lr * decay;
                } else {
                    g += decay * s.w[i];
                }
                s.a[i] = spec.beta1 * s.a[i] + (1.0 - spec.beta1) * g;
                s.b[i] = spec.beta2 * s.b[i] + (1.0 - spec.beta2) * g * g;
                let (c1, c2) = (1.0 - spec.beta1.powi(t), 1.0 - spec.beta2.powi(t));
                s.w[i] -= lr / c1 * s.a[i] / (s.b[i].sqrt() / c2.sqrt() + spec.epsilon);
            }
        }
        if let Some(decay) = spec.average {
            let d = decay.min((1.0 + f64::from(t)) / (10.0 + f64::from(t)));
            s.average[i] = d * s.average[i] + (1.0 - d) * s.w[i];
        }
    }
    norm
}

fn close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= 2e-6 * e.abs().max(0.1), "{what}: expected {e}, found {f}");
    }
}

fn vector(g: &mut Graph, name: &str) -> ValueId {
    g.input(name, DType::F32, vec![P.into()]).unwrap()
}

fn check(spec: &OptimizerSpec, masked: bool, gradient_scale: f64) {
    check_rated(spec, masked, false, gradient_scale);
}

fn check_rated(spec: &OptimizerSpec, masked: bool, rated: bool, gradient_scale: f64) {
    let mut g = Graph::new("optimiser");
    let (w, grad) = (vector(&mut g, "w"), vector(&mut g, "grad"));
    let states: Vec<_> = spec.states().iter().map(|n| vector(&mut g, n)).collect();
    let average = spec.average.map(|_| vector(&mut g, "average"));
    let decay_mask = masked.then(|| vector(&mut g, "mask"));
    let lr = g.input("lr", DType::F32, vec![]).unwrap();
    let step = g.input("step", DType::F32, vec![]).unwrap();
    let rates = rated.then(|| vector(&mut g, "rates"));
    let inputs = OptimizerInputs { w, grad, states, average, lr, step, decay_mask, rates };
    let out = emit(&mut g, spec, &inputs).unwrap();
    let mut outputs = vec![out.w, out.grad_norm];
    outputs.extend(out.states.iter().map(|(_, v)| *v));
    outputs.extend(out.average);
    let function = Function::new(&g, &outputs).unwrap();

    let start = wave(99, 1.0);
    let mut s = State { w: start.clone(), a: vec![0.0; P], b: vec![0.0; P], average: start.clone() };
    let all = if masked { mask() } else { vec![1.0; P] };
    let zero = vec![0.0; P];
    let mut now: Vec<(String, Vec<f64>)> = vec![("w".into(), start.clone())];
    now.extend(spec.states().iter().map(|n| ((*n).to_owned(), zero.clone())));
    now.extend(spec.average.map(|_| ("average".to_owned(), start.clone())));
    for (i, rate) in LR.iter().enumerate() {
        let t = i + 1;
        let grad = wave(t, gradient_scale);
        let mut feeds: Feeds = now.iter().map(|(n, v)| (n.clone(), tensor(DType::F32, &[P], v))).collect();
        feeds.push(("grad".into(), tensor(DType::F32, &[P], &grad)));
        feeds.push(("mask".into(), tensor(DType::F32, &[P], &mask())));
        feeds.push(("rates".into(), tensor(DType::F32, &[P], &multipliers())));
        feeds.push(("lr".into(), tensor(DType::F32, &[], &[*rate])));
        feeds.push(("step".into(), tensor(DType::F32, &[], &[t as f64])));
        let found: Vec<Vec<f64>> = function.run(&feeds).unwrap().iter().map(values).collect();
        let each = if rated { multipliers() } else { vec![1.0; P] };
        let each: Vec<f64> = each.iter().map(|r| r * rate).collect();
        let norm = reference(spec, &mut s, &grad, &each, t as i32, &all);
        close("weights", &found[0], &s.w);
        close("norm", &found[1], &[norm]);
        if spec.average.is_some() {
            close("average", found.last().unwrap(), &s.average);
        }
        now[0].1 = found[0].clone();
        for (slot, value) in now[1..].iter_mut().zip(&found[2..]) {
            slot.1 = value.clone();
        }
    }
}

#[test]
fn gradient_descent() {
    let sgd = |momentum, nesterov| OptimizerSpec {
        kind: OptimizerKind::Sgd { momentum, nesterov },
        ..OptimizerSpec::default()
    };
    check(&sgd(0.0, false), false, 1.0);
    check(&sgd(0.9, false), false, 1.0);
    check(&OptimizerSpec { weight_decay: 0.1, ..sgd(0.9, true) }, false, 1.0);
    check(&OptimizerSpec { weight_decay: 0.1, average: Some(0.5), ..sgd(0.5, false) }, true, 1.0);
}

#[test]
fn adam_and_adamw() {
    for kind in [OptimizerKind::Adam, OptimizerKind::AdamW] {
        let plain = OptimizerSpec { kind, ..OptimizerSpec::default() };
        check(&plain, false, 1.0);
        // Where epsilon counts.
        check(&OptimizerSpec { epsilon: 1e-3, ..plain.clone() }, false, 1e-3);
        check(&OptimizerSpec { weight_decay: 0.1, beta1: 0.5, beta2: 0.99, ..plain.clone() }, false, 1.0);
        check(&OptimizerSpec { weight_decay: 0.1, average: Some(0.998), ..plain }, true, 1.0);
    }
}

/// As parameter groups of `torch.optim` with learning rates of their own.
#[test]
fn each_weight_at_its_own_rate() {
    let sgd = OptimizerKind::Sgd { momentum: 0.9, nesterov: true };
    for kind in [sgd, OptimizerKind::Adam, OptimizerKind::AdamW] {
        let spec =
            OptimizerSpec { kind, weight_decay: 0.1, clip_norm: Some(1.0), ..OptimizerSpec::default() };
        check_rated(&spec, true, true, 1.0);
        check_rated(&spec, false, true, 1.0);
    }
}

#[test]
fn ranges_are_taken_out_and_put_back() {
    let run = |ranges: &Ranges, len: usize| {
        let mut g = Graph::new("ranges");
        let v = g.input("v", DType::F32, vec![8.into()]).unwrap();
        let part = g.input("part", DType::F32, vec![len.into()]).unwrap();
        let (taken, put) = (ranges.take(&mut g, v).unwrap(), ranges.put(&mut g, v, part).unwrap());
        let outputs = [taken, put].map(|x| g.identity(x).unwrap());
        let function = Function::new(&g, &outputs).unwrap();
        let numbers: Vec<f64> = (0..8).map(f64::from).collect();
        let new: Vec<f64> = (0..len).map(|i| -1.0 - i as f64).collect();
        let feeds = vec![
            ("v".to_owned(), tensor(DType::F32, &[8], &numbers)),
            ("part".to_owned(), tensor(DType::F32, &[len], &new)),
        ];
        let found = function.run(&feeds).unwrap();
        (values(&found[0]), values(&found[1]))
    };
    let some = Ranges::new(8, [1..2, 2..4, 6..7]);
    assert_eq!(some, Ranges::new(8, [1..4, 6..7]));
    assert_eq!((some.len(), some.is_empty(), Ranges::new(8, []).is_empty()), (4, false, true));
    let (taken, put) = run(&some, 4);
    assert_eq!(taken, [1.0, 2.0, 3.0, 6.0]);
    assert_eq!(put, [0.0, -1.0, -2.0, -3.0, 4.0, 5.0, -4.0, 7.0]);
    let (taken, put) = run(&Ranges::new(8, [0..3, 7..8]), 4);
    assert_eq!(taken, [0.0, 1.0, 2.0, 7.0]);
    assert_eq!(put, [-1.0, -2.0, -3.0, 3.0, 4.0, 5.0, 6.0, -4.0]);
    // All of it costs no node.
    let mut g = Graph::new("whole");
    let v = vector(&mut g, "v");
    assert_eq!(Ranges::new(P, [0..5, 5..P]).take(&mut g, v).unwrap(), v);
}

#[test]
fn clipping_shortens_long_gradients_only() {
    for scale in [1e-3, 10.0] {
        for kind in [OptimizerKind::AdamW, OptimizerKind::Sgd { momentum: 0.9, nesterov: false }] {
            check(&OptimizerSpec { kind, clip_norm: Some(1.0), ..OptimizerSpec::default() }, false, scale);
        }
    }
}

#[test]
fn a_state_that_is_missing_is_an_error() {
    let mut g = Graph::new("short");
    let w = vector(&mut g, "w");
    let lr = g.input("lr", DType::F32, vec![]).unwrap();
    let inputs = OptimizerInputs {
        w,
        grad: w,
        states: vec![w],
        average: None,
        lr,
        step: lr,
        decay_mask: None,
        rates: None,
    };
    let error = emit(&mut g, &OptimizerSpec::default(), &inputs).unwrap_err();
    assert!(matches!(error, GradError::Request { .. }));
    assert!(error.to_string().contains("moment2"), "{error}");
}

#[test]
fn gradients_become_one_vector_with_zeros_between() {
    let mut g = Graph::new("flat");
    let a = g.input("a", DType::F32, vec![2.into(), 2.into()]).unwrap();
    let b = g.input("b", DType::F32, vec![3.into()]).unwrap();
    let parts = [
        Part { grad: Some(a), len: 4, padding: 2 },
        Part { grad: None, len: 2, padding: 0 },
        Part { grad: Some(b), len: 3, padding: 1 },
    ];
    let flat = flatten_gradients(&mut g, &parts).unwrap();
    let feeds = vec![
        ("a".to_owned(), tensor(DType::F32, &[2, 2], &[1.0, 2.0, 3.0, 4.0])),
        ("b".to_owned(), tensor(DType::F32, &[3], &[5.0, 6.0, 7.0])),
    ];
    let found = Function::new(&g, &[flat]).unwrap().run(&feeds).unwrap();
    assert_eq!(values(&found[0]), [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 5.0, 6.0, 7.0, 0.0]);
    let wrong = [Part { grad: Some(a), len: 5, padding: 0 }];
    assert!(flatten_gradients(&mut g, &wrong).is_err());
}
