//! A project folder with a program that stands in for `ekphrasis`, and an observer that writes down what it sees.
#![allow(dead_code, missing_docs)]

use ekphrasis_script::Limits;
use ekphrasis_study::{Counts, Failure, Local, Observer, Settings, StudyOptions, Trial};
use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(this.path("bin")).unwrap();
        // A link: Linux executes no file that is still open for writing, as a copy would be in the children that
        // the other tests are just starting.
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/run.sh");
        std::os::unix::fs::symlink(program, this.path("bin/ekphrasis")).unwrap();
        this.write(
            "configs/a.toml",
            "name = \"a\"\nschedule = \"plain\"\nmodels = {}\ndata = { format = \"shapes\" }\n",
        );
        this.write("scripts/schedules/plain.lua", "return {}");
        this.write("plugins/README.md", "");
        this
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    /// What the program was asked, call by call.
    pub fn calls(&self) -> Vec<String> {
        self.read("bin/calls.txt").lines().map(str::to_owned).collect()
    }

    pub fn local(&self, jobs: usize) -> Local {
        let executable = self.path("bin/ekphrasis");
        Local { executable, arguments: vec![], root: self.root().to_owned(), jobs, limit: None }
    }

    pub fn trial(&self, arm: &str, seed: u64, max_length: usize) -> Trial {
        let settings = Settings::from([("max_length".to_owned(), max_length.to_string())]);
        let (config, trials) = (self.path("configs/a.toml"), self.path("trials"));
        Trial::plan(self.root(), &trials, &config, arm, seed, &settings).unwrap()
    }

    /// Options for a study with this text after `api` and `doc`.
    pub fn study(&self, text: &str) -> StudyOptions {
        self.write("scripts/studies/s.lua", &format!("return {{ api = 1, doc = \"A study.\",\n{text}\n}}"));
        StudyOptions {
            script: self.path("scripts/studies/s.lua"),
            root: self.root().to_owned(),
            out: None,
            params: serde_json::json!({}),
            jobs: 2,
            dry_run: false,
            executable: self.path("bin/ekphrasis"),
            arguments: vec![],
            limit: None,
            limits: Limits::default(),
        }
    }
}

#[derive(Default)]
pub struct Seen(pub Vec<String>);

impl Seen {
    pub fn new() -> Rc<RefCell<Self>> {
        Rc::default()
    }
}

impl Observer for Seen {
    fn note(&mut self, text: &str) {
        self.0.push(format!("note {text}"));
    }
    fn launch(&mut self, counts: Counts) {
        self.0.push(format!("launch {} of {} done", counts.done, counts.total));
    }
    fn started(&mut self, trial: &Trial, resumed: bool, counts: Counts) {
        let how = if resumed { "resumed" } else { "started" };
        self.0.push(format!("{how} {} seed {}, {} running", trial.arm, trial.seed, counts.running));
    }
    fn finished(&mut self, trial: &Trial, seconds: f64, counts: Counts) {
        assert!(seconds > 0.0);
        self.0.push(format!("finished {} seed {}, {} done", trial.arm, trial.seed, counts.done));
    }
    fn failed(&mut self, trial: &Trial, failure: &Failure, counts: Counts) {
        let Counts { failed, .. } = counts;
        self.0
            .push(format!("failed {} seed {}, {failed} failed: {}", trial.arm, trial.seed, failure.message));
    }
    fn table(&mut self, text: &str) {
        self.0.push(format!("table {text}"));
    }
}
