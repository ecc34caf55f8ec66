//! What a study script can call: the class `StudyHost`.
//!
//! Calls for trials are journaled: run again, they return what they returned before. `log` and `table` only say
//! things about what is known, so they run every time.

use crate::{
    Failure, Launcher, Observer, Outcome, Result, State, StudyError, StudyResult, Table, Trial,
    record::Record,
    request::{Fields, Request},
};
use ekphrasis_script::{Class, ClassDoc, Fault, Form, from_lua, to_lua, uncounted};
use mlua::{Lua, Value as LuaValue};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    rc::Rc,
    time::Instant,
};

/// A trial of a study and how far it got.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The trial.
    pub trial: Trial,
    /// Whether it is done, was begun, or is new.
    pub state: State,
}

/// All that a study knows while it runs.
pub(crate) struct Study {
    pub root: PathBuf,
    pub folder: PathBuf,
    /// None in a dry run, which writes nothing.
    pub record: Option<Record>,
    pub launcher: Box<dyn Launcher>,
    pub observer: Rc<RefCell<dyn Observer>>,
    pub planned: Vec<Planned>,
    pub results: Vec<StudyResult>,
    pub tables: Vec<Table>,
    /// Why the script was ended from here.
    pub end: Option<End>,
}

/// Why a study ends before its script does.
#[derive(Debug)]
pub(crate) enum End {
    /// Something failed.
    Failed(StudyError),
    /// A dry run came to trials that are not done.
    Listed,
}

/// The host as scripts hold it.
pub(crate) struct StudyHost(pub Rc<RefCell<Study>>);

impl Study {
    fn trials(&mut self, call: &str, request: &Request) -> Result<Vec<StudyResult>, Fault> {
        self.going_on()?;
        let mut trials = vec![];
        for (arm, settings) in &request.arms {
            for seed in &request.seeds {
                let folder = self.folder.join("trials");
                let trial = Trial::plan(&self.root, &folder, &request.config, arm, *seed, settings);
                trials.push(trial.map_err(|e| Fault::new(e.to_string()))?);
            }
        }
        let run = self.run(call, trials);
        run.map_err(|end| {
            let fault = Fault::new(match &end {
                End::Failed(e) => e.to_string(),
                End::Listed => "a dry run ends at the first trials that are not done".into(),
            });
            self.end = Some(end);
            fault
        })
    }

    /// A script may catch an error, but a study that has ended stays so.
    fn going_on(&self) -> Result<(), Fault> {
        match self.end {
            None => Ok(()),
            Some(_) => Err(Fault::new("the study has ended")),
        }
    }

    fn run(&mut self, call: &str, trials: Vec<Trial>) -> Result<Vec<StudyResult>, End> {
        let failed = |e: StudyError| End::Failed(e);
        let mut done = vec![];
        for trial in &trials {
            let state = trial.state().map_err(failed)?;
            if let State::Done(summary) = &state {
                done.push(Outcome::Done(summary.clone()));
            }
            self.planned.push(Planned { trial: trial.clone(), state });
        }
        let all_done = done.len() == trials.len();
        let results = match &mut self.record {
            None if !all_done => return Err(End::Listed),
            None => results(&trials, done).map_err(failed)?,
            Some(record) => {
                let arguments = json!({ "trials": trials.iter().map(described).collect::<Vec<_>>() });
                // A folder that somebody took away is to be made again.
                let recorded = if all_done { record.replay(call, &arguments).map_err(failed)? } else { None };
                match recorded {
                    Some(results) => results,
                    None => {
                        let began = Instant::now();
                        let outcomes = self.launcher.launch(&trials, &mut *self.observer.borrow_mut());
                        let results = results(&trials, outcomes.map_err(failed)?).map_err(failed)?;
                        let (results, kept) =
                            record.add(call, arguments, &results, began.elapsed()).map_err(failed)?;
                        if let Some(path) = kept {
                            let path = path.display();
                            let text = format!(
                                "the script or a config changed; the journal before that is kept as {path}"
                            );
                            self.observer.borrow_mut().note(&text);
                        }
                        results
                    }
                }
            }
        };
        // Trials that were planned are done now.
        let from = self.planned.len() - results.len();
        for (planned, result) in self.planned.iter_mut().skip(from).zip(&results) {
            planned.state = State::Done(result.summary.clone());
        }
        for result in &results {
            if !self.results.iter().any(|known| known.name == result.name) {
                self.results.push(result.clone());
            }
        }
        self.write().map_err(failed)?;
        Ok(results)
    }

