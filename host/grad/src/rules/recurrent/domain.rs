//! The cases that recurrent operators are tested on.

use crate::{
    Case, Operand,
    case::{short, within},
};
use ekphrasis_graph::Attr;

const STEPS: usize = 4;
const BATCH: usize = 3;
const WIDTH: usize = 2;
const HIDDEN: usize = 2;

fn some(dims: &[usize]) -> Operand {
    within(dims, (-0.9, 0.9))
}

fn texts(names: &[&str]) -> Attr {
    Attr::Texts(names.iter().map(|n| (*n).to_owned()).collect())
}

/// A layer of `gates` gates with its first operands; the outputs are all of them.
fn layer(gates: usize, direction: &str, more: &[Operand]) -> Case {
    let d = if direction == "bidirectional" { 2 } else { 1 };
    let rows = gates * HIDDEN;
    let mut operands = vec![some(&[STEPS, BATCH, WIDTH]), some(&[d, rows, WIDTH]), some(&[d, rows, HIDDEN])];
    operands.extend_from_slice(more);
    Case::of(operands)
        .attr("hidden_size", HIDDEN as i64)
        .attr("direction", direction)
        .outputs(if gates == 4 { 3 } else { 2 })
        .symbol(1)
        .single()
}

/// Bias, lengths and initial state, for one or two directions.
fn full(gates: usize, directions: usize) -> Vec<Operand> {
    vec![bias(gates, directions), lengths(), state(directions)]
}

fn bias(gates: usize, directions: usize) -> Operand {
    some(&[directions, 2 * gates * HIDDEN])
}

fn lengths() -> Operand {
    short(&[BATCH], &[2, 4, 1])
}

fn state(directions: usize) -> Operand {
    some(&[directions, BATCH, HIDDEN])
}

/// What all three have in common.
fn common(gates: usize, clip: f32) -> Vec<Case> {
    let mut cases = vec![layer(gates, "forward", &[])];
    for (direction, n) in [("forward", 1), ("reverse", 1), ("bidirectional", 2)] {
        cases.push(layer(gates, direction, &full(gates, n)));
    }
    cases.push(layer(gates, "bidirectional", &[bias(gates, 2)]));
    cases.push(layer(gates, "reverse", &[Operand::Absent, lengths()]));
    // Cuts some values and comes near none.
    cases.push(layer(gates, "forward", &[bias(gates, 1)]).attr("clip", clip));
    cases
}

pub(super) fn lstm() -> Vec<Case> {
    let mut cases = common(4, 0.5);
    let peephole = |n: usize| some(&[n, 3 * HIDDEN]);
    let all = |n: usize| [full(4, n), vec![state(n), peephole(n)]].concat();
    cases.push(layer(4, "forward", &all(1)));
    cases.push(layer(4, "bidirectional", &all(2)));
    let without = [bias(4, 1), Operand::Absent, Operand::Absent, Operand::Absent, peephole(1)];
    cases.push(layer(4, "reverse", &without).attr("clip", 0.5f32));
    cases.push(layer(4, "forward", &all(1)).attr("input_forget", 1));
    let named = layer(4, "forward", &full(4, 1));
    cases.push(named.clone().attr("activations", texts(&["HardSigmoid", "Softsign", "Softplus"])));
    cases.push(
        named
            .attr("activations", texts(&["HardSigmoid", "Affine", "Elu"]))
            .attr("activation_alpha", vec![0.3f32, 0.7, 0.8])
            .attr("activation_beta", vec![0.4f32, 0.1]),
    );
    cases
}

pub(super) fn gru() -> Vec<Case> {
    let mut cases = common(3, 0.8);
    for case in common(3, 0.8) {
        cases.push(case.attr("linear_before_reset", 1));
    }
    let two = layer(3, "bidirectional", &full(3, 2));
    let names = ["Sigmoid", "LeakyRelu", "HardSigmoid", "Affine"];
    cases.push(
        two.attr("activations", texts(&names))
            .attr("activation_alpha", vec![0.3f32, 0.25, 0.6])
            .attr("activation_beta", vec![0.45f32, 0.1]),
    );
    cases
}

pub(super) fn rnn() -> Vec<Case> {
    let mut cases = common(1, 0.5);
    for name in ["Softplus", "ScaledTanh", "Sigmoid"] {
        let case = layer(1, "forward", &full(1, 1)).attr("activations", texts(&[name]));
        cases.push(case.attr("activation_alpha", vec![0.7f32]).attr("activation_beta", vec![1.5f32]));
    }
    cases
}
