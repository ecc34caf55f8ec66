//! `Loop`, `Scan` and `SequenceMap`.

use super::{
    branch::{call, function, graph, ops, truth},
    *,
};

/// A body that is fed `inputs`.
fn body(inputs: &[&str], nodes: Vec<proto::NodeProto>, outputs: &[&str]) -> proto::AttributeProto {
    let mut body = graph("body", nodes, outputs);
    body.g.get_or_insert_default().input = inputs.iter().map(|i| port(i, &[])).collect();
    body
}

fn number(name: &str, value: i64) -> proto::NodeProto {
    let constant = node("Constant", &[], &[name], vec![attr("value_int", Attr::Int(value))]);
    proto::NodeProto { name: format!("literal_{name}"), ..constant }
}

/// `x = tanh(x + w)`, `n` times.
fn simple(n: i64) -> proto::ModelProto {
    let nodes = vec![
        node("Add", &["state", "w"], &["sum"], vec![]),
        node("Tanh", &["sum"], &["next"], vec![]),
        node("Identity", &["cond"], &["again"], vec![]),
    ];
    let body = body(&["i", "cond", "state"], nodes, &["again", "next"]);
    let inputs = vec![port("x", &["2"]), port("w", &["2"])];
    model(18, inputs, vec![number("n", n), node("Loop", &["n", "", "x"], &["y"], vec![body])])
}

fn y(g: &Graph) -> String {
    g.value(g.output_named("y").unwrap()).describe()
}

#[test]
fn a_loop_of_known_count_is_unrolled() {
    let g = load(&simple(3)).unwrap();
    assert_eq!(ops(&g), ["Add", "Tanh"].repeat(3));
    assert!(g.find("the_Loop/2/next").is_some() && g.nodes().any(|(_, n)| n.name == "the_Loop/1/the_Tanh"));
    let none = load(&simple(0)).unwrap();
    assert_eq!((ops(&none), none.outputs()[0].1), (vec![], none.find("x").unwrap()));
    assert_eq!(ops(&load(&simple(-1)).unwrap()).len(), 0);
}

#[test]
fn a_count_may_come_from_a_shape() {
    let mut m = simple(0);
    let g = graph_of(&mut m);
    g.node[0] = node("Size", &["x"], &["n"], vec![]);
    assert_eq!(ops(&load(&m).unwrap()), ["Add", "Tanh"].repeat(2));
    graph_of(&mut m).input[0] = port("x", &["T"]);
    refused(&m, &["the_Loop", "`n`", "not known", "hint"]);
    // A size may be set before the loop is unrolled.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), m.encode_to_vec()).unwrap();
    let sized = |name: &str| Graph::load_sized(file.path(), &[(name.to_owned(), 2)].into());
    assert_eq!(ops(&sized("T").unwrap()), ["Add", "Tanh"].repeat(2));
    assert!(sized("S").unwrap_err().to_string().contains("no input has a dimension `S`"));
}

/// Counts to five, whatever the count says, and stacks the numbers.
fn counting(count: &str) -> proto::ModelProto {
    let nodes = vec![
        number("one", 1),
        number("five", 5),
        node("Add", &["k", "one"], &["next"], vec![]),
        node("Less", &["next", "five"], &["again"], vec![]),
        node("Cast", &["next"], &["row"], vec![attr("to", Attr::Int(1))]),
        node("Mul", &["row", "x"], &["scan"], vec![]),
    ];
    let body = body(&["i", "cond", "k"], nodes, &["again", "next", "scan"]);
    let outer = vec![
        number("zero", 0),
        number("many", i64::MAX),
        node("Loop", &[count, "", "zero"], &["last", "y"], vec![body]),
    ];
    model(18, vec![port("x", &["2"])], outer)
}

#[test]
fn a_condition_that_is_known_ends_a_loop() {
    for count in ["", "many"] {
        let g = load(&counting(count)).unwrap();
        assert_eq!(y(&g), "f32[5, 2]");
        assert_eq!(ops(&g).iter().filter(|op| **op == "Concat").count(), 1);
    }
}

