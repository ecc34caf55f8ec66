//! ONNX Runtime and finished runs, opened for use.

use crate::{
    Context,
    error::Result,
    observer::{Preparation, Terminal},
};
use ekphrasis_runtime::Runtime;
use ekphrasis_train::{Config, Layout, RunFolder, Surroundings, World, open_trained, start_runtime};
use std::{
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

/// The user's cache folder.
pub fn cache() -> PathBuf {
    ekphrasis_runtime::Config::default_cache()
}

/// Starts what the config asks for, and says which providers took.
pub fn runtime(context: &Context, config: &Config) -> Result<Runtime> {
    let say = |line: &str| context.screen.say(line);
    let runtime = start_runtime(config, &cache(), context.offline, &say)?;
    say(&format!("ONNX Runtime {}, {}", runtime.version(), runtime.report()));
    Ok(runtime)
}

/// The project that a config belongs to: at or above its folder, or else the working folder.
pub fn layout(config: Option<&Path>) -> Result<Layout> {
    let here = Path::new(".");
    if let Some(folder) = config.and_then(Path::parent)
        && let Ok(layout) = Layout::find(if folder.as_os_str().is_empty() { here } else { folder }, cache())
    {
        return Ok(layout);
    }
    Ok(Layout::find(here, cache())?)
}

/// A run with its newest weights, to be used without changing anything in its folder.
pub fn run(context: &Context, path: &Path) -> Result<Rc<World>> {
    let config = RunFolder::config(path)?;
    let runtime = runtime(context, &config)?;
    let preparation = Preparation::new(&context.screen);
    let surroundings = Surroundings {
        runtime,
        observer: Box::new(Terminal::new(&context.screen)),
        progress: &|done, total| preparation.tell(done, total),
        stop: Arc::new(AtomicBool::new(false)),
    };
    Ok(open_trained(path, &cache(), surroundings)?)
}
