//! What is wrong is said, with its place.

use crate::{Folder, error, packed};
use ekphrasis_metrics::files::{FORMS, Wording, read};

#[test]
fn a_form_that_nobody_knows() {
    for (content, found) in [
        ("", "nothing"),
        (" \n", "nothing"),
        ("a dog runs\nx", "the line `a dog runs`"),
        ("name,text\na,b", "the line `name,text`"),
        ("a.jpg\tno number", "the line `a.jpg\tno number`"),
        ("[1, 2]", "a JSON array of other things than objects"),
        (r#"[{"id": 1, "text": "x"}]"#, "a JSON array of objects with the keys id, text"),
        ("{}", "a JSON object without a whole entry"),
        (r#"{"a": 1, "b": {"c": "d"}}"#, "a JSON object with the keys a, b"),
        (r#"{"image_ids": [1], "captions": {"1": "x"}}"#, "a JSON object with the keys image_ids, captions"),
    ] {
        let error = error(content);
        let start = format!("captions: expected a file of captions in one of these forms, found {found}\n  ");
        assert!(error.starts_with(&start), "{error}");
        for form in FORMS {
            assert!(error.contains(form.name) && error.contains(form.example), "{error}");
        }
    }
}

#[test]
fn what_is_wrong_in_json_is_placed() {
    let coco = |annotations: &str| {
        format!(
            "{{\"images\": [{{\"id\": 1}}],\n\"annotations\": [{{\"image_id\": 1, \"caption\": \"x\"}}, {annotations}]}}"
        )
    };
    let karpathy = |fields: &str| {
        format!(r#"{{"images": [{{"filename": "a.jpg", "sentences": [{{"raw": "x"}}]}}, {{{fields}}}]}}"#)
    };
    let mut wrong = Vec::new();
    for (content, expected) in [
        (
            r#"[{"image_id": 1, "caption": "a"}, {"image_id": 2}]"#.to_owned(),
            "captions: [1] (line 1, column 49): expected a field `caption`, found none",
        ),
        (
            r#"[{"image_id": 1, "caption": null}]"#.into(),
            "captions: [0].caption (line 1, column 32): expected a string, found null",
        ),
        (
            "[{\"image_id\": 1,\n\"caption\": 7}]".into(),
            "captions: [0].caption (line 2, column 13): expected a string, found integer `7`",
        ),
        (
            r#"[{"image_id": 1.5, "caption": "a"}]"#.into(),
            "[0].image_id (line 1, column 18): expected an id: an integer or a string, found floating point `1.5`",
        ),
        (
            r#"[{"image_id": "", "caption": "a"}]"#.into(),
            "[0].image_id (line 1, column 16): expected an id, found an empty string",
        ),
        (
            r#"[{"image_id": 1, "caption": "a"}, [2, "b"]]"#.into(),
            "[1] (line 1, column 35): expected an object, found an array",
        ),
        (
            r#"[{"image_id": 1, "caption": "a"}"#.into(),
            "captions: line 1, column 32: expected the rest of the JSON, found the end of the file\nhint: the file ends too early",
        ),
        (
            r#"[{"image_id": 1, "caption": "a"}] x"#.into(),
            "captions: line 1, column 35: expected JSON, found trailing characters",
        ),
        (
            r#"[{"image_id": 1 "caption": "a"}]"#.into(),
            "[0] (line 1, column 17): expected `,` or `}`, found something else",
        ),
        ("[]".into(), "captions: the whole: expected one caption or more, found none"),
        (
            coco(r#"{"image_id": 1, "caption": ["x"]}"#),
            "captions: annotations[1].caption (line 2, column 77): expected a string, found an array",
        ),
        (
            coco(r#"{"image_id": 2, "caption": "x"}"#),
            "captions: images: expected every image that has a caption, found annotations of 1 images that are not listed: 2",
        ),
        (
            r#"{"images": [{"id": 1}, {"id": "1"}], "annotations": []}"#.into(),
            "images[1] (line 1, column 35): expected each image once, found the id 1 again",
        ),
        (
            r#"{"images": [{"id": 1, "file_name": "a.jpg"}]}"#.into(),
            "captions: annotations: expected an array of captions, found none",
        ),
        (
            r#"{"images": [{"id": 1}], "annotations": [{"caption": "x"}]}"#.into(),
            "annotations[0] (line 1, column 56): expected a field `image_id`, found none",
        ),
        (
            karpathy(r#""filename": "b.jpg", "sentences": [{"tokens": ["a", 7]}]"#),
            "images[1].sentences[0].tokens[1] (line 1, ",
        ),
        (
            karpathy(r#""filename": "b.jpg", "sentences": [{"sentid": 7}]"#),
            "expected `raw` or `tokens` in sentences[0], found neither",
        ),
        (
            karpathy(r#""filename": "b.jpg""#),
            "images[1] (line 1, column 85): expected a field `sentences`, found none",
        ),
        (karpathy(r#""filename": "a.jpg", "sentences": []"#), "expected each image once, found a.jpg again"),
        (karpathy(r#""sentences": []"#), "expected one of filename, cocoid, imgid, found none"),
        (
            r#"{"a": "x", "b": 7}"#.into(),
            "captions: b (line 1, column 18): expected a caption or an array of captions, found integer `7`",
        ),
        (r#"{"a": "x", "b": ["y", ["z"]]}"#.into(), "b[1] (line 1, "),
        (
            r#"{"a": ["x"], "b": [{"text": "y"}]}"#.into(),
            "b[0] (line 1, column 32): expected a field `caption`, found none",
        ),
        (r#"{"a": "x", "a": "y"}"#.into(), "expected each image once, found a again"),
        (r#"{"": "x"}"#.into(), "expected the id of an image, found an empty one"),
    ] {
        let error = error(&content);
        if !error.contains(expected) {
            wrong.push(format!("{content}\nexpected {expected}\n   found {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_is_wrong_in_lines_is_placed() {
    for (content, expected) in [
        (
            "a.jpg#0\tx\n\nb.jpg 0 y\n",
            "captions: line 3: expected the name of an image, `#`, a number, a tab, and a caption, found `b.jpg 0 y`",
        ),
        ("a.jpg#0\tx\nb.jpg#one\ty", "line 2: expected the name"),
        (
            "image,caption\na,x\nb,y, z\n",
            "captions: line 3: expected 2 fields, found 3 in `b,y, z`\nhint: put a caption with a comma in it between double quotes",
        ),
        ("image,caption\na,x\nb\n", "line 3: expected 2 fields, found 1 in `b`"),
        ("image,caption\na,x\n,y\n", "line 3: expected the name of an image, found none"),
        (
            "image,caption\na,x\nb,\"y\nc,z\n",
            "captions: line 3: expected each quote to be closed, found one that is open to the end",
        ),
        ("image,caption\n", "captions: the whole: expected one caption or more, found none"),
    ] {
        let error = error(content);
        assert!(error.contains(expected), "{content}\nexpected {expected}\n   found {error}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_placed_in_every_form() {
    let rows: String = (1..3000).map(|i| format!("a{i}.jpg#0\tA dog é , é and another {i} .\n")).collect();
    let mut lines = rows.into_bytes();
    lines.extend(b"b.jpg#0\tcaf\xe9\n");
    for (content, expected) in [
        (&b"image,caption\na,x\nb,caf\xe9 y\n"[..], "line 3, byte 6 of the line"),
        (b"{\"a\": \"x\",\n \"b\": \"caf\xe9\"}", "line 2, byte 11 of the line"),
        (b"[{\"image_id\": 1, \"caption\": \"caf\xe9\"}]", "line 1, byte 33 of the line"),
        (&lines, "line 3000, byte 12 of the line"),
    ] {
        for content in [content, &packed(content)] {
            let error = error(content);
            let expected =
                format!("captions: {expected}: expected text in UTF-8, found the byte 0xe9\nhint: convert");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
    // Far behind what tells the form.
    let mut far = format!("image,caption\n{}", "a.jpg,A dog .\n".repeat(100_000)).into_bytes();
    far.extend(b"b.jpg,\xff\n");
    assert!(error(far).starts_with("captions: line 100002, byte 7 of the line"));
}

#[test]
fn files_that_cannot_be_read() {
    let error = read("no/such.json".as_ref(), Wording::Raw).unwrap_err().to_string();
    assert!(
        error.starts_with("read no/such.json: No such file") && error.contains("\nhint: check the path"),
        "{error}"
    );
    let whole = packed(r#"{"a": "x"}"#.as_bytes());
    let error = crate::error(&whole[..whole.len() - 6]);
    assert!(
        error.starts_with("read captions: ") && error.contains("hint: the file ends too early"),
        "{error}"
    );
    let mut damaged = packed("{\"a\": \"some words that can be damaged\"}".as_bytes());
    damaged[20] ^= 0x55;
    let error = crate::error(&damaged);
    assert!(error.starts_with("read captions: ") && error.contains("damaged"), "{error}");
    let folder = Folder::new();
    assert!(read(folder.0.path(), Wording::Raw).unwrap_err().to_string().contains("Is a directory"));
}
