//! `ekphrasis graph show`

use super::sizes;
use crate::{Context, error::Result, screen::print};
use ekphrasis_graph::Graph;
use std::path::PathBuf;

/// Arguments of `graph show`.
#[derive(clap::Args)]
pub struct Args {
    /// An .onnx file, or the folder of a model
    model: PathBuf,
    #[command(flatten)]
    sizes: sizes::Args,
}

/// Prints graphs as text.
pub fn run(context: &Context, args: Args) -> Result<()> {
    if args.model.is_dir() {
        let graphs = sizes::graphs(context, &args.model, &args.sizes)?;
        let texts: Vec<String> = graphs.values().map(Graph::describe).collect();
        print(&texts.join("\n"))
    } else {
        print(&Graph::load(&args.model)?.describe())
    }
}
