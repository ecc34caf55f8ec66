//! Loading scripts, their parameters, what they return, and errors as their authors read them.

mod common;

use common::{engine, tracer};
use ekphrasis_script::{Engine, Kind, ScriptError, Tensor, Trace, check_loss, check_reward, check_scores};
use serde_json::json;

fn refused(kind: Kind, text: &str) -> String {
    let engine = tracer();
    engine.load_text(kind, "scripts/x.lua", text).expect_err("refused").to_string()
}

#[test]
fn keys_are_checked() {
    for (kind, text, message) in [
        (Kind::Reward, "return { api = 1, doc = '', scroe = 1, score = print }", "did you mean `score`?"),
        (
            Kind::Reward,
            "return { api = 1, doc = '' }",
            "missing key of a reward `score`: expected a function",
        ),
        (Kind::Reward, "return { doc = '', score = print }", "missing key of a reward `api`"),
        (Kind::Reward, "return { api = 2, doc = '', score = print }", "`api`: expected 1, found 2"),
        (Kind::Reward, "return { api = 1, doc = 7, score = print }", "`doc`: expected text, found 7"),
        (
            Kind::Reward,
            "return { api = 1, doc = '', score = 'x' }",
            "`score`: expected a function, found \"x\"",
        ),
        (
            Kind::Reward,
            "return { api = 1, doc = '', score = print, params = { f = print } }",
            "`f`: expected plain data",
        ),
        (Kind::Reward, "return 3", "expected the script to return one table, found 3"),
        (Kind::Reward, "local x =", "unexpected symbol near <eof>"),
        (Kind::Policy, "return { api = 1, doc = '', smaple = print }", "did you mean `sample`?"),
        (
            Kind::Loss,
            "return { api = 1, doc = '', loss = print }",
            "expected `role` and `loss`, or `updates`",
        ),
        (Kind::Loss, "return { api = 1, doc = '', updates = { { rloe = 'x' } } }", "did you mean `role`?"),
        (Kind::Loss, "return { api = 1, doc = '', updates = {} }", "`updates`: expected at least one"),
        (Kind::Study, "return { api = 1, doc = '', run = print }", "unknown key of a study `run`"),
    ] {
        let e = refused(kind, text);
        assert!(e.contains(message), "{text}\n{e}");
        assert!(e.starts_with("error: scripts/x.lua"), "{e}");
    }
    let e = refused(Kind::Reward, "local a = 1\nlocal b = = 2\n");
    assert!(e.contains("scripts/x.lua:2:") && e.contains(">    2 | local b = = 2"), "{e}");
    let missing = tracer().load(Kind::Reward, "nowhere/x.lua".as_ref()).expect_err("missing").to_string();
    assert!(missing.contains("nowhere/x.lua: cannot read the reward script"), "{missing}");
}

#[test]
fn parameters_come_from_defaults_and_overrides() {
    let engine = tracer();
    let text = "return { api = 1, doc = 'd', params = { n = 3, net = { width = 8, deep = { rate = .5 } }, free = {} },
        score = function(batch, p) return { p.n, p.net.width, p.net.deep.rate, p.free.x or 0 } end }";
    let script = engine.load_text(Kind::Reward, "scripts/rewards/p.lua", text).expect("loads");
    assert_eq!((script.name(), script.doc(), script.kind()), ("p", "d", Kind::Reward));
    assert_eq!(script.hash(), blake3::hash(text.as_bytes()).to_hex().as_str());
    let params =
        script.params(&json!({ "net": { "deep": { "rate": 2 } }, "free": { "x": 7 } })).expect("fits");
    let p = engine.value(&params).expect("a table");
    let out = engine.call(&script, "score", (false, p)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(check_scores(&out[0], 4).expect("numbers"), [3.0, 8.0, 2.0, 7.0]);
    let e = script.params(&json!({ "net": { "deep": { "raet": 2 } } })).expect_err("unknown").to_string();
    assert!(e.contains("scripts/rewards/p.lua: unknown parameter `net.deep.raet`"), "{e}");
    assert!(e.contains("did you mean `net.deep.rate`?"), "{e}");
}

#[test]
fn scores_are_counted_and_finite() {
    let engine = engine();
    let run = |body: &str| {
        let values =
            engine.call(&common::script(&engine, body), "study", ()).unwrap_or_else(|e| panic!("{e}"));
        check_scores(&values[0], 3).map_err(|f| f.to_string())
    };
    assert_eq!(run("return { 1, 2.5, 3 }").expect("a list"), [1.0, 2.5, 3.0]);
    assert_eq!(run("return tensor.from({ 1, 2, 3 })").expect("a tensor"), [1.0, 2.0, 3.0]);
    for (body, message) in [
        ("return { 1, 2 }", "expected 3 numbers, one for each caption, found 2"),
        ("return { 1, 0 / 0, 2 }", "number 2 of 3: expected a finite number, found NaN"),
        ("return { 1, 2, 1 / 0 }", "number 3 of 3: expected a finite number, found inf"),
        ("return { 1, 'a', 2 }", "number 2 of 3: expected a number, found \"a\""),
        ("return tensor.from({ 1.0, 0, -1 }):log()", "number 2 of 3: expected a finite number, found -inf"),
        ("return tensor.ones({ 3, 1 })", "expected 3 numbers, one for each caption, found f32[3, 1]"),
        ("return nil", "expected 3 numbers, one for each caption, found nil"),
    ] {
        let e = run(body).expect_err("refused");
        assert!(e.contains(message), "{body}\n{e}");
    }
    let body =
        "return { 1, 2, 3 }, { b = { value = { 0, 1, 2 }, weight = .5 }, a = { value = { 1, 1, 1 } } }";
    let values = engine.call(&common::script(&engine, body), "study", ()).unwrap_or_else(|e| panic!("{e}"));
    let (scores, parts) = check_reward(&values, 3).expect("a reward");
    assert_eq!(scores.len(), 3);
    assert_eq!((parts[0].name.as_str(), parts[0].weight, parts[1].weight), ("a", 1.0, 0.5));
    let body = "return { 1, 2, 3 }, { part = { value = { 0 / 0, 1, 2 } } }";
    let values = engine.call(&common::script(&engine, body), "study", ()).unwrap_or_else(|e| panic!("{e}"));
    let e = check_reward(&values, 3).expect_err("nan").to_string();
    assert!(e.contains("component `part`: number 1 of 3"), "{e}");
}

