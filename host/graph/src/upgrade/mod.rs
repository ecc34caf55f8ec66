//! Brings operators of other opsets to opset 18.
//!
//! One table of rows: operator, the opsets of the file for which the row holds, what to do. An
//! operator without a row means the same in its opset and in 18.

mod attention;
mod older;
mod position;
mod rules;
mod training;

use crate::{Attrs, AttrsExt, Graph, GraphError, Result, Tensor, ValueId};
use std::ops::RangeInclusive;

/// The opsets that are understood.
const OPSETS: RangeInclusive<i64> = 11..=28;

/// A node as the file has it.
pub(crate) struct Form {
    pub name: String,
    pub op: String,
    pub inputs: Vec<Option<ValueId>>,
    pub attrs: Attrs,
    pub wanted: Vec<bool>,
    pub opset: i64,
}

type Outputs = Result<Vec<Option<ValueId>>>;

/// What a row does: adds nodes of opset 18 and returns the values of the outputs.
type Rule = fn(&mut Graph, Form) -> Outputs;

/// Operator, opsets of the file, rule. The first row that holds is taken.
type Row = (&'static str, RangeInclusive<i64>, Rule);

const ALL: RangeInclusive<i64> = 11..=i64::MAX;

/// The rows, by operator. Changes are those of the ONNX operator changelog up to opset 28.
const ROWS: &[Row] = &[
    ("AffineGrid", 20..=i64::MAX, position::affine_grid),
    ("Attention", 23..=i64::MAX, attention::attention),
    ("AveragePool", 19..=i64::MAX, rules::average_pool),
    ("BatchNormalization", 11..=13, rules::batch_normalization),
    ("Cast", 19..=i64::MAX, rules::cast),
    ("CastLike", 15..=i64::MAX, rules::cast_like),
    ("CumProd", 26..=i64::MAX, position::cumulative_product),
    ("DFT", 20..=i64::MAX, rules::dft),
    ("DequantizeLinear", 19..=i64::MAX, rules::quantize),
    ("Dropout", 11..=11, older::dropout),
    ("Dropout", ALL, rules::dropout),
    ("Gelu", 20..=i64::MAX, rules::gelu),
    ("GridSample", 20..=i64::MAX, rules::grid_sample),
    ("GroupNormalization", 18..=20, rules::group_normalization),
    ("GroupNormalization", 21..=i64::MAX, rules::group_normalization_by_channel),
    ("Identity", ALL, rules::identity),
    ("Hardmax", 11..=12, older::softmax),
    ("IsInf", 20..=i64::MAX, rules::is_inf),
    ("LogSoftmax", 11..=12, older::softmax),
    ("Mod", 28..=i64::MAX, rules::modulo),
    ("Pad", 19..=i64::MAX, rules::pad),
    ("QLinearMatMul", 21..=i64::MAX, rules::quantized_product),
    ("QuantizeLinear", 19..=i64::MAX, rules::quantize),
    ("RMSNormalization", 23..=i64::MAX, rules::rms_normalization),
    ("Range", 27..=i64::MAX, rules::range),
    ("ReduceL1", 11..=17, rules::reduce),
    ("ReduceL2", 11..=17, rules::reduce),
    ("ReduceLogSum", 11..=17, rules::reduce),
    ("ReduceLogSumExp", 11..=17, rules::reduce),
    ("ReduceMax", 11..=17, rules::reduce),
    ("ReduceMax", 20..=i64::MAX, rules::reduce_bool),
    ("ReduceMean", 11..=17, rules::reduce),
    ("ReduceMin", 11..=17, rules::reduce),
    ("ReduceMin", 20..=i64::MAX, rules::reduce_bool),
    ("ReduceProd", 11..=17, rules::reduce),
    ("ReduceSum", 11..=12, rules::reduce),
    ("ReduceSumSquare", 11..=17, rules::reduce),
    ("Resize", ALL, rules::resize),
    ("RoiAlign", 11..=15, rules::roi_align),
    ("RotaryEmbedding", 23..=i64::MAX, position::rotary_embedding),
    ("Softmax", 11..=12, older::softmax),
    ("SpaceToDepth", 28..=i64::MAX, rules::space_to_depth),
    ("Split", 11..=12, older::split),
    ("Split", ALL, rules::split),
    ("Squeeze", 11..=12, older::axes),
    ("Swish", 24..=i64::MAX, rules::swish),
    ("TensorScatter", 24..=i64::MAX, position::tensor_scatter),
    ("Unsqueeze", 11..=12, older::axes),
];

/// Operators of opset 18 that graphs here cannot hold: optionals and text.
const UNSUPPORTED: &[&str] =
    &["Optional", "OptionalGetElement", "OptionalHasElement", "StringNormalizer", "TfIdfVectorizer"];

/// The other operators of opset 18.
const OPERATORS: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "AveragePool",
    "BatchNormalization",
    "Bernoulli",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "BlackmanWindow",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "CenterCropPad",
    "Clip",
    "Col2Im",
    "Compress",
    "Concat",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumSum",
    "DFT",
    "DepthToSpace",
    "DequantizeLinear",
    "Det",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "EyeLike",
    "Flatten",
    "Floor",
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gemm",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "HammingWindow",
    "HannWindow",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "MaxRoiPool",
    "MaxUnpool",
    "Mean",
    "MeanVarianceNormalization",
    "MelWeightMatrix",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Multinomial",
    "Neg",
    "NegativeLogLikelihoodLoss",
    "NonMaxSuppression",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "RNN",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "ReverseSequence",
    "RoiAlign",
    "Round",
    "STFT",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shape",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Size",
    "Slice",
    "Softmax",
    "SoftmaxCrossEntropyLoss",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unique",
    "Unsqueeze",
    "Where",
    "Xor",
];

