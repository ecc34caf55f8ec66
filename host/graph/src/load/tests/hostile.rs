//! Models that mean harm, and models that were damaged.

use super::*;
use proptest::prelude::*;
use std::fs;

/// A model whose tensor `t` of four floats lies at `location`.
fn beside(location: &str, offset: &str) -> proto::ModelProto {
    let entry =
        |key: &str, value: &str| proto::StringStringEntryProto { key: key.into(), value: value.into() };
    let mut m = model(18, vec![], vec![node("Exp", &["t"], &["y"], vec![])]);
    graph_of(&mut m).initializer = vec![proto::TensorProto {
        data_location: 1,
        external_data: vec![entry("location", location), entry("offset", offset)],
        ..floats("t", &[4], &[])
    }];
    m
}

#[test]
fn external_data_stay_in_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("model");
    fs::create_dir_all(folder.join("sub")).unwrap();
    let data: Vec<u8> = [1f32, 2.0, 3.0, 4.0, 5.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(root.path().join("secret.bin"), &data).unwrap();
    fs::write(folder.join("sub/own.bin"), &data).unwrap();
    let path = folder.join("m.onnx");
    let load = |location: &str, offset: &str| {
        fs::write(&path, beside(location, offset).encode_to_vec()).unwrap();
        Graph::load(&path)
    };
    let read = load("sub/own.bin", "4").unwrap().initializers()["t"].1.to_f32();
    assert_eq!(read, Some(vec![2.0, 3.0, 4.0, 5.0]));
    let secret = root.path().join("secret.bin").display().to_string();
    let mut bad: Vec<(&str, &str)> =
        vec![("../secret.bin", "0"), ("sub/../../secret.bin", "0"), (&secret, "0"), ("..\\secret.bin", "0")];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(root.path().join("secret.bin"), folder.join("link.bin")).unwrap();
        std::os::unix::fs::symlink(root.path(), folder.join("up")).unwrap();
        bad.extend([("link.bin", "0"), ("up/secret.bin", "0")]);
    }
    for (location, offset) in bad {
        let message = load(location, offset).expect_err(location).to_string();
        assert!(message.contains("m.onnx") && message.contains("folder of the model"), "{message}");
    }
    for (location, offset) in [
        ("sub/own.bin", "8"),
        ("sub/own.bin", "18446744073709551615"),
        ("sub/own.bin", "x"),
        ("gone.bin", "0"),
        ("sub", "0"),
        ("", "0"),
    ] {
        let message = load(location, offset).expect_err(location).to_string();
        assert!(message.contains("m.onnx") && message.contains("`t`"), "{message}");
    }
    // From memory there is no folder.
    refused(&beside("sub/own.bin", "0"), &["`t`", "memory"]);
}

#[test]
fn external_data_count_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), [0u8; 24]).unwrap();
    let mut m = beside("w.bin", "0");
    let tensor = |m: &proto::ModelProto, name: &str, offset: &str| {
        let mut t = m.graph.as_ref().unwrap().initializer[0].clone();
        t.name = name.into();
        t.external_data[1].value = offset.into();
        t
    };
    let load = |m: &proto::ModelProto| {
        Graph::from_bytes(&m.encode_to_vec(), Path::new("made.onnx"), Some(folder.path()))
    };
    let same = tensor(&m, "again", "0");
    graph_of(&mut m).initializer.push(same);
    let g = load(&m).unwrap();
    let [a, b] = ["t", "again"].map(|n| g.initializers()[n].1.bytes().as_ptr());
    assert_eq!(a, b, "one region is read once");
    let other = tensor(&m, "over", "4");
    graph_of(&mut m).initializer.push(other);
    let message = load(&m).unwrap_err().to_string();
    assert!(message.contains("overlap") && message.contains("`over`"), "{message}");
}

