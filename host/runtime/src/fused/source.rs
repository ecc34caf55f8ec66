//! A program as a CUDA kernel.

use super::{
    program::{Op, Program, Source},
    view::Layout,
};
use crate::cuda::kernels::{ENTRY, THREADS};
use std::fmt::Write;

/// Numbers that a thread computes at least, before there are more threads.
const BLOCKS: usize = 2048;

/// Blocks for `total` numbers.
pub(super) fn blocks(total: usize) -> usize {
    total.div_ceil(THREADS).clamp(1, BLOCKS)
}

/// The type of an index below `total`.
pub(super) fn index(total: usize) -> &'static str {
    if total <= i32::MAX as usize { "unsigned int" } else { "unsigned long long" }
}

/// The sizes in a source: literals, so that no index is divided by a variable, or parameters, so that one kernel does
/// for tensors of other sizes too.
pub(super) struct Sizes {
    literal: bool,
    /// The values of the parameters `n0`, `n1` and so on.
    pub values: Vec<u64>,
}

impl Sizes {
    /// For tensors that are always as large, or not.
    pub fn new(fixed: bool) -> Self {
        Self { literal: fixed, values: vec![] }
    }

    /// A size as the source has it.
    pub fn write(&mut self, size: usize) -> String {
        if self.literal {
            return format!("{size}u");
        }
        self.values.push(size as u64);
        format!("n{}", self.values.len() - 1)
    }

    /// The parameters, each with a comma before it.
    pub fn parameters(&self, index: &str) -> String {
        (0..self.values.len()).map(|i| format!(", const {index} n{i}")).collect()
    }
}

/// The kernel that computes `total` numbers of each output, from inputs that lie as `layouts` says. Its parameters are
/// the addresses of inputs and outputs in order, and `sizes`.
pub(super) fn elementwise(program: &Program, layouts: &[Layout], total: usize, sizes: &mut Sizes) -> String {
    let inputs = (0..layouts.len()).map(|i| format!("const float* __restrict__ in{i}"));
    let outputs = (0..program.outputs.len()).map(|i| format!("float* __restrict__ out{i}"));
    let addresses: Vec<String> = inputs.chain(outputs).collect();
    let index = index(total);
    let mut body = String::new();
    for (i, layout) in layouts.iter().enumerate() {
        let at = match *layout {
            Layout::Scalar => "0".to_owned(),
            Layout::Whole => "i".to_owned(),
            Layout::Repeated { len, inner } if len * inner == total => format!("i / {}", sizes.write(inner)),
            Layout::Repeated { len, inner: 1 } => format!("i % {}", sizes.write(len)),
            Layout::Repeated { len, inner } => format!("i / {} % {}", sizes.write(inner), sizes.write(len)),
        };
        let _ = writeln!(body, "        const float x{i} = in{i}[{at}];");
    }
    for (k, instruction) in program.instructions.iter().enumerate() {
        let [a, b] = instruction.operands.map(|source| match source {
            Source::Input(i) => format!("x{i}"),
            Source::Result(r) => format!("r{r}"),
        });
        let value = expression(instruction.op, &a, &b, instruction.constants);
        let _ = writeln!(body, "        const float r{k} = {value};");
    }
    for (i, k) in program.outputs.iter().enumerate() {
        let _ = writeln!(body, "        out{i}[i] = r{k};");
    }
    let total = sizes.write(total);
    format!(
        "extern \"C\" __global__ void {ENTRY}({}{}) {{
    const {index} stride = gridDim.x * ({index})blockDim.x;
    for ({index} i = blockIdx.x * ({index})blockDim.x + threadIdx.x; i < {total}; i += stride) {{
{body}    }}
}}
",
        addresses.join(", "),
        sizes.parameters(index)
    )
}

/// One operation in C, as [`super::arithmetic`] computes it.
fn expression(op: Op, a: &str, b: &str, [alpha, beta]: [f32; 2]) -> String {
    let number = |x: f32| format!("__int_as_float({:#x})", x.to_bits());
    match op {
        Op::Add => format!("{a} + {b}"),
        Op::Sub => format!("{a} - {b}"),
        Op::Mul => format!("{a} * {b}"),
        Op::Div => format!("{a} / {b}"),
        Op::Neg => format!("-{a}"),
        Op::Sqrt => format!("sqrtf({a})"),
        Op::Abs => format!("fabsf({a})"),
        Op::Reciprocal => format!("1.0f / {a}"),
        Op::Relu => format!("{a} < 0.0f ? 0.0f : {a}"),
        Op::LeakyRelu => format!("{a} >= 0.0f ? {a} : {} * {a}", number(alpha)),
        Op::HardSigmoid => {
            let line = format!("{} * {a} + {}", number(alpha), number(beta));
            format!("{line} > 1.0f ? 1.0f : {line} < 0.0f ? 0.0f : {line}")
        }
        Op::Exp => format!("expf({a})"),
        Op::Log => format!("logf({a})"),
        Op::Tanh => format!("tanhf({a})"),
        // Without overflow on either side.
        Op::Sigmoid => format!("{a} >= 0.0f ? 1.0f / (1.0f + expf(-{a})) : 1.0f - 1.0f / (1.0f + expf({a}))"),
    }
}
