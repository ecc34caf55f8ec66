//! Whatever is wrong, the user is told where and what to do, and nothing is lost.

#[allow(dead_code, reason = "not every test file needs all of it")]
mod common;

use common::{Ended, Project};
use std::fs;

#[test]
fn keys_and_names_that_nobody_knows() {
    let project = Project::new();
    let cases: &[(&str, &[&str])] = &[
        (
            "phases.gan.stpes=3",
            &["tiny.toml", "phases.gan.stpes", "unknown key", "hint: did you mean `steps`?"],
        ),
        ("evaluation.drows=2", &["unknown key `drows`", "hint: did you mean `draws`?"]),
        ("phases.gan.steps=0", &["phases.gan.steps: expected 1 or more"]),
        ("phases.gan.steps=many", &["phases.gan.steps", "many"]),
        ("phases.gan.optimizer.kind=adm", &["unknown name `adm`", "hint: did you mean `adam`?"]),
        (
            "models.captioner=transformer_captoner",
            &["there is no model", "hint: did you mean `transformer_captioner`?"],
        ),
        ("data.image_siz=3", &["unknown key in data `image_siz`", "hint: did you mean `image_size`?"]),
        ("schedule=alternat", &["there is no schedule `alternat`", "hint: did you mean `alternate`?"]),
        ("phases.cross_entropy.loss.params.smothing=0.1", &["smothing", "hint: did you mean `smoothing`?"]),
        ("nothing", &["--set nothing", "expected key=value"]),
    ];
    for (setting, parts) in cases {
        project.ekphrasis(&format!("run configs/tiny.toml --out runs/a --set {setting}")).fails(1, parts);
        let _ = fs::remove_dir_all(project.path("runs/a"));
    }
    project.ekphrasis("run configs/tinny.toml").fails(1, &["read configs/tinny.toml"]);
    project.write("configs/torn.toml", "name = \"torn\nseed = 1\n");
    project.ekphrasis("run configs/torn.toml").fails(1, &["torn.toml", "line 1"]);
}

#[test]
fn command_lines_that_do_not_go_together() {
    let project = Project::new();
    project.ekphrasis("run").fails(2, &["CONFIG"]);
    project.ekphrasis("run --resume runs/a --set seed=1").fails(2, &["cannot be used with"]);
    project.ekphrasis("run --resume runs/none").fails(1, &["runs/none", "found no config.toml"]);
    project.ekphrasis("eval runs/none").fails(1, &["runs/none/config.toml"]);
    project.ekphrasis("imagin runs/none").fails(2, &["imagine"]);
}

#[test]
fn a_run_is_never_overwritten() {
    let project = Project::new();
    project.write("runs/taken/config.toml", "mine");
    project
        .ekphrasis("run configs/tiny.toml --out runs/taken")
        .fails(1, &["holds a run already", "hint: go on with it by `--resume`"]);
    assert_eq!(fs::read_to_string(project.path("runs/taken/config.toml")).unwrap(), "mine");
}

#[test]
fn no_provider_is_there() {
    let project = Project::new();
    project
        .ekphrasis("run configs/tiny.toml --set providers=[\"rocm\"]")
        .fails(1, &["rocm", "hint: known providers are"]);
    // Without a device CUDA cannot take, whichever ONNX Runtime this is.
    let mut command = project.command("run configs/tiny.toml --set providers=[\"cuda\"]");
    let ended = Ended::of(command.env("CUDA_VISIBLE_DEVICES", "").output().unwrap());
    let ended = ended.fails(1, &["no provider available: cuda: ", "hint: add \"cpu\" to `providers`"]);
    let reason = ended.err.split("cuda: ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
    assert!(reason.len() > 10, "a reason is given: {}", ended.err);
}

/// A project whose schedule goes straight to reinforcement with a reward of the test's.
fn with_reward(body: &str) -> Project {
    let project = Project::new();
    project.write(
        "scripts/schedules/reinforce.lua",
        "return { api = 1, doc = \"Reinforcement alone.\", run = function(host) host:train(\"policy_gradient\") end }\n",
    );
    let script = format!(
        "return {{\n  api = 1,\n  doc = \"For a test.\",\n  score = function(batch)\n    {body}\n  end,\n}}\n"
    );
    project.write("scripts/rewards/mine.lua", &script);
    project
}

const REINFORCE: &str = "run configs/tiny.toml --out runs/a --set schedule=reinforce --set limits.seconds=0.5 \
                         --set phases.policy_gradient.rollout.reward=mine";

#[test]
fn rewards_that_go_wrong() {
    let cases: &[(&str, &[&str])] = &[
        (
            "while true do end",
            &[
                "mine.lua:5",
                "while true do end",
                "stopped after 0.5 s",
                "hint: is there a loop",
                "limits.seconds",
            ],
        ),
        (
            "local r = {} for i = 1, #batch do r[i] = 0 / 0 end return r",
            &["mine.lua", "number 1 of 24: expected a finite number"],
        ),
        ("return { 1, 2 }", &["mine.lua", "expected 24 numbers, one for each caption, found 2"]),
        ("return batch:cider_dd()", &["mine.lua:5", "cider_dd"]),
        ("return os.execute(\"true\")", &["mine.lua:5"]),
        (
            "local t = {} while true do t[#t + 1] = (\"x\"):rep(1 << 20) .. #t end",
            &["mine.lua", "not enough memory", "hint: ", "limits.memory_mib"],
        ),
    ];
    for (body, parts) in cases {
        let ended = with_reward(body).ekphrasis(REINFORCE).fails(1, parts);
        assert!(ended.err.contains("policy_gradient"), "the phase is named: {}", ended.err);
    }
    with_reward("return batch:cider_d()").ekphrasis(REINFORCE).ok();
    with_reward("retrun 1").ekphrasis(REINFORCE).fails(1, &["mine.lua:5"]);
}

#[test]
fn a_model_that_breaks_its_contract() {
    let project = Project::new();
    project.write(
        "plugins/models/broken/model.toml",
        "name = \"broken\"\nrole = \"captioner\"\ndoc = \"For a test.\"\ngraphs = { lua = \"model.lua\" }\n",
    );
    project.write(
        "plugins/models/broken/model.lua",
        r#"return {
  api = 1,
  doc = "Has a word too many.",
  build = function(m, p)
    m:graph("encode", function(g)
      local x = g:input("image", "f32", { "B", 3, p.image_size, p.image_size })
      g:output("memory.x", g:linear(x:mean({ 2, 3 }), "in", 8))
    end)
    m:graph("decode", function(g)
      local tokens = g:input("tokens", "i64", { "B", "T" })
      local x = g:embedding(tokens, "words", p.vocabulary, 8) + g:input("memory.x", "f32", { "B", 8 }):unsqueeze(1)
      g:output("logits", g:linear(x, "out", p.vocabulary + 1))
    end)
    m:graph("step", function(g)
      local token = g:input("token", "i64", { "B" })
      local x = g:embedding(token, "words", p.vocabulary, 8) + g:input("memory.x", "f32", { "B", 8 })
      g:output("logits", g:linear(x, "out", p.vocabulary + 1))
    end)
  end,
}
"#,
    );
    project.ekphrasis("run configs/tiny.toml --set models.captioner=broken").fails(
        1,
        &[
            "model `broken`: graph `decode`, output `logits`: expected [B, T, ",
            "found [B, T, ",
            "hint: S = 16",
        ],
    );
}