#[test]
fn sizes_made_up_to_explode_stay_small() {
    // Each node multiplies a size by itself: a polynomial of degree 2^40 by the letter.
    let mut nodes = vec![node("Shape", &["x"], &["s0"], vec![])];
    for i in 0..40 {
        let (from, to) = (format!("s{i}"), format!("s{}", i + 1));
        nodes.push(node("Mul", &[&from, &from], &[&to], vec![]));
        let (from, to) = (format!("c{i}"), format!("c{}", i + 1));
        let from = if i == 0 { "s0".to_owned() } else { from };
        nodes.push(node("Concat", &[&from, &from], &[&to], vec![attr("axis", Attr::Int(0))]));
    }
    nodes.push(node("ConstantOfShape", &["s40"], &["y"], vec![]));
    let g = load(&model(18, vec![port("x", &["A+B", "A*B"])], nodes)).unwrap();
    assert!(g.describe().len() < 100_000);
}

#[test]
fn a_model_cut_at_any_byte_is_refused_or_whole() {
    let bytes = sample().encode_to_vec();
    let mut refused = 0;
    for n in 0..bytes.len() {
        if let Err(e) = Graph::from_bytes(&bytes[..n], Path::new("cut.onnx"), None) {
            assert!(e.to_string().contains("cut.onnx"), "{e}");
            assert!(matches!(e, GraphError::File { .. }));
            refused += 1;
        }
    }
    assert!(refused > bytes.len() * 9 / 10, "{refused} of {}", bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_damaged_model_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = sample().encode_to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(g) = Graph::from_bytes(&bytes, Path::new("damaged.onnx"), None) {
            // What is accepted can be shown and written.
            prop_assert!(!g.describe().is_empty());
            prop_assert!(g.to_bytes().is_ok());
        }
    }

    #[test]
    fn no_attribute_or_size_panics(
        op in prop::sample::select(vec![
            "Conv", "ConvTranspose", "MaxPool", "AveragePool", "Slice", "Pad", "Range", "Reshape", "Split", "Resize",
            "Tile", "Expand", "Gather", "GatherND", "OneHot", "TopK", "Concat", "Flatten", "Shape", "Unsqueeze",
            "ReduceSum", "DepthToSpace", "SpaceToDepth", "Gemm", "LSTM", "LayerNormalization", "ArgMax", "Transpose",
        ]),
        sizes in prop::collection::vec(0i64..6, 0..5),
        lists in prop::collection::vec(prop::collection::vec(hostile(), 0..5), 5),
        numbers in prop::collection::vec(hostile(), 8),
    ) {
        let dims: Vec<String> = sizes.iter().map(|n| if *n == 5 { "A".into() } else { n.to_string() }).collect();
        let dims: Vec<&str> = dims.iter().map(String::as_str).collect();
        let names = ["kernel_shape", "strides", "pads", "dilations", "perm"];
        let ints = ["axis", "group", "keepdims", "blocksize", "start", "end", "batch_dims", "hidden_size"];
        let attrs = || {
            let lists = names.iter().zip(&lists).map(|(n, v)| attr(n, Attr::Ints(v.clone())));
            lists.chain(ints.iter().zip(&numbers).map(|(n, v)| attr(n, Attr::Int(*v)))).collect::<Vec<_>>()
        };
        let nodes: Vec<_> = lists.iter().enumerate().map(|(i, v)| {
            node("Constant", &[], &[&format!("c{i}")], vec![attr("value_ints", Attr::Ints(v.clone()))])
        }).collect();
        for (i, inputs) in [["x", "c0", "c1", "c2", "c3"], ["x", "x", "x", "c2", "x"], ["c0", "c1", "c2", "c3", "c4"]].iter().enumerate() {
            let mut all = nodes.clone();
            for n in 1..=5 {
                all.truncate(nodes.len());
                let out = format!("y{i}{n}");
                all.push(node(op, &inputs[..n], &[&out], attrs()));
                all.push(node("Exp", &["x"], &["y"], vec![]));
                let _ = load(&model(18, vec![port("x", &dims)], all.clone()));
            }
        }
    }
}

/// Integers of ordinary and of extreme size.
fn hostile() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -3i64..6, 1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 1 << 40])]
}
