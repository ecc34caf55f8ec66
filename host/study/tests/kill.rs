//! A study that is killed takes its trials with it. The program is three in one: the test starts it again as the
//! study, and that one as the trial.

mod fake;

use ekphrasis_study::{Launcher, Silent, end_with_parent};
use fake::Project;
use rustix::process::{Pid, test_kill_process};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const FOLDER: &str = "EKPHRASIS_TEST_FOLDER";

fn main() {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    match (std::env::args().nth(1).as_deref(), folder) {
        (Some("run"), Some(folder)) => trial(&folder),
        (Some("study"), Some(_)) => study(),
        _ => test(),
    }
}

fn trial(folder: &Path) {
    end_with_parent().unwrap();
    std::fs::write(folder.join("trial.part"), std::process::id().to_string()).unwrap();
    std::fs::rename(folder.join("trial.part"), folder.join("trial.pid")).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

fn study() {
    let project = Project::new();
    let mut local = project.local(1);
    local.executable = std::env::current_exe().unwrap();
    let _ = local.launch(&[project.trial("x", 0, 5)], &mut Silent);
}

fn test() {
    end_with_parent().expect("a process that no study started goes on");
    let folder = tempfile::tempdir().unwrap();
    let mut study = Command::new(std::env::current_exe().unwrap());
    let mut study = study.arg("study").env(FOLDER, folder.path()).spawn().unwrap();
    let pid = within(Duration::from_secs(30), || {
        let text = std::fs::read_to_string(folder.path().join("trial.pid")).ok()?;
        Pid::from_raw(text.parse().ok()?)
    });
    let pid = pid.expect("the trial starts");
    test_kill_process(pid).expect("the trial runs");
    study.kill().unwrap();
    study.wait().unwrap();
    let gone = within(Duration::from_secs(10), || gone(pid).then_some(()));
    assert!(gone.is_some(), "the trial outlived its study");
    println!("test a_killed_study_takes_its_trials_with_it ... ok");
}

/// Whether a process has ended, be it that nobody has asked how.
fn gone(pid: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()));
    test_kill_process(pid).is_err() || state.is_ok_and(|s| s.contains(") Z "))
}

fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < limit {
        match ask() {
            Some(answer) => return Some(answer),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    None
}
