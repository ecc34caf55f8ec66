//! `ekphrasis graph grad`

mod gradient;
mod step;

pub use gradient::differentiated;
pub use step::{Args as StepArgs, step};

use super::dimensions::Dimensions;
use crate::{Context, error::Result, screen::print};
use std::path::PathBuf;

/// Arguments of `graph grad`.
#[derive(clap::Args)]
pub struct Args {
    /// The .onnx file
    model: PathBuf,
    /// The outputs to differentiate: their sum, each times its seed
    #[arg(long, value_name = "OUTPUT", num_args = 1.., required_unless_present = "loss", conflicts_with = "loss")]
    of: Vec<String>,
    /// Inputs or initializers to differentiate by [default: all float ones that the outputs depend on]
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "loss")]
    wrt: Vec<String>,
    /// 2 for products of the second derivatives with vectors as well
    #[arg(long, value_name = "1|2", default_value_t = 1, conflicts_with = "loss",
          value_parser = clap::value_parser!(u8).range(1..=2))]
    order: u8,
    /// Size of a symbolic dimension, where control flow or a gradient rule needs it
    #[arg(long, value_name = "NAME=SIZE")]
    set: Vec<String>,
    #[command(flatten)]
    step: step::Args,
    /// The .onnx file to write
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// Writes a gradient graph, or a training step.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let (graph, _) = Dimensions::load(&args.model, &args.set)?;
    let place = args.model.display().to_string();
    let graph = match &args.step.loss {
        Some(loss) => step(context, &graph, loss, &args.step)?,
        None => differentiated(graph, &place, &args.of, &args.wrt, args.order)?,
    };
    graph.save(&args.out)?;
    print(&format!("{}\n", args.out.display()))
}
