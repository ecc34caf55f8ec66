//! Attention, and operators about positions.

use super::*;

#[test]
fn attention_is_composed() {
    let port4 = |n: &str, heads: &str| port(n, &["B", heads, "T", "8"]);
    let m = one(23, "Attention", vec![port4("q", "4"), port4("k", "4"), port4("v", "4")], vec![]);
    let g = load(&m).unwrap();
    assert_eq!(
        (ops(&g), y(&g).as_str()),
        (vec!["Mul", "Transpose", "MatMul", "Softmax", "MatMul"], "f32[B, 4, T, 8]")
    );
    let m = one(
        23,
        "Attention",
        vec![port4("q", "4"), port4("k", "2"), port4("v", "2")],
        vec![("is_causal", Attr::Int(1))],
    );
    let g = load(&m).unwrap();
    assert_eq!(y(&g), "f32[B, 4, T, 8]");
    assert!(ops(&g).contains(&"LessOrEqual") && ops(&g).contains(&"Tile"), "{}", g.describe());
    let flat = |n: &str| port(n, &["B", "T", "32"]);
    let heads = vec![("q_num_heads", Attr::Int(4)), ("kv_num_heads", Attr::Int(4))];
    let g = load(&one(23, "Attention", vec![flat("q"), flat("k"), flat("v")], heads)).unwrap();
    assert_eq!(y(&g), "f32[B, T, 32]");
    refused(
        &one(23, "Attention", vec![flat("q"), flat("k"), flat("v")], vec![]),
        &["the_Attention", "heads"],
    );
}

/// Values of the outputs, by name.
fn outputs(g: &Graph) -> Vec<String> {
    g.outputs().iter().map(|(_, v)| g.value(*v).describe()).collect()
}

#[test]
fn attention_keeps_a_cache_inside_or_beside_it() {
    let ports = |names: &[&str], length: &str| -> Vec<proto::ValueInfoProto> {
        names.iter().map(|n| port(n, &["B", "2", length, "8"])).collect()
    };
    let with = |inputs: Vec<proto::ValueInfoProto>, names: &[&str], attrs: Vec<proto::AttributeProto>| {
        let mut m = model(24, inputs, vec![node("Attention", names, &["y", "k2", "v2", "qk"], attrs)]);
        m.graph.as_mut().unwrap().output.extend(["k2", "v2", "qk"].map(|name| port(name, &[])));
        m
    };
    let causal = || vec![attr("is_causal", Attr::Int(1))];
    let inside = [ports(&["q", "k", "v"], "3"), ports(&["pk", "pv"], "P")].concat();
    let g = load(&with(inside.clone(), &["q", "k", "v", "", "pk", "pv"], causal())).unwrap();
    let grown = "f32[B, 2, P + 3, 8]";
    assert_eq!(outputs(&g), ["f32[B, 2, 3, 8]", grown, grown, "f32[B, 2, 3, P + 3]"]);
    refused(&with(inside, &["q", "k", "v", "", "pk"], causal()), &["the_Attention", "found one of them"]);
    let mut beside = [ports(&["q"], "3"), ports(&["k", "v"], "10")].concat();
    beside.push(port("i64:n", &["B"]));
    beside.push(port("bool:mask", &["3", "7"]));
    let windows = vec![
        attr("left_window_size", Attr::Int(2)),
        attr("qk_matmul_output_mode", Attr::Int(3)),
        attr("softmax_precision", Attr::Int(11)),
    ];
    let g = load(&with(beside, &["q", "k", "v", "mask", "", "", "n"], windows)).unwrap();
    assert_eq!(outputs(&g)[3], "f32[B, 2, 3, 10]");
    // A mask that is too short hides the rest, and the softmax has the precision that is asked for.
    assert!(ops(&g).contains(&"Pad"), "{}", g.describe());
    assert!(
        g.nodes()
            .any(|(_, n)| n.op == "Softmax" && g.value(n.outputs[0].unwrap()).describe().starts_with("f64"))
    );
    let mode = vec![attr("qk_matmul_output_mode", Attr::Int(4))];
    refused(&with(ports(&["q", "k", "v"], "3"), &["q", "k", "v"], mode), &["the_Attention", "found 4"]);
}

#[test]
fn positions_are_composed() {
    let cache = |n: &str| port(n, &["9", "2"]);
    let attrs =
        |interleaved| vec![("interleaved", Attr::Int(interleaved)), ("rotary_embedding_dim", Attr::Int(4))];
    for interleaved in [0, 1] {
        let inputs =
            vec![port("x", &["B", "2", "T", "6"]), cache("c"), cache("s"), port("i64:at", &["B", "T"])];
        let g = load(&one(23, "RotaryEmbedding", inputs, attrs(interleaved))).unwrap();
        assert_eq!(y(&g), "f32[B, 2, T, 6]");
    }
    let flat = vec![port("x", &["B", "T", "8"]), port("c", &["B", "T", "2"]), port("s", &["B", "T", "2"])];
    let g = load(&one(23, "RotaryEmbedding", flat.clone(), vec![("num_heads", Attr::Int(2))])).unwrap();
    assert_eq!(y(&g), "f32[B, T, 8]");
    refused(&one(23, "RotaryEmbedding", flat, vec![]), &["the_RotaryEmbedding", "`num_heads`"]);

    let literal = |name: &str, v: &[i64]| {
        node("Constant", &[], &[name], vec![attr("value_ints", Attr::Ints(v.into()))])
    };
    let product = |size: &str| {
        let product = node("CumProd", &["x", "axis"], &["y"], vec![attr("reverse", Attr::Int(1))]);
        model(26, vec![port("x", &["B", size])], vec![literal("axis", &[-1]), product])
    };
    let g = load(&product("5")).unwrap();
    // 1, 2 and 4 places at a time.
    assert_eq!((y(&g).as_str(), ops(&g).iter().filter(|op| **op == "Mul").count()), ("f32[B, 5]", 3));
    refused(&product("T"), &["the_CumProd", "known size of axis -1"]);

    let grid = node("AffineGrid", &["theta", "size"], &["y"], vec![]);
    let size = literal("size", &[2, 3, 4, 5]);
    let g = load(&model(20, vec![port("theta", &["2", "2", "3"])], vec![size, grid])).unwrap();
    assert!(y(&g).ends_with("4, 5, 2]"), "{}", g.describe());

    let scatter = |attrs| {
        let inputs = vec![
            port("past", &["B", "2", "S", "4"]),
            port("new", &["B", "2", "L", "4"]),
            port("i64:at", &["B"]),
        ];
        one(24, "TensorScatter", inputs, attrs)
    };
    assert_eq!(y(&load(&scatter(vec![])).unwrap()), "f32[B, 2, S, 4]");
    refused(&scatter(vec![("axis", Attr::Int(0))]), &["the_TensorScatter", "batch"]);
    refused(&scatter(vec![("mode", Attr::Text("wrap".into()))]), &["the_TensorScatter", "`wrap`"]);
}
