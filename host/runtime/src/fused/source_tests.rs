//! Kernels' sources, built by the C compiler for the processor, compute what they should.

use super::{
    arithmetic::{Argument, compute},
    program::{Instruction, Op, Program, Source},
    source::{self, Sizes},
    sum::{self, Plan},
    view::{Layout, View},
};
use libloading::Library;
use std::{ffi::c_void, fs, process::Command};

/// What stands for CUDA: threads of the system, one block after the other.
const HOST: &str = "
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#define __global__
#define __restrict__
#define __shared__ static
#define extern_C
#define __syncthreads() pthread_barrier_wait(&barrier)
struct place { unsigned x; };
static struct place blockIdx, gridDim, blockDim;
static __thread struct place threadIdx;
static pthread_barrier_t barrier;
static float __int_as_float(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
";

/// Runs a kernel of so many parameters in blocks of 256 threads.
const LAUNCH: &str = "
struct start { unsigned thread; void** p; const uint64_t* n; };
static void* run(void* argument) {
    struct start* s = argument;
    void** p = s->p;
    const uint64_t* n = s->n;
    threadIdx.x = s->thread;
    kernel(PARAMETERS);
    return 0;
}
void launch(unsigned blocks, void** p, const uint64_t* n) {
    gridDim.x = blocks;
    blockDim.x = 256;
    pthread_barrier_init(&barrier, 0, 256);
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
        pthread_t threads[256];
        struct start starts[256];
        for (unsigned i = 0; i < 256; i++) {
            starts[i] = (struct start){i, p, n};
            pthread_create(&threads[i], 0, run, &starts[i]);
        }
        for (unsigned i = 0; i < 256; i++) pthread_join(threads[i], 0);
    }
    pthread_barrier_destroy(&barrier);
}
";

/// Has a kernel read and write memory of the host.
fn launch(kernel: &str, blocks: usize, addresses: &mut [*mut c_void], sizes: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("kernel.c"), folder.path().join("kernel.so"));
    let addressed = (0..addresses.len()).map(|i| format!("p[{i}]"));
    let parameters: Vec<String> = addressed.chain((0..sizes.len()).map(|i| format!("n[{i}]"))).collect();
    let parameters = parameters.join(", ");
    let kernel = kernel.replace("extern \"C\"", "extern_C");
    fs::write(&source, HOST.to_owned() + &kernel + &LAUNCH.replace("PARAMETERS", &parameters)).unwrap();
    let mut build = Command::new("gcc");
    build.args(["-shared", "-fPIC", "-O1", "-ffp-contract=off", "-o"]).args([&library, &source]);
    let done = build.args(["-lm", "-lpthread"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // SAFETY: the library holds that function, and the kernel takes these addresses.
    unsafe {
        let library = Library::new(&library).unwrap();
        let launch =
            library.get::<unsafe extern "C" fn(u32, *mut *mut c_void, *const u64)>(b"launch").unwrap();
        launch(blocks as u32, addresses.as_mut_ptr(), sizes.as_ptr());
    }
}

fn wave(n: usize, shift: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.37 + shift).sin() * 2.0 - 0.5).collect()
}

#[test]
fn a_program_gives_what_it_gives_on_the_cpu() {
    [true, false].into_iter().for_each(program_with_sizes);
}

