//! Against the reference tools' scores, from each form of the same captions.

use crate::files::{Files, common::Ended};
use ekphrasis_metrics::MeteorData;
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

const TOLERANCE: f64 = 1e-9;

/// The folder of reference scores; `None`, with a line on stderr, where it is absent.
fn coco_parity() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/coco_parity");
    if !folder.is_dir() {
        eprintln!("skipped: no reference scores at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn unpacked(path: &Path) -> Map<String, Value> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Our name of a metric for the reference's.
const NAMES: [(&str, &str); 7] = [
    ("bleu_1", "Bleu_1"),
    ("bleu_2", "Bleu_2"),
    ("bleu_3", "Bleu_3"),
    ("bleu_4", "Bleu_4"),
    ("rouge_l", "ROUGE_L"),
    ("cider_d", "CIDEr"),
    ("cider_plain", "CIDEr_plain"),
];
const METRICS: &str = "--resamples 50 --metrics bleu,rouge_l,cider,cider_plain";

fn near(found: &Value, expected: &Value, place: &str) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!(
        (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0),
        "{place}: {found}, expected {expected}"
    );
}

/// Scores files and compares with the reference, corpus and per image.
fn compare(files: &Files, name: &str, arguments: &str, expected_each: &Map<String, Value>) {
    let Some(folder) = coco_parity() else { return };
    let all = files.json(&format!("score {arguments} {METRICS} --per-image each.json"));
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let each: Value = serde_json::from_str(&files.read("each.json")).unwrap();
    let row = |row: &Value| (row["image"].as_str().unwrap().to_owned(), row.clone());
    let rows: Map<String, Value> = each.as_array().unwrap().iter().map(row).collect();
    for (ours, theirs) in NAMES {
        let found = &all["systems"][0]["scores"][ours]["score"];
        near(found, &expected[name]["corpus"][theirs], &format!("{name} {ours}"));
        let ids = expected_each["ids"].as_array().unwrap();
        assert_eq!(ids.len(), rows.len());
        for (id, expected) in ids.iter().zip(expected_each["scores"][theirs].as_array().unwrap()) {
            let id = id.as_str().unwrap();
            near(&rows[id][ours], expected, &format!("{name} {ours} of {id}"));
        }
    }
}

/// A set with references of maybe another.
fn set(name: &str, references_of: &str) {
    let Some(folder) = coco_parity() else { return };
    let refs = folder.join(references_of).join("refs.json.gz");
    let cands = folder.join(name).join("cands.json.gz");
    let arguments = format!("--refs {} --cands {}", refs.display(), cands.display());
    compare(
        &Files::new(),
        name,
        &arguments,
        &unpacked(&folder.join(name).join("expected_per_image.json.gz")),
    );
}

/// Empty captions, no-break spaces, `|||`: tokenised already.
#[test]
fn edge_cases() {
    let Some(folder) = coco_parity() else { return };
    let read = |name: &str| -> Map<String, Value> {
        serde_json::from_slice(&std::fs::read(folder.join("edge_cases").join(name)).unwrap()).unwrap()
    };
    let (cases, files) = (read("cases.json"), Files::new());
    let part = |key: &str| -> String {
        let part: Map<String, Value> =
            cases.iter().map(|(id, case)| (id.clone(), case[key].clone())).collect();
        Value::Object(part).to_string()
    };
    files.write("refs.json", part("refs"));
    files.write("cands.json", part("cand"));
    let arguments = "--refs refs.json --cands cands.json --tokenized";
    compare(&files, "edge_cases", arguments, &read("expected_per_case.json"));
}

#[test]
fn machine_captions() {
    set("fakecap", "fakecap");
}

#[test]
fn captions_of_other_images() {
    set("mismatch", "fakecap");
}

#[test]
fn human_captions() {
    set("human", "human");
}

/// Where its data is: METEOR as the reference's jar has it, corpus and per image.
#[test]
fn meteor_of_machine_captions() {
    let Some(folder) = coco_parity() else { return };
    let cache = std::env::var_os("EKPHRASIS_CACHE")
        .map_or_else(ekphrasis_runtime::Config::default_cache, PathBuf::from);
    if !MeteorData::is_at_hand(&cache) {
        eprintln!("skipped: no data of METEOR in {}", cache.display());
        return;
    }
    let files = Files::new();
    let path = |file: &str| folder.join("fakecap").join(file).display().to_string();
    let (refs, cands) = (path("refs.json.gz"), path("cands.json.gz"));
    let arguments =
        format!("score --refs {refs} --cands {cands} --json --per-image each.csv --metrics meteor");
    let ended = Ended::of(files.command(&arguments).output().unwrap()).ok();
    let all: Value = serde_json::from_str(&ended.out).unwrap();
    let scores = all["systems"][0]["scores"].as_object().unwrap();
    let (key, found) = scores.iter().next().unwrap();
    let name = key.replacen("meteor", "METEOR", 1);
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let near = |a: f64, b: f64, place: &str| assert!((a - b).abs() < 1e-6, "{place}: {a}, expected {b}");
    near(found["score"].as_f64().unwrap(), expected["fakecap"]["corpus"][&name].as_f64().unwrap(), &name);
    let each = unpacked(Path::new(&path("expected_per_image.json.gz")));
    let (ids, scores) = (each["ids"].as_array().unwrap(), each["scores"][&name].as_array().unwrap());
    let expected: Map<String, Value> =
        ids.iter().zip(scores).map(|(id, score)| (id.as_str().unwrap().to_owned(), score.clone())).collect();
    let text = files.read("each.csv");
    assert_eq!(text.lines().next(), Some(format!("image,{key}").as_str()));
    assert_eq!(text.lines().count(), 1 + expected.len());
    for line in text.lines().skip(1) {
        let (id, score) = line.split_once(',').unwrap();
        near(score.parse().unwrap(), expected[id].as_f64().unwrap(), id);
    }
}

/// Numbers of the same captions do not depend on the file that they come in.
#[test]
fn every_form_of_the_same_captions_scores_the_same() {
    let Some(folder) = coco_parity() else { return };
    let files = Files::new();
    let refs = unpacked(&folder.join("fakecap/refs.json.gz"));
    let cands = unpacked(&folder.join("fakecap/cands.json.gz"));
    let captions = |id: &String| refs[id].as_array().unwrap().iter().map(|c| c.as_str().unwrap().to_owned());
    let number = |id: &String| id.parse::<u64>().unwrap();
    let name = |id: &String| format!("COCO_{id}.jpg");
    let each = || refs.keys().flat_map(|id| captions(id).enumerate().map(move |(i, c)| (id, i, c)));
    let field = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));

    let images: Vec<Value> =
        refs.keys().map(|id| json!({ "id": number(id), "file_name": name(id) })).collect();
    // Annotations in another order than images, as in COCO's files.
    let mut annotations: Vec<Value> =
        each().map(|(id, _, c)| json!({ "image_id": number(id), "caption": c })).collect();
    annotations.sort_by_key(|annotation| annotation["image_id"].as_u64().unwrap() % 97);
    let karpathy: Vec<Value> = refs
        .keys()
        .enumerate()
        .map(|(i, id)| {
            let sentences: Vec<Value> = captions(id).map(|c| json!({ "raw": c, "tokens": ["other"] })).collect();
            json!({ "filename": name(id), "cocoid": number(id), "imgid": i, "split": "test", "sentences": sentences })
        })
        .collect();
    let other = json!({ "filename": "o.jpg", "cocoid": 0, "imgid": refs.len(), "split": "train", "sentences": [{ "raw": "a" }] });
    let karpathy: Vec<Value> = [other].into_iter().chain(karpathy).collect();
    let lines: String = each().map(|(id, i, c)| format!("{}#{i}\t{c}\n", name(id))).collect();
    let rows: String = each().map(|(id, _, c)| format!("{},{}\n", name(id), field(&c))).collect();
    files.write("coco.json", json!({ "info": {}, "images": images, "annotations": annotations }).to_string());
    files.write("karpathy.json", json!({ "images": karpathy, "dataset": "coco" }).to_string());
    files.write("tokens.txt", lines);
    files.write("table.csv", format!("image,caption\n{rows}"));
    files.write("plain.json", Value::Object(refs.clone()).to_string());

    let caption = |id: &String| cands[id].as_str().unwrap().to_owned();
    // In another order, which must not matter.
    let ids: Vec<&String> = cands.keys().rev().collect();
    let results: Vec<Value> =
        ids.iter().map(|id| json!({ "image_id": number(id), "caption": caption(id) })).collect();
    files.write("by_number.json", Value::Array(results).to_string());
    let rows: String = ids.iter().map(|id| format!("{},{}\n", name(id), field(&caption(id)))).collect();
    files.write("by_name.csv", format!("image,caption\n{rows}"));
    let lines: String = ids.iter().map(|id| format!("{}#0\t{}\n", name(id), caption(id))).collect();
    files.write("by_name.txt", lines);

    let expected = files.json(&format!("score --refs plain.json --cands by_number.json {METRICS}"));
    let expected = &expected["systems"][0]["scores"];
    for (refs, cands) in [
        ("coco.json", "by_number.json"),
        ("coco.json", "by_name.txt"),
        ("karpathy.json --split test", "by_number.json"),
        ("karpathy.json --split test", "by_name.csv"),
        ("tokens.txt", "by_name.csv"),
        ("table.csv", "by_name.txt"),
    ] {
        let found = files.json(&format!("score --refs {refs} --cands {cands} {METRICS}"));
        assert_eq!(&found["systems"][0]["scores"], expected, "{refs} {cands}");
    }
}

