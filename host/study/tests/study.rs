//! Whole studies with a program that stands in for `ekphrasis`.

mod fake;

use ekphrasis_script::{Engine, Kind, Limits};
use ekphrasis_study::{State, StudyError, run};
use fake::{Project, Seen};
use serde_json::{Value, json};
use std::path::Path;

const COMPARE: &str = r#"
params = { seeds = { 0, 1, 2 } },
study = function(host, p)
  local results = host:trials {
    config = "configs/a.toml",
    set = { providers = { "cpu" } },
    vary = { length = { long = { max_length = 30 }, short = { max_length = 5 } } },
    seeds = p.seeds,
  }
  host:log("best seed " .. results[1].seed .. ", score " .. results[1].summary.val.score)
  local t = host:table { results, metrics = { "val.score" }, baseline = "short" }
  host:log("difference " .. t.metrics["val.score"].long.difference.mean)
end,"#;

#[test]
fn a_study_compares_arms_and_does_nothing_twice() {
    let project = Project::new();
    let options = project.study(COMPARE);
    let seen = Seen::new();
    let report = run(&options, seen.clone()).unwrap();
    assert!(report.complete);
    assert_eq!((report.planned.len(), report.results.len(), report.tables.len()), (6, 6, 1));
    let arms: Vec<_> = report.results.iter().map(|r| (r.arm.as_str(), r.seed)).collect();
    assert_eq!(arms, [("long", 0), ("long", 1), ("long", 2), ("short", 0), ("short", 1), ("short", 2)]);
    let long = &report.tables[0].metrics[0].arms[0];
    assert_eq!((long.summary.n, long.difference.unwrap().summary.mean), (3, 250.0));
    assert!((long.summary.mean - (300.25 + 301.25 + 304.25) / 3.0).abs() < 1e-9);
    assert!(
        project.calls().iter().all(|c| c.contains("--set providers=[\"cpu\"] ")),
        "{:?}",
        project.calls()
    );

    let seen = seen.borrow();
    assert!(seen.0.contains(&"note best seed 0, score 300.25".to_owned()), "{:?}", seen.0);
    assert_eq!(seen.0.last().unwrap(), "note difference 250.0");
    let folder = project.path("studies/s");
    assert_eq!(report.folder, folder);
    let results = project.read("studies/s/results.json");
    let parsed: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(parsed["trials"][0]["settings"]["max_length"], json!("30"));
    assert_eq!(parsed["tables"][0]["metrics"][0]["arms"][1]["name"], json!("short"));
    assert!(project.read("studies/s/table.md").contains("| long | 3 |"));
    assert_eq!(project.read("studies/s/table.csv").lines().count(), 3);

    let again_seen = Seen::new();
    let again = run(&options, again_seen.clone()).unwrap();
    assert_eq!((project.calls().len(), &again.results), (6, &report.results));
    assert_eq!(project.read("studies/s/results.json"), results);
    let again_seen = again_seen.borrow();
    assert!(again_seen.0.iter().any(|l| l.starts_with("table val.score")), "the table is shown again");
    assert!(!again_seen.0.iter().any(|l| l.starts_with("launch")), "{:?}", again_seen.0);
    assert_eq!(project.read("studies/s/journal.jsonl").lines().count(), 1);
}

const TWO_CALLS: &str = r#"
study = function(host)
  local first = host:trial { config = "configs/a.toml", name = "first", set = { max_length = 5 } }
  local second = host:trials {
    config = "configs/a.toml",
    vary = { x = { a = { max_length = 6 }, b = { max_length = 7 }, c = { max_length = 8 } } },
  }
  host:log(first.summary.val.score .. " " .. second[2].summary.val.score)
end,"#;

