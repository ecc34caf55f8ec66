//! Reads Karpathy's JSON; every complaint names the place in the file.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::formats::expected_found;
use crate::{DataError, words};

/// What the file says, checked.
#[derive(Debug)]
pub(super) struct Annotations {
    pub(super) pictures: Vec<Picture>,
    pub(super) notes: Vec<String>,
}

/// A picture with its captions, one or more.
#[derive(Debug)]
pub(super) struct Picture {
    /// Relative to the folder of pictures, and inside it.
    pub(super) path: PathBuf,
    pub(super) split: &'static str,
    pub(super) captions: Vec<Caption>,
}

#[derive(Debug)]
pub(super) struct Caption {
    pub(super) raw: String,
    pub(super) words: Vec<String>,
}

// The file's own form. Fields that are not needed (`imgid`, `cocoid`, ...) are passed over.

#[derive(Deserialize)]
struct RawFile {
    images: Vec<RawImage>,
}

#[derive(Deserialize)]
struct RawImage {
    filename: String,
    filepath: Option<String>,
    split: String,
    sentences: Vec<RawSentence>,
}

#[derive(Deserialize)]
struct RawSentence {
    tokens: Option<Vec<String>>,
    raw: Option<String>,
}

/// Reads and checks `bytes`, the content of `file`.
pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Annotations, DataError> {
    // Serde would take an array for the fields of the object in order.
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if let Some(other) = start.filter(|byte| **byte != b'{') {
        let message = format!("expected an object with `images`, found `{}`", char::from(*other));
        return Err(DataError::malformed(file, "line 1", message));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let raw: RawFile = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        let place = match path.as_str() {
            "." => format!("line {}, column {}", cause.line(), cause.column()),
            path => format!("{path} (line {}, column {})", cause.line(), cause.column()),
        };
        DataError::malformed(file, place, expected_found(&cause.to_string()))
    })?;
    json.end().map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        DataError::malformed(file, place, "expected the end of the file after the object")
    })?;
    if raw.images.is_empty() {
        return Err(DataError::malformed(
            file,
            "images",
            "expected one picture or more, found an empty array",
        ));
    }
    let mut seen: HashMap<PathBuf, usize> = HashMap::with_capacity(raw.images.len());
    let mut pictures = Vec::with_capacity(raw.images.len());
    let mut empty = Vec::new();
    for (index, image) in raw.images.into_iter().enumerate() {
        let malformed = |field: &str, message: String| {
            DataError::malformed(file, format!("images[{index}].{field}"), message)
        };
        let path = relative(image.filepath.as_deref(), &image.filename)
            .map_err(|(field, message)| malformed(field, message))?;
        if let Some(first) = seen.insert(path.clone(), index) {
            let message = format!("`{}` is images[{first}] already", path.display());
            return Err(malformed("filename", message));
        }
        let split = split(&image.split).ok_or_else(|| {
            let found = &image.split;
            malformed("split", format!("expected train, restval, val or test, found `{found}`"))
        })?;
        let mut captions = Vec::with_capacity(image.sentences.len());
        for (number, sentence) in image.sentences.into_iter().enumerate() {
            let place = || format!("sentences[{number}]");
            let caption = match (sentence.tokens, sentence.raw) {
                (Some(tokens), raw) if !tokens.is_empty() => {
                    Caption { raw: raw.unwrap_or_else(|| tokens.join(" ")), words: tokens }
                }
                (_, Some(raw)) => Caption { words: words(&raw), raw },
                (Some(_), None) => Caption { words: Vec::new(), raw: String::new() },
                (None, None) => {
                    return Err(malformed(&place(), "expected `tokens` or `raw`, found neither".into()));
                }
            };
            if caption.words.is_empty() {
                empty.push(format!("images[{index}].{}", place()));
            } else {
                captions.push(caption);
            }
        }
        if captions.is_empty() {
            let message = "expected one caption or more with a word in it, found none".to_owned();
            return Err(malformed("sentences", message));
        }
        pictures.push(Picture { path, split, captions });
    }
    let mut notes = Vec::new();
    if let Some(first) = empty.first() {
        notes.push(format!(
            "{}: {} captions without a word were left out, first {first}",
            file.display(),
            empty.len()
        ));
    }
    Ok(Annotations { pictures, notes })
}

/// `restval` is what COCO's validation set had left over; everybody trains on it.
fn split(name: &str) -> Option<&'static str> {
    match name {
        "train" | "restval" => Some("train"),
        "val" => Some("val"),
        "test" => Some("test"),
        _ => None,
    }
}

