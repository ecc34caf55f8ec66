//! `ekphrasis score`, from files to numbers.

mod files;
mod reference;

use files::Files;
use serde_json::Value;

const REFS: &str = r#"{"9": ["Two cats sit on a mat.", "Two cats."], "4": ["A dog runs in the park", "a dog is running"],
    "5": ["A man rides a horse."], "6": ["A bird on a wire", "Birds!"]}"#;
const CANDS: &str = r#"[{"image_id": 4, "caption": "A dog runs."}, {"image_id": 9, "caption": "two cats on a mat"},
    {"image_id": 5, "caption": "a man on a horse"}, {"image_id": 6, "caption": "a bird"}]"#;
const OTHERS: &str =
    r#"{"4": "a cat", "5": "a horse runs", "6": "two birds on a wire", "9": "cats on a mat"}"#;

fn small() -> Files {
    let files = Files::new();
    files.write("refs.json", REFS);
    files.write("cands.json", CANDS);
    files.write("others.json", OTHERS);
    files
}

const SCORE: &str = "score --refs refs.json --cands cands.json";

#[test]
fn a_table_for_people() {
    let files = small();
    let ended = files.run(SCORE).ok();
    for part in [
        "metric",
        "95% interval",
        "BLEU-4",
        "ROUGE-L",
        "CIDEr (CIDEr-D)",
        "4 images; 1000 resamples",
        "seed 0",
        "distinct-1",
    ] {
        assert!(ended.out.contains(part), "expected {part:?} in:\n{}", ended.out);
    }
    assert!(!ended.out.contains("plain"), "{}", ended.out);
    for part in ["METEOR is left out. METEOR's data: none in the cache", "hint: run once without --offline"] {
        assert!(ended.err.contains(part), "expected {part:?} in:\n{}", ended.err);
    }
    files
        .run(&format!("{SCORE} --metrics meteor"))
        .fails(1, &["error: METEOR's data: none in the cache", "hint: "]);
    assert!(ended.err.contains("cands.json: COCO results, paired by image_id = image"), "{}", ended.err);
    // Again, the same, to the last digit.
    let json = |seed: u32| files.run(&format!("{SCORE} --json --seed {seed}")).ok().out;
    assert_eq!(json(1), json(1));
    let intervals = |seed| {
        files.json(&format!("{SCORE} --seed {seed}"))["systems"][0]["scores"]["cider_d"]["interval"].clone()
    };
    assert_ne!(intervals(1), intervals(2));
}

#[test]
fn two_systems_are_compared() {
    let files = small();
    let ended = files.run(&format!("{SCORE} --compare others.json --resamples 200")).ok();
    for part in ["first - second", "p (bootstrap)", "p (randomisation)", "200 resamples"] {
        assert!(ended.out.contains(part), "expected {part:?} in:\n{}", ended.out);
    }
    let both = files.json(&format!("{SCORE} --compare others.json"));
    let alone = files.json("score --refs refs.json --cands others.json");
    assert_eq!(both["systems"][1]["scores"], alone["systems"][0]["scores"]);
    for (key, compared) in both["comparison"].as_object().unwrap() {
        let score = |system: usize| both["systems"][system]["scores"][key]["score"].as_f64().unwrap();
        let difference = compared["difference"].as_f64().unwrap();
        assert!((difference - (score(0) - score(1))).abs() < 1e-12, "{key}");
        for p in ["p_bootstrap", "p_randomisation"] {
            assert!((0.0..=1.0).contains(&compared[p].as_f64().unwrap()), "{key} {p}");
        }
    }
    let same = files.json(&format!("{SCORE} --compare cands.json --metrics cider"));
    assert_eq!(same["comparison"]["cider_d"]["difference"], 0.0);
    assert_eq!(same["comparison"]["cider_d"]["p_randomisation"], 1.0);
}

