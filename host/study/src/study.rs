//! Running a study script.

use crate::{
    Launcher, Local, Observer, Planned, Result, StudyError, StudyResult, Table,
    host::{End, Study, StudyHost, class},
    record::Record,
};
use ekphrasis_script::{Engine, Kind, Limits};
use serde_json::{Value, json};
use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

/// How to run a study.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// The study script.
    pub script: PathBuf,
    /// The folder that holds `scripts` and `plugins`; configs are named from here, and trials start here.
    pub root: PathBuf,
    /// Folder of the study; `studies/<name of the script>` in `root` unless given.
    pub out: Option<PathBuf>,
    /// What the script's parameters should be instead of their defaults.
    pub params: Value,
    /// How many trials run at a time.
    pub jobs: usize,
    /// List what would run, run nothing, write nothing.
    pub dry_run: bool,
    /// The `ekphrasis` program, for trials.
    pub executable: PathBuf,
    /// More arguments for each trial, as `--offline`.
    pub arguments: Vec<String>,
    /// The longest that one attempt at a trial may take.
    pub limit: Option<Duration>,
    /// Limits of the script itself; the time of trials does not count.
    pub limits: Limits,
}

/// What came out of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyReport {
    /// Name of the study.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The trials that the script asked for, in order.
    pub planned: Vec<Planned>,
    /// Results of those that are done, each once.
    pub results: Vec<StudyResult>,
    /// Tables that the script made.
    pub tables: Vec<Table>,
    /// Whether the script ran to its end. A dry run ends at the first trials that are not done, since what comes
    /// next may depend on them.
    pub complete: bool,
}

/// Runs a study with its trials on this machine.
///
/// A finished trial is never run twice, an interrupted one is resumed, and a study that was killed goes on when it
/// is started again.
///
/// # Errors
/// When the script or a config has an error, when trials failed (the others are done then), when the study was asked
/// to stop, or when another process runs it.
pub fn run(options: &StudyOptions, observer: Rc<RefCell<dyn Observer>>) -> Result<StudyReport> {
    let root = absolute(&options.root)?;
    // A bare name is looked up by the system.
    let executable = match options.executable.components().count() {
        0 | 1 => options.executable.clone(),
        _ => absolute(&options.executable)?,
    };
    let (arguments, jobs, limit) = (options.arguments.clone(), options.jobs, options.limit);
    run_with(options, Box::new(Local { executable, arguments, root, jobs, limit }), observer)
}

/// Runs a study with trials wherever the launcher starts them.
///
/// # Errors
/// As for [`run`].
pub fn run_with(
    options: &StudyOptions,
    launcher: Box<dyn Launcher>,
    observer: Rc<RefCell<dyn Observer>>,
) -> Result<StudyReport> {
    let engine = Engine::new(options.limits, None)?;
    engine.register(class())?;
    let print = observer.clone();
    engine.on_print(move |text| print.borrow_mut().note(text));
    let script = engine.load(Kind::Study, &options.script)?;
    let params = script.params(&options.params)?;
    let root = absolute(&options.root)?;
    let folder = match &options.out {
        Some(out) => absolute(out)?,
        None => root.join("studies").join(script.name()),
    };
    let about =
        json!({ "name": script.name(), "doc": script.doc(), "params": params, "blake3": script.hash() });
    let record = match options.dry_run {
        true => None,
        false => Some(Record::open(&folder, about)?),
    };
    let study = Study {
        root,
        folder: folder.clone(),
        record,
        launcher,
        observer,
        planned: vec![],
        results: vec![],
        tables: vec![],
        end: None,
    };
    let study = Rc::new(RefCell::new(study));
    let host = engine.lua().create_any_userdata(StudyHost(study.clone()));
    let host = host.map_err(|e| script.error(ekphrasis_script::Fault::new(e.to_string())))?;
    let called = engine.call(&script, "study", (host, engine.value(&params)?));
    let mut study = study.borrow_mut();
    match study.end.take() {
        Some(End::Failed(error)) => return Err(error),
        Some(End::Listed) => {}
        None => {
            called?;
        }
    }
    let (planned, results, tables) = (
        std::mem::take(&mut study.planned),
        std::mem::take(&mut study.results),
        std::mem::take(&mut study.tables),
    );
    let complete = planned.iter().all(|p| matches!(p.state, crate::State::Done(_)));
    Ok(StudyReport { name: script.name().to_owned(), folder, planned, results, tables, complete })
}

fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(StudyError::io("read", path))
}
