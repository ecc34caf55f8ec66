//! `ekphrasis graph`

mod check;
mod dimensions;
mod export;
mod grad;
mod layers;
mod manifest;
mod profile;
mod show;
mod sizes;

pub use manifest::Manifest;

use crate::{Context, error::Result};

/// Commands about graphs.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Print a graph as text: ports, parameters, nodes, shapes
    #[command(long_about = include_str!("../../help/graph_show.txt"))]
    Show(show::Args),
    /// Write a model as ONNX files with weights, in a folder that takes its place
    #[command(long_about = include_str!("../../help/graph_export.txt"))]
    Export(export::Args),
    /// Say what of an ONNX model would train, what not and why, and what it costs
    #[command(long_about = include_str!("../../help/graph_check.txt"))]
    Check(check::Args),
    /// Run an ONNX model, its gradient or a training step, and say where the time goes
    #[command(long_about = include_str!("../../help/graph_profile.txt"))]
    Profile(profile::Args),
    /// Write the gradient of an ONNX graph as another ONNX graph
    #[command(long_about = include_str!("../../help/graph_grad.txt"))]
    Grad(grad::Args),
}

impl Command {
    /// Does what was asked.
    pub fn run(self, context: &Context) -> Result<()> {
        match self {
            Self::Show(args) => show::run(context, args),
            Self::Export(args) => export::run(context, args),
            Self::Check(args) => check::run(args),
            Self::Profile(args) => profile::run(context, args),
            Self::Grad(args) => grad::run(context, args),
        }
    }
}
