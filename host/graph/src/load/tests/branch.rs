//! `If`, decided by shapes or by the data.

use super::*;

/// A graph as an attribute, with these nodes and outputs.
pub(super) fn graph(name: &str, nodes: Vec<proto::NodeProto>, outputs: &[&str]) -> proto::AttributeProto {
    let g = proto::GraphProto {
        name: name.into(),
        node: nodes,
        output: outputs.iter().map(|o| port(o, &[])).collect(),
        ..Default::default()
    };
    proto::AttributeProto { name: name.into(), r#type: 5, g: Some(g), ..Default::default() }
}

fn branches(then: Vec<proto::NodeProto>, other: Vec<proto::NodeProto>) -> Vec<proto::AttributeProto> {
    vec![graph("then_branch", then, &["out"]), graph("else_branch", other, &["out"])]
}

pub(super) fn ops(g: &Graph) -> Vec<&str> {
    g.nodes().map(|(_, n)| n.op.as_str()).collect()
}

/// A scalar of the first size of `x`, and whether it equals 1.
fn first_is_one() -> Vec<proto::NodeProto> {
    let literal = |name: &str, v| {
        let constant = node("Constant", &[], &[name], vec![attr("value_int", Attr::Int(v))]);
        proto::NodeProto { name: format!("literal_{name}"), ..constant }
    };
    vec![
        literal("zero", 0),
        literal("one", 1),
        node("Shape", &["x"], &["shape"], vec![]),
        node("Gather", &["shape", "zero"], &["size"], vec![]),
        node("Equal", &["size", "one"], &["is_one"], vec![]),
    ]
}

#[test]
fn the_branch_that_shapes_decide_takes_its_place() {
    let build = |dims: &[&str]| {
        let mut nodes = first_is_one();
        // What the branch takes from around it is made after the `If` stands.
        let both = branches(
            vec![node("Squeeze", &["x", "axes"], &["out"], vec![])],
            vec![node("Exp", &["late"], &["inner"], vec![]), node("Neg", &["inner"], &["out"], vec![])],
        );
        nodes.push(node("If", &["is_one"], &["y"], both));
        nodes.push(node("Tanh", &["x"], &["late"], vec![]));
        nodes.push(node("Constant", &[], &["axes"], vec![attr("value_ints", Attr::Ints(vec![0]))]));
        model(17, vec![port("x", dims)], nodes)
    };
    let g = load(&build(&["1", "3"])).unwrap();
    assert_eq!(g.value(g.output_named("y").unwrap()).describe(), "f32[3]");
    assert!(ops(&g).contains(&"Squeeze") && !ops(&g).contains(&"Exp"));
    let g = load(&build(&["2", "3"])).unwrap();
    assert_eq!(g.value(g.output_named("y").unwrap()).describe(), "f32[2, 3]");
    assert!(ops(&g).ends_with(&["Exp", "Neg"]), "{:?}", ops(&g));
    refused(&build(&["B", "3"]), &["the_If", "is not known"]);
}

/// A function of `own` with these nodes.
pub(super) fn function(name: &str, nodes: Vec<proto::NodeProto>) -> proto::FunctionProto {
    proto::FunctionProto {
        name: name.into(),
        domain: "own".into(),
        input: vec!["a".into()],
        output: vec!["b".into()],
        attribute: vec!["alpha".into()],
        node: nodes,
        opset_import: vec![proto::OperatorSetIdProto { version: 18, ..Default::default() }],
        ..Default::default()
    }
}

pub(super) fn call(name: &str, from: &str, to: &str, attrs: Vec<proto::AttributeProto>) -> proto::NodeProto {
    proto::NodeProto { domain: "own".into(), ..node(name, &[from], &[to], attrs) }
}

pub(super) fn truth(name: &str, value: bool) -> proto::NodeProto {
    node("Constant", &[], &[name], vec![attr("value", Attr::Tensor(Tensor::scalar_bool(value)))])
}

#[test]
fn branches_in_functions_see_the_functions_names_and_attributes() {
    let mut reference = attr("alpha", Attr::Float(0.0));
    reference.ref_attr_name = "alpha".into();
    let leaky = node("LeakyRelu", &["h"], &["out"], vec![reference]);
    let body = vec![
        truth("yes", true),
        node("Neg", &["a"], &["h"], vec![]),
        node("If", &["yes"], &["b"], branches(vec![leaky], vec![node("Exp", &["h"], &["out"], vec![])])),
    ];
    let alpha = |v| vec![attr("alpha", Attr::Float(v))];
    let nodes = vec![
        proto::NodeProto { name: "first".into(), ..call("f", "x", "m", alpha(0.25)) },
        proto::NodeProto { name: "second".into(), ..call("f", "m", "y", alpha(0.5)) },
    ];
    let mut m = model(18, vec![port("x", &["2"])], nodes);
    m.functions = vec![function("f", body)];
    let g = load(&m).unwrap();
    assert_eq!(ops(&g), ["Neg", "LeakyRelu", "Neg", "LeakyRelu"]);
    let slopes: Vec<f32> =
        g.nodes().filter(|(_, n)| n.op == "LeakyRelu").map(|(_, n)| n.attrs.float("alpha", 0.0)).collect();
    assert_eq!(slopes, [0.25, 0.5]);
}

#[test]
fn branches_that_never_end_are_refused() {
    // A function that calls itself from a branch, once, and twice.
    for calls in [1, 2] {
        let mut then = vec![call("f", "a", "out", vec![])];
        if calls == 2 {
            then = vec![call("f", "a", "h", vec![]), call("f", "h", "out", vec![])];
        }
        let body = vec![truth("yes", true), node("If", &["yes"], &["b"], branches(then, vec![]))];
        let mut m = model(18, vec![port("x", &["2"])], vec![call("f", "x", "y", vec![])]);
        m.functions = vec![function("f", body)];
        refused(&m, &["at most 32 deep"]);
    }
}

/// An `If` over the input `c`.
fn undecided(attrs: Vec<proto::AttributeProto>) -> proto::ModelProto {
    let node = node("If", &["c"], &["y"], attrs);
    model(18, vec![port("x", &["2"]), port("bool:c", &["1"])], vec![node])
}

#[test]
fn where_the_data_decide_both_branches_are_computed() {
    let one = |op| vec![node(op, &["x"], &["out"], vec![])];
    let g = load(&undecided(branches(one("Exp"), one("Neg")))).unwrap();
    // The condition is no scalar, but the outputs keep their shape.
    assert_eq!(ops(&g), ["Exp", "Neg", "Reshape", "Where"]);
    assert_eq!(g.value(g.output_named("y").unwrap()).describe(), "f32[2]");
    let whole = vec![node("ReduceMax", &["x"], &["out"], vec![])];
    refused(
        &undecided(branches(one("Exp"), whole)),
        &["the_If", "condition `c`", "f32[2] and f32[1]", "hint"],
    );
    let shape = vec![node("Shape", &["x"], &["out"], vec![])];
    refused(&undecided(branches(shape, one("Exp"))), &["the_If", "condition `c`", "i64[1] and f32[2]"]);
}

#[test]
fn parameters_in_branches_keep_their_names() {
    let with = |value: f32| {
        let mut branch = graph("", vec![node("Mul", &["x", "w"], &["out"], vec![])], &["out"]);
        branch.g.get_or_insert_default().initializer = vec![floats("w", &[2], &[value; 2])];
        branch
    };
    let both = |a, b| {
        let named = [("then_branch", a), ("else_branch", b)];
        undecided(named.map(|(name, v)| proto::AttributeProto { name: name.into(), ..with(v) }).to_vec())
    };
    let g = load(&both(1.0, 1.0)).unwrap();
    assert_eq!(g.initializers().keys().collect::<Vec<_>>(), [&"w"]);
    let g = load(&both(1.0, 2.0)).unwrap();
    assert_eq!(g.initializers().len(), 2, "{}", g.describe());
}

#[test]
fn what_a_branch_names_is_forgotten_after_it() {
    // `h` is one thing in the branch, and another after it.
    let branch = || vec![node("Exp", &["x"], &["h"], vec![]), node("Neg", &["h"], &["out"], vec![])];
    let mut m = undecided(branches(branch(), branch()));
    let g = graph_of(&mut m);
    g.node[0].output = vec!["chosen".into()];
    g.node.push(node("Tanh", &["chosen"], &["h"], vec![]));
    g.node.push(node("Abs", &["h"], &["y"], vec![]));
    assert_eq!(ops(&load(&m).unwrap()), ["Exp", "Neg", "Tanh", "Abs"]);
    // What only the branch makes is not there outside.
    graph_of(&mut m).node.remove(1);
    refused(&m, &["the_Abs", "`h`"]);
}

#[test]
fn what_a_branch_lacks_is_named() {
    let with = |attrs| {
        let mut m = model(18, vec![port("x", &["2"])], vec![truth("yes", true)]);
        graph_of(&mut m).node.push(node("If", &["yes"], &["y"], attrs));
        m
    };
    refused(&with(vec![]), &["the_If", "then_branch"]);
    let lost = vec![node("Exp", &["nowhere"], &["out"], vec![])];
    refused(&with(branches(lost, vec![])), &["the_If", "the_Exp", "`nowhere`"]);
    refused(&with(branches(vec![], vec![])), &["the_If", "output `out`"]);
    refused(&with(vec![graph("then_branch", vec![], &[])]), &["the_If", "expected 1 outputs"]);
}
