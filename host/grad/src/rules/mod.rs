//! The table of gradient rules: a row an operator, in one file a family.

mod activations;
mod convolution;
mod einsum;
mod elementwise;
mod gates;
mod grid_sample;
mod indexing;
mod losses;
mod matrix;
mod normalise;
mod norms;
mod padding;
mod pooling;
mod recurrent;
mod reduce;
mod resize;
mod scatter;
mod shaping;
mod trigonometry;
pub(crate) mod weight_gradient;
mod window;

use crate::{Case, Ctx, Grads};
use ekphrasis_graph::Result;
use std::{collections::HashMap, sync::OnceLock};

/// How a rule treats broadcasting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Operands broadcast, and what the rule returns is summed to their shapes. The output's
    /// gradient may be broadcast: of its rank, but with size 1 where it does not vary.
    Elementwise,
    /// The output's gradient may be broadcast; results have the operands' own shapes, or are broadcast.
    Broadcast,
    /// The output's gradient has the output's shape; so do the results and the operands.
    Dense,
    /// No gradient but a definition: the rule returns the outputs, made by operators that have rules.
    /// Before differentiation they take the node's place.
    Definition,
}

/// One gradient rule.
#[derive(Clone, Copy)]
pub struct Row {
    /// Operator.
    pub op: &'static str,
    /// How it treats broadcasting.
    pub kind: Kind,
    /// The mathematics.
    pub rule: fn(&mut Ctx) -> Result<Grads>,
    /// What it is tested on; empty for an operator whose gradient is zero.
    pub domain: fn() -> Vec<Case>,
}

const fn row(
    op: &'static str,
    kind: Kind,
    rule: fn(&mut Ctx) -> Result<Grads>,
    domain: fn() -> Vec<Case>,
) -> Row {
    Row { op, kind, rule, domain }
}

const FAMILIES: [&[Row]; 18] = [
    activations::ROWS,
    gates::ROWS,
    trigonometry::ROWS,
    elementwise::ROWS,
    matrix::ROWS,
    einsum::ROWS,
    losses::ROWS,
    reduce::ROWS,
    normalise::ROWS,
    norms::ROWS,
    shaping::ROWS,
    padding::ROWS,
    indexing::ROWS,
    convolution::ROWS,
    pooling::ROWS,
    resize::ROWS,
    grid_sample::ROWS,
    recurrent::ROWS,
];

/// All rules.
pub fn table() -> impl Iterator<Item = &'static Row> {
    FAMILIES.into_iter().flatten()
}

/// The rule for an operator.
pub fn find(op: &str) -> Option<&'static Row> {
    static INDEX: OnceLock<HashMap<&'static str, &'static Row>> = OnceLock::new();
    INDEX.get_or_init(|| table().map(|r| (r.op, r)).collect()).get(op).copied()
}

/// The identity that gradients do not pass.
pub const STOP_GRADIENT: &str = "ekphrasis::StopGradient";

/// Operators that end the way: their gradient is zero everywhere, or is meant to be.
pub fn stops(op: &str) -> bool {
    const ZERO: [&str; 14] = [
        STOP_GRADIENT,
        "Bernoulli",
        "Ceil",
        "ConstantOfShape",
        "EyeLike",
        "Floor",
        "Hardmax",
        "Multinomial",
        "RandomNormalLike",
        "RandomUniformLike",
        "Round",
        "Shape",
        "Sign",
        "Size",
    ];
    ZERO.contains(&op)
}
