//! Models made by hand.

mod branch;
mod facts;
mod hostile;
mod repeat;
mod sequence;

use super::*;
use crate::{AttrsExt, Node, Tensor};
use prost::Message;

/// A node of the default domain.
pub(crate) fn node(
    op: &str,
    input: &[&str],
    output: &[&str],
    attribute: Vec<proto::AttributeProto>,
) -> proto::NodeProto {
    let own = |v: &[&str]| v.iter().map(|s| (*s).to_owned()).collect();
    proto::NodeProto {
        name: format!("the_{op}"),
        op_type: op.into(),
        input: own(input),
        output: own(output),
        attribute,
        ..Default::default()
    }
}

/// An attribute of any type that a test needs.
pub(crate) fn attr(name: &str, value: Attr) -> proto::AttributeProto {
    use proto::attribute_proto::AttributeType as T;
    let base = proto::AttributeProto { name: name.into(), ..Default::default() };
    match value {
        Attr::Int(v) => proto::AttributeProto { i: Some(v), r#type: T::Int as i32, ..base },
        Attr::Float(v) => proto::AttributeProto { f: Some(v), r#type: T::Float as i32, ..base },
        Attr::Ints(v) => proto::AttributeProto { ints: v, r#type: T::Ints as i32, ..base },
        Attr::Floats(v) => proto::AttributeProto { floats: v, r#type: T::Floats as i32, ..base },
        Attr::Text(v) => proto::AttributeProto { s: Some(v.into_bytes()), r#type: T::String as i32, ..base },
        Attr::Tensor(t) => {
            let raw_data = Some(t.bytes().to_vec());
            let dims = t.dims().iter().map(|d| *d as i64).collect();
            let tensor =
                proto::TensorProto { dims, data_type: t.dtype() as i32, raw_data, ..Default::default() };
            proto::AttributeProto { t: Some(tensor), r#type: T::Tensor as i32, ..base }
        }
        Attr::Texts(_) => panic!("no test needs texts"),
    }
}

/// A port of f32, or of the type that its name begins with: `i64:indices`.
pub(crate) fn port(name: &str, dims: &[&str]) -> proto::ValueInfoProto {
    use proto::{tensor_shape_proto as shape, type_proto};
    let dim = |d: &&str| shape::Dimension {
        value: Some(match d.parse() {
            Ok(n) => shape::dimension::Value::DimValue(n),
            Err(_) => shape::dimension::Value::DimParam((*d).into()),
        }),
        ..Default::default()
    };
    let (dtype, name) = name.split_once(':').unwrap_or(("f32", name));
    let tensor = type_proto::Tensor {
        elem_type: DType::from_name(dtype).expect("a type") as i32,
        shape: Some(proto::TensorShapeProto { dim: dims.iter().map(dim).collect() }),
    };
    proto::ValueInfoProto {
        name: name.into(),
        r#type: Some(proto::TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A model of these nodes, whose output is `y`.
pub(crate) fn model(
    opset: i64,
    input: Vec<proto::ValueInfoProto>,
    nodes: Vec<proto::NodeProto>,
) -> proto::ModelProto {
    proto::ModelProto {
        ir_version: 8,
        opset_import: vec![proto::OperatorSetIdProto { domain: String::new(), version: opset }],
        graph: Some(proto::GraphProto {
            name: "made".into(),
            node: nodes,
            input,
            output: vec![port("y", &[])],
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(crate) fn load(model: &proto::ModelProto) -> Result<Graph> {
    Graph::from_bytes(&model.encode_to_vec(), Path::new("made.onnx"), None)
}

/// The message of the error, which names the file.
#[track_caller]
fn refused(model: &proto::ModelProto, parts: &[&str]) -> String {
    let message = load(model).expect_err("the model is refused").to_string();
    for part in ["made.onnx"].iter().chain(parts) {
        assert!(message.contains(part), "expected `{part}` in: {message}");
    }
    message
}

fn floats(name: &str, dims: &[i64], data: &[f32]) -> proto::TensorProto {
    proto::TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: 1,
        float_data: data.to_vec(),
        ..Default::default()
    }
}

fn graph_of(model: &mut proto::ModelProto) -> &mut proto::GraphProto {
    model.graph.get_or_insert_default()
}

/// A small model with a bit of everything.
fn sample() -> proto::ModelProto {
    let mut m = model(
        17,
        vec![port("x", &["B", "4"]), port("w", &["4", "2"])],
        vec![
            node("Constant", &[], &["two"], vec![attr("value_float", Attr::Float(2.0))]),
            node("MatMul", &["x", "w"], &["h"], vec![]),
            node(
                "ReduceMean",
                &["h"],
                &["m"],
                vec![attr("axes", Attr::Ints(vec![-1])), attr("keepdims", Attr::Int(1))],
            ),
            node("Sub", &["h", "m"], &["c"], vec![]),
            node("Mul", &["c", "two"], &["y"], vec![]),
        ],
    );
    graph_of(&mut m).initializer = vec![floats("w", &[4, 2], &[0.25; 8])];
    m
}

fn find<'a>(g: &'a Graph, op: &str) -> &'a Node {
    g.nodes().map(|(_, n)| n).find(|n| n.op == op).unwrap_or_else(|| panic!("no {op} in {}", g.describe()))
}

#[test]
fn names_of_the_file_stay() {
    let g = load(&sample()).unwrap();
    // `w` is an input by the letter of old files, and an initializer by its data.
    assert_eq!(g.inputs().iter().map(|i| g.value(*i).name.as_str()).collect::<Vec<_>>(), ["x"]);
    assert_eq!(g.initializers().keys().collect::<Vec<_>>(), [&"w"]);
    for name in ["h", "m", "c", "y"] {
        assert!(g.find(name).is_some(), "{name} is missing in {}", g.describe());
    }
    assert_eq!(find(&g, "MatMul").name, "the_MatMul");
    assert_eq!(g.outputs(), [("y".to_owned(), g.find("y").unwrap())]);
    assert_eq!(g.value(g.find("y").unwrap()).describe(), "f32[B, 2]");
    assert_eq!(g.name, "made");
}

#[test]
fn nodes_in_any_order_are_sorted() {
    let mut m = sample();
    graph_of(&mut m).node.reverse();
    let g = load(&m).unwrap();
    let ops: Vec<_> = g.nodes().map(|(_, n)| n.op.as_str()).collect();
    assert_eq!(ops, ["MatMul", "ReduceMean", "Sub", "Mul"]);
}

#[test]
fn a_name_that_the_host_happened_to_choose_makes_way() {
    // The first node has the name that the second one's value bears.
    let mut first = node("Exp", &["x"], &["a"], vec![]);
    first.name = "y".into();
    let g =
        load(&model(18, vec![port("x", &["3"])], vec![first, node("Neg", &["a"], &["y"], vec![])])).unwrap();
    assert_eq!(g.producer(g.find("y").unwrap()).unwrap().1.op, "Neg");
    assert_eq!(g.producer(g.find("a").unwrap()).unwrap().1.op, "Exp");
}

#[test]
fn constants_stay_literals_and_no_parameters() {
    for (value, expected) in [
        (attr("value_float", Attr::Float(1.5)), "f32[]"),
        (attr("value_floats", Attr::Floats(vec![1.0, 2.0])), "f32[2]"),
        (attr("value_int", Attr::Int(3)), "i64[]"),
        (attr("value_ints", Attr::Ints(vec![1, 2, 3])), "i64[3]"),
    ] {
        let g = load(&model(18, vec![], vec![node("Constant", &[], &["y"], vec![value])])).unwrap();
        let value = g.value(g.output_named("y").unwrap());
        assert_eq!(value.describe(), expected);
        assert!(matches!(value.origin, Origin::Constant(_)));
    }
    let text = attr("value_string", Attr::Text("a".into()));
    refused(
        &model(18, vec![], vec![node("Constant", &[], &["y"], vec![text])]),
        &["the_Constant", "value_string"],
    );
}

#[test]
fn sizes_that_are_not_known_are_symbols_of_their_own() {
    let m = model(18, vec![port("x", &["?", "", "-1", "B"])], vec![node("Exp", &["x"], &["y"], vec![])]);
    let g = load(&m).unwrap();
    assert_eq!(g.value(g.output_named("y").unwrap()).describe(), "f32[x_0, x_1, x_2, B]");
}

#[test]
fn literals_of_a_file_without_initializers_are_its_parameters() {
    let value = |n: usize| attr("value", Attr::Tensor(Tensor::from_f32(&[n], &vec![0.5; n]).unwrap()));
    let build = |n: usize| {
        let w = node("Constant", &[], &["w"], vec![value(n)]);
        model(18, vec![port("x", &["1"])], vec![w, node("Mul", &["x", "w"], &["y"], vec![])])
    };
    let names = |m: &proto::ModelProto| -> Vec<String> {
        load(m).unwrap().initializers().keys().map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(names(&build(5)), ["w"]);
    assert_eq!(names(&build(4)).len(), 0);
    let own = proto::ModelProto { producer_name: "ekphrasis".into(), ..build(5) };
    assert_eq!(names(&own).len(), 0);
    let mut m = build(5);
    graph_of(&mut m).initializer = vec![floats("b", &[1], &[1.0])];
    assert_eq!(names(&m), ["b"]);
}

#[test]
fn graphs_that_are_none_are_refused_with_the_place() {
    let x = || vec![port("x", &["3"])];
    refused(&model(18, x(), vec![node("Exp", &["gone"], &["y"], vec![])]), &["the_Exp", "`gone`"]);
    refused(&model(18, x(), vec![]), &["output `y`"]);
    let twice = vec![node("Exp", &["x"], &["y"], vec![]), node("Neg", &["x"], &["y"], vec![])];
    refused(&model(18, x(), twice), &["`y`", "the_Exp", "the_Neg"]);
    let over = vec![node("Exp", &["x"], &["x"], vec![])];
    refused(&model(18, x(), over), &["the_Exp", "`x`"]);
    refused(&model(18, vec![port("x", &["3"]), port("x", &["3"])], vec![]), &["`x`"]);
    let ring = vec![
        node("Add", &["x", "b"], &["a"], vec![]),
        node("Neg", &["a"], &["b"], vec![]),
        node("Exp", &["b"], &["y"], vec![]),
    ];
    let message = refused(&model(18, x(), ring), &["cycle", "the_Add", "the_Neg"]);
    assert!(!message.contains("the_Exp"), "{message}");
    let itself = vec![node("Exp", &["y"], &["y"], vec![])];
    refused(&model(18, x(), itself), &["cycle", "the_Exp"]);
    refused(&model(18, x(), vec![node("Rotate", &["x"], &["y"], vec![])]), &["the_Rotate", "opset 18"]);
    refused(&model(28, x(), vec![node("Rotate", &["x"], &["y"], vec![])]), &["the_Rotate", "opset 28"]);
    refused(&model(10, x(), vec![node("Exp", &["x"], &["y"], vec![])]), &["11", "found 10", "hint"]);
    refused(&model(99, x(), vec![node("Exp", &["x"], &["y"], vec![])]), &["found 99"]);
    refused(&proto::ModelProto::default(), &["without a graph"]);
    let clash = vec![node("MatMul", &["x", "x"], &["y"], vec![])];
    refused(&model(18, vec![port("x", &["3", "4"])], clash), &["the_MatMul", "[3, 4]"]);
}

#[test]
fn sequences_and_odd_types_are_refused_by_name() {
    refused(
        &model(18, vec![port("x", &[])], vec![node("SequenceConstruct", &["x"], &["y"], vec![])]),
        &["`y` is a sequence"],
    );
    let mut m = model(18, vec![port("x", &[])], vec![node("Exp", &["x"], &["y"], vec![])]);
    let sequence = proto::type_proto::Value::SequenceType(Default::default());
    graph_of(&mut m).input[0].r#type = Some(proto::TypeProto { value: Some(sequence), ..Default::default() });
    refused(&m, &["`x`", "sequence"]);
    let mut m = model(18, vec![], vec![node("Exp", &["x"], &["y"], vec![])]);
    graph_of(&mut m).initializer = vec![proto::TensorProto { data_type: 17, ..floats("x", &[1], &[]) }];
    refused(&m, &["`x`", "17"]);
}

#[test]
fn tensors_must_fill_their_shapes() {
    let with = |t: proto::TensorProto| {
        let mut m = model(18, vec![], vec![node("Exp", &["t"], &["y"], vec![])]);
        graph_of(&mut m).initializer = vec![t];
        m
    };
    assert!(load(&with(floats("t", &[2], &[1.0, 2.0]))).is_ok());
    // Two gigabytes claimed in a few bytes, and more than any address.
    refused(&with(floats("t", &[512, 1024, 1024], &[1.0])), &["`t`", "2147483648", "found 4"]);
    refused(&with(floats("t", &[i64::MAX, i64::MAX], &[1.0])), &["`t`"]);
    refused(&with(floats("t", &[-1], &[1.0])), &["`t`", "-1"]);
    refused(&with(floats("t", &[1; 65], &[1.0])), &["`t`", "65"]);
    refused(&with(floats("", &[1], &[1.0])), &["initializer"]);
    let narrow = |data_type: i32, v: i32| proto::TensorProto {
        name: "t".into(),
        dims: vec![1],
        data_type,
        int32_data: vec![v],
        ..Default::default()
    };
    refused(&with(narrow(2, 256)), &["`t`", "256", "u8"]);
    let read = |t: proto::TensorProto| load(&with(t)).unwrap().initializers()["t"].1.as_scalar();
    assert_eq!(read(narrow(10, 0x3c00)), Some(1.0));
    assert_eq!(read(narrow(16, 0x3f80)), Some(1.0));
    assert_eq!(read(narrow(6, -5)), Some(-5.0));
    let long =
        proto::TensorProto { dims: vec![], int64_data: vec![-7], data_type: 7, ..floats("t", &[], &[]) };
    assert_eq!(read(long), Some(-7.0));
    let double = proto::TensorProto { double_data: vec![0.1], data_type: 11, ..floats("t", &[], &[]) };
    assert_eq!(read(double), Some(0.1));
}

/// `scaled(x, k) = x * factor + k`, calling `twice(x) = x + x` on the way.
fn functions() -> Vec<proto::FunctionProto> {
    let opset = vec![proto::OperatorSetIdProto { domain: String::new(), version: 17 }];
    let refer = proto::AttributeProto {
        name: "value_float".into(),
        ref_attr_name: "factor".into(),
        r#type: 1,
        ..Default::default()
    };
    let mut call = node("twice", &["p"], &["q"], vec![]);
    call.domain = "own".into();
    let base = proto::FunctionProto { domain: "own".into(), opset_import: opset, ..Default::default() };
    vec![
        proto::FunctionProto {
            name: "scaled".into(),
            input: vec!["x".into(), "k".into()],
            output: vec!["z".into()],
            attribute_proto: vec![attr("factor", Attr::Float(7.0))],
            node: vec![
                node("Constant", &[], &["f"], vec![refer]),
                node("Mul", &["x", "f"], &["p"], vec![]),
                call,
                node("Add", &["q", "k"], &["s"], vec![]),
                node("ReduceMax", &["s"], &["z"], vec![attr("axes", Attr::Ints(vec![0]))]),
            ],
            ..base.clone()
        },
        proto::FunctionProto {
            name: "twice".into(),
            input: vec!["x".into()],
            output: vec!["z".into()],
            node: vec![node("Add", &["x", "x"], &["z"], vec![])],
            ..base
        },
    ]
}

#[test]
fn functions_of_the_model_are_inlined_in_their_own_opset() {
    let calls = ["a", "y"].map(|out| {
        let attrs = if out == "a" { vec![attr("factor", Attr::Float(3.0))] } else { vec![] };
        let mut call = node("scaled", if out == "a" { &["x", "k"] } else { &["a", "k"] }, &[out], attrs);
        call.domain = "own".into();
        call
    });
    let mut m = model(18, vec![port("x", &["5", "2"]), port("k", &["2"])], calls.to_vec());
    m.functions = functions();
    let g = load(&m).unwrap();
    let ops: Vec<_> = g.nodes().map(|(_, n)| n.op.as_str()).collect();
    assert_eq!(ops, ["Mul", "Add", "Add", "ReduceMax", "Mul", "Add", "Add", "ReduceMax"]);
    let literals =
        g.values().filter(|(_, v)| matches!(v.origin, Origin::Constant(_)) && v.dtype == DType::F32);
    let factors: Vec<_> = literals.filter_map(|(_, v)| v.tensor()?.as_scalar()).collect();
    assert_eq!(factors, [3.0, 7.0], "the caller's, and the default");
    assert_eq!(g.value(g.find("y").unwrap()).describe(), "f32[1, 2]");
}

#[test]
fn functions_without_end_are_refused() {
    let mut m = model(18, vec![port("x", &["5"])], vec![]);
    let mut call = node("twice", &["x"], &["y"], vec![]);
    call.domain = "own".into();
    let mut again = call.clone();
    again.output = vec!["z".into()];
    m.functions = functions()[1..].to_vec();
    m.functions[0].node = vec![again];
    graph_of(&mut m).node = vec![call];
    refused(&m, &["the_twice", "32 deep"]);
}
