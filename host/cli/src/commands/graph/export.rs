//! `ekphrasis graph export`

use super::{Manifest, manifest, sizes};
use crate::{
    Context,
    error::{CliError, Result},
    opened,
    screen::print,
};
use ekphrasis_graph::Graph;
use ekphrasis_report::write_atomically;
use ekphrasis_train::Role;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Arguments of `graph export`.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of the model, as plugins/models/NAME
    model: PathBuf,
    /// The folder to write, called as configs shall name the model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write the weights that this run has trained, not initial ones
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "image_size", "vocabulary", "max_length", "seed"])]
    run: Option<PathBuf>,
    #[command(flatten)]
    sizes: sizes::Args,
}

/// Writes a model as ONNX files.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let target = args.out.join("model.toml");
    if target.exists() {
        let message = format!("{} exists already\nhint: choose another folder by --out", target.display());
        return Err(CliError::Message(message));
    }
    let name = std::path::absolute(&args.out).map_err(CliError::io("read", &args.out))?;
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let manifest = Manifest::read(&args.model)?;
    let graphs = match &args.run {
        Some(run) => trained(context, run, &args.model, manifest.role)?,
        None => sizes::graphs(context, &args.model, &args.sizes)?,
    };
    std::fs::create_dir_all(&args.out).map_err(CliError::io("create folder", &args.out))?;
    let mut written = String::new();
    for (graph, content) in &graphs {
        let path = args.out.join(manifest::file(graph));
        content.save(&path)?;
        written.push_str(&format!("{}\n", path.display()));
    }
    // Last: a folder with a model.toml is whole.
    write_atomically(&target, manifest.exported(&name, graphs.keys().map(String::as_str))?.as_bytes())?;
    print(&format!("{written}{}\n", target.display()))
}

/// The graphs of a run's model with the weights that evaluation uses.
fn trained(context: &Context, run: &Path, folder: &Path, role: Role) -> Result<BTreeMap<String, Graph>> {
    let world = opened::run(context, run)?;
    let model = world.model(role)?;
    if folder.file_name().is_none_or(|name| name != model.name.as_str()) {
        let message = format!(
            "{}: expected the {role} of the run, `{}`, found another model\nhint: export plugins/models/{}",
            folder.display(),
            model.name,
            model.name
        );
        return Err(CliError::Message(message));
    }
    let weights = world.weights.borrow();
    let values =
        |role: Role| weights.get(&role).map(|w| w.values()).transpose().map(Option::unwrap_or_default);
    let mut all = BTreeMap::new();
    for (prefix, owner) in model.inherits() {
        all.extend(values(owner)?.into_iter().filter(|(name, _)| name.starts_with(prefix)));
    }
    all.extend(values(role)?);
    let graph = |name: &String| Ok((name.clone(), model.graph_with(name, &all)?));
    model.graphs.keys().map(graph).collect()
}