#[test]
fn losses_are_scalars_with_names() {
    let engine = tracer();
    let trace = Trace::new(ekphrasis_graph::Graph::new("loss"));
    let x = trace.with(|g| g.input("x", ekphrasis_graph::DType::F32, vec!["B".into()])).expect("a port");
    let run = |body: &str| {
        let script = common::script(&engine, body);
        let out = engine.call(&script, "study", trace.tensor(x)).unwrap_or_else(|e| panic!("{e}"));
        check_loss(&out).map_err(|f| f.to_string())
    };
    let (loss, more) = run("return { loss = a:mean(), largest = a:max() }").expect("a loss");
    assert_eq!((loss.describe().as_str(), more.len()), ("f32[]", 1));
    assert!(run("return a:sum()").is_ok());
    assert!(run("return a").expect_err("not scalar").contains("expected a scalar tensor, found f32[B]"));
    assert!(run("return { l = a:sum() }").expect_err("no loss").contains("a table with `loss`"));

    let text = "return { api = 1, doc = '', updates = { { role = 'a', loss = print, every = 16 }, { role = 'b', name = 'n', loss = print } } }";
    let script = engine.load_text(Kind::Loss, "l.lua", text).expect("loads");
    let updates = script.updates().expect("updates");
    let shown: Vec<_> = updates.iter().map(|u| (u.role.as_str(), u.name.as_str(), u.every)).collect();
    assert_eq!(shown, [("a", "a", 16), ("b", "n", 1)]);
    let script =
        engine.load_text(Kind::Loss, "l.lua", "return { api = 1, doc = '', role = 'c', loss = print }");
    assert_eq!(script.expect("loads").updates().expect("one")[0].role, "c");
}

fn failing(engine: &Engine) -> ScriptError {
    let text = "local function inner(words)\n  return #words.missing\nend\n\nreturn {\n  api = 1,\n  doc = 'fails',\n  score = function(batch, p)\n    local n = inner(batch)\n    return n\n  end,\n}\n";
    let script = engine.load_text(Kind::Reward, "scripts/rewards/failing.lua", text).expect("loads");
    engine.call(&script, "score", vec![1, 2]).expect_err("fails")
}

#[test]
fn an_error_shows_line_excerpt_and_traceback() {
    let e = failing(&tracer()).with_context("step 120, image 17, caption \"a red circle\"");
    assert_eq!((e.path.as_str(), e.line), ("scripts/rewards/failing.lua", Some(2)));
    let shown = e.to_string();
    let expected =
        "error: scripts/rewards/failing.lua:2: attempt to get length of a nil value (field 'missing')
      1 | local function inner(words)
 >    2 |   return #words.missing
      3 | end
traceback:
  scripts/rewards/failing.lua:2: in upvalue 'inner'
  scripts/rewards/failing.lua:9: in function <scripts/rewards/failing.lua:8>
while: step 120, image 17, caption \"a red circle\"";
    assert_eq!(shown, expected);
}

#[test]
fn long_paths_are_shown_in_full() {
    let engine = tracer();
    let path = format!(
        "{}/rewards/x.lua",
        ["a", "very", "long", "way", "down", "into", "folders"].join("/some-folder/")
    );
    let text = "return { api = 1, doc = '', score = function() error('here') end }";
    let script = engine.load_text(Kind::Reward, &path, text).expect("loads");
    let e = engine.call(&script, "score", ()).expect_err("fails").to_string();
    assert!(e.starts_with(&format!("error: {path}:1: here")), "{e}");
    // Another script whose path ends alike keeps its own text.
    let other = format!("other/{path}");
    let script = engine.load_text(
        Kind::Reward,
        &other,
        "\n\nreturn { api = 1, doc = '', score = function() error('there') end }",
    );
    let e = engine.call(&script.expect("loads"), "score", ()).expect_err("fails").to_string();
    assert!(e.starts_with(&format!("error: {other}:3: there")), "{e}");
}

#[test]
fn scripts_call_scripts_through_the_host() {
    let engine = tracer();
    let inner = engine.load_text(
        Kind::Reward,
        "in.lua",
        "return { api = 1, doc = '', score = function() error('deep') end }",
    );
    let (inner, within) = (inner.expect("loads"), engine.clone());
    let call = move |_: &mlua::Lua, ()| within.call(&inner, "score", ()).map_err(mlua::Error::external);
    let call = engine.lua().create_function(call).expect("a function");
    let e = engine.call(&common::script(&engine, "return a()"), "study", call).expect_err("fails");
    assert_eq!((e.path.as_str(), e.message.as_str()), ("in.lua", "deep"));
}

#[test]
fn eager_tensors_reach_scripts() {
    let engine = engine();
    let t = ekphrasis_runtime::DeviceTensor::from_f32(&[2], vec![1.0, 2.0]).expect("fits");
    let script = common::script(&engine, "return (a * 2):tolist()");
    let out = engine.call(&script, "study", Tensor::Eager(t)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(check_scores(&out[0], 2).expect("numbers"), [2.0, 4.0]);
}
