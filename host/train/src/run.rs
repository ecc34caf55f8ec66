//! A run from its config to its summary.

use crate::{
    Config, Layout, Observer, Result, RunFolder, TrainError, World, checkpoint, runner::Runner, schedule,
};
use ekphrasis_runtime::Runtime;
use std::{
    cell::RefCell,
    path::Path,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

/// Makes the runtime that a config asks for.
pub fn start_runtime(config: &Config, cache: &Path, offline: bool, say: &dyn Fn(&str)) -> Result<Runtime> {
    let providers = config.providers.iter().map(|name| {
        let mut provider = ekphrasis_runtime::Provider::new(name);
        for (key, value) in config.provider.get(name).into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            provider = provider.with(key, &text);
        }
        provider
    });
    let settings = ekphrasis_runtime::Config {
        library: config.onnxruntime.clone(),
        cache: cache.to_owned(),
        offline,
        providers: providers.collect(),
        threads: config.threads,
        ..Default::default()
    };
    Ok(Runtime::start(&settings, say)?)
}

/// What a run works with besides its config.
pub struct Surroundings<'a> {
    /// ONNX Runtime.
    pub runtime: Runtime,
    /// Who watches.
    pub observer: Box<dyn Observer>,
    /// Called while data are prepared.
    pub progress: ekphrasis_data::Progress<'a>,
    /// Set from outside to stop at the next step.
    pub stop: Arc<AtomicBool>,
}

/// Runs what is in a run folder to its end: a new run from its start, another from where it stood.
///
/// Scripts, plugins and models are the copies in the folder. Gives the summary.
pub fn run(folder: RunFolder, cache: &Path, surroundings: Surroundings) -> Result<serde_json::Value> {
    let config = RunFolder::config(folder.path())?;
    let world = open(config, folder.path(), cache, surroundings)?;
    let runner = Rc::new(RefCell::new(Runner::open(world, folder)?));
    schedule::run(&runner)
}

/// Opens a finished or interrupted run with its newest weights.
pub fn open_trained(path: &Path, cache: &Path, surroundings: Surroundings) -> Result<Rc<World>> {
    let world = open(RunFolder::config(path)?, path, cache, surroundings)?;
    let folder = path.join("checkpoints");
    let checkpoint = checkpoint::load_newest(&folder, &mut |note| world.note(&note))?;
    let checkpoint = checkpoint.ok_or_else(|| TrainError::RunFolder {
        path: folder,
        message: "expected a checkpoint, found none\nhint: let the run get further".into(),
    })?;
    checkpoint.restore(&world)?;
    Ok(world)
}

fn open(config: Config, folder: &Path, cache: &Path, surroundings: Surroundings) -> Result<Rc<World>> {
    let layout = Layout { root: folder.to_owned(), cache: cache.to_owned() };
    let Surroundings { runtime, observer, progress, stop } = surroundings;
    World::open(config, layout, runtime, observer, progress, stop)
}