    fn table(&mut self, value: Value, results: Value) -> Result<Table, Fault> {
        self.going_on()?;
        let mut fields = Fields::new("table", value, &["metrics", "baseline"])?;
        let metrics = match fields.take("metrics") {
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect::<Vec<_>>()
            }
            other => {
                let found = other.map_or("nothing".into(), |v| v.to_string());
                return Err(Fault::new(format!("`metrics`: expected a list of metric names, found {found}")));
            }
        };
        let baseline = fields.text("baseline")?;
        let results: Vec<StudyResult> = serde_json::from_value(results).map_err(|e| {
            Fault::new(format!("expected results of trials: {e}"))
                .hint("host:table{ results, metrics = { ... } }")
        })?;
        let table = Table::new(&results, &metrics, baseline.as_deref())?;
        self.observer.borrow_mut().table(&table.text());
        self.tables.push(table.clone());
        self.write().map_err(|e| Fault::new(e.to_string()))?;
        Ok(table)
    }

    fn write(&self) -> Result<()> {
        match &self.record {
            Some(record) => record.write_outcome(&self.planned, &self.results, &self.tables),
            None => Ok(()),
        }
    }
}

/// What makes a trial the same one, for the journal.
fn described(trial: &Trial) -> Value {
    json!({ "name": trial.name, "key": trial.key, "settings": trial.settings })
}

/// The results of trials, or all that failed.
fn results(trials: &[Trial], outcomes: Vec<Outcome>) -> Result<Vec<StudyResult>> {
    let mut results = vec![];
    let mut failed: Vec<Failure> = vec![];
    for (trial, outcome) in trials.iter().zip(outcomes) {
        match outcome {
            Outcome::Done(summary) => {
                let (name, arm) = (trial.name.clone(), trial.arm.clone());
                results.push(StudyResult { name, arm, seed: trial.seed, summary });
            }
            Outcome::Failed(failure) => failed.push(failure),
        }
    }
    match failed.is_empty() {
        true => Ok(results),
        false => Err(StudyError::Trials { failed, total: trials.len() }),
    }
}

/// The class as Lua sees it.
pub(crate) fn class() -> Class<StudyHost> {
    Class::<StudyHost>::new("StudyHost", "What a study can do: run trials, compare them, say something.")
        .method(
            "trials",
            "(options: ekphrasis.Trials): ekphrasis.Result[]",
            "Runs every arm with every seed, side by side, and returns the results arm by arm. Trials that are done \
             are not run again. When some fail, the others are still done, and the study ends with an error.",
            |lua, host, options: LuaValue| trials(lua, host, "trials", &options, Request::trials),
        )
        .method(
            "trial",
            "(options: ekphrasis.Trial): ekphrasis.Result",
            "Runs one trial and returns its result.",
            |lua, host, options: LuaValue| match trials(lua, host, "trial", &options, Request::trial)? {
                LuaValue::Table(list) => list.raw_get::<LuaValue>(1),
                other => Ok(other),
            },
        )
        .method(
            "table",
            "(options: ekphrasis.Comparison): ekphrasis.Table",
            "Shows mean, standard deviation and 95% confidence interval of each arm, and its paired difference to a \
             baseline over the same seeds. Written to table.md and table.csv in the study's folder as well.",
            |lua, host, options: mlua::Table| {
                // The results stand in the list part, so that `host:table{ results, metrics = ... }` reads well.
                let rest = lua.create_table()?;
                let mut results = LuaValue::Nil;
                for pair in options.pairs::<LuaValue, LuaValue>() {
                    let (key, value) = pair?;
                    match key {
                        LuaValue::Integer(1) => results = value,
                        LuaValue::String(s) if s == "results" => results = value,
                        key => rest.raw_set(key, value)?,
                    }
                }
                let (rest, results) = (from_lua(&LuaValue::Table(rest))?, from_lua(&results)?);
                let table = host.0.borrow_mut().table(rest, results)?;
                to_lua(lua, &returned(&table))
            },
        )
        .method("log", "(text: string)", "Shows a line to the user.", |_, host, text: String| {
            host.0.borrow().observer.borrow_mut().note(&text);
            Ok(())
        })
}

