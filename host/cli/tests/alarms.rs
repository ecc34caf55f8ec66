//! A reward that is cheated is seen: said once, logged, and kept in the summary.

#[allow(dead_code, reason = "not every test file needs all of it")]
mod common;

use common::Project;
use ekphrasis_report::MetricsLog;
use serde_json::Value;
use std::fs;

/// A project whose reward is the flaw of this name.
fn rewarding(flaw: &str) -> Project {
    let project = Project::new();
    let reward = format!(
        "---@type ekphrasis.Reward\nreturn {{ api = 1, doc = \"Bad captions.\", score = function(batch, p) return \
         batch:flaw(\"{flaw}\") end }}\n"
    );
    project.write("scripts/rewards/bad.lua", &reward);
    project
}

const RUN: &str =
    "run configs/tiny.toml --set schedule.params.rounds=1 --set phases.policy_gradient.rollout.reward=bad";

#[test]
fn alarms_are_said_once_logged_and_kept() {
    let project = rewarding("no_eos");
    let limits = "--set alarms.no_eos=0.0 --set phases.policy_gradient.steps=30";
    let ended = project.ekphrasis(&format!("{RUN} {limits} --out runs/bad")).ok();
    assert_eq!(ended.err.matches("more than alarms.no_eos = 0\n").count(), 1, "{}", ended.err);
    // Another alarm may come before it.
    let alarm =
        ended.err.split("alarm: policy_gradient, step 10: ").find(|text| text.contains("have no end"));
    assert!(
        alarm.unwrap().contains(" % of the sampled captions have no end")
            && alarm.unwrap().contains("\nhint: ")
    );
    assert_eq!(ended.err.matches("batch:flaw(\"no_eos\")").count(), 1, "{}", ended.err);

    let text = fs::read_to_string(project.path("runs/bad/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let phase: Vec<&Value> = lines.iter().filter(|line| line["phase"] == "policy_gradient").collect();
    let of = |what: &'static str| phase.iter().filter(move |line| !line[what].is_null());
    assert_eq!(of("alarm").filter(|line| line["alarm"]["name"] == "no_eos").count(), 1, "{text}");
    for line in of("reward") {
        let share = line["quality.no_eos"].as_f64().unwrap();
        assert!((line["reward"].as_f64().unwrap() - share).abs() < 1e-6, "the reward is the flaw: {line}");
        assert!(line["quality.repeated_trigrams"].is_f64() && line["quality.truncated"].is_f64(), "{line}");
    }
    assert_eq!(of("reward").count(), 3);
    let log = MetricsLog::read(&project.path("runs/bad/metrics.jsonl")).unwrap();
    assert_eq!(log.series["policy_gradient"]["quality.no_eos"].len(), 3);

    let summary = project.summary("runs/bad");
    let raised = summary["alarms"]["policy_gradient"]["no_eos"].as_u64().unwrap();
    assert_eq!(raised, 40 + 20 + 20 + 10 + 10, "the first line of the phase");
    for metric in ["vocabulary", "novel", "distinct_1", "cider_d_low", "cider_d_high"] {
        assert!(summary["captioner"]["policy_gradient"]["val"][metric].is_f64(), "{metric}");
    }
}

#[test]
fn an_unknown_flaw_is_named_with_the_nearest_one() {
    let project = rewarding("no_end");
    let short = ["cross_entropy", "scorer", "gan", "gan_turn"].map(|p| format!("--set phases.{p}.steps=1"));
    project
        .ekphrasis(&format!("{RUN} {} --out runs/odd", short.join(" ")))
        .fails(1, &["bad.lua", "argument `name`: there is no flaw `no_end`", "hint: ", "no_eos"]);
}
