//! A study that is asked to stop asks its trials, and goes on with them later. Alone in its file, because the signal
//! goes to the whole process.

mod fake;

use ekphrasis_study::{Launcher, Outcome, StudyError};
use fake::{Project, Seen};
use rustix::process::{Signal, getpid, kill_process};
use std::time::{Duration, Instant};

#[test]
fn an_interrupt_stops_the_trials_and_they_are_resumed_later() {
    let project = Project::new();
    project.write("bin/hang.stuck", "");
    let trials = [project.trial("good", 0, 5), project.trial("stuck", 0, 6), project.trial("later", 0, 7)];
    let hanging = project.path("bin/hanging");
    let sender = std::thread::spawn(move || {
        let began = Instant::now();
        while !hanging.exists() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_process(getpid(), Signal::INT).unwrap();
    });
    let mut seen = Seen::default();
    let began = Instant::now();
    let error = project.local(1).launch(&trials, &mut seen).unwrap_err();
    sender.join().unwrap();
    assert!(matches!(error, StudyError::Stopped), "{error}");
    assert!(began.elapsed() < Duration::from_secs(15), "the trial ends when asked, not when it is killed");
    let log = std::fs::read_to_string(trials[1].log()).unwrap();
    assert!(log.ends_with("saved\n"), "{log}");
    assert_eq!(project.calls().len(), 2, "nothing is started after the request: {:?}", project.calls());
    assert!(project.path("bin/running").read_dir().unwrap().next().is_none(), "nothing runs any more");

    project.remove("bin/hang.stuck");
    let outcomes = project.local(1).launch(&trials, &mut seen).unwrap();
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Done(_))), "{outcomes:?}");
    assert!(project.calls()[2].starts_with("run --resume "), "{:?}", project.calls());
    assert_eq!(project.calls().len(), 4);
}
