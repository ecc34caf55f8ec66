//! `metrics.jsonl`: one line of numbers for every few steps.

use crate::{Result, TrainError};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// Steps that one line averages over; checkpoints fall on its ends.
pub const WINDOW: u64 = 10;

/// Appends to `metrics.jsonl`.
pub struct Recorder {
    path: PathBuf,
    file: File,
    bytes: u64,
    sums: BTreeMap<String, (f64, u64)>,
}

impl Recorder {
    /// Opens the file and drops what is beyond its first `bytes` bytes.
    ///
    /// Where the file is shorter than that, somebody took lines away; it goes on from its end.
    pub fn open(path: &Path, bytes: u64) -> Result<Self> {
        let file =
            OpenOptions::new().create(true).append(true).open(path).map_err(TrainError::io("open", path))?;
        let length = file.metadata().map_err(TrainError::io("read", path))?.len();
        let bytes = bytes.min(length);
        file.set_len(bytes).map_err(TrainError::io("write", path))?;
        Ok(Self { path: path.to_owned(), file, bytes, sums: BTreeMap::new() })
    }

    /// Adds the numbers of one step.
    pub fn add(&mut self, values: &[(String, f64)]) {
        for (name, value) in values {
            let (sum, count) = self.sums.entry(name.clone()).or_default();
            *sum += value;
            *count += 1;
        }
    }

    /// Writes the means since the last line, and gives them.
    pub fn line(&mut self, phase: &str, step: u64, global_step: u64) -> Result<Vec<(String, f64)>> {
        let means: Vec<(String, f64)> = std::mem::take(&mut self.sums)
            .into_iter()
            .map(|(n, (sum, count))| (n, sum / count as f64))
            .collect();
        let mut line = json!({ "global_step": global_step, "phase": phase, "step": step });
        if let Some(map) = line.as_object_mut() {
            map.extend(means.iter().map(|(n, v)| (n.clone(), json!(v))));
        }
        self.append(&line)?;
        Ok(means)
    }

    /// Writes a line of its own, as for an evaluation.
    pub fn append(&mut self, line: &serde_json::Value) -> Result<()> {
        let text = format!("{line}\n");
        self.file.write_all(text.as_bytes()).map_err(TrainError::io("write", &self.path))?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Makes everything so far durable and gives its length in bytes.
    pub fn sync(&mut self) -> Result<u64> {
        self.file.sync_data().map_err(TrainError::io("sync", &self.path))?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_line_holds_means_and_a_resumed_file_only_what_was_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut recorder = Recorder::open(&path, 0).unwrap();
        recorder.add(&[("loss".into(), 1.0), ("rare".into(), 5.0)]);
        recorder.add(&[("loss".into(), 2.0)]);
        let means = recorder.line("gan", 2, 7).unwrap();
        assert_eq!(means, [("loss".to_owned(), 1.5), ("rare".to_owned(), 5.0)]);
        let bytes = recorder.sync().unwrap();
        let kept = fs::read_to_string(&path).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&kept).unwrap(),
            json!({ "global_step": 7, "phase": "gan", "step": 2, "loss": 1.5, "rare": 5.0 })
        );
        assert_eq!(bytes, kept.len() as u64);

        // After the checkpoint: a line, and one that a kill cut short.
        recorder.append(&json!({ "global_step": 17 })).unwrap();
        drop(recorder);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"glo").unwrap();
        let mut recorder = Recorder::open(&path, bytes).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), kept);
        recorder.append(&json!({ "global_step": 9 })).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{kept}{{\"global_step\":9}}\n"));

        // A file that was taken away is not made up of zeros.
        fs::remove_file(&path).unwrap();
        let mut recorder = Recorder::open(&path, bytes).unwrap();
        assert_eq!((recorder.sync().unwrap(), fs::read(&path).unwrap()), (0, vec![]));
    }
}
