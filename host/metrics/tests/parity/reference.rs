//! Captions scored by the reference tools, which lie beside the workspace.

use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

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
