//! Folders of pictures, compared by encoders.

#[allow(dead_code, reason = "not every test file needs all of it")]
mod common;

use common::Project;
use ekphrasis_graph::{Attr, DType, Dim, Graph, Tensor};
use serde_json::Value;
use std::{fs, path::Path};

/// An encoder that gives pixels as they are, and their mean over each colour as `logits`.
fn encoder(path: &Path, batch: Dim, size: Dim, classes: bool) {
    let mut graph = Graph::new("pixels");
    let shape = vec![batch, 3.into(), size.clone(), size];
    let image = graph.input("image", DType::F32, shape).unwrap();
    let rows = graph.op("Flatten", &[image], &[("axis", Attr::Int(1))]).unwrap();
    if classes {
        let axes = graph.constant(Tensor::from_i64(&[2], &[2, 3]).unwrap());
        let logits = graph.op("ReduceMean", &[image, axes], &[("keepdims", Attr::Int(0))]).unwrap();
        graph.output("logits", logits).unwrap();
    }
    graph.output("features", rows).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    graph.save(path).unwrap();
}

/// Pictures of one colour each in a folder.
fn pictures(project: &Project, folder: &str, greys: &[u8]) {
    fs::create_dir_all(project.path(folder)).unwrap();
    for (i, grey) in greys.iter().enumerate() {
        let picture = image::RgbImage::from_pixel(5, 7, image::Rgb([*grey; 3]));
        picture.save(project.path(&format!("{folder}/{i}.png"))).unwrap();
    }
}

fn project() -> Project {
    let project = Project::new();
    pictures(&project, "real", &[0, 255]);
    pictures(&project, "painted", &[51, 153]);
    encoder(&project.path("pixels.onnx"), "B".into(), 1.into(), false);
    project
}

fn scores(project: &Project, more: &str) -> Value {
    let command = format!("score-images --real real --generated painted --json {more}");
    serde_json::from_str(&project.ekphrasis(&command).ok().out).unwrap()
}

#[track_caller]
fn near(value: &Value, expected: f64) {
    let found = value.as_f64().unwrap_or_else(|| panic!("expected {expected}, found {value}"));
    assert!((found - expected).abs() < 1e-5, "expected {expected}, found {found}");
}

/// By hand: three equal features each, -1 and 1 against -0.6 and 0.2. Means are 0.2 apart, variances are 2
/// and 0.32 and all along one line: 3 * 0.04 + 3 * (2^0.5 - 0.32^0.5)^2.
#[test]
fn distances_have_the_name_of_their_encoder() {
    let project = project();
    let all = scores(&project, "--encoder pixels.onnx");
    near(&all["frechet"], 0.12 + 3.0 * 0.72);
    assert!(all.get("fid").is_none() && all["encoder"]["name"] == "pixels" && all["real"]["pictures"] == 2);
    // Kernels: between the two real ones (1 - 1)^3, the two painted ones (1 - 0.12)^3; else 1.6, 0.8, 0.4, 1.2.
    let between: f64 = [1.6f64, 0.8, 0.4, 1.2].iter().map(|k| k.powi(3)).sum();
    let kernel = 0.88f64.powi(3) - between / 2.0;
    near(&all["kernel"]["all_pairs"], kernel);
    near(&all["kernel"]["mean"], kernel);
    assert_eq!(all["kernel"]["size"], 2);

    // Half the range, half the features.
    let halved = scores(&project, "--encoder pixels.onnx --mean 0,0,0 --std 1,1,1");
    near(&halved["frechet"], 2.28 / 4.0);
    let inception = scores(&project, "--encoder pixels.onnx --inception");
    near(&inception["fid"], 2.28);
    assert!(inception.get("frechet").is_none() && inception["kid"]["mean"].is_number());

    let shown = project.ekphrasis("score-images --real real --generated painted --encoder pixels.onnx").ok();
    assert!(
        shown.out.contains("Fréchet distance") && shown.out.contains("pixels") && shown.out.contains("2.28")
    );
    assert!(!shown.out.contains("FID") && !shown.out.contains("Inception"), "{}", shown.out);
    assert!(shown.err.contains("2 pictures are few for 3 features"), "{}", shown.err);
}

