//! Every operation of the table, traced and eager, gives the same numbers; the tricky ones give those
//! of NumPy and PyTorch, worked out by hand.

mod common;

use ekphrasis_graph::{DType, Dim, Graph, Tensor as Literal};
use ekphrasis_runtime::{DeviceTensor, SessionOptions};
use ekphrasis_script::{
    Engine, Tensor, Trace,
    mlua::{MultiValue, Value},
    ops,
};
use std::collections::BTreeSet;

/// An expression for each row over the operands of [`operands`].
const CASES: &[(&str, &str)] = &[
    ("add", "t.a + t.b"),
    ("sub", "2 - t.a"),
    ("mul", "t.a * t.i"),
    ("div", "t.i / 2"),
    ("pow", "t.b ^ 1.5 + t.a ^ 2"),
    ("neg", "-t.a"),
    ("exp", "t.a:exp()"),
    ("log", "t.b:log()"),
    ("sqrt", "t.b:sqrt()"),
    ("sin", "t.a:sin()"),
    ("cos", "t.a:cos()"),
    ("tanh", "t.a:tanh()"),
    ("sigmoid", "t.a:sigmoid()"),
    ("relu", "t.a:relu()"),
    ("leaky_relu", "t.a:leaky_relu(0.2)"),
    ("gelu", "t.a:gelu()"),
    ("elu", "t.a:elu()"),
    ("softplus", "t.a:softplus()"),
    ("erf", "t.a:erf()"),
    ("abs", "t.a:abs()"),
    ("sign", "t.a:sign()"),
    ("floor", "t.a:floor()"),
    ("square", "t.a:square()"),
    ("reciprocal", "t.b:reciprocal()"),
    ("clamp", "t.a:clamp(-0.5, 1)"),
    ("minimum", "t.a:minimum(t.b)"),
    ("maximum", "t.a:maximum(0.25)"),
    ("eq", "t.i:eq(2)"),
    ("ne", "t.i:ne(2)"),
    ("lt", "t.a:lt(t.b)"),
    ("le", "t.i:le(1)"),
    ("gt", "t.a:gt(0)"),
    ("ge", "t.a:ge(t.b)"),
    ("logical_and", "t.m:logical_and(t.a:gt(0))"),
    ("logical_or", "t.m:logical_or(t.a:gt(0))"),
    ("logical_not", "t.m:logical_not()"),
    ("where", "t.m:where(t.a, -1)"),
    ("cast", "t.a:cast('i64')"),
    ("float", "t.m:float()"),
    ("long", "t.a:long()"),
    ("bool", "t.i:bool()"),
    ("detach", "t.a:detach()"),
    ("sum", "t.a:sum(), t.a:sum(1), t.m:sum(), t.a:sum({0, -1}, true)"),
    ("mean", "t.a:mean(0), t.i:mean()"),
    ("max", "t.a:max(), t.a:max(-1, true)"),
    ("min", "t.a:min(0)"),
    ("prod", "t.b:prod(1)"),
    ("norm", "t.a:norm(), t.a:norm(-1)"),
    ("logsumexp", "t.a:logsumexp(-1), t.a:logsumexp()"),
    ("var", "t.a:var(), t.a:var(1, true), t.a:var(0, false, 0)"),
    ("argmax", "t.a:argmax(-1), t.a:argmax(0, true)"),
    ("argmin", "t.a:argmin()"),
    ("softmax", "t.a:softmax(), t.a:softmax(0)"),
    ("log_softmax", "t.a:log_softmax(-1)"),
    ("cumsum", "t.a:cumsum(1), t.a:cumsum(0)"),
    ("normalize", "t.a:normalize()"),
    ("reshape", "t.a:reshape({ -1 }), t.a:reshape({ 0, 3, 1 }), t.a:reshape({ t.a:size(0), -1 })"),
    ("flatten", "t.p:flatten(1), t.p:flatten(), t.p:flatten(0, 1)"),
    ("transpose", "t.a:transpose(), t.p:transpose(1, 3)"),
    ("permute", "t.p:permute({ 0, 2, 3, 1 })"),
    ("unsqueeze", "t.a:unsqueeze(0), t.a:unsqueeze(-1)"),
    ("squeeze", "t.a:unsqueeze(1):squeeze(1)"),
    ("expand", "t.a:unsqueeze(1):expand({ -1, 4, 3 })"),
    ("expand_as", "t.a:mean(0, true):expand_as(t.a)"),
    ("slice", "t.a:slice(1, 1), t.a:slice(1, 0, -1), t.a:slice(1, 0, 3, 2)"),
    ("select", "t.a:select(1, -1), t.a:select(0, 0)"),
    ("split", "t.a:split({ 1, 2 }, 1)"),
    ("chunk", "t.a:chunk(3, -1)"),
    ("roll", "t.a:roll(1), t.a:roll(-1, 1), t.a:roll(4, 1)"),
    ("repeat_interleave", "t.a:repeat_interleave(2), t.a:repeat_interleave(3, 1)"),
    ("tile", "t.a:tile({ 2, 1 })"),
    ("pad", "t.a:pad({ 0, 1, 0, 2 }), t.a:pad({ 0, 1, 0, 1 }, 'reflect')"),
    ("flip", "t.a:flip(1), t.a:flip(0)"),
    ("triu", "t.a:triu(1)"),
    ("tril", "t.a:tril()"),
    ("zeros_like", "t.a:zeros_like()"),
    ("ones_like", "t.i:ones_like()"),
    ("full_like", "t.a:full_like(2.5)"),
    ("range", "t.a:range(0), t.a:range(1)"),
    ("size_tensor", "t.a:size_tensor(0), t.a:size_tensor(-1)"),
    ("one_hot", "t.i:one_hot(4)"),
    ("gather", "t.a:gather(t.i:select(0, 0), 1)"),
    ("take_along", "t.a:take_along(t.i), t.a:take_along(t.i:clamp(0, 1), 0)"),
    ("matmul", "t.a:matmul(t.w)"),
    (
        "linear",
        "t.a:linear(t.w, t.w:select(0, 0)), t.a:unsqueeze(1):linear(t.w, t.w:select(0, 0)), t.a:linear(t.w)",
    ),
    (
        "conv",
        "t.p:conv(t.k, { pad = 1, stride = { 2, 1 }, bias = t.k:select(1, 0):select(1, 0):select(1, 0) })",
    ),
    ("conv_transpose", "t.p:conv_transpose(t.k:transpose(0, 1), { stride = 2, pad = 1, output_pad = 1 })"),
    (
        "batch_norm",
        "t.p:batch_norm(tensor.from({ 1.5, 1 }), tensor.from({ 0, .5 }), tensor.from({ .1, .2 }), tensor.from({ 2, 3.0 }))",
    ),
    ("layer_norm", "t.a:layer_norm(tensor.from({ 1, 2, .5 }), tensor.from({ 0, 1, 0.0 }))"),
    ("max_pool", "t.p:max_pool(2), t.p:max_pool(3, { stride = 1, pad = 1 })"),
    ("avg_pool", "t.p:avg_pool({ 2, 2 }), t.p:avg_pool(3, { stride = 2, pad = 1 })"),
    ("global_avg_pool", "t.p:global_avg_pool()"),
    ("upsample", "t.p:upsample(2)"),
    ("concat", "tensor.concat({ t.a, t.i }, 1), tensor.concat({ t.a, t.b })"),
    ("stack", "tensor.stack({ t.a, t.b }), tensor.stack({ t.a, t.b }, -1)"),
];

