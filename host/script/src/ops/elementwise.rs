//! Elementwise operations.

use super::{Call, Emit, Op, op};
use crate::Fault;
use ekphrasis_graph::{DType, Origin, ValueId};

type One = Result<ValueId, Fault>;

fn unary(c: &mut Call, f: impl Fn(&mut Call, ValueId) -> One) -> Emit {
    let x = c.this()?;
    let x = c.float(x)?;
    Ok(vec![f(c, x)?])
}

/// Negation and the like, which keep integers integers.
fn signed(c: &mut Call, name: &str) -> Emit {
    let x = c.this()?;
    let x = if c.g.value(x).dtype == DType::Bool { c.float(x)? } else { x };
    Ok(vec![c.g.op(name, &[x], &[])?])
}

fn operands(c: &mut Call) -> Result<(ValueId, ValueId), Fault> {
    let (a, b) = (c.this()?, c.tensor(0)?);
    let (a, b) = c.promoted(a, b)?;
    if c.g.value(a).dtype == DType::Bool { Ok((c.float(a)?, c.float(b)?)) } else { Ok((a, b)) }
}

fn arithmetic(c: &mut Call, f: impl Fn(&mut Call, ValueId, ValueId) -> One) -> Emit {
    let (a, b) = operands(c)?;
    Ok(vec![f(c, a, b)?])
}

fn compare(c: &mut Call, name: &str) -> Emit {
    let (a, b) = if name == "Equal" {
        let (a, b) = (c.this()?, c.tensor(0)?);
        c.promoted(a, b)?
    } else {
        operands(c)?
    };
    Ok(vec![c.g.op(name, &[a, b], &[])?])
}

fn logical(c: &mut Call, name: &str) -> Emit {
    let (a, b) = (c.this()?, c.tensor(0)?);
    let (a, b) = (c.g.cast(a, DType::Bool)?, c.g.cast(b, DType::Bool)?);
    Ok(vec![c.g.op(name, &[a, b], &[])?])
}

/// The number that `x` is, if it is a scalar literal.
fn literal(c: &Call, x: ValueId) -> Option<f64> {
    match &c.g.value(x).origin {
        Origin::Constant(t) => t.as_scalar(),
        _ => None,
    }
}

fn pow(c: &mut Call) -> Emit {
    arithmetic(c, |c, a, b| {
        Ok(match literal(c, b) {
            Some(2.0) => c.g.mul(a, a)?,
            Some(0.5) if c.g.value(a).dtype.is_float() => c.g.sqrt(a)?,
            _ => c.g.pow(a, b)?,
        })
    })
}

/// x Phi(x) with the normal distribution function (Hendrycks and Gimpel 2016).
fn gelu(c: &mut Call, x: ValueId) -> One {
    let scaled = c.g.scale(x, std::f64::consts::FRAC_1_SQRT_2)?;
    let erf = c.g.erf(scaled)?;
    let cdf = c.g.shift(erf, 1.0)?;
    let half = c.g.scale(x, 0.5)?;
    Ok(c.g.mul(half, cdf)?)
}

fn clamp(c: &mut Call) -> Emit {
    let x = c.this()?;
    let (low, high) = (c.number_or_none(0)?, c.number_or_none(1)?);
    let low = low.map(|v| c.scalar(x, v));
    let high = high.map(|v| c.scalar(x, v));
    if low.is_none() && high.is_none() {
        return Err(Fault::new("expected a min, a max, or both"));
    }
    Ok(c.g.add_node("Clip", &[Some(x), low, high], Default::default(), 1)?)
}

fn select(c: &mut Call) -> Emit {
    let (a, b) = (c.tensor(0)?, c.tensor(1)?);
    let (a, b) = c.promoted(a, b)?;
    let x = c.this()?;
    let condition = c.g.cast(x, DType::Bool)?;
    Ok(vec![c.g.select(condition, a, b)?])
}

fn cast(c: &mut Call) -> Emit {
    let name = c.text_or(0, "")?;
    let known = ["f32", "f64", "i64", "i32", "bool"];
    match DType::from_name(name).filter(|_| known.contains(&name)) {
        Some(to) => cast_to(c, to),
        None => Err(Fault::unknown("type", name, known)),
    }
}

fn cast_to(c: &mut Call, to: DType) -> Emit {
    let x = c.this()?;
    Ok(vec![c.g.cast(x, to)?])
}

/// The gradient barrier; on real numbers there is nothing to stop.
fn detach(c: &mut Call) -> Emit {
    let x = c.this()?;
    if c.eager {
        return Ok(vec![c.g.identity(x)?]);
    }
    Ok(vec![c.g.op("ekphrasis::StopGradient", &[x], &[])?])
}

const T: &str = "(): Tensor";
const O: &str = "(other: Tensor|number): Tensor";

