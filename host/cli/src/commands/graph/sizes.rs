//! The graphs of a model folder, which depend on the sizes of the data.

use super::Manifest;
use crate::{Context, error::Result, observer::Preparation, opened};
use ekphrasis_graph::Graph;
use ekphrasis_script::{Engine, Limits};
use ekphrasis_train::{Config, Model, Sizes};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// For which sizes a model in Lua is built.
#[derive(clap::Args)]
#[group(skip)]
pub struct Args {
    /// Take the sizes from this config's data, and seed and parameters from the config
    #[arg(long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Change one setting of that config
    #[arg(long, value_name = "KEY=VALUE", requires = "config")]
    set: Vec<String>,
    /// Width and height of pictures
    #[arg(long, value_name = "PIXELS", default_value_t = 32, conflicts_with = "config")]
    image_size: usize,
    /// Number of words
    #[arg(long, value_name = "WORDS", default_value_t = 100, conflicts_with = "config")]
    vocabulary: usize,
    /// Most words in a caption, its end counted
    #[arg(long, value_name = "WORDS", default_value_t = 20, conflicts_with = "config")]
    max_length: usize,
    /// Seed of the initial weights
    #[arg(long, default_value_t = 0, conflicts_with = "config")]
    seed: u64,
}

/// The graphs of a model folder with their initial weights.
pub fn graphs(context: &Context, folder: &Path, args: &Args) -> Result<BTreeMap<String, Graph>> {
    let manifest = Manifest::read(folder)?;
    if !manifest.graphs.contains_key("lua") {
        let load = |(name, file): (&String, &String)| Ok((name.clone(), Graph::load(folder.join(file))?));
        return manifest.graphs.iter().map(load).collect();
    }
    let mut sizes =
        Sizes { image: args.image_size, vocabulary: args.vocabulary, max_length: args.max_length };
    let (mut seed, mut params) = (args.seed, serde_json::Map::new());
    let runtime = match &args.config {
        None => ekphrasis_runtime::Runtime::start(
            &ekphrasis_runtime::Config { offline: context.offline, ..Default::default() },
            &|line| context.screen.say(line),
        )?,
        Some(path) => {
            let config = Config::load(path, &args.set)?;
            let preparation = Preparation::new(&context.screen);
            let data = ekphrasis_data::open(&config.data, &opened::cache(), &|done, total| {
                preparation.tell(done, total)
            })?;
            sizes = Sizes {
                image: data.image_size,
                vocabulary: data.vocabulary.len(),
                max_length: config.max_length,
            };
            seed = config.seed;
            let name = folder.file_name().unwrap_or_default();
            if let Some(choice) =
                config.models.get(&manifest.role).filter(|choice| name == choice.script.as_str())
            {
                params = choice.params.clone();
            }
            opened::runtime(context, &config)?
        }
    };
    let engine = Engine::new(Limits::default(), Some(runtime))?;
    Ok(Model::load(&engine, folder, manifest.role, &params, sizes, seed)?.graphs)
}