/// Operands by name: pictures p and kernels k, matrices a (any sign), b (positive), w, indices i, mask m.
fn operands() -> Vec<(&'static str, Literal)> {
    let wave = |n: usize, step: f32| (0..n).map(|i| (i as f32 * step).sin() * 1.7).collect::<Vec<_>>();
    let f32s = |dims: &[usize], v: Vec<f32>| Literal::from_f32(dims, &v).expect("fills");
    vec![
        ("a", f32s(&[2, 3], vec![-1.2, 0.3, 2.0, 0.7, -0.4, 1.1])),
        ("b", f32s(&[2, 3], vec![0.5, 1.5, 2.5, 0.25, 3.0, 1.0])),
        ("w", f32s(&[3, 4], wave(12, 0.9))),
        ("p", f32s(&[2, 2, 4, 4], wave(64, 0.7))),
        ("k", f32s(&[3, 2, 3, 3], wave(54, 1.3))),
        ("i", Literal::from_i64(&[2, 3], &[0, 2, 1, 2, 0, 0]).expect("fills")),
        ("m", Literal::new(DType::Bool, &[2, 3], vec![1, 0, 0, 1, 1, 0]).expect("fills")),
    ]
}

fn table(engine: &Engine, tensors: Vec<(&str, Tensor)>) -> Value {
    let table = engine.lua().create_table().expect("a table");
    for (name, t) in tensors {
        table.set(name, t).expect("set");
    }
    Value::Table(table)
}

