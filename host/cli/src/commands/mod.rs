//! The commands, one module each.

mod caption;
mod doctor;
mod eval;
mod graph;
mod imagine;
mod plugin;
mod run;
mod score;
mod score_images;
mod study;

use crate::{Context, error::Result};

/// All commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Train, evaluate and show what came out, as a config says; or go on with a run
    #[command(long_about = include_str!("../help/run.txt"))]
    Run(run::Args),
    /// Score the captions (and painted pictures) of a run on whole splits of its data
    #[command(long_about = include_str!("../help/eval.txt"))]
    Eval(eval::Args),
    /// Describe picture files in words
    #[command(long_about = include_str!("../help/caption.txt"))]
    Caption(caption::Args),
    /// Paint pictures from words
    #[command(long_about = include_str!("../help/imagine.txt"))]
    Imagine(imagine::Args),
    /// Compare folders of generated and real pictures by an encoder: Fréchet and kernel distance
    #[command(long_about = include_str!("../help/score_images.txt"))]
    ScoreImages(score_images::Args),
    /// Run a study: many runs that differ in what it varies, compared with statistics
    #[command(long_about = include_str!("../help/study.txt"))]
    Study(study::Args),
    /// Score captions against references with the numbers of coco-caption, and compare two systems
    #[command(long_about = include_str!("../help/score.txt"))]
    Score(score::Args),
    /// Look at models as graphs, check, export and differentiate them
    #[command(subcommand, long_about = include_str!("../help/graph.txt"))]
    Graph(graph::Command),
    /// What plugins there are
    #[command(subcommand, long_about = include_str!("../help/plugin.txt"))]
    Plugin(plugin::Command),
    /// Check that this machine has what is needed, and tell what will be used
    #[command(long_about = include_str!("../help/doctor.txt"))]
    Doctor(doctor::Args),
}

impl Command {
    /// Does what was asked.
    pub fn run(self, context: &Context) -> Result<()> {
        match self {
            Self::Run(args) => run::run(context, args),
            Self::Eval(args) => eval::run(context, args),
            Self::Caption(args) => caption::run(context, args),
            Self::Imagine(args) => imagine::run(context, args),
            Self::ScoreImages(args) => score_images::run(context, args),
            Self::Study(args) => study::run(context, args),
            Self::Score(args) => score::run(context, args),
            Self::Graph(command) => command.run(context),
            Self::Plugin(command) => command.run(context),
            Self::Doctor(args) => doctor::run(context, args),
        }
    }
}
