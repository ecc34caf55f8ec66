//! A full disk stops a run with a word about it; with more space, the run goes on and loses nothing.

#[allow(dead_code, reason = "not every test file needs all of it")]
mod common;

use common::{Ended, Project};
use std::{fs, path::Path, process::Command};

/// Runs in a mount namespace of its own, so that no mount outlives it.
const SCRIPT: &str = r#"
mkdir disk
mount -t tmpfs -o size="$ROOM" none disk
"$EKPHRASIS" run configs/tiny.toml --out disk/run && { echo "the disk was never full"; exit 3; } || test $? = 1
cp disk/run/metrics.jsonl before.jsonl
ls -A disk/run disk/run/checkpoints > before.txt
mount -o remount,size=256m disk
"$EKPHRASIS" run --resume disk/run
cp disk/run/summary.json disk/run/metrics.jsonl .
"#;

/// `script` as root of a namespace; none where the system does not allow that.
fn namespaced(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-ec", script]);
    command
}

/// Bytes of a folder in pages.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let sizes = entries.map(|entry| match entry.metadata().unwrap() {
        found if found.is_dir() => size(&entry.path()),
        found => found.len().next_multiple_of(4096),
    });
    sizes.sum()
}

#[test]
fn a_run_goes_on_when_there_is_space_again() {
    let project = Project::new();
    fs::create_dir(project.path("probe")).unwrap();
    let mut probe = namespaced("mount -t tmpfs -o size=1m none probe");
    if !probe.current_dir(project.path("")).output().is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: needs `unshare` and the right to mount a tmpfs");
        return;
    }
    project.ekphrasis("run configs/tiny.toml --out runs/whole").ok();
    let checkpoints = project.path("runs/whole/checkpoints");
    // Enough for the first checkpoints, which hold fewer optimisers, and too little for the last ones.
    let room = size(&project.path("runs/whole")) - size(&checkpoints) / 4;

    let mut command = namespaced(SCRIPT);
    command.current_dir(project.path("")).env("ROOM", room.to_string());
    let ended = Ended::of(command.env("EKPHRASIS", env!("CARGO_BIN_EXE_ekphrasis")).output().unwrap()).ok();
    for part in ["disk/run", "No space left on device", "hint: free some space", "--resume"] {
        assert!(ended.err.contains(part), "expected {part:?} in:\n{}", ended.err);
    }
    let read = |name: &str| fs::read_to_string(project.path(name)).unwrap();
    let whole = read("runs/whole/metrics.jsonl").lines().count();
    let before = read("before.jsonl").lines().count();
    assert!(0 < before && before < whole, "it stopped after {before} of {whole} lines");
    assert!(!read("before.txt").contains(".writing-"), "no part of a file stays:\n{}", read("before.txt"));

    let summary = |name: &str| serde_json::from_str::<serde_json::Value>(&read(name)).unwrap();
    let (whole, resumed) = (summary("runs/whole/summary.json"), summary("summary.json"));
    for part in ["weights_blake3", "captioner", "gan", "examples", "steps"] {
        assert_eq!(whole[part], resumed[part], "{part}");
    }
}
