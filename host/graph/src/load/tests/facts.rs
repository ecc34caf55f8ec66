//! What files say of themselves.

use super::*;

fn facts(model: &proto::ModelProto) -> FileFacts {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    FileFacts::read(path).unwrap()
}

#[test]
fn producer_opsets_and_operators() {
    let mut m = sample();
    m.producer_name = "pytorch".into();
    m.producer_version = "2.15".into();
    m.opset_import.push(proto::OperatorSetIdProto { domain: "own".into(), version: 3 });
    let own = proto::NodeProto { domain: "own".into(), ..node("F", &["x"], &["f"], vec![]) };
    graph_of(&mut m).node.push(own);
    let facts = facts(&m);
    assert_eq!((facts.producer.as_str(), facts.producer_version.as_str()), ("pytorch", "2.15"));
    assert_eq!((facts.opset, facts.domains["own"]), (Some(17), 3));
    assert_eq!((facts.operators["MatMul"], facts.operators["own::F"]), (1, 1));
}

#[test]
fn batch_norm_that_is_folded_shows() {
    let with = |weight: &str, bias: Option<&str>, class: Option<&str>| {
        let inputs: Vec<&str> = ["x", weight].into_iter().chain(bias).collect();
        let mut conv = node("Conv", &inputs, &["y"], vec![]);
        conv.metadata_props.extend(class.map(|class| proto::StringStringEntryProto {
            key: "pkg.torch.onnx.class_hierarchy".into(),
            value: format!("['__main__.Net', '{class}', 'aten.conv2d.default']"),
        }));
        facts(&model(18, vec![], vec![conv])).folded
    };
    let norm = "torch.nn.modules.batchnorm.BatchNorm2d";
    assert_eq!(with("conv1.weight", None, Some(norm)), ["the_Conv"]);
    assert_eq!(with("onnx::Conv_10", Some("onnx::Conv_11"), None), ["the_Conv"]);
    assert!(with("conv1.weight", Some("conv1.bias"), Some("torch.nn.modules.conv.Conv2d")).is_empty());
    assert!(with("conv1.weight", Some("conv1.bias"), None).is_empty());
}

#[test]
fn dropout_in_training_mode_keeps_its_mask() {
    let with = |training: bool| {
        let value = attr("value", Attr::Tensor(Tensor::scalar_bool(training)));
        let nodes = vec![
            node("Constant", &[], &["training"], vec![value]),
            node("Dropout", &["x", "", "training"], &["y"], vec![]),
        ];
        let g = load(&model(17, vec![port("x", &["2"])], nodes)).unwrap();
        g.nodes().next().unwrap().1.outputs.len()
    };
    assert_eq!((with(true), with(false)), (2, 1));
}