#[test]
fn a_study_that_broke_in_the_middle_goes_on_there() {
    let project = Project::new();
    let options = project.study(TWO_CALLS);
    project.write("bin/fail.b", "");
    let error = run(&options, Seen::new()).unwrap_err();
    let StudyError::Trials { failed, total } = &error else { panic!("{error}") };
    assert_eq!((failed.len(), failed[0].trial.split('-').next(), *total), (1, Some("b"), 3));
    let text = error.to_string();
    assert!(
        text.starts_with("1 of 3 trials failed\n  b-seed0-") && text.contains("| error: no luck"),
        "{text}"
    );
    assert_eq!(project.calls().len(), 4, "the others ran all the same");
    assert_eq!(project.read("studies/s/journal.jsonl").lines().count(), 1);

    project.remove("bin/fail.b");
    let seen = Seen::new();
    let report = run(&options, seen.clone()).unwrap();
    assert!(report.complete);
    let calls = project.calls();
    assert_eq!(calls.len(), 5);
    assert!(calls[4].starts_with("run --resume ") && calls[4].contains("/trials/b-seed0-"), "{}", calls[4]);
    let seen = seen.borrow();
    let expected = [
        "launch 2 of 3 done",
        "resumed b seed 0, 1 running",
        "finished b seed 0, 3 done",
        "note 50.25 70.25",
    ];
    assert_eq!(seen.0, expected);
    assert_eq!(project.read("studies/s/journal.jsonl").lines().count(), 2);
}

#[test]
fn what_changed_runs_anew_and_what_did_not_does_not() {
    let project = Project::new();
    let options = project.study(TWO_CALLS);
    run(&options, Seen::new()).unwrap();
    assert_eq!(project.calls().len(), 4);

    // Neither a comment nor a script that nothing names counts.
    let config = project.read("configs/a.toml");
    project.write("configs/a.toml", &format!("# A comment.\n{config}"));
    project.write("scripts/rewards/unrelated.lua", "return {}");
    run(&options, Seen::new()).unwrap();
    assert_eq!(project.calls().len(), 4);

    // A script that the config names does.
    project.write("scripts/schedules/plain.lua", "return { changed = true }");
    let seen = Seen::new();
    run(&options, seen.clone()).unwrap();
    assert_eq!(project.calls().len(), 8);
    assert!(
        seen.borrow().0.iter().any(|l| l.starts_with("note ") && l.ends_with("journal.1.jsonl")),
        "{:?}",
        seen.borrow().0
    );
    assert_eq!(project.read("studies/s/journal.1.jsonl").lines().count(), 2);
    assert_eq!(project.read("studies/s/journal.jsonl").lines().count(), 2);

    // A study with another second call keeps its first.
    project.study(&TWO_CALLS.replace("max_length = 8", "max_length = 9"));
    run(&options, Seen::new()).unwrap();
    assert_eq!(project.calls().len(), 9);
    // A folder that was taken away is made again.
    let first = project.path("studies/s/trials").read_dir().unwrap().map(|e| e.unwrap().path());
    for folder in first.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("first-")) {
        std::fs::remove_dir_all(folder).unwrap();
    }
    run(&options, Seen::new()).unwrap();
    assert_eq!(project.calls().len(), 10);
}

#[test]
fn a_dry_run_lists_and_writes_nothing() {
    let project = Project::new();
    let mut options = project.study(TWO_CALLS);
    options.dry_run = true;
    let report = run(&options, Seen::new()).unwrap();
    assert_eq!(
        (report.complete, report.planned.len()),
        (false, 1),
        "what comes next may depend on the first"
    );
    assert_eq!(report.planned[0].trial.settings["max_length"], "5");
    assert_eq!(report.planned[0].state, State::New);
    assert!(project.calls().is_empty() && !project.path("studies").exists());

    options.dry_run = false;
    project.write("bin/fail.c", "");
    run(&options, Seen::new()).unwrap_err();
    options.dry_run = true;
    let before = project.calls().len();
    let report = run(&options, Seen::new()).unwrap();
    let states: Vec<_> =
        report.planned.iter().map(|p| (p.trial.arm.as_str(), matches!(p.state, State::Done(_)))).collect();
    assert_eq!(states, [("first", true), ("a", true), ("b", true), ("c", false)]);
    assert_eq!(report.planned[3].state, State::Begun);
    assert_eq!(project.calls().len(), before);
}

