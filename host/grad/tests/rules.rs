//! Every rule against finite differences, over its own domain, through ONNX Runtime.

mod common;

use common::{Feeds, Function, agree, tensor, values};
use ekphrasis_grad::{Case, Operand, gradients, rules};
use ekphrasis_graph::{DType, Dim, Graph, Tensor, ValueId};
use rand::{Rng, RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A case as a graph: what varies, what comes out, and numbers to try it on.
struct Built {
    graph: Graph,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    feeds: Feeds,
}

fn draw(rng: &mut impl Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Numbers that keep their distance from each other and from 0, for all operands that ask for it.
fn spread(case: &Case, rng: &mut impl Rng) -> Vec<f64> {
    let sizes = case.operands.iter().map(|o| match o {
        Operand::Floats { dims, apart: true, .. } => dims.iter().product(),
        _ => 0,
    });
    let n = sizes.sum::<usize>().next_multiple_of(2);
    let mut all: Vec<f64> = (0..n).map(|i| -1.5 + 3.0 * (i as f64 + 0.5) / n as f64).collect();
    all.shuffle(rng);
    all
}

fn build(op: &str, case: &Case, symbolic: bool) -> Result<Built, String> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut spread = spread(case, &mut rng).into_iter();
    let mut graph = Graph::new(op);
    let (mut operands, mut inputs, mut feeds): (Vec<Option<ValueId>>, Vec<ValueId>, Feeds) =
        (vec![], vec![], vec![]);
    let batch = case.operands.iter().find_map(|o| match o {
        Operand::Floats { dims, .. } | Operand::At(dims, _) => {
            dims.get(case.symbol).copied().filter(|d| *d > 1)
        }
        _ => None,
    });
    for (i, operand) in case.operands.iter().enumerate() {
        operands.push(match operand {
            Operand::Absent => None,
            Operand::Floats { dims, .. } | Operand::At(dims, _) => {
                let n = dims.iter().product();
                let (numbers, vary): (Vec<f64>, bool) = match operand {
                    Operand::Floats { apart: true, vary, .. } => (spread.by_ref().take(n).collect(), *vary),
                    Operand::Floats { range, vary, .. } => {
                        ((0..n).map(|_| rng.random_range(range.0..range.1)).collect(), *vary)
                    }
                    Operand::At(_, values) => (values.clone(), true),
                    _ => unreachable!(),
                };
                let t = tensor(case.dtype, dims, &numbers);
                if vary {
                    let mut shape: Vec<Dim> = dims.iter().map(|d| Dim::from(*d)).collect();
                    if symbolic && dims.len() > 1 && dims.get(case.symbol).copied() == batch {
                        shape[case.symbol] = Dim::symbol("B");
                    }
                    let name = format!("x{i}");
                    let v = graph.input(&name, case.dtype, shape).map_err(|e| e.to_string())?;
                    inputs.push(v);
                    feeds.push((name, t));
                    Some(v)
                } else {
                    Some(graph.constant(t))
                }
            }
            Operand::Literal(dims, v) => Some(graph.constant(tensor(case.dtype, dims, v))),
            Operand::Single(dims, v) => Some(graph.constant(Tensor::from_f32(dims, v).unwrap())),
            Operand::Ints(dims, v) => Some(graph.constant(Tensor::from_i64(dims, v).unwrap())),
            Operand::Short(dims, v) => Some(graph.constant(Tensor::from_i32(dims, v).unwrap())),
            Operand::Bools(dims, v) => {
                let bytes: Vec<u8> = v.iter().map(|b| u8::from(*b)).collect();
                Some(graph.constant(Tensor::new(DType::Bool, dims, bytes).unwrap()))
            }
        });
    }
    let outputs =
        graph.add_node(op, &operands, case.attrs.clone(), case.outputs).map_err(|e| e.to_string())?;
    let outputs = outputs.into_iter().filter(|o| graph.value(*o).dtype.is_float()).collect();
    Ok(Built { graph, inputs, outputs, feeds })
}

/// Adds to each output a seed as a further input, and numbers for it.
fn add_seeds(b: &mut Built, prefix: &str) -> Result<(Vec<ValueId>, Vec<Vec<f64>>), String> {
    let mut rng = ChaCha8Rng::seed_from_u64(prefix.len() as u64);
    let now = Function::new(&b.graph, &b.outputs)?.run(&b.feeds)?;
    let (mut seeds, mut numbers) = (vec![], vec![]);
    for (i, (y, at)) in b.outputs.clone().into_iter().zip(&now).enumerate() {
        let value = b.graph.value(y).clone();
        let inferred: Vec<Option<i64>> = {
            let shape = value.shape.as_ref().ok_or("no shape was inferred")?;
            shape.iter().map(Dim::known).collect()
        };
        let fits = inferred.iter().zip(at.dims()).all(|(d, n)| d.is_none_or(|d| d == *n as i64));
        if inferred.len() != at.dims().len() || !fits {
            return Err(format!("inferred {inferred:?}, ran {:?}", at.dims()));
        }
        let name = format!("{prefix}{i}");
        seeds.push(b.graph.input(&name, value.dtype, value.shape).map_err(|e| e.to_string())?);
        let v = draw(&mut rng, at.len());
        b.feeds.push((name, tensor(value.dtype, at.dims(), &v)));
        // As they are rounded.
        numbers.push(values(&b.feeds.last().unwrap().1));
    }
    Ok((seeds, numbers))
}

/// Differentiates once and compares; the result is the gradient as a function of its own.
fn compare(b: &mut Built, prefix: &str, all: bool, dtype: DType) -> Result<(), String> {
    let before = Function::new(&b.graph, &b.outputs)?;
    let (seeds, numbers) = add_seeds(b, prefix)?;
    let pairs: Vec<_> = b.outputs.iter().copied().zip(seeds.iter().copied().map(Some)).collect();
    let grads = gradients(&mut b.graph, &pairs, &b.inputs).map_err(|e| e.to_string())?;
    // What took the place of a node computes the same.
    let now = Function::new(&b.graph, &b.outputs)?.run(&b.feeds)?;
    for (now, before) in now.iter().zip(before.run(&b.feeds)?) {
        agree(&values(now), &values(&before), dtype).map_err(|e| format!("the definition: {e}"))?;
    }
    let found: Vec<ValueId> = grads.iter().flatten().copied().collect();
    if found.is_empty() {
        return Err("no gradient at all".into());
    }
    let results = Function::new(&b.graph, &found)?.run(&b.feeds)?;
    let mut results = results.iter();
    for (i, grad) in grads.iter().enumerate() {
        let expected = before.difference(&b.feeds, &numbers, i)?;
        let zero = vec![0.0; expected.len()];
        let found = match grad {
            Some(_) => {
                let t = results.next().ok_or("an output is missing")?;
                if t.dims() != b.feeds[i].1.dims() {
                    return Err(format!("expected shape {:?}, found {:?}", b.feeds[i].1.dims(), t.dims()));
                }
                values(t)
            }
            None if all => return Err(format!("no gradient for `{}`", b.feeds[i].0)),
            None => zero,
        };
        agree(&found, &expected, dtype).map_err(|e| format!("`{}`: {e}", b.feeds[i].0))?;
    }
    b.inputs.extend(seeds);
    b.outputs = found;
    Ok(())
}

fn check(op: &str, case: &Case, symbolic: bool) -> Result<(), String> {
    let mut b = build(op, case, symbolic)?;
    compare(&mut b, "seed", !case.constant, case.dtype).map_err(|e| format!("first order: {e}"))?;
    if !case.once {
        compare(&mut b, "second", false, case.dtype).map_err(|e| format!("second order: {e}"))?;
    }
    Ok(())
}

/// All cases of a row; the failures.
fn check_row(row: &rules::Row) -> Vec<String> {
    let mut failures = vec![];
    for (i, case) in (row.domain)().iter().enumerate() {
        for symbolic in [false, true] {
            if symbolic && case.known {
                continue;
            }
            if let Err(e) = check(row.op, case, symbolic) {
                failures.push(format!("{} case {i}, symbolic {symbolic}: {e}", row.op));
            }
        }
    }
    failures
}

#[test]
fn every_rule_agrees_with_finite_differences_once_and_twice() {
    let only = std::env::var("RULE").ok();
    let rows: Vec<_> = rules::table().filter(|r| only.as_deref().is_none_or(|o| o == r.op)).collect();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    failures.lock().unwrap().extend(check_row(row));
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_rule_has_a_domain_in_double_precision_where_it_can() {
    let mut double = 0;
    for row in rules::table() {
        let cases = (row.domain)();
        assert!(!cases.is_empty(), "{} has no domain", row.op);
        double += usize::from(cases.iter().any(|c| c.dtype == DType::F64));
    }
    assert!(double >= 50, "only {double} rules in double precision");
}

/// The gradient of the gradient, without its numbers.
fn twice(op: &str, case: &Case) -> Result<Graph, String> {
    let mut b = build(op, case, false)?;
    for prefix in ["seed", "second"] {
        let (seeds, _) = add_seeds(&mut b, prefix)?;
        let pairs: Vec<_> = b.outputs.iter().copied().zip(seeds.iter().copied().map(Some)).collect();
        let grads = gradients(&mut b.graph, &pairs, &b.inputs).map_err(|e| e.to_string())?;
        b.inputs.extend(seeds);
        b.outputs = grads.into_iter().flatten().collect();
    }
    Ok(b.graph)
}

#[test]
fn what_rules_emit_has_rules() {
    let mut without = BTreeSet::new();
    for row in rules::table() {
        for case in (row.domain)() {
            let graph = twice(row.op, &case).unwrap_or_else(|e| panic!("{}: {e}", row.op));
            for (_, node) in graph.nodes() {
                let float = |v: &ValueId| graph.value(*v).dtype.is_float();
                let takes = node.inputs.iter().flatten().any(float);
                let gives = node.outputs.iter().flatten().any(float);
                if takes && gives && rules::find(&node.op).is_none() && !rules::stops(&node.op) {
                    without.insert(format!("{} (from {})", node.op, row.op));
                }
            }
        }
    }
    assert!(without.is_empty(), "{without:?}");
}
