//! Older and newer forms of operators, as files have them. That the numbers are right is a matter
//! of running them; here it is checked that each form becomes what the table says.

mod positions;

use crate::{
    Attr, AttrsExt, Graph, Tensor,
    load::tests::{attr, load, model, node, port},
    proto,
};

/// A file of one node over `inputs`, whose output is `y`.
fn one(
    opset: i64,
    op: &str,
    inputs: Vec<proto::ValueInfoProto>,
    attrs: Vec<(&str, Attr)>,
) -> proto::ModelProto {
    let names: Vec<String> = inputs.iter().map(|p| p.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let attrs = attrs.into_iter().map(|(n, v)| attr(n, v)).collect();
    model(opset, inputs, vec![node(op, &names, &["y"], attrs)])
}

fn ops(g: &Graph) -> Vec<&str> {
    g.nodes().map(|(_, n)| n.op.as_str()).collect()
}

fn y(g: &Graph) -> String {
    g.value(g.output_named("y").expect("the output")).describe()
}

#[track_caller]
fn refused(m: &proto::ModelProto, parts: &[&str]) {
    let message = load(m).expect_err("refused").to_string();
    for part in ["made.onnx"].iter().chain(parts) {
        assert!(message.contains(part), "expected `{part}` in: {message}");
    }
}

#[test]
fn axes_of_reductions_become_inputs() {
    let reductions = [
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceSumSquare",
    ];
    for opset in 11..=17 {
        for op in reductions {
            let attrs = vec![("axes", Attr::Ints(vec![1, -1])), ("keepdims", Attr::Int(0))];
            let g = load(&one(opset, op, vec![port("x", &["B", "3", "T"])], attrs)).unwrap();
            assert_eq!((ops(&g), y(&g).as_str()), (vec![op], "f32[B]"), "{op} of opset {opset}");
            let n = g.node(g.nodes().next().unwrap().0);
            assert!(!n.attrs.contains_key("axes") && n.inputs.len() == 2);
        }
    }
    // Without axes, all of them; and the later form as it is.
    let g = load(&one(13, "ReduceMean", vec![port("x", &["B", "3"])], vec![])).unwrap();
    assert_eq!(y(&g), "f32[1, 1]");
    let g =
        load(&one(18, "ReduceMean", vec![port("x", &["B", "3"]), port("i64:axes", &["1"])], vec![])).unwrap();
    assert_eq!(ops(&g), ["ReduceMean"]);
}

#[test]
fn forms_before_opset_13_become_the_later_ones() {
    let ints = |name: &'static str, v: &[i64]| vec![(name, Attr::Ints(v.into()))];
    let x = || vec![port("x", &["2", "3", "4"])];
    for opset in [11, 12] {
        for (op, inputs, attrs, expected) in [
            ("Squeeze", vec![port("x", &["1", "3"])], ints("axes", &[0]), "f32[3]"),
            ("Unsqueeze", x(), ints("axes", &[0, -1]), "f32[1, 2, 3, 4, 1]"),
            ("ReduceSum", x(), ints("axes", &[1]), "f32[2, 1, 4]"),
            ("ReduceMean", x(), ints("axes", &[1]), "f32[2, 1, 4]"),
            ("Split", x(), [ints("split", &[1, 2]), vec![("axis", Attr::Int(1))]].concat(), "f32[2, 1, 4]"),
            ("Softmax", x(), vec![], "f32[2, 3, 4]"),
        ] {
            let mut m = one(opset, op, inputs, attrs);
            if op == "Split" {
                m.graph.as_mut().unwrap().node[0].output.push("z".into());
            }
            let g = load(&m).unwrap();
            assert_eq!(y(&g), expected, "{op} of opset {opset}");
            assert!(g.nodes().all(|(_, n)| !n.attrs.contains_key("axes") && !n.attrs.contains_key("split")));
        }
        // All axes from the second on at once, unless that is the last.
        let g = load(&one(opset, "LogSoftmax", x(), vec![])).unwrap();
        assert_eq!(ops(&g), ["Flatten", "LogSoftmax", "Reshape"]);
        let g = load(&one(opset, "Softmax", x(), vec![("axis", Attr::Int(2))])).unwrap();
        assert_eq!(ops(&g), ["Softmax"]);
    }
    let g = load(&one(11, "Dropout", x(), vec![("ratio", Attr::Float(0.25))])).unwrap();
    let (_, n) = g.nodes().next().unwrap();
    assert_eq!(g.value(n.inputs[1].unwrap()).tensor().unwrap().as_scalar(), Some(0.25));
    let mode = vec![("coordinate_transformation_mode", Attr::Text("tf_half_pixel_for_nn".into()))];
    refused(&one(11, "Resize", x(), mode), &["the_Resize", "tf_half_pixel_for_nn"]);
    refused(&one(12, "Squeeze", x(), vec![("axes", Attr::Int(0))]), &["the_Squeeze", "`axes`"]);
}

#[test]
fn booleans_are_reduced_as_integers() {
    let g = load(&one(20, "ReduceMax", vec![port("bool:x", &["B", "3"])], vec![])).unwrap();
    assert_eq!((ops(&g), y(&g).as_str()), (vec!["Cast", "ReduceMax", "Cast"], "bool[1, 1]"));
}

#[test]
fn splits_say_their_number() {
    for (opset, attrs) in [(13, vec![]), (18, vec![("num_outputs", Attr::Int(2))])] {
        let attrs = attrs.into_iter().map(|(n, v)| attr(n, v)).collect();
        let split = node("Split", &["x"], &["y", "z"], attrs);
        let g = load(&model(opset, vec![port("x", &["5", "B"])], vec![split])).unwrap();
        let (_, n) = g.nodes().next().unwrap();
        assert_eq!(n.attrs.int("num_outputs", 0), 2);
        assert_eq!(y(&g), "f32[3, B]");
        assert_eq!(g.value(g.find("z").unwrap()).describe(), "f32[2, B]");
    }
    let split = node("Split", &["x"], &["y", "z"], vec![attr("num_outputs", Attr::Int(3))]);
    refused(&model(18, vec![port("x", &["6"])], vec![split]), &["the_Split", "num_outputs"]);
}

#[test]
fn identities_and_casts_leave_as_little_as_they_can() {
    let nodes = vec![
        node("Identity", &["x"], &["a"], vec![]),
        node("CastLike", &["a", "i"], &["b"], vec![]),
        node("CastLike", &["b", "i"], &["c"], vec![]),
        node("Identity", &["c"], &["y"], vec![]),
    ];
    let g = load(&model(19, vec![port("x", &["B"]), port("i64:i", &["1"])], nodes)).unwrap();
    assert_eq!((ops(&g), y(&g).as_str()), (vec!["Cast"], "i64[B]"));
    assert_eq!(g.outputs()[0].0, "y");
    let cast =
        one(19, "Cast", vec![port("x", &["B"])], vec![("to", Attr::Int(7)), ("saturate", Attr::Int(1))]);
    let g = load(&cast).unwrap();
    assert_eq!(g.nodes().next().unwrap().1.attrs.keys().collect::<Vec<_>>(), ["to"]);
}

#[test]
fn newer_operators_are_composed() {
    let x = || port("x", &["B", "T", "8"]);
    for (opset, op, attrs, expected) in [
        (20, "Gelu", vec![], vec!["Mul", "Erf", "Add", "Mul", "Mul"]),
        (
            20,
            "Gelu",
            vec![("approximate", Attr::Text("tanh".into()))],
            vec!["Mul", "Mul", "Add", "Mul", "Mul", "Tanh", "Add", "Mul", "Mul"],
        ),
        (24, "Swish", vec![], vec!["Sigmoid", "Mul"]),
        (24, "Swish", vec![("alpha", Attr::Float(2.0))], vec!["Mul", "Sigmoid", "Mul"]),
    ] {
        let g = load(&one(opset, op, vec![x()], attrs)).unwrap();
        assert_eq!((ops(&g), y(&g).as_str()), (expected, "f32[B, T, 8]"), "{op}");
        assert!(g.nodes().all(|(_, n)| n.name.starts_with(&format!("the_{op}/"))), "{}", g.describe());
    }
    let g = load(&one(23, "RMSNormalization", vec![x(), port("scale", &["8"])], vec![])).unwrap();
    assert_eq!(
        (ops(&g), y(&g).as_str()),
        (vec!["Mul", "ReduceMean", "Add", "Sqrt", "Div", "Mul"], "f32[B, T, 8]")
    );
    let narrow = vec![port("f16:x", &["B", "8"]), port("f16:scale", &["8"])];
    let g = load(&one(23, "RMSNormalization", narrow, vec![])).unwrap();
    assert_eq!((ops(&g)[0], y(&g).as_str()), ("Cast", "f16[B, 8]"));
    refused(
        &one(23, "RMSNormalization", vec![x(), port("scale", &["8"])], vec![("axis", Attr::Int(3))]),
        &["axis", "found 3"],
    );
    refused(&one(19, "Gelu", vec![x()], vec![]), &["the_Gelu", "opset 19"]);
}

#[test]
fn group_normalization_scales_by_group_then_by_channel() {
    let x = || port("x", &["N", "6", "H", "W"]);
    let groups = || vec![("num_groups", Attr::Int(3))];
    let g = load(&one(18, "GroupNormalization", vec![x(), port("s", &["3"]), port("b", &["3"])], groups()))
        .unwrap();
    assert_eq!(y(&g), "f32[N, 6, H, W]");
    assert!(ops(&g).contains(&"InstanceNormalization") && !ops(&g).contains(&"Mul"), "{}", g.describe());
    let g = load(&one(21, "GroupNormalization", vec![x(), port("s", &["6"]), port("b", &["6"])], groups()))
        .unwrap();
    assert_eq!(y(&g), "f32[N, 6, H, W]");
    assert!(ops(&g).contains(&"Mul"), "{}", g.describe());
    let m = one(21, "GroupNormalization", vec![x(), port("s", &["6"]), port("b", &["6"])], vec![]);
    refused(&m, &["the_Group", "num_groups"]);
}

#[test]
fn what_opset_18_cannot_say_is_refused_by_name() {
    let x = || port("x", &["1", "4", "8", "8"]);
    let text = |t: &str| Attr::Text(t.into());
    let kernel = ("kernel_shape", Attr::Ints(vec![2, 2]));
    refused(
        &one(19, "AveragePool", vec![x()], vec![kernel.clone(), ("dilations", Attr::Ints(vec![2, 2]))]),
        &["the_AveragePool", "dilations"],
    );
    refused(
        &one(20, "DFT", vec![x(), port("i64:n", &[]), port("i64:axis", &[])], vec![]),
        &["the_DFT", "literal axis"],
    );
    let both = vec![("onesided", Attr::Int(1)), ("inverse", Attr::Int(1))];
    refused(&one(20, "DFT", vec![x()], both), &["the_DFT", "inverse"]);
    refused(&one(26, "BitCast", vec![x()], vec![("to", Attr::Int(6))]), &["the_BitCast", "opset 26"]);
    refused(&one(26, "CumProd", vec![x(), port("i64:axis", &[])], vec![]), &["the_CumProd", "literal axis"]);
    let rotated = vec![x(), port("cos", &["1", "8", "3"]), port("sin", &["1", "8", "3"])];
    refused(&one(23, "RotaryEmbedding", rotated, vec![]), &["the_RotaryEmbedding", "6 features", "found 8"]);
    refused(
        &one(20, "AffineGrid", vec![x(), port("i64:size", &["4"])], vec![]),
        &["the_AffineGrid", "[N, 2, 3]"],
    );
    refused(
        &one(
            20,
            "GridSample",
            vec![port("x", &["1", "1", "2", "2", "2"]), port("g", &["1", "2", "2", "2", "3"])],
            vec![],
        ),
        &["the_GridSample", "4 dimensions"],
    );
    refused(
        &one(19, "Resize", vec![x()], vec![("coordinate_transformation_mode", text("half_pixel_symmetric"))]),
        &["the_Resize"],
    );
    let batch = vec![x(), port("s", &["4"]), port("b", &["4"]), port("m", &["4"]), port("v", &["4"])];
    let mut m = one(13, "BatchNormalization", batch, vec![]);
    m.graph.as_mut().unwrap().node[0].output.push("mean".into());
    refused(&m, &["the_BatchNormalization", "training"]);
    // What has the default there passes.
    let g = load(&one(19, "AveragePool", vec![x()], vec![kernel, ("dilations", Attr::Ints(vec![1, 1]))]))
        .unwrap();
    assert_eq!(y(&g), "f32[1, 4, 7, 7]");
}

#[test]
fn padding_that_wraps_takes_places_modulo_the_size() {
    let pads = |v: &[i64]| {
        let p = node("Constant", &[], &["p"], vec![attr("value_ints", Attr::Ints(v.into()))]);
        let pad = node("Pad", &["x", "p"], &["y"], vec![attr("mode", Attr::Text("wrap".into()))]);
        model(19, vec![port("x", &["B", "4"])], vec![p, pad])
    };
    for (given, expected) in [
        ([0, 1, 0, 2], vec![3, 0, 1, 2, 3, 0, 1]),
        ([0, -1, 0, 3], vec![1, 2, 3, 0, 1, 2]),
        ([0, 5, 0, 0], vec![3, 0, 1, 2, 3, 0, 1, 2, 3]),
    ] {
        let g = load(&pads(&given)).unwrap();
        let (_, gather) = g.nodes().find(|(_, n)| n.op == "Gather").unwrap();
        let taken = g.value(gather.inputs[1].unwrap()).tensor().unwrap().to_i64();
        assert_eq!((y(&g), taken), (format!("f32[B, {}]", expected.len()), Some(expected)));
    }
    refused(&pads(&[0, 1, 0]), &["expected 4 pads"]);
    let pad = node("Pad", &["x", "p", "", "a"], &["y"], vec![attr("mode", Attr::Text("wrap".into()))]);
    let inputs = vec![port("x", &["4"]), port("i64:p", &["2"]), port("i64:a", &["1"])];
    refused(&model(19, inputs, vec![pad]), &["the_Pad", "literal `axes`"]);
}

#[test]
fn dropout_in_training_gives_its_mask() {
    for (training, outputs) in [("=true", 2), ("=false", 1), ("input", 2), ("", 1)] {
        let mut inputs = vec![port("x", &["B", "4"])];
        let mut nodes = vec![];
        match training {
            "input" => inputs.push(port("bool:t", &[])),
            "" => {}
            _ => {
                let value = Tensor::scalar_bool(training == "=true");
                nodes.push(node("Constant", &[], &["t"], vec![attr("value", value.into())]));
            }
        }
        let of: &[&str] = if training.is_empty() { &["x"] } else { &["x", "", "t"] };
        nodes.push(node("Dropout", of, &["y"], vec![]));
        let g = load(&model(18, inputs, nodes)).unwrap();
        let (_, n) = g.nodes().next().unwrap();
        assert_eq!((n.outputs.len(), y(&g).as_str()), (outputs, "f32[B, 4]"), "{training}");
    }
}

#[test]
fn defaults_that_changed_are_written_out() {
    let inputs =
        || vec![port("x", &["1", "4", "8", "8"]), port("rois", &["2", "4"]), port("i64:which", &["2"])];
    let mode = |opset| {
        let g = load(&one(opset, "RoiAlign", inputs(), vec![])).unwrap();
        let (_, n) = g.nodes().next().unwrap();
        n.attrs.text("coordinate_transformation_mode", "half_pixel").to_owned()
    };
    assert_eq!((mode(13), mode(16)), ("output_half_pixel".to_owned(), "half_pixel".to_owned()));
    let grid = vec![port("x", &["N", "3", "8", "8"]), port("g", &["N", "5", "6", "2"])];
    let g = load(&one(20, "GridSample", grid, vec![])).unwrap();
    assert_eq!(g.nodes().next().unwrap().1.attrs.text("mode", ""), "bilinear");
    assert_eq!(y(&g), "f32[N, 3, 5, 6]");
}

#[test]
fn operators_that_did_not_change_pass_in_every_opset() {
    for opset in 13..=28 {
        for op in ["Exp", "Relu", "Tanh", "Softmax", "Dropout"] {
            let g = load(&one(opset, op, vec![port("x", &["B", "4"])], vec![])).unwrap();
            assert_eq!((ops(&g), y(&g).as_str()), (vec![op], "f32[B, 4]"), "opset {opset}");
        }
    }
}

#[test]
fn shape_arithmetic_of_exporters_folds_away() {
    // x.view(x.shape[0], -1) and w.expand(x.shape[0], 4), as PyTorch writes them.
    let int =
        |name: &str, v: Vec<i64>| node("Constant", &[], &[name], vec![attr("value_ints", Attr::Ints(v))]);
    let nodes = vec![
        node("Shape", &["x"], &["s"], vec![]),
        int("zero", vec![0]),
        node("Gather", &["s", "zero"], &["b"], vec![]),
        int("rest", vec![-1]),
        int("four", vec![4]),
        node("Concat", &["b", "rest"], &["t"], vec![attr("axis", Attr::Int(0))]),
        node("Reshape", &["x", "t"], &["flat"], vec![]),
        node("Concat", &["b", "four"], &["e"], vec![attr("axis", Attr::Int(0))]),
        int("two", vec![2]),
        node(
            "ConstantOfShape",
            &["two"],
            &["ones"],
            vec![attr("value", Tensor::from_i64(&[1], &[1]).unwrap().into())],
        ),
        int("minus", vec![-1]),
        node("Mul", &["ones", "minus"], &["m1"], vec![]),
        node("Equal", &["e", "m1"], &["is"], vec![]),
        node("Where", &["is", "ones", "e"], &["target"], vec![]),
        node("Expand", &["w", "target"], &["wide"], vec![]),
        node("MatMul", &["flat", "wide"], &["y"], vec![]),
    ];
    let g = load(&model(17, vec![port("x", &["B", "2", "2"]), port("w", &["4"])], nodes)).unwrap();
    // B against 4: a symbol may be 4 when it runs.
    assert_eq!(g.value(g.find("flat").unwrap()).describe(), "f32[B, 4]");
    assert_eq!(g.value(g.find("wide").unwrap()).describe(), "f32[B, 4]");
    assert!(!ops(&g).contains(&"ConstantOfShape") && !ops(&g).contains(&"Mul"), "{}", g.describe());
}