/// As TensorFlow's exporter counts: in 32 bits, compared as floats with an initializer.
#[test]
fn a_condition_may_compare_floats() {
    let nodes = vec![
        node("Cast", &["next"], &["reached"], vec![attr("to", Attr::Int(1))]),
        node("Less", &["reached", "limit"], &["less"], vec![]),
        node("And", &["less", "less"], &["again"], vec![]),
        node("Add", &["k", "one"], &["next"], vec![]),
        node("Neg", &["x"], &["scan"], vec![]),
    ];
    let counting = body(&["i", "cond", "k"], nodes, &["again", "next", "scan"]);
    let narrow = |name: &str, v: i32| {
        let value = attr("value", Attr::Tensor(Tensor::scalar_i32(v)));
        proto::NodeProto { name: format!("literal_{name}"), ..node("Constant", &[], &[name], vec![value]) }
    };
    let outer = vec![
        narrow("one", 1),
        narrow("zero", 0),
        node("Loop", &["", "", "zero"], &["last", "y"], vec![counting]),
    ];
    let mut m = model(18, vec![port("x", &["2"])], outer);
    graph_of(&mut m).initializer = vec![floats("limit", &[], &[4.0])];
    assert_eq!(y(&load(&m).unwrap()), "f32[4, 2]");
}

#[test]
fn what_a_loop_that_never_runs_stacks_is_empty() {
    let mut m = counting("zero");
    let body = graph_of(&mut m).node[2].attribute[0].g.get_or_insert_default();
    body.output[2] = port("scan", &["2"]);
    assert_eq!(y(&load(&m).unwrap()), "f32[0, 2]");
    let body = graph_of(&mut m).node[2].attribute[0].g.get_or_insert_default();
    body.output[2] = port("scan", &["T"]);
    refused(&m, &["the_Loop", "runs no times", "`scan`"]);
}

/// Doubles until the sum is large, at most `count` times.
fn until_large(count: &str, outputs: &[&str]) -> proto::ModelProto {
    let nodes = vec![
        node("Add", &["state", "state"], &["next"], vec![]),
        node("ReduceMax", &["next"], &["large"], vec![attr("keepdims", Attr::Int(0))]),
        node("Less", &["large", "limit"], &["again"], vec![]),
    ];
    let body = body(&["i", "cond", "state"], nodes, outputs);
    let outer = vec![
        number("three", 3),
        number("many", i64::MAX),
        node("Constant", &[], &["limit"], vec![attr("value_float", Attr::Float(10.0))]),
        node("Loop", &[count, "", "x"], &["y", "z"][..outputs.len() - 1], vec![body]),
    ];
    model(18, vec![port("x", &["2"])], outer)
}

#[test]
fn where_the_data_end_a_loop_it_runs_to_its_count() {
    let g = load(&until_large("three", &["again", "next"])).unwrap();
    let count = |op| ops(&g).iter().filter(|o| **o == op).count();
    // The first pass surely runs, the others are selected.
    assert_eq!((count("Add"), count("Where"), count("And")), (3, 2, 1), "{}", g.describe());
    for count in ["", "many"] {
        refused(&until_large(count, &["again", "next"]), &["the_Loop", "again", "no count", "hint"]);
    }
    refused(&until_large("three", &["again", "next", "next"]), &["the_Loop", "stacks", "again"]);
}

#[test]
fn a_scan_walks_along_its_axes() {
    let scan = |attrs: Vec<proto::AttributeProto>, dims: &[&str]| {
        let nodes =
            vec![node("Add", &["h", "e"], &["next"], vec![]), node("Exp", &["next"], &["out"], vec![])];
        let mut all = vec![body(&["h", "e"], nodes, &["next", "out"]), attr("num_scan_inputs", Attr::Int(1))];
        all.extend(attrs);
        let inputs = vec![port("h0", &["B"]), port("x", dims)];
        model(18, inputs, vec![node("Scan", &["h0", "x"], &["last", "y"], all)])
    };
    let ints = |name: &str, v: i64| attr(name, Attr::Ints(vec![v]));
    let g = load(&scan(vec![], &["3", "B"])).unwrap();
    assert_eq!((y(&g).as_str(), ops(&g).iter().filter(|op| **op == "Exp").count()), ("f32[3, B]", 3));
    let g = load(&scan(vec![ints("scan_input_axes", -1), ints("scan_output_axes", 1)], &["B", "4"])).unwrap();
    assert_eq!(y(&g), "f32[B, 4]");
    // Backwards, the first element that is added is the last.
    let g = load(&scan(vec![ints("scan_input_directions", 1)], &["3", "B"])).unwrap();
    let (_, add) = g.nodes().find(|(_, n)| n.op == "Add").unwrap();
    let (_, squeeze) = g.producer(add.inputs[1].unwrap()).unwrap();
    let (_, split) = g.producer(squeeze.inputs[0].unwrap()).unwrap();
    assert_eq!(split.outputs[2], squeeze.inputs[0]);
    refused(&scan(vec![], &["T", "B"]), &["the_Scan", "T (axis 0 of `x`)", "hint"]);
    refused(&scan(vec![ints("scan_input_axes", 2)], &["3", "B"]), &["the_Scan", "axis"]);
    refused(&scan(vec![], &["1000001", "B"]), &["the_Scan", "at most 1000000 elements"]);
    let mut m = scan(vec![], &["3", "B"]);
    graph_of(&mut m).node[0].attribute[1] = attr("num_scan_inputs", Attr::Int(3));
    refused(&m, &["the_Scan", "num_scan_inputs"]);
}

