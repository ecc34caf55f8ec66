//! Captions scored by the reference tools, which lie beside the workspace.

use crate::table::Table;
use ekphrasis_metrics::tokenize_captions;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder of reference scores; `None`, with a line on stderr, where it is absent.
pub fn coco_parity() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/coco_parity");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no reference scores at {}", folder.display());
    None
}

/// A JSON file, unpacked if its name ends in `.gz`.
pub fn json(path: PathBuf) -> Value {
    let mut text = String::new();
    let file = File::open(&path).unwrap();
    if path.extension().is_some_and(|e| e == "gz") {
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
    } else {
        let mut file = file;
        file.read_to_string(&mut text).unwrap();
    }
    serde_json::from_str(&text).unwrap()
}

pub fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

pub fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The largest deviation of `found` from `expected`, relative to `scale` of the expected value.
pub fn deviation(found: &[f64], expected: &[f64], scale: fn(f64) -> f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let of = |(&f, &e): (&f64, &f64)| {
        assert!(f.is_finite());
        if f == e { 0.0 } else { (f - e).abs() / scale(e) }
    };
    found.iter().zip(expected).map(of).fold(0.0, f64::max)
}

/// A set's tokenised captions, in the order of its expected scores.
pub struct Captions {
    pub hypotheses: Vec<String>,
    pub references: Vec<Vec<String>>,
    /// Scores of each image by metric.
    pub expected: Value,
}

impl Captions {
    /// From the raw captions of a set, tokenised here, its tokens compared.
    pub fn from_raw(folder: &Path, set: &str, references_of: &str, table: &mut Table) -> Self {
        let expected = json(folder.join(set).join("expected_per_image.json.gz"));
        let mut part = |name: &str, of: &str| {
            let raw = json(folder.join(of).join(format!("{name}.json.gz")));
            let reference = json(folder.join(of).join(format!("{name}_tokenized.json.gz")));
            tokenized(&raw, &reference, &format!("tokens of {name}"), set, table)
        };
        let (hypotheses, references) = (part("cands", set), part("refs", references_of));
        let ids = strings(&expected["ids"]);
        Self {
            hypotheses: ids.iter().map(|id| hypotheses[id][0].clone()).collect(),
            references: ids.iter().map(|id| references[id].clone()).collect(),
            expected: expected["scores"].clone(),
        }
    }

    /// Cases that come tokenised.
    pub fn edge_cases(folder: &Path) -> Self {
        let cases = json(folder.join("edge_cases/cases.json"));
        let expected = json(folder.join("edge_cases/expected_per_case.json"));
        let ids = strings(&expected["ids"]).into_iter();
        let (hypotheses, references) = ids
            .map(|id| (cases[&id]["cand"].as_str().unwrap().to_owned(), strings(&cases[&id]["refs"])))
            .unzip();
        Self { hypotheses, references, expected: expected["scores"].clone() }
    }
}

/// Captions of each image, tokenised as one file in the order of the raw ones.
fn tokenized(
    raw: &Value,
    expected: &Value,
    what: &str,
    set: &str,
    table: &mut Table,
) -> HashMap<String, Vec<String>> {
    let captions = |value: &Value| match value {
        Value::String(caption) => vec![caption.clone()],
        list => strings(list),
    };
    let raw: Vec<(&String, Vec<String>)> =
        raw.as_object().unwrap().iter().map(|(id, value)| (id, captions(value))).collect();
    let all: Vec<&String> = raw.iter().flat_map(|(_, captions)| captions).collect();
    let mut tokens = tokenize_captions(&all).into_iter();
    let (mut found, mut differences) = (HashMap::new(), vec![]);
    for (id, captions_of_image) in &raw {
        let tokens: Vec<String> = tokens.by_ref().take(captions_of_image.len()).collect();
        let expected = captions(&expected[id.as_str()]);
        assert_eq!(tokens.len(), expected.len());
        for ((raw, found), expected) in captions_of_image.iter().zip(&tokens).zip(&expected) {
            differences.extend(difference(set, raw, found, expected));
        }
        found.insert((*id).clone(), tokens);
    }
    table.tokens(what, set, all.len(), &differences);
    found
}

/// What to say of tokens that differ.
pub fn difference(what: &str, text: &str, found: &str, expected: &str) -> Option<String> {
    (found != expected).then(|| format!("{what} {text:?}\n  expected {expected:?}\n  found    {found:?}"))
}
