//! What a run costs beside the arithmetic, and what threads and spinning do to a small training step:
//! `cargo run --release -p ekphrasis-runtime --example overhead -- <threads> <spin: 0|1> [busy]`.
//! With `busy`, another thread works all the time, as one that decodes pictures does.

use ekphrasis_graph::{DType, Dim, Graph};
use ekphrasis_runtime::{Binding, Config, DeviceTensor, Runtime, SessionOptions};
use std::{
    error::Error,
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let threads = args.first().map(|t| t.parse()).transpose()?;
    let spin = args.get(1).map(|s| s == "1");
    let runtime =
        Runtime::start(&Config { threads, spin, ..Config::default() }, &|line| eprintln!("{line}"))?;
    println!("{runtime:?}, threads {}, spin {spin:?}", runtime.threads());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if args.iter().any(|a| a == "busy") {
            scope.spawn(|| {
                let mut x = 1u64;
                while !stop.load(Ordering::Relaxed) {
                    x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
                }
            });
        }
        let result = measure(&runtime);
        stop.store(true, Ordering::Relaxed);
        result
    })
}

fn measure(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let mut one = Graph::new("one");
    let x = one.input("x", DType::F32, dims(&[4]))?;
    let y = one.neg(x)?;
    one.output("y", y)?;
    let session = runtime.session(&one, &SessionOptions::default())?;
    let x = DeviceTensor::from_f32(&[4], vec![1.0; 4])?;
    let mut binding = session.bind()?;
    binding.input("x", &x)?;
    report("one node, output made each run", 20_000, &mut binding)?;
    binding.output("y", &DeviceTensor::zeros(DType::F32, &[4])?)?;
    report("one node, output bound", 20_000, &mut binding)?;
    let start = Instant::now();
    for _ in 0..20_000 {
        session.run(&[("x", &x)])?;
    }
    println!("{:>10.2} us  one node, Session::run", start.elapsed().as_secs_f64() * 1e6 / 20_000.0);
    let start = Instant::now();
    for _ in 0..20_000 {
        binding.input("x", &x)?;
        binding.run()?;
    }
    println!(
        "{:>10.2} us  one node, output bound, input bound again",
        start.elapsed().as_secs_f64() * 1e6 / 20_000.0
    );

    let session = runtime.session(&step()?, &SessionOptions::default())?;
    let mut binding = session.bind()?;
    for (name, size) in &SIZES {
        let values =
            (0..size.iter().product()).map(|i: usize| ((i * 37 % 101) as f32 - 50.0) / 500.0).collect();
        binding.input(name, &DeviceTensor::from_f32(size, values)?)?;
    }
    report("forward and backward of a perceptron", 300, &mut binding)
}

fn report(what: &str, runs: usize, binding: &mut Binding) -> Result<(), Box<dyn Error>> {
    for _ in 0..runs / 10 {
        binding.run()?;
    }
    let start = Instant::now();
    for _ in 0..runs {
        binding.run()?;
    }
    println!("{:>10.2} us  {what}", start.elapsed().as_secs_f64() * 1e6 / runs as f64);
    Ok(())
}

fn dims(sizes: &[usize]) -> Vec<Dim> {
    sizes.iter().map(|n| (*n).into()).collect()
}

const SIZES: [(&str, [usize; 2]); 4] =
    [("x", [64, 256]), ("w1", [256, 256]), ("w2", [256, 256]), ("w3", [256, 64])];

/// Two hidden layers of 256, a batch of 64, squared error; gradients of all weights.
fn step() -> Result<Graph, Box<dyn Error>> {
    let mut g = Graph::new("perceptron");
    let mut inputs = vec![];
    for (name, size) in &SIZES {
        inputs.push(g.input(name, DType::F32, dims(size))?);
    }
    let (mut h, mut layers) = (inputs[0], vec![]);
    for w in &inputs[1..] {
        let z = g.matmul(h, *w)?;
        let a = g.tanh(z)?;
        layers.push((h, *w, a));
        h = a;
    }
    let mut grad = g.scale(h, 2.0)?;
    for (i, (input, w, a)) in layers.into_iter().enumerate().rev() {
        let square = g.mul(a, a)?;
        let slope = g.neg(square)?;
        let slope = g.shift(slope, 1.0)?;
        grad = g.mul(grad, slope)?;
        let (input, w) = (g.transpose(input, &[1, 0])?, g.transpose(w, &[1, 0])?);
        let dw = g.matmul(input, grad)?;
        g.output(&format!("dw{i}"), dw)?;
        grad = g.matmul(grad, w)?;
    }
    Ok(g)
}
