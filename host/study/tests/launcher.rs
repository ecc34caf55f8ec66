//! Trials as child processes: what is run, what is skipped, what is resumed, and how failures are told.

mod fake;

use ekphrasis_study::{Launcher, Outcome, State};
use fake::{Project, Seen};
use serde_json::json;
use std::time::Duration;

#[test]
fn runs_each_trial_once_with_its_settings() {
    let project = Project::new();
    let trials = [project.trial("long", 0, 30), project.trial("short", 3, 5)];
    let mut seen = Seen::default();
    let outcomes = project.local(1).launch(&trials, &mut seen).unwrap();
    let scores = outcomes.iter().map(|o| match o {
        Outcome::Done(summary) => summary["val"]["score"].clone(),
        Outcome::Failed(failure) => panic!("{failure:?}"),
    });
    assert_eq!(scores.collect::<Vec<_>>(), [json!(300.25), json!(59.25)]);
    let expected = format!(
        "run {} --set max_length=5 --set seed=3 --out {}",
        project.path("configs/a.toml").display(),
        trials[1].folder.display()
    );
    assert_eq!(project.calls()[1], expected);
    let log = std::fs::read_to_string(trials[1].log()).unwrap();
    assert!(log.starts_with("$ ") && log.trim_end().ends_with(&expected), "{log}");
    assert_eq!(seen.0[0], "launch 0 of 2 done");
    assert_eq!(seen.0[1..3], ["started long seed 0, 1 running", "finished long seed 0, 1 done"]);

    let again = project.local(1).launch(&trials, &mut seen).unwrap();
    assert_eq!((again, project.calls().len()), (outcomes, 2));
    assert_eq!(seen.0.last().unwrap(), "launch 2 of 2 done");
}

#[test]
fn a_failure_is_told_with_its_log_and_stops_nobody_else() {
    let project = Project::new();
    let trials = [project.trial("bad", 0, 5), project.trial("mute", 0, 6), project.trial("good", 0, 7)];
    project.write("bin/fail.bad", "");
    project.write("bin/silent.mute", "");
    let mut seen = Seen::default();
    let outcomes = project.local(1).launch(&trials, &mut seen).unwrap();
    let [Outcome::Failed(bad), Outcome::Failed(mute), Outcome::Done(_)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(bad.message, "it ended with exit status: 3");
    assert!(bad.tail.ends_with("step 2 of 9\nerror: no luck"), "{}", bad.tail);
    assert_eq!(bad.log, trials[0].folder.join("log.txt"));
    assert_eq!(mute.message, "it ended without a summary.json");
    assert!(
        seen.0.iter().any(|l| l == "failed mute seed 0, 2 failed: it ended without a summary.json"),
        "{:?}",
        seen.0
    );

    // Both had begun, so both are resumed.
    project.remove("bin/fail.bad");
    project.remove("bin/silent.mute");
    let outcomes = project.local(1).launch(&trials, &mut seen).unwrap();
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Done(_))), "{outcomes:?}");
    let resumed = trials[..2].iter().map(|t| format!("run --resume {}", t.folder.display()));
    assert_eq!(project.calls()[3..], resumed.collect::<Vec<_>>());
}

#[test]
fn no_more_than_the_given_number_run_at_a_time_and_they_share_the_cores() {
    let project = Project::new();
    project.write("bin/slow", "");
    let trials: Vec<_> = (0..5).map(|seed| project.trial("x", seed, 5)).collect();
    project.local(2).launch(&trials, &mut Seen::default()).unwrap();
    let at_a_time: Vec<usize> =
        project.read("bin/at_a_time.txt").lines().map(|n| n.trim().parse().unwrap()).collect();
    assert_eq!(at_a_time.iter().max(), Some(&2), "{at_a_time:?}");
    let cores = std::thread::available_parallelism().unwrap().get();
    let threads = format!("--set threads={} ", (cores / 2).max(1));
    assert!(project.calls().iter().all(|c| c.contains(&threads)), "{:?}", project.calls());

    let mut own = project.trial("own", 0, 5);
    own.settings.insert("threads".into(), "7".into());
    project.local(2).launch(&[own], &mut Seen::default()).unwrap();
    assert!(project.calls()[5].contains("--set threads=7 "), "{:?}", project.calls());
}

#[test]
fn a_trial_that_hangs_fails_at_its_limit() {
    let project = Project::new();
    project.write("bin/hang.stuck", "");
    let mut local = project.local(1);
    local.limit = Some(Duration::from_millis(600));
    let outcomes = local.launch(&[project.trial("stuck", 0, 5)], &mut Seen::default()).unwrap();
    let [Outcome::Failed(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(failure.message, "stopped after 0.6 s, the limit for a trial");
    assert!(project.path("bin/hanging").exists());
}

#[test]
fn a_program_that_is_not_there_is_a_failure() {
    let project = Project::new();
    let mut local = project.local(1);
    local.executable = project.path("bin/nothing");
    let outcomes = local.launch(&[project.trial("x", 0, 5)], &mut Seen::default()).unwrap();
    let [Outcome::Failed(failure)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(failure.message.starts_with("it could not be started: No such file"), "{}", failure.message);
}

#[test]
fn a_folder_of_another_trial_is_left_alone() {
    let project = Project::new();
    let trial = project.trial("x", 0, 5);
    project.local(1).launch(std::slice::from_ref(&trial), &mut Seen::default()).unwrap();
    assert!(matches!(trial.state().unwrap(), State::Done(_)));
    let mut other = trial.clone();
    other.key = format!("{}0", &trial.key[..trial.key.len() - 1]);
    if other.key == trial.key {
        other.key = format!("{}1", &trial.key[..trial.key.len() - 1]);
    }
    let error = project.local(1).launch(&[other], &mut Seen::default()).unwrap_err().to_string();
    assert!(error.contains("trial.json: expected a trial with key"), "{error}");
    std::fs::write(trial.folder.join("summary.json"), "{ \"val\": ").unwrap();
    let error = trial.state().unwrap_err().to_string();
    assert!(error.contains("summary.json: expected a JSON object: EOF"), "{error}");
}