fn tensors(values: MultiValue) -> Vec<Tensor> {
    values.iter().map(|v| Tensor::from_value(v).expect("a tensor")).collect()
}

fn numbers(t: &DeviceTensor) -> (Vec<usize>, DType, Vec<f64>) {
    let literal = t.to_tensor().expect("readable");
    let values = match literal.to_f32() {
        Some(v) => v.into_iter().map(f64::from).collect(),
        None => literal.as_ints().expect("whole").into_iter().map(|v| v as f64).collect(),
    };
    (t.dims().to_vec(), t.dtype(), values)
}

fn eager(engine: &Engine, expression: &str) -> Vec<DeviceTensor> {
    let given =
        operands().into_iter().map(|(n, t)| (n, Tensor::Eager(DeviceTensor::from_tensor(&t).expect("fits"))));
    let script = common::script(engine, &format!("local t = a\nreturn {expression}"));
    let out = engine.call(&script, "study", table(engine, given.collect())).unwrap_or_else(|e| panic!("{e}"));
    tensors(out).iter().map(|t| t.eager("test").expect("eager").clone()).collect()
}

/// Traces the expression, with the first axis of activations a symbol or a number, and runs the graph.
fn traced(engine: &Engine, expression: &str, symbolic: bool) -> Vec<DeviceTensor> {
    let trace = Trace::new(Graph::new("traced"));
    let given = operands().into_iter().map(|(name, t)| {
        let mut dims: Vec<Dim> = t.dims().iter().map(|d| Dim::from(*d)).collect();
        if symbolic && !["w", "k"].contains(&name) {
            dims[0] = Dim::symbol("B");
        }
        let id = trace.with(|g| g.input(name, t.dtype(), dims)).expect("a port");
        (name, trace.tensor(id))
    });
    let script = common::script(engine, &format!("local t = a\nreturn {expression}"));
    let given = table(engine, given.collect());
    let out = engine.call(&script, "study", given).unwrap_or_else(|e| panic!("{e}"));
    for (i, t) in tensors(out).iter().enumerate() {
        let id = t.id_in(&trace).expect("traced");
        trace.with(|g| {
            // A port of its own, also where the result is an operand.
            let id = g.identity(id).expect("identity");
            g.output(&format!("out{i}"), id).expect("a port");
        });
    }
    let runtime = ekphrasis_runtime::Runtime::start(&Default::default(), &|_| {}).expect("started");
    let session =
        runtime.session(&trace.graph(), &SessionOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let feeds: Vec<_> =
        operands().into_iter().map(|(n, t)| (n, DeviceTensor::from_tensor(&t).expect("fits"))).collect();
    let feeds: Vec<(&str, &DeviceTensor)> = feeds.iter().map(|(n, t)| (*n, t)).collect();
    session.run(&feeds).unwrap_or_else(|e| panic!("{expression}: {e}"))
}

#[test]
fn every_row_has_a_case() {
    let rows: BTreeSet<&str> = ops::methods().chain(ops::functions()).map(|o| o.name).collect();
    let cases: BTreeSet<&str> = CASES.iter().map(|(n, _)| *n).collect();
    assert_eq!(rows, cases);
    assert_eq!(rows.len(), ops::methods().chain(ops::functions()).count(), "no name twice");
}

#[test]
fn traced_and_eager_agree() {
    let engine = common::engine();
    for (name, expression) in CASES {
        let expected = eager(&engine, expression);
        // The barrier is lowered where gradients are taken; a bare graph with it does not run.
        if *name == "detach" {
            assert_eq!(numbers(&expected[0]), numbers(&eager(&engine, "t.a")[0]));
            continue;
        }
        for symbolic in [false, true] {
            let found = traced(&engine, expression, symbolic);
            assert_eq!(expected.len(), found.len(), "{name}");
            for (e, f) in expected.iter().zip(&found) {
                let (e, f) = (numbers(e), numbers(f));
                assert_eq!((&e.0, e.1), (&f.0, f.1), "{name}: shape and type, symbolic: {symbolic}");
                for (x, y) in e.2.iter().zip(&f.2) {
                    assert!((x - y).abs() <= 1e-6 * (1.0 + x.abs()), "{name}: {x} eager, {y} traced");
                }
            }
        }
    }
}

#[test]
fn the_barrier_is_traced() {
    let engine = common::tracer();
    let trace = Trace::new(Graph::new("g"));
    let x = trace.with(|g| g.input("x", DType::F32, vec!["B".into(), 4.into()])).expect("a port");
    let script = common::script(&engine, "return a:detach()");
    let out = tensors(engine.call(&script, "study", trace.tensor(x)).expect("runs"));
    assert_eq!(out[0].describe(), "f32[B, 4]");
    assert!(trace.with(|g| g.nodes().any(|(_, n)| n.op == "ekphrasis::StopGradient")));
}

/// Expectations worked out by hand as NumPy and PyTorch define the operations.
const EXPECTED: &str = r#"
local function flat(v, out)
  out = out or {}
  if type(v) ~= "table" then out[#out + 1] = v return out end
  for i = 1, #v do flat(v[i], out) end
  return out
end
local function same(what, t, shape, list)
  local s = t:shape()
  assert(#s == #shape, what .. ": rank " .. #s)
  for i = 1, #s do assert(s[i] == shape[i], what .. ": size " .. s[i] .. " of axis " .. i - 1) end
  local found = flat(t:tolist())
  assert(#found == #list, what)
  for i = 1, #list do
    local ok = found[i] == list[i] or type(list[i]) == "number" and math.abs(found[i] - list[i]) < 1e-5 * (1 + math.abs(list[i]))
    assert(ok, what .. ": element " .. i .. " is " .. tostring(found[i]) .. ", not " .. tostring(list[i]))
  end
end
local x = tensor.from({ { 1, 2, 3 }, { 4, 5, 6.0 } })
same("roll rows", x:roll(1), { 2, 3 }, { 4, 5, 6, 1, 2, 3 })
same("roll columns", x:roll(1, 1), { 2, 3 }, { 3, 1, 2, 6, 4, 5 })
same("roll back", x:roll(-2, 1), { 2, 3 }, { 3, 1, 2, 6, 4, 5 })
same("repeat", x:repeat_interleave(2), { 4, 3 }, { 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6 })
same("repeat 1", x:repeat_interleave(2, 1), { 2, 6 }, { 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6 })
same("tile", x:tile({ 1, 2 }), { 2, 6 }, { 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6 })
local i = tensor.from({ { 2, 0 }, { 1, 1 } })
same("take_along", x:take_along(i), { 2, 2 }, { 3, 1, 5, 5 })
same("gather", x:gather(tensor.from({ 1, 0, 1 })), { 3, 3 }, { 4, 5, 6, 1, 2, 3, 4, 5, 6 })
same("softmax", tensor.from({ 0.0, math.log(3) }):softmax(), { 2 }, { .25, .75 })
same("log_softmax", tensor.from({ 1000.0, 1000 }):log_softmax(), { 2 }, { -math.log(2), -math.log(2) })
same("logsumexp", tensor.from({ { 1000.0, 1000 } }):logsumexp(1), { 1 }, { 1000 + math.log(2) })
same("var", x:var(1), { 2 }, { 1, 1 })
same("var biased", x:var(nil, false, 0), {}, { 35 / 12 })
same("cumsum", x:cumsum(1), { 2, 3 }, { 1, 3, 6, 4, 9, 15 })
same("normalize", tensor.from({ { 3.0, 4 }, { 0, 0 } }):normalize(), { 2, 2 }, { .6, .8, 0, 0 })
same("triu", x:triu(1), { 2, 3 }, { 0, 2, 3, 0, 0, 6 })
same("pad", x:pad({ 0, 1, 1, 0 }, "constant", 9), { 3, 4 }, { 9, 1, 2, 3, 9, 4, 5, 6, 9, 9, 9, 9 })
same("flip", x:flip(1), { 2, 3 }, { 3, 2, 1, 6, 5, 4 })
same("stack", tensor.stack({ x:select(0, 0), x:select(0, 1) }, 1), { 3, 2 }, { 1, 4, 2, 5, 3, 6 })
same("one_hot", tensor.from({ 1, 0 }):one_hot(3), { 2, 3 }, { 0, 1, 0, 1, 0, 0 })
same("gelu", tensor.from({ 0.0, 1 }):gelu(), { 2 }, { 0, 0.8413447 })
same("whole quotient", tensor.from({ 1, 2 }) / 2, { 2 }, { .5, 1 })
same("mask arithmetic", x:gt(3) * 0.5, { 2, 3 }, { 0, 0, 0, .5, .5, .5 })
same("where", x:gt(3):where(x, 0), { 2, 3 }, { 0, 0, 0, 4, 5, 6 })
same("power", x ^ 2, { 2, 3 }, { 1, 4, 9, 16, 25, 36 })
same("left number", 10 - x, { 2, 3 }, { 9, 8, 7, 6, 5, 4 })
-- 1 + 2 + 4 + 5 under a kernel of ones; padding 1 and stride 2 see the corners of the picture.
local p = tensor.arange(16):float():reshape({ 1, 1, 4, 4 })
same("conv", p:conv(tensor.ones({ 1, 1, 2, 2 }), { stride = 2 }), { 1, 1, 2, 2 }, { 10, 18, 42, 50 })
same("conv pad", p:conv(tensor.ones({ 2, 1, 3, 3 }), { pad = 1, stride = 2 }):slice(1, 0, 1), { 1, 1, 2, 2 }, { 10, 24, 51, 90 })
assert(p:conv_transpose(tensor.ones({ 1, 5, 4, 4 }), { stride = 2, pad = 1 }):size(3) == 8)
same("avg_pool pads count", p:avg_pool(3, { stride = 2, pad = 1 }), { 1, 1, 2, 2 }, { 10 / 9, 24 / 9, 51 / 9, 10 })
same("upsample", p:slice(2, 0, 1):slice(3, 0, 2):upsample(2), { 1, 1, 2, 4 }, { 0, 0, 1, 1, 0, 0, 1, 1 })
local one, two = x:split(2, 1)
assert(one:size(1) == 2 and two:size(1) == 1, "split by size")
assert(tostring(tensor.from({ 1, 2 })) == "Tensor i64[2] {1, 2}", tostring(tensor.from({ 1, 2 })))
assert(x:select(0, 0):sum():item() == 6 and #x == 2 and x:rank() == 2 and x:dtype() == "f32")
assert(select('#', x:chunk(3, 1)) == 3)
"#;

#[test]
fn numbers_are_those_of_numpy() {
    let engine = common::engine();
    let script = common::script(&engine, EXPECTED);
    engine.call(&script, "study", ()).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn errors_carry_both_shapes_and_the_line() {
    let engine = common::engine();
    let message = |body: &str| common::error_of(&engine, body).to_string();
    let e = message("local x = tensor.ones({ 2, 3 })\nlocal y = tensor.ones({ 4 })\nreturn x + y");
    assert!(e.contains("scripts/test.lua:4: add: "), "{e}");
    assert!(e.contains("f32[2, 3], f32[4]"), "{e}");
    assert!(e.contains(">    4 | return x + y"), "{e}");
    let e = message("return tensor.ones({ 2, 3 }):matmul(tensor.ones({ 2, 3 }))");
    assert!(e.contains("cannot multiply [2, 3] by [2, 3]"), "{e}");
    let e = message("return tensor.ones({ 2, 3 }):softmax(2)");
    assert!(e.contains("expected an axis from -2 to 1 of a tensor with 2 dimensions, found 2"), "{e}");
    let e = message("return tensor.ones({ 2, 3 }):conv(tensor.ones({ 1 }), { strde = 2 })");
    assert!(e.contains("f32[2, 3]"), "{e}");
    let e = message("return tensor.ones({ 1, 1, 4, 4 }):max_pool(2, { strde = 2 })");
    assert!(e.contains("unknown option `strde`") && e.contains("did you mean `stride`?"), "{e}");
    let e = message("return tensor.ones({ 2 }):sofmax()");
    assert!(e.contains("did you mean `softmax`?"), "{e}");
    let e = message("return tensor.ones({ 2 }) < tensor.ones({ 2 })");
    assert!(e.contains("a:lt(b)"), "{e}");
    let e = message("return tensor.ones({ 2 }):sum(0, true, 3)");
    assert!(e.contains("expected at most 2 arguments, found 3"), "{e}");
    let e = message("return tensor.from({ { 1, 2 }, { 3 } })");
    assert!(e.contains("expected 2 elements at depth 1, found a list of 1"), "{e}");
    let e = message("return tensor.ones({ 2, 3 }):reshape({ 4, -1 })");
    assert!(e.contains("cannot reshape [2, 3] (6 elements) to [4, -1]"), "{e}");
}

#[test]
fn traced_tensors_have_no_numbers() {
    let engine = common::engine();
    let trace = Trace::new(Graph::new("loss"));
    let x = trace.with(|g| g.input("x", DType::F32, vec!["B".into(), 4.into()])).expect("a port");
    let run = |body: &str| engine.call(&common::script(&engine, body), "study", trace.tensor(x));
    let e = run("if a:sum():item() > 0 then return a end").expect_err("no numbers").to_string();
    assert!(e.contains("is traced: it has none until the graph runs") && e.contains("test.lua:2"), "{e}");
    let shape = run("local s = a:shape() return s[1] .. ' ' .. s[2]").expect("a shape");
    assert_eq!(shape[0].to_string().expect("text"), "B 4");
    // An eager tensor joins as a constant.
    let out = tensors(run("return a * tensor.from({ 1.0, 2, 3, 4 })").expect("mixes"));
    assert_eq!(out[0].describe(), "f32[B, 4]");
    // A tensor of another graph does not.
    let other = Trace::new(Graph::new("other"));
    let y = other.with(|g| g.input("y", DType::F32, vec![4.into()])).expect("a port");
    let script = common::script(&engine, "return a + b");
    let e = engine.call(&script, "study", (trace.tensor(x), other.tensor(y))).expect_err("mixed").to_string();
    assert!(e.contains("a tensor of graph `other` cannot be used in graph `loss`"), "{e}");
}

#[test]
fn repeated_eager_calls_reuse_their_sessions() {
    let engine = common::engine();
    let body = "local x = tensor.ones({ 8, 8 })\nfor i = 1, 200 do x = x * (1 + i / 1e6) end\nreturn x";
    let script = common::script(&engine, body);
    let out = engine.call(&script, "study", ()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(tensors(out)[0].describe(), "f32[8, 8]");
}