#[test]
fn a_scorer_says_itself_what_it_wants() {
    let project = project();
    let folder = project.path("plugins/models/half");
    encoder(&folder.join("image.onnx"), "B".into(), 1.into(), false);
    let manifest =
        "name = \"half\"\nrole = \"scorer\"\ndoc = \"Pixels.\"\ngraphs = { image = \"image.onnx\" }\n";
    let form = "[encoder]\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]\n";
    project.write("plugins/models/half/model.toml", &format!("{manifest}{form}"));
    let by_name = scores(&project, "--encoder half");
    near(&by_name["frechet"], 2.28 / 4.0);
    assert_eq!(by_name["encoder"]["name"], "half");
    near(&scores(&project, "--encoder plugins/models/half --std 0.5,0.5,0.5")["frechet"], 2.28);
    project.write("plugins/models/half/model.toml", &format!("{manifest}{form}inception = true\n"));
    near(&scores(&project, "--encoder half")["fid"], 2.28 / 4.0);

    project.write("plugins/models/half/model.toml", &format!("{manifest}[encoder]\nmeen = 1\n"));
    let command = "score-images --real real --generated painted --encoder";
    project.ekphrasis(&format!("{command} half")).fails(1, &["model.toml", "meen"]);
    let hint = "hint: `ekphrasis graph export";
    project.ekphrasis(&format!("{command} dual_encoder")).fails(1, &["dual_encoder", "ONNX file", hint]);
}

#[test]
fn batches_and_class_scores() {
    let project = project();
    pictures(&project, "real", &[0, 255, 10, 200, 90]);
    // Three at a time, so that the last batch is not full.
    encoder(&project.path("three.onnx"), 3.into(), "S".into(), true);
    encoder(&project.path("any.onnx"), "B".into(), "S".into(), true);
    let three = scores(&project, "--encoder three.onnx --size 2 --splits 1");
    let any = scores(&project, "--encoder any.onnx --size 2 --batch 4 --splits 1");
    near(&three["frechet"], any["frechet"].as_f64().unwrap());
    assert_eq!(three["encoder"]["features"], 12);
    // Greys have equal logits, so nothing tells one picture from another.
    for side in ["real", "generated"] {
        near(&three["class_score"][side]["mean"], 1.0);
    }
    assert!(scores(&project, "--encoder any.onnx --size 1 --inception")["inception_score"].is_object());
    let same =
        project.ekphrasis("score-images --real real --generated real --encoder any.onnx --size 2 --json");
    near(&serde_json::from_str::<Value>(&same.ok().out).unwrap()["frechet"], 0.0);
}

#[test]
fn what_cannot_be_scored_is_named() {
    let project = project();
    let run = |more: &str| project.ekphrasis(&format!("score-images --generated painted {more}"));
    run("--real none --encoder pixels.onnx").fails(1, &["read the folder none"]);
    run("--real configs --encoder pixels.onnx").fails(1, &["configs", "at least 2 files", "found 0"]);
    run("--real real --encoder pixel.onnx")
        .fails(1, &["--encoder pixel.onnx", "hint: `ekphrasis plugin list`"]);
    run("--real real --encoder configs/tiny.toml").fails(1, &["tiny.toml"]);
    run("--real real --encoder pixels.onnx --size 2").fails(2, &["--size 2", "pictures of 1 pixels"]);
    run("--real real --encoder pixels.onnx --mean 0,0").fails(2, &["--mean", "three numbers", "found 2"]);
    run("--real real --encoder pixels.onnx --std 1,0,1").fails(1, &["pixels.onnx", "std above 0"]);
    encoder(&project.path("any.onnx"), "B".into(), "S".into(), false);
    run("--real real --encoder any.onnx").fails(2, &["`any`", "any size", "hint: add --size"]);
    project.write("real/torn.png", "no picture");
    project.write("real/notes.txt", "no picture either");
    let ended = run("--real real --encoder pixels.onnx");
    ended.fails(1, &["real: 1 entries are not", "torn.png: picture: neither JPEG nor PNG"]);

    let mut graph = Graph::new("text");
    let tokens = graph.input("tokens", DType::I64, vec!["B".into(), "T".into()]).unwrap();
    let sum = graph.add(tokens, tokens).unwrap();
    graph.output("sum", sum).unwrap();
    graph.save(project.path("text.onnx")).unwrap();
    run("--real painted --encoder text.onnx")
        .fails(1, &["text.onnx", "`tokens`", "expected f32[B, 3, H, W]"]);
}
