//! Losses that ONNX has as operators.

use super::{Kind::Definition, Row, row};
use crate::{
    Case, Ctx, Grads,
    case::{Operand, any, ints, positive},
};
use ekphrasis_graph::{AttrsExt, DType, Result, Tensor, ValueId};

pub(super) const ROWS: &[Row] = &[
    row("NegativeLogLikelihoodLoss", Definition, nll, || domain(1)),
    row("SoftmaxCrossEntropyLoss", Definition, cross_entropy, || {
        let mut cases = domain(1);
        cases.extend(domain(2));
        cases
    }),
];

fn domain(outputs: usize) -> Vec<Case> {
    let flat = || vec![any(&[3, 4]), ints(&[3], &[2, 0, 3])];
    let weight = || positive(&[4]);
    let fixed = || Operand::Single(vec![4], vec![0.5, 1.0, 2.0, 0.25]);
    let spatial = |w: Operand| {
        let at = ints(&[2, 2, 3], &[0, 3, 1, 2, 2, 0, 1, 1, 3, 0, 2, 3]);
        Case::of(vec![any(&[2, 4, 2, 3]), at, w]).single().outputs(outputs)
    };
    let mut cases = vec![Case::of(flat()).single().outputs(outputs)];
    for reduction in ["none", "sum", "mean"] {
        cases.push(spatial(fixed()).attr("reduction", reduction));
        cases.push(spatial(Operand::Absent).attr("reduction", reduction).attr("ignore_index", 2));
    }
    cases.push(spatial(weight()).attr("ignore_index", 1));
    let absent = ints(&[3], &[2, -100, 3]);
    cases.push(Case::of(vec![any(&[3, 4]), absent]).attr("ignore_index", -100).single().outputs(outputs));
    cases
}

fn nll(c: &mut Ctx) -> Result<Grads> {
    let log_p = c.x(0)?;
    Ok(vec![Some(picked_loss(c, log_p)?)])
}

fn cross_entropy(c: &mut Ctx) -> Result<Grads> {
    let x = c.x(0)?;
    let log_p = c.g.op("LogSoftmax", &[x], &[("axis", 1.into())])?;
    let mut outputs = vec![Some(picked_loss(c, log_p)?)];
    if c.outputs() > 1 {
        outputs.push(Some(log_p));
    }
    Ok(outputs)
}

/// `-w[t] * log_p[t]` at each position's class `t`, reduced; the mean is weighted by `w`.
fn picked_loss(c: &mut Ctx, log_p: ValueId) -> Result<ValueId> {
    let target = c.x(1)?;
    let mut at = c.g.cast(target, DType::I64)?;
    // 1 where a position counts; one that does not takes class 0, at no weight.
    let mut weight = None;
    if c.attrs().contains_key("ignore_index") {
        let ignored = c.g.constant(Tensor::scalar_i64(c.attrs().int("ignore_index", -100)));
        let equal = c.g.equal(at, ignored)?;
        let counts = c.g.not(equal)?;
        let whole = c.g.cast(counts, DType::I64)?;
        at = c.g.mul(at, whole)?;
        weight = Some(c.mask(counts, log_p)?);
    }
    if let Some(classes) = c.input(2) {
        let own = c.g.gather(classes, at, 0)?;
        weight = Some(match weight {
            Some(mask) => c.g.mul(own, mask)?,
            None => own,
        });
    }
    let column = c.g.unsqueeze(at, &[1])?;
    let picked = c.g.op("GatherElements", &[log_p, column], &[("axis", 1.into())])?;
    let picked = c.g.squeeze(picked, &[1])?;
    let mut each = c.g.neg(picked)?;
    if let Some(weight) = weight {
        each = c.g.mul(each, weight)?;
    }
    match (c.attrs().text("reduction", "mean"), weight) {
        ("none", _) => Ok(each),
        ("sum", _) => c.g.reduce_sum(each, &[], false),
        ("mean", None) => c.g.reduce_mean(each, &[], false),
        ("mean", Some(weight)) => {
            let (sum, total) = (c.g.reduce_sum(each, &[], false)?, c.g.reduce_sum(weight, &[], false)?);
            c.g.div(sum, total)
        }
        (other, _) => Err(c.error(format!("expected reduction none, sum or mean, found {other}"))),
    }
}
