//! What the driver owns: accumulation, broadcasting, barriers, errors.

mod common;

use common::{Feeds, Function, agree, tensor, values};
use ekphrasis_grad::{GradError, gradient, gradients, stop_gradient};
use ekphrasis_graph::{Attrs, DType, Dim, Graph, Tensor, ValueId};

fn numbers(n: usize, scale: f64) -> Vec<f64> {
    (0..n).map(|i| ((i * 37 + 11) % 29) as f64 / 29.0 * scale - scale / 2.0).collect()
}

fn input(g: &mut Graph, feeds: &mut Feeds, name: &str, shape: &[&str], dims: &[usize]) -> ValueId {
    let shape: Vec<Dim> = shape.iter().map(|d| Dim::parse(d)).collect();
    let n = dims.iter().product();
    feeds.push((name.into(), tensor(DType::F64, dims, &numbers(n, 2.0))));
    g.input(name, DType::F64, shape).unwrap()
}

/// Compares the gradient of a scalar with finite differences for every feed of `wrt`.
fn check(mut g: Graph, loss: ValueId, wrt: &[ValueId], feeds: &Feeds) -> Graph {
    let before = Function::new(&g, &[loss]).unwrap();
    let grads = gradient(&mut g, loss, None, wrt).unwrap();
    let grads: Vec<ValueId> = grads.into_iter().map(Option::unwrap).collect();
    let found = Function::new(&g, &grads).unwrap().run(feeds).unwrap();
    for (w, found) in wrt.iter().zip(&found) {
        let name = &g.value(*w).name;
        let at = feeds.iter().position(|(n, _)| n == name).unwrap();
        let expected = before.difference(feeds, &[vec![1.0]], at).unwrap();
        assert_eq!(found.dims(), feeds[at].1.dims(), "{name}");
        agree(&values(found), &expected, DType::F64).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    g
}

fn run(g: &Graph, outputs: &[ValueId], feeds: &Feeds) -> Vec<Vec<f64>> {
    Function::new(g, outputs).unwrap().run(feeds).unwrap().iter().map(values).collect()
}

#[test]
fn contributions_add_up_and_absent_ones_stay_absent() {
    let (mut g, mut feeds) = (Graph::new("sum"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["N"], &[3]);
    let other = input(&mut g, &mut feeds, "other", &["N"], &[3]);
    let square = g.mul(x, x).unwrap();
    let both = g.add(square, x).unwrap();
    let loss = g.reduce_sum(both, &[], false).unwrap();
    let grads = gradient(&mut g, loss, None, &[x, other, square]).unwrap();
    assert_eq!(grads[1], None);
    let found = run(&g, &[grads[0].unwrap(), grads[2].unwrap()], &feeds);
    let expected: Vec<f64> = values(&feeds[0].1).iter().map(|x| 2.0 * x + 1.0).collect();
    agree(&found[0], &expected, DType::F64).unwrap();
    agree(&found[1], &[1.0; 3], DType::F64).unwrap();
}

#[test]
fn the_third_derivative_of_a_cube_is_six() {
    let (mut g, mut feeds) = (Graph::new("cube"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["N"], &[3]);
    let three = g.scalar_like(x, 3.0);
    let mut y = g.pow(x, three).unwrap();
    for _ in 0..3 {
        let loss = g.reduce_sum(y, &[], false).unwrap();
        y = gradient(&mut g, loss, None, &[x]).unwrap()[0].unwrap();
    }
    agree(&run(&g, &[y], &feeds)[0], &[6.0; 3], DType::F64).unwrap();
}

#[test]
fn a_small_gradient_of_a_broadcast_operand_counts_every_copy() {
    let (mut g, mut feeds) = (Graph::new("copies"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["1", "3"], &[1, 3]);
    let v = input(&mut g, &mut feeds, "v", &["3"], &[3]);
    let b = input(&mut g, &mut feeds, "b", &["B", "3"], &[4, 3]);
    let sum = g.add(x, b).unwrap();
    let sum = g.sub(sum, v).unwrap();
    // The gradient of this is the same for every row, and stays [1, 3].
    let column = g.reduce_mean(sum, &[0], true).unwrap();
    let twice = g.mul(column, column).unwrap();
    let loss = g.reduce_sum(twice, &[], false).unwrap();
    check(g, loss, &[x, v, b], &feeds);
}

#[test]
fn attention_with_symbolic_sizes() {
    let (mut g, mut feeds) = (Graph::new("attention"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["B", "T", "4"], &[2, 3, 4]);
    let w = input(&mut g, &mut feeds, "w", &["4", "4"], &[4, 4]);
    let bias = input(&mut g, &mut feeds, "bias", &["4"], &[4]);
    let h = g.matmul(x, w).unwrap();
    let h = g.add(h, bias).unwrap();
    let heads = g.int_list(&[0, 0, 2, 2]);
    let h = g.reshape_to(h, heads).unwrap();
    let q = g.transpose(h, &[0, 2, 1, 3]).unwrap();
    let k = g.transpose(h, &[0, 2, 3, 1]).unwrap();
    let scores = g.matmul(q, k).unwrap();
    let p = g.softmax(scores, -1).unwrap();
    let mixed = g.matmul(p, q).unwrap();
    let last = g.slice(mixed, &[2], &[-1], &[i64::MAX], &[1]).unwrap();
    let loss = g.reduce_mean(last, &[], false).unwrap();
    check(g, loss, &[x, w, bias], &feeds);
}

/// Products `A^T B` in the gradient of a weight `[3, 3]` that five steps share.
fn products_of_five_steps(rows: &str, batch: usize) -> usize {
    let (mut g, mut feeds) = (Graph::new("steps"), vec![]);
    let w = input(&mut g, &mut feeds, "w", &["3", "3"], &[3, 3]);
    let x = input(&mut g, &mut feeds, "x", &[rows, "3"], &[batch, 3]);
    let mut h = x;
    for _ in 0..5 {
        let z = g.matmul(h, w).unwrap();
        h = g.tanh(z).unwrap();
    }
    // A use of another kind adds to it.
    let square = g.mul(w, w).unwrap();
    let (a, b) = (g.reduce_sum(h, &[], false).unwrap(), g.reduce_sum(square, &[], false).unwrap());
    let loss = g.add(a, b).unwrap();
    let mut g = check(g, loss, &[w, x], &feeds);
    let grad = gradient(&mut g, loss, None, &[w]).unwrap()[0].unwrap();
    let needed = g.ancestors(&[grad]);
    let products = g.nodes().filter(|(_, n)| {
        n.op == "Gemm"
            && n.attrs.contains_key("transA")
            && n.outputs.iter().flatten().any(|o| needed.contains(o))
    });
    products.count()
}

#[test]
fn a_weight_of_many_steps_gets_one_product() {
    assert_eq!(products_of_five_steps("B", 2), 1);
    assert_eq!(products_of_five_steps("2", 2), 1);
    assert_eq!(products_of_five_steps("20", 20), 5, "less to add than to join");
}

#[test]
fn cross_entropy_never_makes_dense_zeros() {
    let (mut g, mut feeds) = (Graph::new("cross entropy"), vec![]);
    let logits = input(&mut g, &mut feeds, "logits", &["B", "T", "5"], &[2, 3, 5]);
    let words = g.input("words", DType::I64, vec!["B".into(), "T".into(), 1.into()]).unwrap();
    feeds.push(("words".into(), Tensor::from_i64(&[2, 3, 1], &[0, 4, 1, 1, 2, 3]).unwrap()));
    let log_p = g.op("LogSoftmax", &[logits], &[("axis", (-1).into())]).unwrap();
    let picked = g.op("GatherElements", &[log_p, words], &[("axis", (-1).into())]).unwrap();
    let loss = g.reduce_mean(picked, &[], false).unwrap();
    let loss = g.neg(loss).unwrap();
    let mut g = check(g, loss, &[logits], &feeds);
    // The same from scratch, to see what the result needs.
    let grad = gradient(&mut g, loss, None, &[logits]).unwrap()[0].unwrap();
    let needed = g.ancestors(&[grad]);
    let scatters = g
        .nodes()
        .filter(|(_, n)| n.op == "ScatterElements" && n.outputs.iter().flatten().any(|o| needed.contains(o)));
    assert_eq!(scatters.count(), 1);
}

#[test]
fn barriers_and_whole_numbers_end_the_way() {
    let (mut g, mut feeds) = (Graph::new("barrier"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["N"], &[3]);
    let stopped = stop_gradient(&mut g, x).unwrap();
    let whole = g.cast(x, DType::I64).unwrap();
    let whole = g.cast(whole, DType::F64).unwrap();
    let floor = g.floor(x).unwrap();
    let sum = g.op("Sum", &[stopped, whole, floor], &[]).unwrap();
    let y = g.mul(sum, x).unwrap();
    let loss = g.reduce_sum(y, &[], false).unwrap();
    let grad = gradient(&mut g, loss, None, &[x]).unwrap()[0].unwrap();
    let found = run(&g, &[grad, sum], &feeds);
    agree(&found[0], &found[1], DType::F64).unwrap();
    let alone = g.reduce_sum(stopped, &[], false).unwrap();
    assert_eq!(gradient(&mut g, alone, None, &[x]).unwrap(), [None]);
}

#[test]
fn several_outputs_weigh_by_their_seeds() {
    let (mut g, mut feeds) = (Graph::new("two"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["N"], &[3]);
    let (a, b) = (g.exp(x).unwrap(), g.sin(x).unwrap());
    let seed = input(&mut g, &mut feeds, "seed", &["M"], &[3]);
    let grad = gradients(&mut g, &[(a, Some(seed)), (b, Some(x))], &[x]).unwrap()[0].unwrap();
    let (xs, ss) = (values(&feeds[0].1), values(&feeds[1].1));
    let expected: Vec<f64> = xs.iter().zip(ss).map(|(x, s)| s * x.exp() + x * x.cos()).collect();
    agree(&run(&g, &[grad], &feeds)[0], &expected, DType::F64).unwrap();
}

/// `mean((|ds/dx| - 1)^2)` or half the mean of `|ds/dx|^2` for the scores of a small network, and its
/// gradient by the weights: what WGAN-GP (Gulrajani et al. 2017) and R1 (Mescheder et al. 2018) train on.
#[test]
fn penalties_on_gradients_train_convolutional_critics() {
    for wasserstein in [true, false] {
        let (mut g, mut feeds) = (Graph::new("critic"), vec![]);
        let single = |g: &mut Graph, feeds: &mut Feeds, name: &str, dims: &[usize]| {
            let n = dims.iter().product();
            feeds.push((name.into(), tensor(DType::F32, dims, &numbers(n, 1.4))));
            g.input(name, DType::F32, dims.iter().map(|d| Dim::from(*d)).collect::<Vec<_>>()).unwrap()
        };
        let x = single(&mut g, &mut feeds, "x", &[2, 2, 6, 6]);
        let w = single(&mut g, &mut feeds, "w", &[3, 2, 4, 4]);
        let v = single(&mut g, &mut feeds, "v", &[27, 1]);
        let attrs = [("strides", [2, 2].as_slice().into()), ("pads", [1, 1, 1, 1].as_slice().into())];
        let h = g.op("Conv", &[x, w], &attrs).unwrap();
        let h = g.op("Softplus", &[h], &[]).unwrap();
        let h = g.op("Flatten", &[h], &[]).unwrap();
        let score = g.matmul(h, v).unwrap();
        let total = g.reduce_sum(score, &[], false).unwrap();
        let slope = gradient(&mut g, total, None, &[x]).unwrap()[0].unwrap();
        let loss = if wasserstein {
            let axes = g.int_list(&[1, 2, 3]);
            let norm = g.op("ReduceL2", &[slope, axes], &[("keepdims", false.into())]).unwrap();
            let off = g.shift(norm, -1.0).unwrap();
            let square = g.mul(off, off).unwrap();
            g.reduce_mean(square, &[], false).unwrap()
        } else {
            let square = g.reduce_sum_square(slope, &[1, 2, 3], false).unwrap();
            let mean = g.reduce_mean(square, &[], false).unwrap();
            g.scale(mean, 0.5).unwrap()
        };
        let before = Function::new(&g, &[loss]).unwrap();
        let grads = gradient(&mut g, loss, None, &[w, v]).unwrap();
        let grads: Vec<ValueId> = grads.into_iter().map(Option::unwrap).collect();
        let found = Function::new(&g, &grads).unwrap().run(&feeds).unwrap();
        for (i, found) in found.iter().enumerate() {
            let expected = before.difference(&feeds, &[vec![1.0]], i + 1).unwrap();
            let scale = expected.iter().fold(1.0f64, |m, e| m.max(e.abs()));
            let part = |v: &[f64]| v.iter().map(|x| x / scale).collect::<Vec<_>>();
            agree(&part(&values(found)), &part(&expected), DType::F32).unwrap();
        }
    }
}

#[test]
fn what_is_not_differentiable_ends_the_way() {
    let (mut g, mut feeds) = (Graph::new("indices"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["B", "4"], &[2, 4]);
    // Where the maximum is, as a number, as one hot, as a mask, and as 8-bit integers.
    let best = g.op("ArgMax", &[x], &[("axis", 1.into())]).unwrap();
    let picked = g.op("GatherElements", &[x, best], &[("axis", 1.into())]).unwrap();
    let single = g.cast(x, DType::F32).unwrap();
    let hot = g.op("Hardmax", &[single], &[]).unwrap();
    let hot = g.cast(hot, DType::F64).unwrap();
    let zero = g.scalar_like(x, 0.0);
    let above = g.greater(x, zero).unwrap();
    let above = g.cast(above, DType::F64).unwrap();
    let scale = g.constant(Tensor::scalar_f32(0.1));
    let small = g.op("QuantizeLinear", &[single, scale], &[]).unwrap();
    let back = g.op("DequantizeLinear", &[small, scale], &[]).unwrap();
    let back = g.cast(back, DType::F64).unwrap();
    let sum = g.op("Sum", &[picked, hot, above, back], &[]).unwrap();
    let loss = g.reduce_sum(sum, &[], false).unwrap();
    let grad = gradient(&mut g, loss, None, &[x]).unwrap()[0].unwrap();
    let found = &run(&g, &[grad, hot], &feeds);
    // Only the value that was picked has a gradient: once for each of its four copies.
    let expected: Vec<f64> = found[1].iter().map(|h| 4.0 * h).collect();
    agree(&found[0], &expected, DType::F64).unwrap();
    let ends = g.reduce_sum(back, &[], false).unwrap();
    assert_eq!(gradient(&mut g, ends, None, &[x]).unwrap(), [None]);
}

#[test]
fn every_missing_rule_is_named() {
    let (mut g, mut feeds) = (Graph::new("odd"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["N"], &[3]);
    let wanted = [true];
    let a = g.add_node_named("first", "odd::First", &[Some(x)], Attrs::new(), &wanted).unwrap()[0].unwrap();
    let b = g.add_node_named("second", "odd::Second", &[Some(a)], Attrs::new(), &wanted).unwrap()[0].unwrap();
    // Beside the way: not named.
    g.add_node_named("third", "odd::Third", &[Some(x)], Attrs::new(), &wanted).unwrap();
    let loss = g.reduce_sum(b, &[], false).unwrap();
    let nodes = g.nodes().len();
    let error = gradient(&mut g, loss, None, &[x]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("`odd`") && text.contains("odd::First (node `first`)"), "{text}");
    assert!(text.contains("odd::Second (node `second`)") && !text.contains("third"), "{text}");
    assert!(matches!(error, GradError::Missing { missing, .. } if missing.len() == 2));
    assert_eq!(g.nodes().len(), nodes, "the graph is as it was");
}

#[test]
fn seeds_that_do_not_fit_are_refused() {
    let (mut g, mut feeds) = (Graph::new("seed"), vec![]);
    let x = input(&mut g, &mut feeds, "x", &["2", "3"], &[2, 3]);
    let short = input(&mut g, &mut feeds, "short", &["2", "2"], &[2, 2]);
    let y = g.exp(x).unwrap();
    let text = gradient(&mut g, y, None, &[x]).unwrap_err().to_string();
    assert!(text.contains("expected a scalar") && text.contains("f64[2, 3]"), "{text}");
    let text = gradient(&mut g, y, Some(short), &[x]).unwrap_err().to_string();
    assert!(text.contains("f64[2, 3]") && text.contains("f64[2, 2]"), "{text}");
    let whole = g.cast(x, DType::I64).unwrap();
    let text = gradient(&mut g, whole, Some(whole), &[x]).unwrap_err().to_string();
    assert!(text.contains("expected floats"), "{text}");
}

#[test]
fn dropout_in_training_uses_the_mask_that_it_drew() {
    let mut g = Graph::new("dropout");
    let x = g.input("x", DType::F32, vec!["N".into()]).unwrap();
    let ratio = g.constant(Tensor::scalar_f32(0.75));
    let training = g.constant(Tensor::scalar_bool(true));
    let attrs: Attrs = [("seed".to_owned(), 3.into())].into();
    let out = g.add_node("Dropout", &[Some(x), Some(ratio), Some(training)], attrs, 2).unwrap();
    let square = g.mul(out[0], out[0]).unwrap();
    let loss = g.reduce_sum(square, &[], false).unwrap();
    let grad = gradient(&mut g, loss, None, &[x]).unwrap()[0].unwrap();
    let feeds = vec![("x".to_owned(), tensor(DType::F32, &[64], &numbers(64, 2.0)))];
    let found = run(&g, &[grad, out[0]], &feeds);
    // y = 4x where kept, so dx = 2y * 4 there and 0 elsewhere, which is 8y everywhere.
    let expected: Vec<f64> = found[1].iter().map(|y| 8.0 * y).collect();
    agree(&found[0], &expected, DType::F32).unwrap();
    let kept = found[1].iter().filter(|y| **y != 0.0).count();
    assert!((1..63).contains(&kept), "{kept}");
}

/// The product of no factors is 1, whatever they are.
#[test]
fn a_product_of_no_factors_has_no_gradient() {
    let mut g = Graph::new("empty");
    let x = g.input("x", DType::F32, vec![2.into(), 0.into(), 4.into()]).unwrap();
    let axes = g.int_list(&[1]);
    let y = g.op("ReduceProd", &[x, axes], &[]).unwrap();
    let total = g.reduce_sum(y, &[], false).unwrap();
    assert_eq!(gradient(&mut g, total, None, &[x]).unwrap(), [None]);
}

#[test]
fn the_first_rows_of_a_table_are_a_slice_of_it() {
    let (mut g, mut feeds) = (Graph::new("positions"), vec![]);
    let table = input(&mut g, &mut feeds, "table", &["7", "3"], &[7, 3]);
    let x = input(&mut g, &mut feeds, "x", &["B", "T", "3"], &[2, 4, 3]);
    let count = |g: &mut Graph| {
        let shape = g.op("Shape", &[x], &[]).unwrap();
        let one = g.constant(Tensor::scalar_i64(1));
        let n = g.gather(shape, one, 0).unwrap();
        let zero = g.constant(Tensor::scalar_i64(0));
        [zero, n, one]
    };
    let ends = count(&mut g);
    let all = g.op("Range", &ends, &[]).unwrap();
    let rows = g.gather(table, all, 0).unwrap();
    assert_eq!(g.value(rows).describe(), "f64[T, 3]");
    let sum = g.add(x, rows).unwrap();
    let sum = g.mul(sum, sum).unwrap();
    let loss = g.reduce_sum(sum, &[], false).unwrap();
    let plain = g.op("Gather", &[table, all], &[("axis", 0.into())]).unwrap();
    let found = run(&g, &[rows, plain], &feeds);
    assert_eq!(found[0], found[1]);
    let g = check(g, loss, &[table, x], &feeds);
    let ops: Vec<&str> = g.nodes().map(|(_, n)| n.op.as_str()).collect();
    assert!(ops.contains(&"Pad") && !ops.contains(&"MatMul"), "{ops:?}");
}
