//! `ekphrasis graph profile`

mod feed;
mod shown;
mod times;

use super::{dimensions::Dimensions, grad, layers};
use crate::{
    Context,
    error::{CliError, Result},
    screen::{self, print},
};
use ekphrasis_graph::{Dim, Graph, multiply_adds};
use ekphrasis_runtime::{Config, DeviceTensor, Provider, Runtime, SessionOptions};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Instant,
};

/// Runs before those that are measured.
const WARM: usize = 3;

/// Arguments of `graph profile`.
#[derive(clap::Args)]
pub struct Args {
    /// The .onnx file
    model: PathBuf,
    /// Profile the gradient of these outputs, not the model alone
    #[arg(long, value_name = "OUTPUT", num_args = 1.., conflicts_with = "loss")]
    grad: Vec<String>,
    #[command(flatten)]
    step: grad::StepArgs,
    /// Size of a symbolic dimension
    #[arg(long, value_name = "NAME=SIZE")]
    set: Vec<String>,
    /// Runs that are measured
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Execution provider: cpu, cuda, tensorrt
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    provider: String,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// Where the time of a run goes.
#[derive(Serialize)]
struct Report {
    file: String,
    provider: String,
    threads: usize,
    sizes: BTreeMap<String, i64>,
    /// The same for people.
    sizes_note: String,
    runs: usize,
    /// Median time of a whole run.
    milliseconds: f64,
    /// Multiply-adds of a run; none where a size is not known.
    multiply_adds: Option<i64>,
    /// Achieved by a whole run.
    gflops: Option<f64>,
    /// Achieved by one product of two 768 x 768 matrices.
    matrix_gflops: f64,
    /// Mean times of a run by operator.
    operators: Vec<Share>,
    /// Mean times of a run by layer.
    layers: Vec<LayerShare>,
}

/// The part that one operator has in a run.
#[derive(Serialize)]
struct Share {
    op: String,
    /// Kernels in one run.
    calls: f64,
    milliseconds: f64,
}

/// The part that one layer has in a run.
#[derive(Default, Serialize)]
struct LayerShare {
    layer: String,
    forward_milliseconds: f64,
    backward_milliseconds: f64,
    multiply_adds: i64,
}

/// Runs a model, or its gradient, or a training step, and says where the time goes.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let (model, dimensions) = Dimensions::load(&args.model, &args.set)?;
    let file = args.model.display().to_string();
    let config = Config {
        offline: context.offline,
        providers: vec![Provider::new(&args.provider)],
        ..Config::default()
    };
    let runtime = Runtime::start(&config, &|line| context.screen.say(line))?;
    let mut sized = model.with_sizes(&dimensions.sizes)?;
    sized.target = runtime.target();
    let graph = match &args.step.loss {
        Some(loss) => grad::step(context, &sized, loss, &args.step)?.with_sizes(&dimensions.sizes)?,
        None if !args.grad.is_empty() => grad::differentiated(sized.clone(), &file, &args.grad, &[], 1)?,
        None => sized,
    };
    let feeds = feed::random(&graph, &model, &file)?;
    let folder = tempfile::tempdir().map_err(CliError::io("create folder in", &std::env::temp_dir()))?;
    let options =
        SessionOptions { profile: Some(folder.path().join("profile")), ..SessionOptions::default() };
    let session = runtime.session(&graph, &options)?;
    let named: Vec<(&str, &DeviceTensor)> = feeds.iter().map(|(name, t)| (name.as_str(), t)).collect();
    let mut walls = vec![];
    for i in 0..WARM + usize::from(args.runs) {
        let start = Instant::now();
        session.run(&named)?;
        if i >= WARM {
            walls.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let path = session.end_profile()?;
    let text = std::fs::read_to_string(&path).map_err(CliError::io("read", &path))?;
    let kernels =
        times::kernels(&text, WARM).map_err(|e| CliError::Message(format!("ONNX Runtime's profile: {e}")))?;

    let runs = usize::from(args.runs);
    let costs = costs(&graph);
    let total = costs.values().copied().try_fold(0i64, |sum, n| Some(sum.saturating_add(n?)));
    let milliseconds = times::median(&mut walls);
    let gflops = |work: i64, milliseconds: f64| 2.0 * work as f64 / milliseconds / 1e6;
    let report = Report {
        provider: runtime.provider().to_owned(),
        threads: runtime.threads(),
        sizes: dimensions.sizes.clone(),
        sizes_note: dimensions.describe(),
        runs,
        milliseconds,
        multiply_adds: total,
        gflops: total.map(|n| gflops(n, milliseconds)),
        matrix_gflops: gflops(times::MATRIX.pow(3) as i64, times::matrix_product(&runtime)?),
        operators: by_operator(&kernels, runs),
        layers: by_layer(&graph, &kernels, &costs, runs),
        file,
    };
    match args.json {
        true => print(&screen::json(&report)?),
        false => print(&shown::report(&report)),
    }
}

/// Multiply-adds of each node that has some, by its name.
fn costs(graph: &Graph) -> HashMap<String, Option<i64>> {
    let one = |node: &ekphrasis_graph::Node| Some((node.name.clone(), multiply_adds(graph, node)?.known()));
    graph.nodes().filter_map(|(_, node)| one(node)).collect()
}

fn by_operator(kernels: &[times::Kernel], runs: usize) -> Vec<Share> {
    let mut all: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for kernel in kernels {
        let entry = all.entry(&kernel.op).or_default();
        *entry = (entry.0 + 1, entry.1 + kernel.milliseconds);
    }
    let share = |(op, (calls, time)): (&str, (usize, f64))| Share {
        op: op.to_owned(),
        calls: calls as f64 / runs as f64,
        milliseconds: time / runs as f64,
    };
    let mut all: Vec<Share> = all.into_iter().map(share).collect();
    all.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
    all
}

/// Kernels by the layer of the node that they come from; those of a gradient by the node that it is of.
fn by_layer(
    graph: &Graph,
    kernels: &[times::Kernel],
    costs: &HashMap<String, Option<i64>>,
    runs: usize,
) -> Vec<LayerShare> {
    let known: HashMap<&str, String> =
        graph.nodes().map(|(_, n)| (n.name.as_str(), layers::of_node(graph, n))).collect();
    let place = |name: &str| layers::source(name, &|name| known.get(name).cloned());
    let mut all: BTreeMap<String, LayerShare> = BTreeMap::new();
    for kernel in kernels {
        let (layer, backward) = place(&kernel.node);
        let entry = all.entry(layer).or_default();
        let time = if backward { &mut entry.backward_milliseconds } else { &mut entry.forward_milliseconds };
        *time += kernel.milliseconds / runs as f64;
    }
    for (name, cost) in costs {
        let entry = all.entry(place(name).0).or_default();
        entry.multiply_adds = entry.multiply_adds.saturating_add(cost.unwrap_or(0));
    }
    let mut all: Vec<LayerShare> =
        all.into_iter().map(|(layer, share)| LayerShare { layer, ..share }).collect();
    let time = |l: &LayerShare| l.forward_milliseconds + l.backward_milliseconds;
    all.sort_by(|a, b| time(b).total_cmp(&time(a)));
    all
}

/// The number in a dimension that `--set` has fixed.
fn size(dim: &Dim) -> Option<usize> {
    dim.known().and_then(|n| usize::try_from(n).ok())
}