fn trials(
    lua: &Lua,
    host: &StudyHost,
    call: &str,
    options: &LuaValue,
    read: impl FnOnce(&Path, Value) -> Result<Request, Fault>,
) -> mlua::Result<LuaValue> {
    let options = from_lua(options)?;
    let results = uncounted(lua, || {
        let mut study = host.0.borrow_mut();
        let request = read(&study.root, options)?;
        study.trials(call, &request)
    })?;
    let results = serde_json::to_value(results).map_err(|e| Fault::new(e.to_string()))?;
    to_lua(lua, &results)
}

/// A table as scripts get it.
fn returned(table: &Table) -> Value {
    let ends = |i: Option<(f64, f64)>| i.map(|(low, high)| json!({ "low": low, "high": high }));
    let arms = table.metrics.iter().map(|metric| {
        let arms = metric.arms.iter().map(|arm| {
            let difference = arm.difference.map(|d| {
                json!({ "n": d.summary.n, "mean": d.summary.mean, "sd": d.summary.sd,
                    "interval": ends(d.summary.interval), "t": d.t, "p": d.p })
            });
            let row = json!({ "n": arm.summary.n, "mean": arm.summary.mean, "sd": arm.summary.sd,
                "interval": ends(arm.summary.interval), "difference": difference });
            (arm.name.clone(), row)
        });
        (metric.name.clone(), Value::Object(arms.collect()))
    });
    json!({ "metrics": Value::Object(arms.collect()), "text": table.text(), "markdown": table.markdown() })
}

/// What is written about the class and the tables that it takes and gives, for the stubs.
pub fn docs() -> Vec<ClassDoc> {
    let table = |name: &str, doc: &str| ClassDoc::new(name, Form::Table, doc);
    let config = "Path of the config, from the project's folder.";
    let set = "Settings by dotted path, as `[\"phases.gan.steps\"] = 100`.";
    vec![
        class().doc().clone(),
        table("ekphrasis.Trials", "Trials to run: every arm with every seed.")
            .field("config", "string", config)
            .field("set?", "table<string, any>", set)
            .field(
                "vary?",
                "table<string, table<string, table<string, any>>>",
                "Factors, each with arms by name, each with its settings: `{ reward = { bleu = { ... } } }`. Several \
                 factors make every combination, named `one+other`.",
            )
            .field("name?", "string", "Name of the only arm when nothing varies; the config's name unless given.")
            .field("seeds?", "integer[]", "Seeds; the config's own unless given."),
        table("ekphrasis.Trial", "One trial to run.")
            .field("config", "string", config)
            .field("set?", "table<string, any>", set)
            .field("name?", "string", "Name of its arm; the config's name unless given.")
            .field("seed?", "integer", "Its seed; the config's own unless given."),
        table("ekphrasis.Result", "What came out of a trial.")
            .field("name", "string", "Name of the trial and of its folder.")
            .field("arm", "string", "Its arm.")
            .field("seed", "integer", "Its seed.")
            .field("summary", "table", "The run's summary.json, nested: `r.summary.captioner.cross_entropy.val.cider_d`."),
        table("ekphrasis.Comparison", "Results to compare.")
            .field("[1]", "ekphrasis.Result[]", "The results.")
            .field("metrics", "string[]", "Dotted names of numbers in the summaries.")
            .field("baseline?", "string", "The arm that the others are compared with."),
        table("ekphrasis.Table", "A comparison of arms.")
            .field("text", "string", "Aligned columns.")
            .field("markdown", "string", "The same in Markdown.")
            .field("metrics", "table<string, table<string, ekphrasis.Arm>>", "Numbers by metric and arm."),
        table("ekphrasis.Arm", "One arm by one metric.")
            .field("n", "integer", "How many seeds.")
            .field("mean", "number", "The mean.")
            .field("sd?", "number", "Standard deviation over n - 1.")
            .field("interval?", "{ low: number, high: number }", "95% confidence interval of the mean.")
            .field(
                "difference?",
                "{ n: integer, mean: number, sd: number?, interval: table?, t: number?, p: number? }",
                "The paired difference to the baseline over the seeds in both; p by the paired t-test.",
            ),
    ]
}
