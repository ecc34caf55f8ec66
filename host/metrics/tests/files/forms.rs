//! What is right is read.

use crate::{Folder, captions, packed, set};
use ekphrasis_metrics::files::{FORMS, Wording};

const COCO: &str = r#"{
  "info": {"description": "x", "year": 2014}, "licenses": [{"id": 1}], "type": "captions",
  "images": [{"id": 9, "file_name": "b.jpg", "width": 640}, {"id": 4, "file_name": "a.jpg"}, {"id": 5}],
  "annotations": [
    {"image_id": 4, "id": 1, "caption": "A dog, \"running\"."},
    {"image_id": 9, "id": 2, "caption": "Two caf\u00e9s"},
    {"image_id": 4, "id": 3, "caption": "a dog\nruns"}
  ]
}"#;
const RESULTS: &str = r#"[{"image_id": 9, "caption": "Two cafés"}, {"image_id": 4, "caption": "A dog, \"running\".", "id": 7},
  {"caption": "a dog\nruns", "image_id": "4"}]"#;
const KARPATHY: &str = r#"{"dataset": "coco", "images": [
  {"filepath": "val", "filename": "b.jpg", "cocoid": 9, "imgid": 0, "split": "test", "sentids": [5],
   "sentences": [{"tokens": ["two", "cafés"], "raw": "Two cafés", "imgid": 0, "sentid": 5}]},
  {"filename": "a.jpg", "cocoid": 4, "imgid": 1, "split": "test",
   "sentences": [{"raw": "A dog, \"running\"."}, {"raw": "a dog\nruns", "tokens": ["a", "dog", "runs"]}]},
  {"filename": "c.jpg", "cocoid": 5, "imgid": 2, "split": "train", "sentences": []}]}"#;
const PLAIN: &str = r#"{"9": ["Two cafés"], "4": ["A dog, \"running\".", "a dog\nruns"], "5": []}"#;
const OBJECTS: &str = r#"{"9": [{"caption": "Two cafés", "id": 1}], "4": [{"caption": "A dog, \"running\"."}, {"caption": "a dog\nruns"}]}"#;
const CSV: &str =
    "image,caption\nb.jpg,Two cafés\na.jpg,\"A dog, \"\"running\"\".\"\na.jpg,\"a dog\nruns\"\n";
const TOKENS: &str = "b.jpg#0\tTwo cafés\r\na.jpg#0\tA dog, \"running\".\n\na.jpg#1\ta dog\truns";

const CAPTIONS: [&[&str]; 2] = [&["Two cafés"], &["A dog, \"running\".", "a dog\nruns"]];

#[test]
fn every_form_gives_the_same_captions_in_the_order_of_the_file() {
    let files = [
        ("COCO annotations", COCO),
        ("COCO results", RESULTS),
        ("Karpathy's JSON", KARPATHY),
        ("captions by image", PLAIN),
        ("captions by image", OBJECTS),
        ("CSV", CSV),
        ("Flickr token file", TOKENS),
    ];
    for (form, text) in files {
        // A tab within a caption of a token file stands for the line break that it cannot hold.
        let expected = CAPTIONS.map(|image| {
            image
                .iter()
                .map(|c| if form == "Flickr token file" { c.replace('\n', "\t") } else { (*c).into() })
        });
        let expected: Vec<Vec<String>> = expected.into_iter().map(Iterator::collect).collect();
        let mark = format!("\u{feff}{text}");
        let two_members = [packed(&text.as_bytes()[..40]), packed(&text.as_bytes()[40..])].concat();
        for content in [text.as_bytes(), mark.as_bytes(), &packed(text.as_bytes()), &two_members] {
            let set = set(content);
            assert_eq!(
                (set.form(), captions(&set)),
                (form, expected.iter().map(|i| i.iter().map(String::as_str).collect()).collect())
            );
        }
    }
    let named: Vec<&str> = files.iter().map(|(form, _)| *form).collect();
    assert!(FORMS.iter().all(|form| named.contains(&form.name)), "a form without a test");
}

