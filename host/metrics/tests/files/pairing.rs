//! Candidates find their references, or it is said which do not.

use crate::set;
use ekphrasis_metrics::files::pair;

const KARPATHY: &str = r#"{"images": [
  {"filename": "b.jpg", "cocoid": 9, "imgid": 0, "split": "test", "sentences": [{"raw": "b"}, {"raw": "bb"}]},
  {"filename": "a.jpg", "cocoid": 4, "imgid": 1, "split": "test", "sentences": [{"raw": "a"}]},
  {"filename": "c.jpg", "cocoid": 1, "imgid": 2, "split": "train", "sentences": [{"raw": "c"}]}]}"#;

#[test]
fn ids_of_any_kind_find_the_image() {
    let mut references = set(KARPATHY);
    references.select(&["test"]).unwrap();
    for (candidates, by) in [
        (r#"{"a.jpg": "A", "b.jpg": "B"}"#, "image = filename"),
        (r#"{"4": "A", "9": "B"}"#, "image = cocoid"),
        // 1 is a COCO id too, of another split.
        (r#"[{"image_id": 1, "caption": "A"}, {"image_id": 0, "caption": "B"}]"#, "image_id = imgid"),
        ("image,caption\na.jpg,A\nb.jpg,B\n", "image = filename"),
        ("a.jpg#0\tA\nb.jpg#0\tB\n", "image = filename"),
        (
            r#"{"images": [{"id": 4, "file_name": "a.jpg"}, {"id": 5, "file_name": "b.jpg"}],
                "annotations": [{"image_id": 4, "caption": "A"}, {"image_id": 5, "caption": "B"}]}"#,
            "file_name = filename",
        ),
        (
            r#"{"images": [{"imgid": 1, "cocoid": 4, "sentences": [{"raw": "A"}]},
                           {"imgid": 7, "cocoid": 9, "sentences": [{"raw": "B"}]}]}"#,
            "cocoid",
        ),
    ] {
        let candidates = set(candidates);
        let pairs = pair(&references, &[&candidates], false).unwrap();
        assert_eq!(pairs.paired_by(0), by);
        // In the order of the references.
        assert_eq!(pairs.candidates(0).collect::<Vec<_>>(), ["B", "A"], "{by}");
        assert_eq!(pairs.references().collect::<Vec<_>>(), [vec!["b", "bb"], vec!["a"]]);
        assert_eq!((pairs.len(), pairs.references_left_out(), pairs.candidates_left_out(0)), (2, 0, 0));
    }
}

fn refused(references: &str, candidates: &str) -> String {
    let error = pair(&set(references), &[&set(candidates)], false).unwrap_err().to_string();
    // From the name of the file on.
    error.split("captions: ").nth(1).unwrap().to_owned()
}

#[test]
fn ids_that_do_not_match_are_named_on_either_side() {
    let references = r#"{"1": "a", "2": "b", "3": "c"}"#;
    let error = refused(references, r#"{"2": "x", "7": "y", "8": "z"}"#);
    assert!(error.starts_with("expected captions of the 3 images of "), "{error}");
    assert!(
        error.contains(
            ", compared by image\n  2 captions without references: 7, 8\n  2 images without a caption: 1, 3\n"
        ),
        "{error}"
    );
    assert!(error.ends_with("hint: `--only-common` scores the 1 images that both have"), "{error}");
    let error = refused(references, r#"{"1": "x", "2": "y"}"#);
    assert!(
        error.contains("\n  1 images without a caption: 3\n") && !error.contains("without references"),
        "{error}"
    );
    let error = refused(references, r#"{"a": "x", "b": "y"}"#);
    assert!(error.contains("hint: no image is in both"), "{error}");
    let error = refused(KARPATHY, r#"{"4": "x", "9": "y"}"#);
    assert!(
        error.ends_with("hint: choose a split of the references with `--split`: test (2), train (1)"),
        "{error}"
    );
    let many: Vec<String> = (0..20).map(|i| format!("\"n{i}\": \"x\"")).collect();
    let error = refused(references, &format!("{{\"1\": \"x\", {}}}", many.join(", ")));
    assert!(error.contains("20 captions without references: n0, n1, n2, n3, n4, ...\n"), "{error}");
    // An image without a caption in the references has none to compare with.
    let error = refused(r#"{"1": ["a"], "2": []}"#, r#"{"1": "x", "2": "y"}"#);
    assert!(error.contains("1 captions without references: 2"), "{error}");
}

#[test]
fn one_caption_for_each_image() {
    for candidates in [
        r#"[{"image_id": 1, "caption": "x"}, {"image_id": 2, "caption": "y"}, {"image_id": 1, "caption": "z"}]"#,
        r#"{"1": ["x", "z"], "2": "y"}"#,
        "1#0\tx\n2#0\ty\n1#1\tz\n",
    ] {
        let error = refused(r#"{"1": "a", "2": "b"}"#, candidates);
        assert!(
            error.starts_with("expected one caption for each image, found several for 1: 1\nhint: "),
            "{error}"
        );
    }
}

#[test]
fn what_is_common_to_all() {
    let references = set(r#"{"1": "a", "2": "b", "3": "c"}"#);
    let (first, second) = (set(r#"{"3": "x3", "1": "x1", "9": "x9"}"#), set(r#"{"2": "y2", "3": "y3"}"#));
    assert!(pair(&references, &[&first, &second], false).is_err());
    let pairs = pair(&references, &[&first, &second], true).unwrap();
    assert_eq!(pairs.ids().collect::<Vec<_>>(), ["3"]);
    assert_eq!([0, 1].map(|system| pairs.candidates(system).collect::<Vec<_>>()), [["x3"], ["y3"]]);
    assert_eq!(pairs.references_left_out(), 2);
    assert_eq!([0, 1].map(|system| pairs.candidates_left_out(system)), [2, 1]);
    let none = set(r#"{"9": "x"}"#);
    let error = pair(&references, &[&none], true).unwrap_err().to_string();
    assert!(error.contains("hint: no image is in both"), "{error}");
}
