//! The folder of a study: its lock, its journal, and what came out.

use crate::{Planned, Result, StudyError, StudyResult, Table, table::CSV_HEADER};
use ekphrasis_train::{Entry, FolderLock, Journal, files};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The folder of a study that this process holds.
pub(crate) struct Record {
    folder: PathBuf,
    journal: Journal,
    about: Value,
    _lock: FolderLock,
}

impl Record {
    /// Opens the folder of a study or makes one; `about` stands first in `results.json`.
    pub fn open(folder: &Path, about: Value) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(StudyError::io("create folder", folder))?;
        let lock = FolderLock::take(folder, "study.lock", "running this study")?;
        let journal = Journal::open(&folder.join("journal.jsonl"))?;
        Ok(Self { folder: folder.to_owned(), journal, about, _lock: lock })
    }

    /// The recorded results of the next call, if it was this one.
    pub fn replay(&mut self, call: &str, arguments: &Value) -> Result<Option<Vec<StudyResult>>> {
        let next = self.journal.entries().get(self.journal.position());
        if !next.is_some_and(|e| e.call == call && e.arguments == *arguments) {
            return Ok(None);
        }
        let Some(entry) = self.journal.replay(call, arguments)? else { return Ok(None) };
        let path = self.folder.join("journal.jsonl");
        let results = serde_json::from_value(entry.result.clone());
        results.map(Some).map_err(|e| StudyError::found(&path, format!("expected results of trials: {e}")))
    }

    /// Records a finished call and gives its results as a replay will give them. Where the journal goes on with
    /// other calls, it is kept under the name that is returned, and a new one goes on from here.
    pub fn add(
        &mut self,
        call: &str,
        arguments: Value,
        results: &[StudyResult],
        time: Duration,
    ) -> Result<(Vec<StudyResult>, Option<PathBuf>)> {
        let kept = match self.journal.position() < self.journal.entries().len() {
            true => Some(self.fork()?),
            false => None,
        };
        // Through text, as a replay reads them: reading may round the last bit of a number.
        let result: Value = json!(results);
        let read = serde_json::from_str(&result.to_string());
        let read = read.map_err(|e| StudyError::found(&self.folder, e.to_string()))?;
        let seconds = time.as_secs_f64();
        self.journal.record(Entry { call: call.to_owned(), arguments, result, seconds })?;
        Ok((read, kept))
    }

    /// Keeps the journal under another name and goes on with the calls up to here.
    fn fork(&mut self) -> Result<PathBuf> {
        let path = self.folder.join("journal.jsonl");
        let free = (1..).map(|n| self.folder.join(format!("journal.{n}.jsonl"))).find(|p| !p.exists());
        let kept = free.unwrap_or_else(|| self.folder.join("journal.old.jsonl"));
        let text = std::fs::read_to_string(&path).map_err(StudyError::io("read", &path))?;
        files::write(&kept, text.as_bytes())?;
        let before = self.journal.position();
        let lines: String = text.split_inclusive('\n').take(before).collect();
        files::write(&path, lines.as_bytes())?;
        let mut journal = Journal::open(&path)?;
        for entry in self.journal.entries().iter().take(before) {
            journal.replay(&entry.call, &entry.arguments)?;
        }
        self.journal = journal;
        Ok(kept)
    }

    /// Writes `results.json`, and `table.md` and `table.csv` once there is a table.
    pub fn write_outcome(
        &self,
        planned: &[Planned],
        results: &[StudyResult],
        tables: &[Table],
    ) -> Result<()> {
        let trials = results.iter().map(|result| {
            let settings = planned.iter().find(|p| p.trial.name == result.name).map(|p| &p.trial.settings);
            json!({ "name": result.name, "arm": result.arm, "seed": result.seed, "settings": settings,
                "folder": format!("trials/{}", result.name), "summary": result.summary })
        });
        let outcome = json!({ "study": self.about, "trials": trials.collect::<Vec<_>>(), "tables": tables });
        files::write(&self.folder.join("results.json"), format!("{outcome:#}\n").as_bytes())?;
        if !tables.is_empty() {
            let markdown: Vec<String> = tables.iter().map(Table::markdown).collect();
            files::write(&self.folder.join("table.md"), markdown.join("\n").as_bytes())?;
            let rows: String = tables.iter().enumerate().map(|(i, t)| t.csv(i + 1)).collect();
            files::write(&self.folder.join("table.csv"), format!("{CSV_HEADER}{rows}").as_bytes())?;
        }
        Ok(())
    }
}