#[test]
fn images_without_captions_are_counted() {
    assert_eq!([COCO, KARPATHY, PLAIN, RESULTS].map(|text| set(text).without_captions()), [1, 1, 1, 0]);
}

#[test]
fn coco_images_may_follow_their_annotations_or_be_absent() {
    let annotations = r#""annotations": [{"image_id": 4, "caption": "x"}, {"image_id": 9, "caption": "y"}]"#;
    let images = r#""images": [{"id": 9}, {"id": 4}]"#;
    assert_eq!(captions(&set(format!("{{{annotations}, {images}}}"))), [["y"], ["x"]]);
    assert_eq!(captions(&set(format!("{{{images}, {annotations}}}"))), [["y"], ["x"]]);
    assert_eq!(captions(&set(format!("{{{annotations}}}"))), [["x"], ["y"]]);
}

#[test]
fn karpathys_words_or_raw_captions() {
    let folder = Folder::new();
    let tokens = folder.read("k.json", KARPATHY.as_bytes(), Wording::Tokens).unwrap();
    // Without words, what people wrote.
    assert_eq!(captions(&tokens), [vec!["two cafés"], vec!["A dog, \"running\".", "a dog runs"]]);
    let only = KARPATHY.replace(r#", "raw": "Two cafés""#, "");
    assert_eq!(captions(&set(only))[0], ["two cafés"]);
}

#[test]
fn splits_are_chosen() {
    let mut all = set(KARPATHY.replace("[]}]}", r#"[{"raw": "z"}]}]}"#));
    assert_eq!((all.splits(), all.len()), (vec![("test", 2), ("train", 1)], 3));
    let mut train = all.clone();
    train.select(&["train"]).unwrap();
    assert_eq!(captions(&train), [["z"]]);
    all.select(&["test", "train"]).unwrap();
    assert_eq!(all.len(), 3);
    let error = all.select(&["val"]).unwrap_err().to_string();
    assert!(error.contains("expected images of a split `val`, found the splits test, train"), "{error}");
    let error = set(PLAIN).select(&["val"]).unwrap_err().to_string();
    assert!(error.contains("found captions by image, a form without splits\nhint: "), "{error}");
}

#[test]
fn columns_of_a_table_stand_anywhere() {
    let text = "Caption,n,Image_Name\nx,0,a\n\"y, z\",1,b\n";
    assert_eq!(captions(&set(text)), [["x"], ["y, z"]]);
    // A quote in the middle of a field is itself.
    assert_eq!(captions(&set("image,caption\na,a 5\" screen\nb,x")), [["a 5\" screen"], ["x"]]);
}

#[test]
fn names_in_token_files_are_taken_whole() {
    let set = set("2258277193_586949ec62.jpg.1#0\tx\na#b#1\ty\n");
    assert_eq!(captions(&set), [["x"], ["y"]]);
}

#[test]
fn long_captions_and_empty_ones_are_captions() {
    let long = "word ".repeat(10_000);
    let set = set(format!(r#"{{"a": ["", " "], "b": "{long}"}}"#));
    assert_eq!(captions(&set), [vec!["", " "], vec![&long]]);
}

/// The form is told from the beginning, wherever in an entry that ends.
#[test]
fn large_files_are_told_by_their_beginning() {
    let rows: String =
        (0..60_000).map(|i| format!(r#"{{"image_id": {i}, "caption": "a caption é {i}"}},"#)).collect();
    let set = set(format!("[{}]", rows.trim_end_matches(',')));
    assert_eq!((set.len(), set.captions(59_999).next()), (60_000, Some("a caption é 59999")));
}

#[test]
fn the_captions_of_flickr8k_are_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/flickr8k_captions/captions.txt");
    let Ok(content) = std::fs::read(path) else {
        eprintln!("skipped: no captions at {path}");
        return;
    };
    let set = set(&content);
    let captions: usize = (0..set.len()).map(|image| set.captions(image).len()).sum();
    let lines = content.iter().filter(|byte| **byte == b'\n').count();
    assert!(set.form() == "CSV" && captions > 20_000 && lines - captions <= 1, "{captions} of {lines} lines");
    assert!((0..set.len()).all(|image| set.captions(image).len() == 5));
}