/// Joins folder and name, and refuses what leads out of the folder of pictures.
fn relative(filepath: Option<&str>, filename: &str) -> Result<PathBuf, (&'static str, String)> {
    let inside = |part: &str| Path::new(part).components().all(|c| matches!(c, Component::Normal(_)));
    let filepath = filepath.unwrap_or("");
    if !inside(filepath) {
        return Err((
            "filepath",
            format!("expected a folder inside that of the pictures, found `{filepath}`"),
        ));
    }
    if filename.is_empty() || !inside(filename) {
        return Err(("filename", format!("expected the name of a file, found `{filename}`")));
    }
    Ok(Path::new(filepath).join(filename))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Annotations, DataError> {
        read(Path::new("dataset.json"), text.as_bytes())
    }

    fn image(fields: &str) -> String {
        format!(
            r#"{{"images": [{{"filename": "a.jpg", "split": "val", "sentences": [{{"raw": "A dog."}}]}}, {{{fields}}}]}}"#
        )
    }

    #[test]
    fn what_is_wrong_is_located() {
        for (text, expected) in [
            (String::new(), "dataset.json: line 1, column 0: EOF"),
            ("[1]".into(), "dataset.json: line 1: expected an object with `images`, found `[`"),
            ("{}".into(), "line 1, column 2: missing field `images`"),
            (r#"{"images": []}"#.into(), "dataset.json: images: expected one picture or more"),
            (r#"{"images": []} x"#.into(), "line 1, column 16: expected the end of the file"),
            (r#"{"images": 7}"#.into(), "dataset.json: images .. : expected an array, found integer `7`"),
            (
                image(r#""filename": "b.jpg", "split": "val", "sentences": [{"tokens": 7}]"#),
                "images[1].sentences[0].tokens .. : expected an array, found integer `7`",
            ),
            (
                image(r#""filename": "b.jpg", "split": "val", "sentences": [{"tokens": ["a", 7]}]"#),
                "images[1].sentences[0].tokens[1] .. : expected a string, found integer `7`",
            ),
            (image(r#""filename": "b.jpg", "split": "val""#), "images[1] .. : missing field `sentences`"),
            (
                image(r#""filename": "b.jpg", "split": "dev", "sentences": [{"raw": "a"}]"#),
                "images[1].split: expected train, restval, val or test, found `dev`",
            ),
            (
                image(r#""filename": "b.jpg", "split": "val", "sentences": []"#),
                "images[1].sentences: expected one caption or more",
            ),
            (
                image(r#""filename": "b.jpg", "split": "val", "sentences": [{"sentid": 3}]"#),
                "images[1].sentences[0]: expected `tokens` or `raw`, found neither",
            ),
            (
                image(r#""filename": "a.jpg", "split": "val", "sentences": [{"raw": "a"}]"#),
                "images[1].filename: `a.jpg` is images[0] already",
            ),
            (
                image(r#""filename": "../a.jpg", "split": "val", "sentences": [{"raw": "a"}]"#),
                "images[1].filename: expected the name of a file, found `../a.jpg`",
            ),
            (
                image(
                    r#""filename": "a.jpg", "filepath": "/etc", "split": "val", "sentences": [{"raw": "a"}]"#,
                ),
                "images[1].filepath: expected a folder inside",
            ),
        ] {
            let error = read_text(&text).unwrap_err().to_string();
            let parts = expected.split(" .. ");
            assert!(parts.clone().all(|part| error.contains(part)), "expected {expected}\n   found {error}");
        }
    }

    #[test]
    fn the_line_is_named() {
        let text = "{\"images\": [\n  {\"filename\": 5}\n]}";
        let error = read_text(text).unwrap_err().to_string();
        assert_eq!(
            error,
            "dataset.json: images[0].filename (line 2, column 16): expected a string, found integer `5`"
        );
    }

    #[test]
    fn what_is_right_is_read() {
        let text = r#"{"dataset": "x", "images": [
            {"filename": "a.jpg", "filepath": "val2014", "split": "restval", "imgid": 3,
             "sentences": [{"tokens": ["a", "dog"], "raw": "A dog ."}, {"raw": "Two dogs!"}, {"raw": " . "}]},
            {"filename": "b.jpg", "split": "test", "sentences": [{"tokens": ["cat"]}]}]}"#;
        let read = read_text(text).unwrap();
        let [first, second] = read.pictures.as_slice() else { panic!("{read:?}") };
        assert_eq!((first.path.as_path(), first.split), (Path::new("val2014/a.jpg"), "train"));
        let words: Vec<_> = first.captions.iter().map(|caption| caption.words.join(" ")).collect();
        assert_eq!(words, ["a dog", "two dogs"]);
        assert_eq!(second.captions[0].raw, "cat");
        assert_eq!(
            read.notes,
            ["dataset.json: 1 captions without a word were left out, first images[0].sentences[2]"]
        );
    }
}
