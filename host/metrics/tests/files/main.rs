//! Readers of caption files: every form, good and bad, packed and not.

mod bad;
mod forms;
mod pairing;

use ekphrasis_metrics::MetricsError;
use ekphrasis_metrics::files::{CaptionSet, Wording, read};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use tempfile::TempDir;

/// Files in a folder of their own, read by the library.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn read(&self, name: &str, content: &[u8], wording: Wording) -> Result<CaptionSet, MetricsError> {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        read(&path, wording)
    }
}

/// What reading such a file gives.
fn set(content: impl AsRef<[u8]>) -> CaptionSet {
    Folder::new().read("captions", content.as_ref(), Wording::Raw).unwrap()
}

/// What is said of such a file, without the name of the folder.
fn error(content: impl AsRef<[u8]>) -> String {
    let folder = Folder::new();
    let error = folder.read("captions", content.as_ref(), Wording::Raw).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.0.path().display()), "")
}

/// The captions of each image.
fn captions(set: &CaptionSet) -> Vec<Vec<&str>> {
    (0..set.len()).map(|image| set.captions(image).collect()).collect()
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