#[test]
fn errors_say_where_and_run_nothing() {
    let project = Project::new();
    let error = |text: &str| run(&project.study(text), Seen::new()).unwrap_err().to_string();
    let unknown = error(
        "study = function(host)\n  host:trials { config = \"configs/a.toml\", set = { max_lenght = 5 } }\nend,",
    );
    assert!(unknown.contains("s.lua:3: ") && unknown.contains("unknown key `max_lenght`"), "{unknown}");
    assert!(unknown.contains("hint: did you mean `max_length`?"), "{unknown}");
    let field = error("study = function(host)\n  host:trial { confg = \"configs/a.toml\" }\nend,");
    assert!(field.contains("s.lua:3: unknown field of trial `confg`"), "{field}");
    let missing = error("study = function(host)\n  host:trial { config = \"configs/b.toml\" }\nend,");
    assert!(missing.contains("configs/b.toml: No such file"), "{missing}");
    assert!(project.calls().is_empty());

    let caught = error(
        "study = function(host)
           host:trial { config = 'configs/a.toml' }
           error('later: ' .. host:trial { config = 'configs/a.toml', seed = 4 }.seed)
         end,",
    );
    assert!(caught.contains("s.lua:4: later: 4"), "{caught}");
    assert_eq!(project.calls().len(), 2);
}

#[test]
fn a_failure_that_the_script_catches_still_ends_the_study() {
    let project = Project::new();
    project.write("bin/fail.a", "");
    let options = project.study(
        "study = function(host)
           pcall(function() host:trial { config = 'configs/a.toml' } end)
           pcall(function() host:trial { config = 'configs/a.toml', name = 'next' } end)
         end,",
    );
    let error = run(&options, Seen::new()).unwrap_err();
    assert!(matches!(error, StudyError::Trials { .. }), "{error}");
    assert_eq!(project.calls().len(), 1);
}

#[test]
fn parameters_come_from_outside_and_one_process_runs_a_study() {
    let project = Project::new();
    let mut options = project.study(COMPARE);
    options.params = json!({ "seeds": [7] });
    options.out = Some(project.path("elsewhere"));
    let report = run(&options, Seen::new()).unwrap();
    assert_eq!((report.folder, report.results.len()), (project.path("elsewhere"), 2));
    options.params = json!({ "seed": [7] });
    let error = run(&options, Seen::new()).unwrap_err().to_string();
    assert!(error.contains("unknown parameter `seed`") && error.contains("did you mean `seeds`?"), "{error}");

    options.params = json!({});
    let lock = std::fs::File::options().write(true).open(project.path("elsewhere/study.lock")).unwrap();
    lock.lock().unwrap();
    let error = run(&options, Seen::new()).unwrap_err().to_string();
    assert!(error.contains("another process is running this study"), "{error}");
}

#[test]
fn the_bundled_study_loads_and_plans_its_trials() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let engine = Engine::new(Limits::default(), None).unwrap();
    let script = root.join("scripts/studies/rewards.lua");
    engine.load(Kind::Study, &script).unwrap();
    let project = Project::new();
    let mut options = project.study("study = function() end,");
    (options.script, options.root, options.dry_run) = (script, root.to_owned(), true);
    options.out = Some(project.path("out"));
    let report = run(&options, Seen::new()).unwrap();
    let planned: Vec<_> = report.planned.iter().map(|p| (p.trial.arm.as_str(), p.trial.seed)).collect();
    assert_eq!(planned, [("bleu", 0), ("bleu", 1), ("cider_d", 0), ("cider_d", 1), ("mix", 0), ("mix", 1)]);
    let setting = &report.planned[4].trial.settings["phases.policy_gradient.rollout.reward"];
    assert!(setting.starts_with("{ params = { weights = { cider_d = 1.0, "), "{setting}");
}