#[test]
fn captions_that_are_tokenised_already() {
    let Some(folder) = coco_parity() else { return };
    let files = Files::new();
    let path = |file: &str| folder.join("fakecap").join(file).display().to_string();
    let raw = files.json(&format!(
        "score --refs {} --cands {} {METRICS}",
        path("refs.json.gz"),
        path("cands.json.gz")
    ));
    let (refs, cands) = (path("refs_tokenized.json.gz"), path("cands_tokenized.json.gz"));
    let tokens = files.json(&format!("score --refs {refs} --cands {cands} {METRICS} --tokenized"));
    assert_eq!(raw["systems"][0]["scores"], tokens["systems"][0]["scores"]);
    // Karpathy's words are taken where there are some.
    files.write("k.json", r#"{"images": [{"filename": "a", "sentences": [{"raw": "A man's hat", "tokens": ["a", "mans", "hat"]}]}]}"#);
    files.write("c.json", r#"{"a": "a mans hat"}"#);
    let score = |more: &str| {
        files.json(&format!("score --refs k.json --cands c.json --metrics bleu_1 {more}"))["systems"][0]["scores"]["bleu_1"]["score"].as_f64().unwrap()
    };
    assert!((score("--tokenized") - 1.0).abs() < 1e-6 && score("") < 0.99);
}
