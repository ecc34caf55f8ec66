//! Starting trials: here on this machine, side by side as child processes.

use crate::{
    Counts, Failure, Observer, Result, State, StudyError, Trial,
    process::{self, Ended, Halt},
};
use serde_json::{Map, Value};
use std::{
    collections::VecDeque,
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

/// Lines of a log that a failure quotes.
const TAIL: usize = 15;

/// How a trial came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its summary, nested by the dots in its keys.
    Done(Map<String, Value>),
    /// It failed.
    Failed(Failure),
}

/// Something that runs trials.
pub trait Launcher {
    /// Runs the trials and gives an outcome for each, in order. A trial that is done is not run again, one
    /// that was interrupted is resumed; a failing one does not stop the others.
    ///
    /// # Errors
    /// When trials cannot be started at all, or when somebody asks to stop.
    fn launch(&self, trials: &[Trial], observer: &mut dyn Observer) -> Result<Vec<Outcome>>;
}

/// Runs trials as child processes of this one.
#[derive(Clone, Debug)]
pub struct Local {
    /// The `ekphrasis` program.
    pub executable: PathBuf,
    /// More arguments for it, as `--offline`.
    pub arguments: Vec<String>,
    /// The folder in which it is started, so that relative paths in configs mean what they mean by hand.
    pub root: PathBuf,
    /// How many trials run at a time. More than one share the cores evenly, unless a trial sets `threads`.
    pub jobs: usize,
    /// The longest that one attempt may take; a trial that hangs then fails.
    pub limit: Option<Duration>,
}

impl Launcher for Local {
    fn launch(&self, trials: &[Trial], observer: &mut dyn Observer) -> Result<Vec<Outcome>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StudyError::io("start processes of", &self.executable))?;
        runtime.block_on(self.run_all(trials, observer))
    }
}

impl Local {
    async fn run_all(&self, trials: &[Trial], observer: &mut dyn Observer) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = vec![];
        let mut queue = VecDeque::new();
        for (i, trial) in trials.iter().enumerate() {
            match trial.state()? {
                State::Done(summary) => outcomes.push(Some(Outcome::Done(summary))),
                state => {
                    queue.push_back((i, trial, state == State::Begun));
                    outcomes.push(None);
                }
            }
        }
        let mut counts =
            Counts { total: trials.len(), done: trials.len() - queue.len(), ..Counts::default() };
        observer.launch(counts);

        let refused = |e| StudyError::io("listen for signals in", &self.root)(e);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let (halt, halted) = watch::channel(Halt::No);
        let mut running = JoinSet::new();
        let mut stopped = false;
        loop {
            while !stopped && running.len() < self.jobs.max(1) {
                let Some((i, trial, resume)) = queue.pop_front() else { break };
                trial.claim()?;
                let command = self.command(trial, resume)?;
                let (halted, limit, began) = (halted.clone(), self.limit, Instant::now());
                running.spawn(async move { (i, process::run(command, limit, halted).await, began) });
                counts.running += 1;
                observer.started(trial, resume, counts);
            }
            tokio::select! {
                ended = running.join_next() => {
                    let Some(ended) = ended else { break };
                    let (i, ended, began) = ended.map_err(|e| StudyError::found(&self.executable, e.to_string()))?;
                    let Some(trial) = trials.get(i) else { continue };
                    counts.running -= 1;
                    let outcome = outcome(trial, ended)?;
                    match &outcome {
                        Some(Outcome::Done(_)) => {
                            counts.done += 1;
                            observer.finished(trial, began.elapsed().as_secs_f64(), counts);
                        }
                        Some(Outcome::Failed(failure)) => {
                            counts.failed += 1;
                            observer.failed(trial, failure, counts);
                        }
                        None => {}
                    }
                    if let Some(slot) = outcomes.get_mut(i) {
                        *slot = outcome;
                    }
                }
                _ = interrupt.recv() => stop(&halt, &mut stopped, observer),
                _ = terminate.recv() => stop(&halt, &mut stopped, observer),
            }
        }
        let all: Option<Vec<Outcome>> = outcomes.into_iter().collect();
        all.ok_or(StudyError::Stopped)
    }

    /// `ekphrasis run`, with both outputs going to the end of the trial's log.
    fn command(&self, trial: &Trial, resume: bool) -> Result<Command> {
        let mut arguments: Vec<OsString> = vec!["run".into()];
        if resume {
            arguments.extend(["--resume".into(), trial.folder.clone().into()]);
        } else {
            arguments.push(trial.config.clone().into());
            let mut settings = trial.settings.clone();
            if self.jobs > 1 {
                settings.entry("threads".into()).or_insert_with(|| self.threads().to_string());
            }
            for (key, value) in settings {
                arguments.extend(["--set".into(), format!("{key}={value}").into()]);
            }
            arguments.extend(["--out".into(), trial.folder.clone().into()]);
        }
        arguments.extend(self.arguments.iter().map(OsString::from));
        process::command(&self.executable, &arguments, &self.root, &trial.log())
    }

    /// Threads for each of the trials that run at a time.
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (cores / self.jobs.max(1)).max(1)
    }
}

/// The first request lets trials save what they have, the second one does not.
fn stop(halt: &watch::Sender<Halt>, stopped: &mut bool, observer: &mut dyn Observer) {
    let (next, text) = match *stopped {
        false => (Halt::Ask, "stopping: trials are asked to end; once more ends them at once"),
        true => (Halt::Kill, "stopping at once"),
    };
    halt.send_replace(next);
    *stopped = true;
    observer.note(text);
}

/// What an ended process left; none when it was stopped before it was done.
fn outcome(trial: &Trial, ended: std::io::Result<Ended>) -> Result<Option<Outcome>> {
    let message = match ended {
        Ok(Ended::Exited(status)) if status.success() => match trial.state()? {
            State::Done(summary) => return Ok(Some(Outcome::Done(summary))),
            _ => "it ended without a summary.json".to_owned(),
        },
        Ok(Ended::Exited(status)) => format!("it ended with {status}"),
        Ok(Ended::TimedOut(limit)) => {
            format!("stopped after {:.1} s, the limit for a trial", limit.as_secs_f64())
        }
        Ok(Ended::Halted) => match trial.state()? {
            State::Done(summary) => return Ok(Some(Outcome::Done(summary))),
            _ => return Ok(None),
        },
        Err(e) => format!("it could not be started: {e}"),
    };
    let (log, trial) = (trial.log(), trial.name.clone());
    Ok(Some(Outcome::Failed(Failure { trial, message, tail: tail(&log), log })))
}

/// The last lines of a log, as a terminal would show them in the end.
fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // A progress bar returns to the start of its line; what came last stays.
    let shown = |line: &str| line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
    let lines: Vec<String> = text.lines().map(shown).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
