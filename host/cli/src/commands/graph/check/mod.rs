//! `ekphrasis graph check`

mod analysis;
mod shown;

use super::dimensions::Dimensions;
use crate::{
    error::Result,
    screen::{self, print},
};
use ekphrasis_graph::FileFacts;
use std::path::PathBuf;

/// Arguments of `graph check`.
#[derive(clap::Args)]
pub struct Args {
    /// The .onnx file
    model: PathBuf,
    /// Size of a symbolic dimension, for control flow and for counting arithmetic
    #[arg(long, value_name = "NAME=SIZE")]
    set: Vec<String>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// Says what of a model would train, and what not and why.
pub fn run(args: Args) -> Result<()> {
    let facts = FileFacts::read(&args.model)?;
    let (graph, dimensions) = match Dimensions::load(&args.model, &args.set) {
        Ok(loaded) => loaded,
        Err(error) => {
            // What the file says of itself helps to export it anew.
            if !args.json {
                print(&shown::facts(&args.model.display().to_string(), &facts))?;
            }
            return Err(error);
        }
    };
    let report = analysis::analyse(&args.model.display().to_string(), facts, &graph, &dimensions)?;
    match args.json {
        true => print(&screen::json(&report)?),
        false => print(&shown::report(&report)),
    }
}
