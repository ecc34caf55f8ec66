//! The builder of models: shared parameters, initial values, layers that compute what they should, and
//! handles of models.

mod common;

use common::{engine, tracer};
use ekphrasis_graph::Tensor as Literal;
use ekphrasis_runtime::{DeviceTensor, Runtime, SessionOptions};
use ekphrasis_script::{
    BuiltModel, Engine, Kind, ModelCalls, ModelHandle, ScriptError, Tensor, build_model,
    mlua::{self, Lua},
};
use serde_json::{Map, json};
use std::rc::Rc;

fn build(engine: &Engine, body: &str, seed: u64) -> Result<BuiltModel, ScriptError> {
    let text = format!(
        "return {{ api = 1, doc = 'm', params = {{ width = 4 }}, build = function(m, p)\n{body}\nend }}"
    );
    let script = engine.load_text(Kind::Model, "plugins/models/m/model.lua", &text)?;
    let host: Map<_, _> = [("vocabulary".to_owned(), json!(7))].into_iter().collect();
    build_model(engine, &script, &json!({ "width": 3 }), &host, seed)
}

fn values(model: &BuiltModel, graph: &str, name: &str) -> Vec<f32> {
    model.graphs[graph].initializers()[name].1.to_f32().expect("f32")
}

#[test]
fn one_name_is_one_parameter() {
    let body = "
        m:graph('encode', function(g)
          local x = g:input('image', 'f32', { 'B', p.width })
          g:output('memory', g:linear(x, 'shared', 5))
          g:state('count', { 2 }, 'zeros')
        end)
        m:graph('decode', function(g)
          local x = g:input('x', 'f32', { 'B', p.width })
          g:output('a', g:linear(g:linear(x, 'shared', 5), 'own', p.vocabulary))
          g:output('b', g:linear(x, 'shared', 5))
        end)";
    let model = build(&tracer(), body, 1).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(model.states.iter().map(String::as_str).collect::<Vec<_>>(), ["count"]);
    assert_eq!(values(&model, "encode", "shared.weight"), values(&model, "decode", "shared.weight"));
    let decode = &model.graphs["decode"];
    assert_eq!(decode.initializers().len(), 4);
    assert_eq!(decode.value(decode.output_named("a").expect("a port")).describe(), "f32[B, 7]");
    let bound = (1.0f32 / 3.0).sqrt();
    let weights = values(&model, "encode", "shared.weight");
    assert!(weights.iter().all(|w| w.abs() <= bound) && weights.iter().any(|w| w.abs() > bound / 2.0));
}

#[test]
fn initial_values_depend_on_seed_and_name_alone() {
    let engine = tracer();
    let graph = |body: &str| {
        format!("m:graph('g', function(g) {body} g:output('y', g:param('last', {{ 1 }}, 'ones')) end)")
    };
    let one = graph("g:param('a', { 64 }, { 'normal', 1 }) g:param('b', { 64 }, { 'uniform', 1 })");
    let two = graph(
        "g:param('new', { 9 }, { 'normal', 1 }) g:param('b', { 64 }, { 'uniform', 1 }) g:param('a', { 64 }, { 'normal', 1 })",
    );
    let built = |body: &str, seed| build(&engine, body, seed).unwrap_or_else(|e| panic!("{e}"));
    let (x, y, other) = (built(&one, 5), built(&two, 5), built(&one, 6));
    for name in ["a", "b"] {
        assert_eq!(values(&x, "g", name), values(&y, "g", name));
        assert_ne!(values(&x, "g", name), values(&other, "g", name));
    }
    assert_ne!(values(&x, "g", "a"), values(&y, "g", "new"));
    let a = values(&built(&graph("g:param('a', { 100, 100 }, { 'normal', 2 })"), 3), "g", "a");
    let mean = a.iter().sum::<f32>() / 1e4;
    let std = (a.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 1e4).sqrt();
    assert!(mean.abs() < 0.06 && (std - 2.0).abs() < 0.05, "mean {mean}, deviation {std}");
}

