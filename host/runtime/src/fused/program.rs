//! What a group computes, as a list of instructions.

use super::groups::Group;
use ekphrasis_graph::{Attrs, AttrsExt, Graph, Node, Result, ValueId};
use ort::operator::KernelContext;
use std::collections::HashMap;

/// Arithmetic on one or two numbers, rounded as ONNX Runtime rounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Neg,
    Sqrt,
    Abs,
    Reciprocal,
    /// `max(x, 0)`
    Relu,
    /// `x` where it is not negative, and `a x` elsewhere.
    LeakyRelu,
    /// `min(max(a x + b, 0), 1)`
    HardSigmoid,
    Exp,
    Log,
    Tanh,
    Sigmoid,
}

/// All of them with their names in ONNX; the place in this list stands in the attribute.
const OPS: [(Op, &str); 15] = [
    (Op::Add, "Add"),
    (Op::Sub, "Sub"),
    (Op::Mul, "Mul"),
    (Op::Div, "Div"),
    (Op::Neg, "Neg"),
    (Op::Sqrt, "Sqrt"),
    (Op::Abs, "Abs"),
    (Op::Reciprocal, "Reciprocal"),
    (Op::Relu, "Relu"),
    (Op::LeakyRelu, "LeakyRelu"),
    (Op::HardSigmoid, "HardSigmoid"),
    (Op::Exp, "Exp"),
    (Op::Log, "Log"),
    (Op::Tanh, "Tanh"),
    (Op::Sigmoid, "Sigmoid"),
];

impl Op {
    /// The operation of a node, if it is one.
    pub fn of(node: &Node) -> Option<Self> {
        OPS.iter().find(|(_, name)| *name == node.op).map(|(op, _)| *op)
    }

    /// Whether it costs so much more than memory does that the CPU is better off with ONNX Runtime's own operator,
    /// which rounds otherwise than the system's functions.
    pub fn transcendental(self) -> bool {
        matches!(self, Self::Exp | Self::Log | Self::Tanh | Self::Sigmoid)
    }

    /// The constants that a node has in its attributes, with ONNX's defaults.
    fn constants(self, node: &Node) -> [f32; 2] {
        match self {
            Self::LeakyRelu => [node.attrs.float("alpha", 0.01), 0.0],
            Self::HardSigmoid => [node.attrs.float("alpha", 0.2), node.attrs.float("beta", 0.5)],
            _ => [0.0; 2],
        }
    }
}

/// Where an operand comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An input of the operator.
    Input(usize),
    /// The result of an earlier instruction.
    Result(usize),
}

/// One operation. Those on one number have the same operand twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instruction {
    pub op: Op,
    pub operands: [Source; 2],
    pub constants: [f32; 2],
}

/// Instructions in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Program {
    pub instructions: Vec<Instruction>,
    /// The instructions whose results are outputs of the operator.
    pub outputs: Vec<usize>,
}

impl Program {
    /// The program of a group, and the values that it takes.
    pub fn of(graph: &Graph, group: &Group) -> Result<(Self, Vec<ValueId>)> {
        let (mut program, mut inputs) = (Self::default(), vec![]);
        let mut sources: HashMap<ValueId, Source> = HashMap::new();
        for node in group.nodes.iter().map(|id| graph.node(*id)) {
            let broken = || graph.error(format!("node `{}` ({}) cannot be fused", node.name, node.op));
            let mut operand = |i: usize| {
                let value = node.inputs.get(i).copied().flatten()?;
                Some(*sources.entry(value).or_insert_with(|| {
                    inputs.push(value);
                    Source::Input(inputs.len() - 1)
                }))
            };
            let first = operand(0).ok_or_else(broken)?;
            let second = operand(1).unwrap_or(first);
            let op = Op::of(node).ok_or_else(broken)?;
            let made = node.outputs.first().copied().flatten().ok_or_else(broken)?;
            sources.insert(made, Source::Result(program.instructions.len()));
            let constants = op.constants(node);
            program.instructions.push(Instruction { op, operands: [first, second], constants });
        }
        for output in &group.outputs {
            if let Some(Source::Result(k)) = sources.get(output) {
                program.outputs.push(*k);
            }
        }
        Ok((program, inputs))
    }

    /// The attributes that hold it: for each instruction the place of its operation and two operands, inputs from 0
    /// up and results from -1 down.
    pub fn attrs(&self) -> Attrs {
        let number = |source: Source| match source {
            Source::Input(i) => i as i64,
            Source::Result(k) => -1 - k as i64,
        };
        let code: Vec<i64> = self
            .instructions
            .iter()
            .flat_map(|i| {
                let place = OPS.iter().position(|(op, _)| *op == i.op).unwrap_or(0);
                [place as i64, number(i.operands[0]), number(i.operands[1])]
            })
            .collect();
        let constants: Vec<f32> = self.instructions.iter().flat_map(|i| i.constants).collect();
        let outputs: Vec<i64> = self.outputs.iter().map(|k| *k as i64).collect();
        [("code", code.into()), ("constants", constants.into()), ("outputs", outputs.into())]
            .map(|(name, attr)| (name.to_owned(), attr))
            .into()
    }

    /// The program, of so many inputs, of an operator that ONNX Runtime makes.
    pub fn of_kernel(context: &KernelContext, inputs: usize) -> ort::Result<Self> {
        let ints = |name: &str| context.get::<Vec<i64>>(name).unwrap_or_default();
        let constants = context.get::<Vec<f32>>("constants").unwrap_or_default();
        let program = Self::read(&ints("code"), &constants, &ints("outputs"), inputs);
        program.ok_or_else(|| ort::Error::new("expected a program, found another attribute"))
    }

    /// The program that attributes hold, if they hold one for so many inputs.
    pub fn read(code: &[i64], constants: &[f32], outputs: &[i64], inputs: usize) -> Option<Self> {
        let mut program = Self::default();
        let (rows, rest) = code.as_chunks::<3>();
        let (pairs, _) = constants.as_chunks::<2>();
        if !rest.is_empty() || rows.len() != pairs.len() {
            return None;
        }
        for (k, ([op, a, b], constants)) in rows.iter().zip(pairs).enumerate() {
            let source = |number: i64| match usize::try_from(number) {
                Ok(i) => (i < inputs).then_some(Source::Input(i)),
                Err(_) => usize::try_from(-1 - number).ok().filter(|r| *r < k).map(Source::Result),
            };
            let (op, _) = OPS.get(usize::try_from(*op).ok()?)?;
            let operands = [source(*a)?, source(*b)?];
            program.instructions.push(Instruction { op: *op, operands, constants: *constants });
        }
        for k in outputs {
            program.outputs.push(usize::try_from(*k).ok().filter(|k| *k < rows.len())?);
        }
        Some(program)
    }
}