pub(super) const ROWS: &[Op] = &[
    op("add", O, "Sum; also `a + b`.", |c| arithmetic(c, |c, a, b| Ok(c.g.add(a, b)?))),
    op("sub", O, "Difference; also `a - b`.", |c| arithmetic(c, |c, a, b| Ok(c.g.sub(a, b)?))),
    op("mul", O, "Elementwise product; also `a * b`.", |c| arithmetic(c, |c, a, b| Ok(c.g.mul(a, b)?))),
    op("div", O, "Quotient, in floats; also `a / b`.", |c| {
        arithmetic(c, |c, a, b| {
            let (a, b) = (c.float(a)?, c.float(b)?);
            Ok(c.g.div(a, b)?)
        })
    }),
    op("pow", O, "Power; also `a ^ b`.", pow),
    op("neg", T, "Negation; also `-a`.", |c| signed(c, "Neg")),
    op("exp", T, "e to the power of each element.", |c| unary(c, |c, x| Ok(c.g.exp(x)?))),
    op("log", T, "Natural logarithm.", |c| unary(c, |c, x| Ok(c.g.log(x)?))),
    op("sqrt", T, "Square root.", |c| unary(c, |c, x| Ok(c.g.sqrt(x)?))),
    op("sin", T, "Sine.", |c| unary(c, |c, x| Ok(c.g.sin(x)?))),
    op("cos", T, "Cosine.", |c| unary(c, |c, x| Ok(c.g.cos(x)?))),
    op("tanh", T, "Hyperbolic tangent.", |c| unary(c, |c, x| Ok(c.g.tanh(x)?))),
    op("sigmoid", T, "1 / (1 + exp(-x)).", |c| unary(c, |c, x| Ok(c.g.sigmoid(x)?))),
    op("relu", T, "The larger of x and 0.", |c| unary(c, |c, x| Ok(c.g.relu(x)?))),
    op("leaky_relu", "(slope?: number): Tensor", "x where positive, else slope (0.01) times x.", |c| {
        unary(c, |c, x| {
            let slope = c.number_or(0, 0.01)? as f32;
            Ok(c.g.op("LeakyRelu", &[x], &[("alpha", slope.into())])?)
        })
    }),
    op("gelu", T, "x times the normal distribution function of x.", |c| unary(c, gelu)),
    op("elu", T, "x where positive, else exp(x) - 1.", |c| unary(c, |c, x| Ok(c.g.op("Elu", &[x], &[])?))),
    op("softplus", T, "log(1 + exp(x)).", |c| unary(c, |c, x| Ok(c.g.softplus(x)?))),
    op("erf", T, "The error function.", |c| unary(c, |c, x| Ok(c.g.erf(x)?))),
    op("abs", T, "Absolute value.", |c| signed(c, "Abs")),
    op("sign", T, "-1, 0 or 1.", |c| signed(c, "Sign")),
    op("floor", T, "The largest whole number below or at x.", |c| unary(c, |c, x| Ok(c.g.floor(x)?))),
    op("square", T, "x times x.", |c| {
        let x = c.this()?;
        Ok(vec![c.g.mul(x, x)?])
    }),
    op("reciprocal", T, "1 / x.", |c| unary(c, |c, x| Ok(c.g.reciprocal(x)?))),
    op("clamp", "(min?: number, max?: number): Tensor", "x, but at least min and at most max.", clamp),
    op("minimum", O, "The smaller of two, elementwise.", |c| arithmetic(c, |c, a, b| Ok(c.g.min(a, b)?))),
    op("maximum", O, "The larger of two, elementwise.", |c| arithmetic(c, |c, a, b| Ok(c.g.max(a, b)?))),
    op("eq", O, "Whether equal, elementwise, as bool.", |c| compare(c, "Equal")),
    op("ne", O, "Whether unequal, elementwise, as bool.", |c| {
        let equal = compare(c, "Equal")?;
        Ok(vec![c.g.not(equal[0])?])
    }),
    op("lt", O, "Whether smaller than `other`, as bool.", |c| compare(c, "Less")),
    op("le", O, "Whether smaller than or equal to `other`, as bool.", |c| compare(c, "LessOrEqual")),
    op("gt", O, "Whether larger than `other`, as bool.", |c| compare(c, "Greater")),
    op("ge", O, "Whether larger than or equal to `other`, as bool.", |c| compare(c, "GreaterOrEqual")),
    op("logical_and", "(other: Tensor): Tensor", "Whether both are true.", |c| logical(c, "And")),
    op("logical_or", "(other: Tensor): Tensor", "Whether one is true.", |c| logical(c, "Or")),
    op("logical_not", T, "Whether it is false.", |c| {
        let x = c.this()?;
        let x = c.g.cast(x, DType::Bool)?;
        Ok(vec![c.g.not(x)?])
    }),
    op(
        "where",
        "(a: Tensor|number, b: Tensor|number): Tensor",
        "On a bool tensor: a where true, b where false.",
        select,
    ),
    op("cast", "(dtype: string): Tensor", "Conversion to f32, f64, i64, i32 or bool.", cast),
    op("float", T, "Conversion to f32.", |c| cast_to(c, DType::F32)),
    op("long", T, "Conversion to i64.", |c| cast_to(c, DType::I64)),
    op("bool", T, "Conversion to bool: whether not zero.", |c| cast_to(c, DType::Bool)),
    op("detach", T, "The same numbers, through which no gradient flows.", detach),
];
