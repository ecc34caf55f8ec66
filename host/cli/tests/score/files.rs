//! Files in a folder of their own, and the program run beside them.

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "the project of other tests is not needed here")]
pub mod common;

use common::Ended;
use serde_json::Value;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The folder.
pub struct Files(pub TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// The program here, without fetching anything, with arguments parted by spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ekphrasis"));
        command.current_dir(self.0.path()).arg("--offline").args(arguments.split_whitespace());
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program with an empty cache, so without METEOR's data.
    pub fn run(&self, arguments: &str) -> Ended {
        let mut command = self.command(arguments);
        command.env("EKPHRASIS_CACHE", self.0.path().join("cache")).env_remove("EKPHRASIS_METEOR");
        Ended::of(command.output().unwrap())
    }

    /// What it prints as JSON.
    pub fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{arguments} --json")).ok().out).unwrap()
    }
}
