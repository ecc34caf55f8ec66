//! `ekphrasis study`

use crate::{
    Context,
    error::{CliError, Result},
    opened,
    screen::{self, Screen, print},
    shown,
};
use ekphrasis_report::Table;
use ekphrasis_study::{Counts, Failure, Observer, Planned, Settings, State, StudyOptions, Trial};
use serde_json::{Map, Value};
use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

/// Arguments of `study`.
#[derive(clap::Args)]
pub struct Args {
    /// The study: a Lua file
    script: PathBuf,
    /// How many trials run at a time; they share the cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// List the trials and what is done of them, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Folder of the study [default: studies/NAME in the project, where NAME is the script's]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change one parameter of the script; KEY is a dotted path
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
    /// The longest that one trial may take, in minutes; one that takes longer has failed
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Runs a study.
pub fn run(context: &Context, args: Args) -> Result<()> {
    let options = StudyOptions {
        root: opened::layout(Some(&args.script))?.root,
        script: args.script,
        out: args.out,
        params: parameters(args.set)?,
        jobs: args.jobs.into(),
        dry_run: args.dry_run,
        executable: std::env::current_exe()
            .map_err(|e| CliError::Message(format!("find the path of this program: {e}")))?,
        arguments: if context.offline { vec!["--offline".into()] } else { vec![] },
        limit: args.limit.map(|minutes| Duration::from_secs(60 * u64::from(minutes))),
        limits: ekphrasis_script::Limits::default(),
    };
    let watch = Rc::new(RefCell::new(Watch { screen: context.screen.clone(), failed: None }));
    let report = ekphrasis_study::run(&options, watch.clone())?;
    if let Some(error) = watch.borrow_mut().failed.take() {
        return Err(error);
    }
    match options.dry_run {
        true => {
            let more = if report.complete {
                ""
            } else {
                "\nWhat the study asks for after these may depend on them.\n"
            };
            print(&(listing(&report.planned) + more))
        }
        false => print(&format!("study folder  {}\n", report.folder.display())),
    }
}

/// The trials with the settings in which they differ, then the settings that all have.
fn listing(planned: &[Planned]) -> String {
    let shared = |key: &str, value: &str| {
        planned.iter().all(|p| p.trial.settings.get(key).is_some_and(|v| v == value))
    };
    let shown = |settings: &Settings, wanted: bool| {
        let chosen = settings.iter().filter(|(key, value)| shared(key, value) == wanted);
        chosen.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    let mut table = Table::new(["trial", "state", "settings of its own"]);
    for Planned { trial, state } in planned {
        let state = match state {
            State::New => "to run",
            State::Begun => "to resume",
            State::Done(_) => "done",
        };
        table.row([trial.name.clone().into(), state.into(), shown(&trial.settings, false).join(" ").into()]);
    }
    let common = planned.first().map_or(vec![], |p| shown(&p.trial.settings, true));
    let common: String = common.iter().map(|setting| format!("  {setting}\n")).collect();
    let common = if common.is_empty() { common } else { format!("\nall with\n{common}") };
    screen::table(&table) + &common
}

/// `key=value`; the value is read as TOML, or taken as text where it is not.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("v"));
    let value = parsed.map_or(Ok(Value::from(value)), serde_json::to_value).map_err(|e| e.to_string())?;
    Ok((key.trim().to_owned(), value))
}

/// Settings as one object, nested by the dots in the keys.
fn parameters(settings: Vec<(String, Value)>) -> Result<Value> {
    let mut all = Value::Object(Map::new());
    for (key, value) in settings {
        let mut at = &mut all;
        for part in key.split('.') {
            let Value::Object(map) = at else {
                return Err(CliError::Usage(format!("--set {key}: a part of it is set to a value already")));
            };
            at = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
        }
        *at = value;
    }
    Ok(all)
}

/// Tells the user how the trials are going.
struct Watch {
    screen: Screen,
    /// What went wrong with standard output.
    failed: Option<CliError>,
}

fn progress(counts: Counts) -> String {
    let failed = if counts.failed > 0 { format!(", {} failed", counts.failed) } else { String::new() };
    format!("{} of {} done{failed}", counts.done, counts.total)
}

impl Observer for Watch {
    fn note(&mut self, text: &str) {
        self.screen.say(text);
    }
    fn launch(&mut self, counts: Counts) {
        self.screen.say(&format!("trials: {}", progress(counts)));
    }
    fn started(&mut self, trial: &Trial, resumed: bool, _: Counts) {
        let how = if resumed { "resumed" } else { "started" };
        self.screen.say(&format!("{}: {how}, log in {}", trial.name, trial.log().display()));
    }
    fn finished(&mut self, trial: &Trial, seconds: f64, counts: Counts) {
        self.screen.say(&format!(
            "{}: done in {} ({})",
            trial.name,
            shown::seconds(seconds),
            progress(counts)
        ));
    }
    fn failed(&mut self, trial: &Trial, failure: &Failure, counts: Counts) {
        self.screen.say(&format!("{}: {} ({})", trial.name, failure.message, progress(counts)));
    }
    fn table(&mut self, text: &str) {
        if let Err(error) = print(&format!("{}\n\n", text.trim_end())) {
            self.failed = Some(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_listing_tells_what_differs() {
        let planned = |seed: u64, state: State| {
            let settings = [("seed".to_owned(), seed.to_string()), ("a.steps".to_owned(), "9".to_owned())];
            let (key, path) = (String::new(), PathBuf::new());
            let (name, arm) = (format!("x-seed{seed}"), "x".to_owned());
            let settings = settings.into_iter().collect();
            Planned {
                trial: Trial { name, arm, seed, key, config: path.clone(), settings, folder: path },
                state,
            }
        };
        let text = listing(&[planned(0, State::Begun), planned(1, State::New)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2..],
            ["x-seed0  to resume  seed=0", "x-seed1  to run     seed=1", "", "all with", "  a.steps=9"]
        );
        assert!(!listing(&[]).contains("all with"));
    }

    #[test]
    fn settings_nest_by_their_dots() {
        let all = ["a.b=3", "a.c=[1, 2]", "d=plain text", "e=\"3\""].map(|text| setting(text).unwrap());
        assert_eq!(
            parameters(all.into()).unwrap(),
            json!({ "a": { "b": 3, "c": [1, 2] }, "d": "plain text", "e": "3" })
        );
        assert_eq!(parameters(vec![]).unwrap(), json!({}));
        assert!(setting("a").is_err());
        assert!(parameters(["a=1", "a.b=2"].map(|text| setting(text).unwrap()).into()).is_err());
    }
}