#[test]
fn mistakes_name_the_line() {
    let engine = tracer();
    let error = |body: &str| build(&engine, body, 1).expect_err("refused").to_string();
    for (body, message) in [
        (
            "m:graph('a', function(g) g:output('y', g:param('w', { 2 }, 'zeros')) end)
             m:graph('b', function(g) g:output('y', g:param('w', { 3 }, 'zeros')) end)",
            "parameter `w`: shape [3] here, but [2] in graph `a`",
        ),
        (
            "m:graph('a', function(g) g:output('y', g:param('w', { 2 }, 'zeros')) end)
             m:graph('b', function(g) g:output('y', g:param('w', { 2 }, 'ones')) end)",
            "parameter `w`: init",
        ),
        (
            "m:graph('a', function(g) g:output('y', g:param('w', { 2 }, 'zeros')) end)
             m:graph('b', function(g) g:output('y', g:state('w', { 2 }, 'zeros')) end)",
            "parameter `w`: it is a state here, but trained in graph `a`",
        ),
        ("m:graph('a', function(g) end)", "graph `a` has no output"),
        (
            "m:graph('a', function(g) g:output('y', g:param('w', { 2 }, 'zeroes')) end)",
            "did you mean `zeros`?",
        ),
        ("m:graph('a', function(g) g:input('x', 'f31', { 2 }) end)", "input `x`: unknown type `f31`"),
        ("m:graph('a', function(g) g:linaer() end)", "did you mean `linear`?"),
        (
            "m:graph('a', function(g) g:conv(g:input('x', 'f32', { 'B', 3, 8, 8 }), 'c', { out = 4, kernle = 3 }) end)",
            "did you mean `kernel`?",
        ),
        (
            "m:graph('a', function(g) g:param('w', { 'B' }, 'zeros') end)",
            "a parameter's sizes are numbers, found B",
        ),
        ("local x", "`build` defined no graph"),
        ("m:graph('a', function(g) g:param('w', { 1 << 40 }, 'zeros') end)", "has more than"),
    ] {
        let e = error(body);
        assert!(e.contains(message), "{body}\n{e}");
        assert!(e.contains("plugins/models/m/model.lua"), "{e}");
    }
    let e = error(
        "m:graph('a', function(g)\n  local x = g:input('x', 'f32', { 'B', 2 })\n  g:output('y', x:matmul(g:param('w', { 3, 1 }, 'ones')))\nend)",
    );
    assert!(e.contains("model.lua:4: matmul: cannot multiply [B, 2] by [3, 1]"), "{e}");
}

fn run(engine: &Engine, body: &str, feeds: &[(&str, Literal)]) -> Vec<Vec<f32>> {
    let model = build(engine, body, 11).unwrap_or_else(|e| panic!("{e}"));
    let runtime = Runtime::start(&Default::default(), &|_| {}).expect("started");
    let graph = model.graphs["g"].pruned().expect("pruned");
    let session = runtime.session(&graph, &SessionOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let feeds: Vec<_> =
        feeds.iter().map(|(n, t)| (*n, DeviceTensor::from_tensor(t).expect("fits"))).collect();
    let feeds: Vec<(&str, &DeviceTensor)> = feeds.iter().map(|(n, t)| (*n, t)).collect();
    session.run(&feeds).unwrap_or_else(|e| panic!("{e}")).iter().map(|t| t.to_f32().expect("f32")).collect()
}

fn f32s(dims: &[usize], values: &[f32]) -> Literal {
    Literal::from_f32(dims, values).expect("fills")
}

fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() < 1e-5, "{a:?} and {b:?}");
    }
}

#[test]
fn cells_are_those_of_pytorch() {
    let engine = engine();
    // Every weight is set through the host's own initial values, read back and used in plain arithmetic.
    let body = "m:graph('g', function(g)
          local x, h, c = g:input('x', 'f32', { 'B', 2 }), g:input('h', 'f32', { 'B', 1 }), g:input('c', 'f32', { 'B', 1 })
          local h1, c1 = g:lstm_cell(x, h, c, 'lstm', 1)
          g:output('h1', h1) g:output('c1', c1) g:output('gru', g:gru_cell(x, h, 'gru', 1))
          for _, w in ipairs({ 'lstm', 'gru' }) do
            local n = w == 'lstm' and 4 or 3
            local init = { 'kaiming_uniform', 1 }
            g:output(w .. '.wi', g:param(w .. '.weight_ih', { 2, n }, init) * 1.0 + 0 * x:sum())
            g:output(w .. '.wh', g:param(w .. '.weight_hh', { 1, n }, init) + 0 * x:sum())
            g:output(w .. '.bi', g:param(w .. '.bias_ih', { n }, init) + 0 * x:sum())
            g:output(w .. '.bh', g:param(w .. '.bias_hh', { n }, init) + 0 * x:sum())
          end
        end)";
    let (x, h, c) = ([0.3f32, -0.8], 0.5f32, -0.2f32);
    let out = run(
        &engine,
        body,
        &[("x", f32s(&[1, 2], &x)), ("h", f32s(&[1, 1], &[h])), ("c", f32s(&[1, 1], &[c]))],
    );
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    let parts = |at: usize, n: usize, g: usize| {
        let (wi, wh, bi, bh) = (&out[at], &out[at + 1], &out[at + 2], &out[at + 3]);
        (x[0] * wi[g] + x[1] * wi[n + g] + bi[g], h * wh[g] + bh[g])
    };
    let sum = |g| {
        let (a, b) = parts(3, 4, g);
        a + b
    };
    let c1 = sigmoid(sum(1)) * c + sigmoid(sum(0)) * sum(2).tanh();
    close(&out[1], &[c1]);
    close(&out[0], &[sigmoid(sum(3)) * c1.tanh()]);
    let gate = |g| {
        let (a, b) = parts(7, 3, g);
        sigmoid(a + b)
    };
    let (r, z) = (gate(0), gate(1));
    let (a, b) = parts(7, 3, 2);
    close(&out[2], &[(1.0 - z) * (a + r * b).tanh() + z * h]);
}

