//! `ekphrasis run`

use crate::{
    Context,
    error::{CliError, Result},
    interrupt,
    observer::{All, Preparation, Sheets, TensorBoard, Terminal},
    opened,
    screen::{self, print},
    shown,
};
use ekphrasis_train::{Config, RunFolder, Surroundings, TrainError};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// Sample captions that are shown at the end.
const CAPTIONS: usize = 4;

/// Arguments of `run`.
#[derive(clap::Args)]
pub struct Args {
    /// The config: a TOML file
    #[arg(required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Change one setting of the config; KEY is a dotted path
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder of the run [default: runs/NAME, where NAME is the config's; runs/NAME-2 and so on if taken]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder, with the config and the scripts that it started with
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "set", "out"])]
    resume: Option<PathBuf>,
}

/// Starts a run or goes on with one.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let (folder, summary) = match (args.resume, args.config) {
        (Some(path), _) => {
            let folder = RunFolder::open(&path)?;
            match finished(&path)? {
                Some(summary) => {
                    context.screen.say("this run is finished; nothing is left to do");
                    (path, summary)
                }
                None => {
                    let config = RunFolder::config(&path)?;
                    let runtime = opened::runtime(context, &config)?;
                    (path, go(context, folder, &config, runtime)?)
                }
            }
        }
        (None, Some(file)) => {
            let config = Config::load(&file, &args.set)?;
            let layout = opened::layout(Some(&file))?;
            let path = match args.out {
                Some(path) => path,
                None => free_folder(Path::new("runs"), &config.name)?,
            };
            // Before the folder is made, so that none is left behind where nothing can run.
            let runtime = opened::runtime(context, &config)?;
            let folder = RunFolder::create(&path, &config, &layout)?;
            context.screen.say(&format!("run folder: {}", path.display()));
            (path, go(context, folder, &config, runtime)?)
        }
        (None, None) => return Err(CliError::Usage("expected CONFIG or --resume DIR".into())),
    };
    print(&report(&summary, &folder))
}

fn go(
    context: &Context,
    folder: RunFolder,
    config: &Config,
    runtime: ekphrasis_runtime::Runtime,
) -> Result<Value> {
    let path = folder.path().to_owned();
    let stop = interrupt::stop_flag(&context.screen)?;
    let preparation = Preparation::new(&context.screen);
    let observer = All(vec![
        Box::new(Terminal::new(&context.screen)),
        Box::new(Sheets { title: config.name.clone() }),
        Box::new(TensorBoard::new(&path, &context.screen)),
    ]);
    let surroundings = Surroundings {
        runtime,
        observer: Box::new(observer),
        progress: &|done, total| preparation.tell(done, total),
        stop,
    };
    ekphrasis_train::run(folder, &opened::cache(), surroundings).map_err(|error| match error {
        TrainError::Stopped => CliError::Stopped(relative(&path)),
        other => other.into(),
    })
}

/// The summary of a run that came to its end.
fn finished(folder: &Path) -> Result<Option<Value>> {
    let path = folder.join("summary.json");
    match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(CliError::io("read", &path)(e)),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| CliError::Message(format!("{}: expected a run's summary: {e}", path.display()))),
    }
}

/// The first of `NAME`, `NAME-2`, `NAME-3`, ... in `parent` that is not there.
fn free_folder(parent: &Path, name: &str) -> Result<PathBuf> {
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        let message = format!(
            "name: expected the name of a folder, found `{name}`\nhint: give the run a folder by --out"
        );
        return Err(CliError::Message(message));
    }
    let named = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}-{n}")));
    let free = named.map(|name| parent.join(name)).find(|path| !path.exists());
    free.ok_or_else(|| CliError::Usage("expected --out DIR".into()))
}

/// The path as seen from the working folder, if it lies in there.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or_else(|| path.to_owned())
}

/// What is printed at the end of a run.
fn report(summary: &Value, folder: &Path) -> String {
    let mut parts = vec![];
    if let Some(table) = summary.get("captioner").and_then(Value::as_object).and_then(shown::caption_scores) {
        parts.push(screen::table(&table));
    }
    for of in [shown::gan_scores, shown::distances] {
        parts.extend(summary.get("gan").and_then(of).map(|table| screen::table(&table)));
    }
    let captions = shown::captions(summary, CAPTIONS);
    if !captions.is_empty() {
        parts.push(captions);
    }
    if let Some(table) = shown::times(summary) {
        parts.push(screen::table(&table));
    }
    let mut facts = vec![];
    if let Some(peak) = summary.get("peak_memory_bytes").and_then(Value::as_u64) {
        facts.push(("peak memory", shown::bytes(peak)));
    }
    let sheets = summary.get("samples").and_then(Value::as_object).into_iter().flatten();
    for sheet in sheets.filter_map(|(_, path)| path.as_str()) {
        facts.push(("sample sheet", folder.join(sheet).display().to_string()));
    }
    facts.push(("run folder", folder.display().to_string()));
    parts.push(facts.iter().map(|(name, value)| format!("{name:<13} {value}\n")).collect());
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn folders_are_never_reused() {
        let parent = tempfile::tempdir().unwrap();
        let free = || free_folder(parent.path(), "quick").unwrap();
        assert_eq!(free(), parent.path().join("quick"));
        std::fs::create_dir(free()).unwrap();
        std::fs::create_dir(free()).unwrap();
        assert_eq!(free(), parent.path().join("quick-3"));
        for name in ["", "..", "a/b", "/a"] {
            assert!(free_folder(parent.path(), name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_summary_without_anything_still_names_the_folder() {
        assert_eq!(report(&json!({}), Path::new("runs/a")), "run folder    runs/a\n");
        let summary = json!({ "peak_memory_bytes": 1u64 << 30, "samples": { "final": "samples/final.png" } });
        let text = report(&summary, Path::new("runs/a"));
        assert_eq!(
            text,
            "peak memory   1.00 GiB\nsample sheet  runs/a/samples/final.png\nrun folder    runs/a\n"
        );
    }
}
