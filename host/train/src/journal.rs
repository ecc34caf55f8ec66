//! The journal of a durable script: calls into the host with their results, in order.
//!
//! After a kill the script runs again from its top; calls that are in the journal return what they
//! returned before, and the first one that is not goes on for real.

use crate::{Result, TrainError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// One finished call.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Entry {
    /// Name of the call, as `train`.
    pub call: String,
    /// Its arguments.
    pub arguments: Value,
    /// What it returned.
    pub result: Value,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// A journal, kept in a file of one JSON object a line.
pub struct Journal {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
    next: usize,
}

impl Journal {
    /// Opens a journal or starts one. A last line that was cut off by a kill is dropped.
    pub fn open(path: &Path) -> Result<Self> {
        let text = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => vec![],
            Err(e) => return Err(TrainError::io("read", path)(e)),
        };
        let (mut entries, mut whole) = (vec![], 0);
        for (i, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
            if line.last() != Some(&b'\n') {
                break;
            }
            let entry = serde_json::from_slice(line).map_err(|e| {
                TrainError::folder(path, format!("line {}: expected a recorded call: {e}", i + 1))
            })?;
            entries.push(entry);
            whole += line.len() as u64;
        }
        let file =
            OpenOptions::new().create(true).append(true).open(path).map_err(TrainError::io("open", path))?;
        file.set_len(whole).map_err(TrainError::io("write", path))?;
        Ok(Self { path: path.to_owned(), file, entries, next: 0 })
    }

    /// Position of the next call, from 0.
    pub fn position(&self) -> usize {
        self.next
    }

    /// All finished calls.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The recorded result of the next call, if it was finished before.
    ///
    /// # Errors
    /// When the script now makes another call than the one that is recorded.
    pub fn replay(&mut self, call: &str, arguments: &Value) -> Result<Option<&Entry>> {
        let Some(entry) = self.entries.get(self.next) else { return Ok(None) };
        if entry.call != call || entry.arguments != *arguments {
            let message = format!(
                "call {}: expected {}({}), as recorded, found {call}({arguments})\nhint: the script changed since; start a new run for it",
                self.next + 1,
                entry.call,
                entry.arguments
            );
            return Err(TrainError::folder(&self.path, message));
        }
        self.next += 1;
        Ok(self.entries.get(self.next - 1))
    }

    /// Records a finished call; it is on disk when this returns.
    pub fn record(&mut self, entry: Entry) -> Result<()> {
        let mut line =
            serde_json::to_vec(&entry).map_err(|e| TrainError::folder(&self.path, e.to_string()))?;
        line.push(b'\n');
        let write = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        write.map_err(TrainError::io("write", &self.path))?;
        self.entries.push(entry);
        self.next = self.entries.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(call: &str, n: i64) -> Entry {
        Entry { call: call.into(), arguments: json!({ "n": n }), result: json!(n), seconds: 0.5 }
    }

    #[test]
    fn replays_what_it_recorded_and_drops_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        assert!(journal.replay("train", &json!({ "n": 1 })).unwrap().is_none());
        journal.record(entry("train", 1)).unwrap();
        journal.record(entry("evaluate", 2)).unwrap();
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"call\":\"tra").unwrap();

        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.replay("train", &json!({ "n": 1 })).unwrap(), Some(&entry("train", 1)));
        let error = journal.replay("evaluate", &json!({ "n": 3 })).unwrap_err().to_string();
        assert!(error.contains("call 2: expected evaluate({\"n\":2})"), "{error}");
        assert_eq!(journal.replay("evaluate", &json!({ "n": 2 })).unwrap(), Some(&entry("evaluate", 2)));
        assert!(journal.replay("train", &json!({ "n": 3 })).unwrap().is_none());
        journal.record(entry("train", 3)).unwrap();
        assert_eq!(Journal::open(&path).unwrap().entries().len(), 3);
    }
}