/// Refuses models of an opset that is too old or too new to be read right.
pub(crate) fn check_opset(opset: i64) -> Result<(), String> {
    if OPSETS.contains(&opset) {
        return Ok(());
    }
    let (first, last) = (OPSETS.start(), OPSETS.end());
    let hint = if opset < *first {
        "export the model with opset 18"
    } else {
        "export the model with an older opset"
    };
    Err(format!("expected an opset from {first} to {last}, found {opset}\nhint: {hint}"))
}

/// Adds a node of the default domain in its form of opset 18.
pub(crate) fn add(graph: &mut Graph, form: Form) -> Outputs {
    let row = ROWS.iter().find(|(op, opsets, _)| *op == form.op && opsets.contains(&form.opset));
    if let Some((_, _, rule)) = row {
        return apply(*rule, graph, form);
    }
    let op = form.op.as_str();
    if OPERATORS.binary_search(&op).is_ok() {
        return keep(graph, form);
    }
    let message = if UNSUPPORTED.contains(&op) {
        "optionals and text are not supported\nhint: export the model without them".into()
    } else if ROWS.iter().any(|(o, _, _)| *o == op) {
        format!("not an operator of opset {}", form.opset)
    } else {
        format!("unknown in opset {}, and so cannot be brought to opset 18", form.opset)
    };
    Err(fail(graph, &form, message))
}

/// The domain of ONNX's optimisers.
pub(crate) const TRAINING: &str = "ai.onnx.preview.training";

/// Adds an optimiser of the domain [`TRAINING`] by its definition.
pub(crate) fn optimizer(graph: &mut Graph, form: Form) -> Outputs {
    apply(training::optimizer, graph, form)
}

/// Nodes that a rule adds are named after the node of the file.
fn apply(rule: Rule, graph: &mut Graph, form: Form) -> Outputs {
    let inner = if form.name.is_empty() { String::new() } else { format!("{}/", form.name) };
    let scope = std::mem::replace(&mut graph.scope, inner);
    let out = rule(graph, form);
    graph.scope = scope;
    out
}

/// The node as it is.
fn keep(graph: &mut Graph, form: Form) -> Outputs {
    graph.add_node_named(&form.name, &form.op, &form.inputs, form.attrs, &form.wanted)
}

fn fail(graph: &Graph, form: &Form, message: impl Into<String>) -> GraphError {
    GraphError::Node {
        graph: graph.name.clone(),
        node: form.name.clone(),
        op: form.op.clone(),
        message: message.into(),
    }
}

/// The input at `i`, which must be there.
fn need(graph: &Graph, form: &Form, i: usize) -> Result<ValueId> {
    let found = form.inputs.get(i).copied().flatten();
    found.ok_or_else(|| {
        fail(graph, form, format!("expected an input {i}, found {} inputs", form.inputs.len()))
    })
}

/// One element of a list, as a scalar.
fn element(graph: &mut Graph, list: ValueId, at: i64) -> Result<ValueId> {
    let at = graph.constant(Tensor::scalar_i64(at));
    graph.gather(list, at, 0)
}

/// The size of a dimension, as a scalar.
fn size(graph: &mut Graph, x: ValueId, axis: i64) -> Result<ValueId> {
    let shape = graph.shape_of(x)?;
    element(graph, shape, axis)
}

/// Refuses a node that wants an output that its rule does not give.
fn only_first_output(graph: &Graph, form: &Form) -> Result<()> {
    match form.wanted.iter().skip(1).any(|w| *w) {
        true => Err(fail(graph, form, "outputs after the first are not supported")),
        false => Ok(()),
    }
}

/// Removes an integer attribute that must have its default, as opset 18 knows no other.
fn only_default(graph: &Graph, form: &mut Form, name: &str, default: i64) -> Result<()> {
    let found = form.attrs.int(name, default);
    if found != default {
        let message = format!("`{name}` = {found} has no form in opset 18; expected {default}");
        return Err(fail(graph, form, message));
    }
    form.attrs.remove(name);
    Ok(())
}

#[cfg(test)]
mod tests;
