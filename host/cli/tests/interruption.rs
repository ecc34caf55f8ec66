//! A run that is killed again and again ends as one that nobody disturbed, bit for bit.

#[allow(dead_code, reason = "not every test file needs all of it")]
mod common;

use common::{Ended, Project};
use serde_json::Value;
use std::{
    fs,
    process::{Child, Command},
    thread::sleep,
    time::{Duration, Instant},
};

/// How a run is interrupted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// SIGKILL: it cannot do anything about it.
    Kill,
    /// SIGINT: it saves and says how to go on.
    Interrupt,
}

fn metrics(project: &Project, run: &str) -> String {
    fs::read_to_string(project.path(run).join("metrics.jsonl")).unwrap_or_default()
}

/// Waits until the run has recorded so many lines of metrics, and more than the `before` bytes of its last
/// attempt. False if it ended before.
fn wait_for(project: &Project, child: &mut Child, before: usize, lines: usize) -> bool {
    let begun = Instant::now();
    loop {
        let text = metrics(project, "runs/cut");
        let ready = match lines {
            0 => project.path("runs/cut/config.toml").exists(),
            n => text.lines().count() >= n && text.len() > before,
        };
        if ready {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "no {lines} lines of metrics after five minutes");
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn interrupted_and_undisturbed_runs_are_the_same() {
    let project = Project::new();
    // Several batches to a step, so that a signal may come between two of them; and state that only some steps have.
    let run = "run configs/tiny.toml --set phases.cross_entropy.accumulate=2 \
               --set phases.policy_gradient.accumulate=2 --set phases.policy_gradient.precision=float16 \
               --set phases.scorer.precision=float16 --set phases.gan.recompute=[\"text.block.*\"]";
    project.ekphrasis(&format!("{run} --out runs/whole")).ok();

    // A line stands for ten steps; evaluations lie between the phases.
    let moments = [
        (0, By::Kill),
        (2, By::Kill),
        (4, By::Kill),
        (5, By::Interrupt),
        (7, By::Kill),
        (10, By::Interrupt),
        (11, By::Kill),
    ];
    let mut arguments = format!("{run} --out runs/cut");
    let mut interrupted = 0;
    for (lines, by) in moments {
        let before = metrics(&project, "runs/cut").len();
        let mut child = project.command(&arguments).spawn().unwrap();
        if wait_for(&project, &mut child, before, lines) {
            if lines == 4 {
                project.ekphrasis("run --resume runs/cut").fails(1, &["another process is using this run"]);
            }
            match by {
                By::Kill => child.kill().unwrap(),
                By::Interrupt => {
                    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
                    assert!(sent.success() || child.try_wait().unwrap().is_some());
                }
            }
        }
        let ended = Ended::of(child.wait_with_output().unwrap());
        match (by, ended.code) {
            (By::Interrupt, Some(130)) => {
                assert!(
                    ended.err.contains("hint: go on with `ekphrasis run --resume runs/cut`"),
                    "{}",
                    ended.err
                );
                interrupted += 1;
            }
            (By::Kill, None) => interrupted += 1,
            // It was at its end when the signal came.
            (_, Some(0)) => {}
            _ => panic!("{by:?} after {lines} lines: {ended:?}"),
        }
        if project.path("runs/cut/config.toml").exists() {
            arguments = "run --resume runs/cut".into();
        }
    }
    assert!(interrupted >= 4, "only {interrupted} interruptions hit");
    project.ekphrasis("run --resume runs/cut").ok();

    let (whole, cut) = (project.summary("runs/whole"), project.summary("runs/cut"));
    for part in ["weights_blake3", "captioner", "gan", "examples", "steps"] {
        assert_eq!(whole[part], cut[part], "{part}");
    }
    let steps = |run: &str| {
        let lines = metrics(&project, run);
        let steps =
            lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["global_step"].clone());
        steps.collect::<Vec<_>>()
    };
    assert_eq!(steps("runs/whole"), steps("runs/cut"), "each step is recorded once");
}