#[test]
fn causal_attention_sees_no_later_token() {
    let engine = engine();
    let body = "m:graph('g', function(g)
          local x = g:input('x', 'f32', { 'B', 'T', 4 })
          g:output('y', g:attention(x, x, x, 'att', { heads = 2, causal = true }))
          g:output('n', g:layer_norm(x, 'norm'))
        end)";
    let one: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut two = one.clone();
    two[8..].iter_mut().for_each(|v| *v += 1.0);
    let (a, b) = (
        run(&engine, body, &[("x", f32s(&[1, 3, 4], &one))]),
        run(&engine, body, &[("x", f32s(&[1, 3, 4], &two))]),
    );
    close(&a[0][..8], &b[0][..8]);
    assert!((a[0][8] - b[0][8]).abs() > 1e-4, "the last token does see itself");
    let row = &a[1][..4];
    assert!(row.iter().sum::<f32>().abs() < 1e-4, "{row:?}");
}

#[test]
fn convolution_layers_have_pytorchs_shapes() {
    let body = "m:graph('g', function(g)
          local x = g:input('x', 'f32', { 'B', 3, 32, 32 })
          local y = g:batch_norm(g:conv(x, 'c', { out = 8, kernel = 4, stride = 2, pad = 1, bias = false }), 'bn'):relu()
          g:output('down', y)
          g:output('up', g:conv_transpose(y, 't', { out = 6, kernel = 4, stride = 2, pad = 1 }))
          g:output('e', g:embedding(g:input('tokens', 'i64', { 'B', 'T' }), 'emb', p.vocabulary, 5))
        end)";
    let model = build(&tracer(), body, 1).unwrap_or_else(|e| panic!("{e}"));
    let g = &model.graphs["g"];
    let shapes: Vec<_> = g.outputs().iter().map(|(_, v)| g.value(*v).describe()).collect();
    assert_eq!(shapes, ["f32[B, 8, 16, 16]", "f32[B, 6, 32, 32]", "f32[B, T, 5]"]);
    assert_eq!(model.states.iter().map(String::as_str).collect::<Vec<_>>(), ["bn.mean", "bn.var"]);
    assert_eq!(g.initializers()["t.weight"].1.dims(), [8, 6, 4, 4]);
    assert!(!g.initializers().contains_key("c.bias"));
}

struct Twice {
    train: bool,
}

impl ModelCalls for Twice {
    fn graphs(&self) -> Vec<String> {
        vec!["encode".into(), "decode".into()]
    }
    fn call(&self, _: &Lua, graph: &str, inputs: Vec<Tensor>) -> mlua::Result<Vec<Tensor>> {
        assert_eq!((graph, self.train), ("encode", true));
        Ok([inputs.clone(), inputs].concat())
    }
    fn mode(&self, train: bool) -> Rc<dyn ModelCalls> {
        Rc::new(Self { train })
    }
}

#[test]
fn a_handle_has_its_graphs_as_methods() {
    let engine = engine();
    let model = ModelHandle(Rc::new(Twice { train: false }));
    let script = common::script(
        &engine,
        "local x, y = a:train():encode(tensor.ones({ 2 }))\nreturn (x + y):sum():item()",
    );
    let out = engine.call(&script, "study", model.clone()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(out[0].as_f64(), Some(4.0));
    let call = |body: &str| {
        engine.call(&common::script(&engine, body), "study", model.clone()).expect_err("fails").to_string()
    };
    let e = call("return a:encod()");
    assert!(e.contains("unknown graph of this model `encod`") && e.contains("did you mean `encode`?"), "{e}");
    let e = call("return a.encode(tensor.ones({ 2 }))");
    assert!(e.contains("call it with a colon: model:encode(...)"), "{e}");
}