/// With sizes that are fixed, or not.
fn program_with_sizes(fixed: bool) {
    let shape = [20i64, 3, 5];
    let inputs = [&[20i64, 3, 5][..], &[], &[3, 1], &[5], &[20, 1, 1]];
    let total = 300;
    let numbers = |own: &[i64]| own.iter().product::<i64>() as usize;
    let data: Vec<Vec<f32>> =
        inputs.iter().enumerate().map(|(i, own)| wave(numbers(own), i as f32)).collect();
    let layouts: Vec<Layout> = inputs.iter().map(|own| Layout::of(own, &shape).unwrap()).collect();
    let mut program = Program::default();
    let all = [
        Op::Add,
        Op::Sub,
        Op::Mul,
        Op::Div,
        Op::Neg,
        Op::Abs,
        Op::Sqrt,
        Op::Reciprocal,
        Op::Relu,
        Op::LeakyRelu,
        Op::HardSigmoid,
        Op::Exp,
        Op::Log,
        Op::Tanh,
        Op::Sigmoid,
        Op::Mul,
    ];
    for (k, op) in all.into_iter().enumerate() {
        let operands = match op {
            // Of what Abs made.
            Op::Sqrt | Op::Log => [Source::Result(5); 2],
            Op::Mul if k > 2 => [Source::Result(0), Source::Result(1)],
            _ => [Source::Input(k % 5), Source::Input((k + 1) % 5)],
        };
        program.instructions.push(Instruction { op, operands, constants: [0.7, 0.4] });
        program.outputs.push(k);
    }
    let mut found = vec![vec![0f32; total]; all.len()];
    let mut addresses: Vec<*mut c_void> = data.iter().map(|d| d.as_ptr().cast_mut().cast()).collect();
    addresses.extend(found.iter_mut().map(|f| f.as_mut_ptr().cast::<c_void>()));
    let mut sizes = Sizes::new(fixed);
    let kernel = source::elementwise(&program, &layouts, total, &mut sizes);
    assert_eq!(sizes.values.is_empty(), fixed);
    launch(&kernel, source::blocks(total), &mut addresses, &sizes.values);

    let arguments: Vec<Vec<f32>> = inputs
        .iter()
        .zip(&data)
        .map(|(own, data)| {
            let mut whole = vec![0.0; total];
            View::of(own, &shape, data).unwrap().copy(0, &mut whole);
            whole
        })
        .collect();
    let mut results: Vec<Vec<f32>> = vec![];
    for (instruction, found) in program.instructions.iter().zip(&found) {
        let [a, b] = instruction.operands.map(|source| match source {
            Source::Input(i) => &arguments[i],
            Source::Result(r) => &results[r],
        });
        let mut result = vec![0.0; total];
        compute(instruction, Argument::Each(a), Argument::Each(b), &mut result);
        for (x, y) in result.iter().zip(found) {
            let near = (x - y).abs() <= 1e-6 * x.abs();
            let same = x.to_bits() == y.to_bits() || instruction.op.transcendental() && near;
            assert!(same, "{:?}: {x} on the CPU, {y} by the source", instruction.op);
        }
        results.push(result);
    }
}

fn run(plan: &Plan, divisor: usize, fixed: bool, addresses: &mut [*mut c_void]) {
    let mut sizes = Sizes::new(fixed);
    let source = plan.source(Some(divisor), &mut sizes);
    launch(&source, plan.blocks(), addresses, &sizes.values);
}

#[test]
fn sums_are_over_the_dimensions_that_are_asked_for() {
    let cases: [(&[i64], &[i64], usize); 10] = [
        (&[6, 5], &[0], 1),
        (&[6, 5], &[1], 1),
        (&[3, 1, 70], &[0, 1, 2], 1),
        (&[4, 3, 5, 7], &[0, 2, 3], 1),
        (&[4, 3, 5, 7], &[1, 3], 1),
        (&[4, 3, 5, 7], &[0, 2], 1),
        (&[2, 1], &[1], 1),
        (&[40, 33], &[0], 1),
        (&[3, 4500], &[1], 2),
        (&[300, 2], &[0], 4),
    ];
    for (dims, axes, parts) in cases {
        let x = wave(dims.iter().product::<i64>() as usize, 0.3);
        let plan = Plan::new(dims, axes);
        assert_eq!(plan.parts, parts, "{dims:?} {axes:?}");
        let mut expected = vec![0f64; plan.results];
        for (i, value) in x.iter().enumerate() {
            let (mut rest, mut at, mut stride) = (i as i64, 0, 1);
            for (axis, size) in dims.iter().enumerate().rev() {
                if !axes.contains(&(axis as i64)) {
                    at += rest % size * stride;
                    stride *= size;
                }
                rest /= size;
            }
            expected[at as usize] += f64::from(*value) / plan.terms as f64;
        }
        let mut found = vec![f32::NAN; plan.parts * plan.results];
        let mut addresses = [x.as_ptr().cast_mut().cast(), found.as_mut_ptr().cast()];
        run(&plan, plan.terms, dims.len() == 2, &mut addresses);
        if plan.parts > 1 {
            let mut sums = vec![f32::NAN; plan.results];
            run(&plan.second(), plan.terms, true, &mut [found.as_mut_ptr().cast(), sums.as_mut_ptr().cast()]);
            found = sums;
        }
        for (a, b) in found.iter().zip(&expected) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{dims:?} {axes:?}: {a} {b}");
        }
    }
    assert_eq!(sum::shape(&[2, 3, 4], &[0, 2], false), [3]);
    assert_eq!(sum::shape(&[2, 3, 4], &[1], true), [2, 1, 4]);
}
