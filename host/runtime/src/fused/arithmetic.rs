//! One instruction on many numbers.

use super::program::{Instruction, Op};

/// An operand.
#[derive(Clone, Copy)]
pub(super) enum Argument<'a> {
    /// The same for all.
    Scalar(f32),
    /// One for each.
    Each(&'a [f32]),
}

/// Computes `result`; operands that are not scalars have its length.
pub(super) fn compute(instruction: &Instruction, a: Argument, b: Argument, result: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { with_avx2(instruction, a, b, result) };
    }
    anywhere(instruction, a, b, result);
}

/// The same with vectors of eight numbers. No fused multiply-add: it would round otherwise.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(instruction: &Instruction, a: Argument, b: Argument, result: &mut [f32]) {
    anywhere(instruction, a, b, result);
}

#[inline(always)]
fn anywhere(instruction: &Instruction, a: Argument, b: Argument, result: &mut [f32]) {
    let [alpha, beta] = instruction.constants;
    match instruction.op {
        Op::Add => two(a, b, result, |x, y| x + y),
        Op::Sub => two(a, b, result, |x, y| x - y),
        Op::Mul => two(a, b, result, |x, y| x * y),
        Op::Div => two(a, b, result, |x, y| x / y),
        Op::Neg => one(a, result, |x| -x),
        Op::Sqrt => one(a, result, f32::sqrt),
        Op::Abs => one(a, result, f32::abs),
        Op::Reciprocal => one(a, result, |x| 1.0 / x),
        // Comparisons in this order hand on what is no number.
        Op::Relu => one(a, result, |x| if x < 0.0 { 0.0 } else { x }),
        Op::LeakyRelu => one(a, result, |x| if x >= 0.0 { x } else { alpha * x }),
        Op::HardSigmoid => one(a, result, |x| {
            let y = alpha * x + beta;
            let y = if y > 1.0 { 1.0 } else { y };
            if y < 0.0 { 0.0 } else { y }
        }),
        Op::Exp => one(a, result, f32::exp),
        Op::Log => one(a, result, f32::ln),
        Op::Tanh => one(a, result, f32::tanh),
        Op::Sigmoid => one(a, result, |x| 1.0 / (1.0 + (-x).exp())),
    }
}

#[inline(always)]
fn one(a: Argument, result: &mut [f32], f: impl Fn(f32) -> f32) {
    match a {
        Argument::Scalar(a) => result.fill(f(a)),
        Argument::Each(a) => result.iter_mut().zip(a).for_each(|(r, a)| *r = f(*a)),
    }
}

#[inline(always)]
fn two(a: Argument, b: Argument, result: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    match (a, b) {
        (Argument::Scalar(a), Argument::Scalar(b)) => result.fill(f(a, b)),
        (Argument::Scalar(a), Argument::Each(b)) => result.iter_mut().zip(b).for_each(|(r, b)| *r = f(a, *b)),
        (Argument::Each(a), Argument::Scalar(b)) => result.iter_mut().zip(a).for_each(|(r, a)| *r = f(*a, b)),
        (Argument::Each(a), Argument::Each(b)) => {
            result.iter_mut().zip(a).zip(b).for_each(|((r, a), b)| *r = f(*a, *b));
        }
    }
}
