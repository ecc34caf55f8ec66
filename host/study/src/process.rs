//! One child process: its log, its end, and how it is stopped.

use crate::{Result, StudyError};
use rustix::process::{Pid, Signal};
use std::{
    ffi::OsString,
    fs::File,
    io::Write,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{process::Command, sync::watch};

/// Names the process that started a trial, for [`end_with_parent`].
const PARENT: &str = "EKPHRASIS_STUDY_PROCESS";

/// How long a trial that was asked to stop may take to save its state.
const GRACE: Duration = Duration::from_secs(20);

/// Whether trials should go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Halt {
    /// They should.
    No,
    /// They should save their state and end.
    Ask,
    /// They should end at once.
    Kill,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It took longer than this.
    TimedOut(Duration),
    /// It was stopped as asked.
    Halted,
}

/// A command in a process group of its own, so that Ctrl-C in a terminal reaches the study alone, which then
/// stops its trials in order. The log begins with the command as one would type it.
pub(crate) fn command(program: &Path, arguments: &[OsString], folder: &Path, log: &Path) -> Result<Command> {
    let failed = |e| StudyError::io("write", log)(e);
    let mut file = File::options().create(true).append(true).open(log).map_err(failed)?;
    let typed: Vec<String> = arguments.iter().map(|a| quoted(&a.to_string_lossy())).collect();
    writeln!(file, "$ {} {}", quoted(&program.to_string_lossy()), typed.join(" ")).map_err(failed)?;
    let error = file.try_clone().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env(PARENT, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(error)
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// Runs a command to its end.
pub(crate) async fn run(
    mut command: Command,
    limit: Option<Duration>,
    mut halted: watch::Receiver<Halt>,
) -> std::io::Result<Ended> {
    let mut child = command.spawn()?;
    let over = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let timed_out = tokio::select! {
        status = child.wait() => return status.map(Ended::Exited),
        () = over => true,
        () = reached(&mut halted, Halt::Ask) => false,
    };
    if timed_out {
        child.kill().await?;
        return Ok(Ended::TimedOut(limit.unwrap_or_default()));
    }
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        // It may have ended just now, which is as good.
        let _ = rustix::process::kill_process(pid, Signal::INT);
    }
    let ended = tokio::select! {
        status = child.wait() => status.map(|_| true)?,
        () = tokio::time::sleep(GRACE) => false,
        () = reached(&mut halted, Halt::Kill) => false,
    };
    if !ended {
        child.kill().await?;
    }
    Ok(Ended::Halted)
}

/// Waits until trials should go no further than `level`, or nobody is left to say so.
async fn reached(halted: &mut watch::Receiver<Halt>, level: Halt) {
    let _ = halted.wait_for(|h| *h >= level).await;
}

/// Ends this process when the study that started it is gone, even by a kill; does nothing in a process that no
/// study started. To be called first thing by the program that trials run.
///
/// # Errors
/// When the study is gone already, or the system refuses.
pub fn end_with_parent() -> std::io::Result<()> {
    let Some(parent) = std::env::var(PARENT).ok().and_then(|id| id.parse::<i32>().ok()) else {
        return Ok(());
    };
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    match rustix::process::getppid().map(Pid::as_raw_pid) {
        Some(found) if found == parent => Ok(()),
        _ => Err(std::io::Error::other("the study that started this trial is gone")),
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./=:,+@".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