#[test]
fn metrics_are_chosen() {
    let files = small();
    let keys = |names: &str| -> Vec<String> {
        let all = files.json(&format!("{SCORE} --metrics {names}"));
        assert_eq!(all["systems"][0].get("diversity").is_some(), names.contains("diversity"));
        all["systems"][0]["scores"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys("cider,bleu"), ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider_d"]);
    assert_eq!(keys("rouge-l,bleu_4,diversity"), ["bleu_4", "rouge_l"]);
    assert_eq!(keys("cider_plain"), ["cider_plain"]);
    files
        .run(&format!("{SCORE} --metrics cidre"))
        .fails(2, &["no metric `cidre`", "hint: did you mean `cider`?"]);
    files
        .run(&format!("{SCORE} --metrics SPICE"))
        .fails(1, &["SPICE is not available", "models", "hint: take SPICE from pycocoevalcap"]);
}

#[test]
fn scores_of_each_image() {
    let files = small();
    let args = format!("{SCORE} --metrics bleu_1,cider --compare others.json --per-image");
    files.run(&format!("{args} each.csv")).ok();
    files.run(&format!("{args} each.json")).ok();
    let lines = files.read("each.csv");
    let lines: Vec<Vec<&str>> = lines.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["image", "bleu_1", "cider_d", "compared_bleu_1", "compared_cider_d"]);
    assert_eq!(lines[1..].iter().map(|line| line[0]).collect::<Vec<_>>(), ["9", "4", "5", "6"]);
    let rows: Value = serde_json::from_str(&files.read("each.json")).unwrap();
    for (line, row) in lines[1..].iter().zip(rows.as_array().unwrap()) {
        assert_eq!(row["image"], line[0]);
        for (key, value) in lines[0][1..].iter().zip(&line[1..]) {
            assert_eq!(row[*key].as_f64().unwrap(), value.parse::<f64>().unwrap(), "{key}");
        }
    }
    let all = files.json(&format!("{SCORE} --metrics cider"));
    let mean = lines[1..].iter().map(|line| line[2].parse::<f64>().unwrap()).sum::<f64>() / 4.0;
    assert!((all["systems"][0]["scores"]["cider_d"]["score"].as_f64().unwrap() - mean).abs() < 1e-12);
    files
        .run(&format!("{args} each.txt"))
        .fails(2, &["each.txt: expected a name that ends in .csv or .json"]);
}

#[test]
fn document_frequencies_come_from_elsewhere() {
    let files = small();
    files.write(
        "train.json",
        r#"{"images": [{"filename": "t.jpg", "split": "train", "sentences": [{"raw": "A dog on a mat"}]},
            {"filename": "r.jpg", "split": "restval", "sentences": [{"raw": "two cats"}, {"raw": "A horse"}]},
            {"filename": "x.jpg", "split": "test", "sentences": [{"raw": "a bird"}]}]}"#,
    );
    let cider = |more: &str| files.json(&format!("{SCORE} --metrics cider {more}"));
    let score = |all: &Value| all["systems"][0]["scores"]["cider_d"]["score"].clone();
    let counted = cider("--df train.json --save-df saved.json");
    assert_eq!(counted["document_frequencies"]["images"], 2, "the images of the test split do not count");
    assert_ne!(score(&counted), score(&cider("")));
    assert_eq!(score(&counted), score(&cider("--df saved.json")));
    // With captions at hand, those of the candidates that are new are counted.
    let novel = |df: &str| {
        let all = files.json(&format!("{SCORE} --metrics diversity --df {df}"));
        all["systems"][0]["diversity"].get("novel").and_then(Value::as_f64)
    };
    files.write("some.json", r#"{"1": ["A bird!", "a man on a horse"], "2": "x"}"#);
    assert_eq!(["some.json", "train.json", "saved.json"].map(novel), [Some(0.5), Some(1.0), None]);
    // Those of the references are the default.
    assert_eq!(score(&cider("--df refs.json")), score(&cider("")));
    let ended = cider("--eos --save-df ended.json");
    assert_ne!(score(&ended), score(&cider("")));
    assert_eq!(score(&ended), score(&cider("--eos --df ended.json")));
    files
        .run(&format!("{SCORE} --df ended.json"))
        .fails(1, &["eos", "expected the end of a caption not counted"]);
}

#[test]
fn what_is_wrong_is_said() {
    let files = small();
    files.write("latin.csv", b"image,caption\n4,caf\xe9\n");
    files.write("twice.json", r#"[{"image_id": 4, "caption": "a"}, {"image_id": 4, "caption": "b"}]"#);
    files.write("strangers.json", r#"{"4": "a", "7": "b"}"#);
    files.write("torn.json", r#"[{"image_id": 4, "caption": "a"#);
    files.write("notes.txt", "a dog runs");
    files.write("number.json", r#"[{"image_id": 4, "caption": 7}]"#);
    for (cands, parts) in [
        (
            "latin.csv",
            &["latin.csv: line 2, byte 6 of the line: expected text in UTF-8", "hint: convert"][..],
        ),
        ("twice.json", &["found several for 1: 4", "hint: keep one caption"]),
        (
            "strangers.json",
            &["captions without references: 7", "images without a caption: 9, 5, 6", "hint: `--only-common`"],
        ),
        ("torn.json", &["[0].caption (line 1, column 30)", "hint: the file ends too early"]),
        (
            "notes.txt",
            &[
                "notes.txt: expected a file of captions in one of these forms, found the line `a dog runs`",
                "Karpathy",
            ],
        ),
        (
            "number.json",
            &["number.json: [0].caption (line 1, column 30): expected a string, found integer `7`"],
        ),
        ("none.json", &["read none.json: No such file", "hint: check the path"]),
    ] {
        files.run(&format!("score --refs refs.json --cands {cands}")).fails(1, parts);
    }
    files
        .run(&format!("{SCORE} --split test"))
        .fails(1, &["split `test`", "captions by image, a form without splits"]);
    files.run("score --refs refs.json").fails(2, &["--cands"]);
    let one = files.run(&format!("{SCORE} --resamples 0"));
    one.fails(2, &["--resamples"]);
}

#[test]
fn what_both_have_is_scored_and_what_is_left_out_is_said() {
    let files = small();
    files.write("some.json", r#"{"9": "two cats", "4": "", "8": "a stranger"}"#);
    let ended = files.run("score --refs refs.json --cands some.json --only-common --json").ok();
    for part in
        ["left out: 2 images of the references", "left out: 1 captions of images", "1 captions have no word"]
    {
        assert!(ended.err.contains(part), "expected {part:?} in:\n{}", ended.err);
    }
    let all: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&all["images"], &all["references"]["captions"]), (&2.into(), &4.into()));
    assert_eq!((&all["references"]["left_out"], &all["systems"][0]["left_out"]), (&2.into(), &1.into()));
    assert_eq!(all["systems"][0]["empty_captions"], 1);
}