#[test]
fn a_map_goes_through_a_sequence() {
    let nodes = vec![node("Mul", &["e", "w"], &["out"], vec![])];
    let map = node("SequenceMap", &["parts", "w"], &["mapped"], vec![body(&["e", "w"], nodes, &["out"])]);
    let split = node("SplitToSequence", &["x"], &["parts"], vec![]);
    let joined = node("ConcatFromSequence", &["mapped"], &["y"], vec![attr("axis", Attr::Int(0))]);
    let m = model(18, vec![port("x", &["3", "2"]), port("w", &["2"])], vec![split, map, joined]);
    let g = load(&m).unwrap();
    assert_eq!((ops(&g), y(&g).as_str()), (vec!["Split", "Mul", "Mul", "Mul", "Concat"], "f32[3, 2]"));
}

#[test]
fn loops_nest_and_stand_in_functions() {
    let inner = body(&["j", "c2", "s"], vec![node("Exp", &["s"], &["t"], vec![])], &["c2", "t"]);
    let nodes = vec![node("Loop", &["two", "", "r"], &["u"], vec![inner])];
    let outer = body(&["i", "c1", "r"], nodes, &["c1", "u"]);
    let all = vec![number("two", 2), node("Loop", &["two", "", "a"], &["b"], vec![outer])];
    let mut m =
        model(18, vec![port("x", &["2"])], vec![call("f", "x", "h", vec![]), call("f", "h", "y", vec![])]);
    m.functions = vec![function("f", all)];
    assert_eq!(ops(&load(&m).unwrap()), ["Exp"; 8]);
}

#[test]
fn loops_without_end_are_refused() {
    let started = std::time::Instant::now();
    refused(&simple(i64::MAX), &["the_Loop", "1000000 nodes", "hint"]);
    // A body with nothing in it costs too.
    let empty = body(&["i", "cond", "state"], vec![], &["cond", "state"]);
    let endless = vec![truth("yes", true), node("Loop", &["", "yes", "x"], &["y"], vec![empty])];
    refused(&model(18, vec![port("x", &["2"])], endless), &["the_Loop", "1000000 nodes"]);
    // So do bytes: each pass would hold its own copy of what a branch has inside.
    let heavy = attr("value", Attr::Tensor(Tensor::from_f32(&[1 << 20], &vec![0.5; 1 << 20]).unwrap()));
    let big = vec![node("Constant", &[], &["c"], vec![heavy]), node("Add", &["s", "c"], &["out"], vec![])];
    let then = graph("then_branch", big, &["out"]);
    let chosen = node("If", &["yes"], &["next"], vec![then]);
    let copying = body(&["i", "cond", "s"], vec![chosen], &["cond", "next"]);
    let nodes =
        vec![truth("yes", true), number("n", 1000), node("Loop", &["n", "", "x"], &["y"], vec![copying])];
    refused(&model(18, vec![port("x", &["1"])], nodes), &["the_Loop", "bytes"]);
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

#[test]
fn bodies_that_do_not_fit_are_named() {
    let with = |inputs: &[&str], outputs: &[&str]| {
        let mut m = simple(2);
        let nodes = vec![node("Exp", &["state"], &["next"], vec![])];
        graph_of(&mut m).node[1].attribute = vec![body(inputs, nodes, outputs)];
        m
    };
    assert!(load(&with(&["i", "cond", "state"], &["cond", "next"])).is_ok());
    refused(
        &with(&["i", "state"], &["state", "next"]),
        &["the_Loop", "expected 3 inputs of `body`, found 2"].map(|s| s),
    );
    refused(&with(&["i", "cond", "state"], &["cond"]), &["the_Loop", "expected at least 2 outputs"]);
    refused(&with(&["i", "cond", "state"], &["cond", "gone"]), &["the_Loop", "output `gone`"]);
}
