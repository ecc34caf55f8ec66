//! The folder of a run belongs to one process at a time, and is never overwritten.

use ekphrasis_train::{Config, Layout, RunFolder};
use std::{fs, path::Path};

fn config() -> Config {
    let text = "name = \"small\"\nschedule = \"supervised\"\ndata = { format = \"shapes\" }\n\
                models = { captioner = \"lstm_captioner\" }\n";
    Config::from_table(toml::from_str(text).unwrap()).unwrap()
}

fn layout(folder: &Path) -> Layout {
    Layout { root: Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), cache: folder.join("cache") }
}

#[test]
fn a_run_takes_along_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = RunFolder::create(&path, &config(), &layout(folder.path())).unwrap();
    for file in ["scripts/schedules/supervised.lua", "plugins/models/lstm_captioner/model.lua"] {
        let original = fs::read(layout(folder.path()).root.join(file)).unwrap();
        assert_eq!(fs::read(run.path().join(file)).unwrap(), original, "{file}");
    }
    assert!(!run.path().join("plugins/models/generator").exists(), "only models that it names");
    assert_eq!(RunFolder::config(&path).unwrap().to_toml().unwrap(), config().to_toml().unwrap());

    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(path.join("manifest.json")).unwrap()).unwrap();
    let file = "plugins/models/lstm_captioner/model.lua";
    let hash = blake3::hash(&fs::read(path.join(file)).unwrap()).to_hex().to_string();
    assert_eq!(manifest["blake3"][file], hash);
}

#[test]
fn a_second_user_is_turned_away_and_told_which_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let first = RunFolder::create(&path, &config(), &layout(folder.path())).unwrap();
    let shown = path.display().to_string();
    let refused = |result: ekphrasis_train::Result<RunFolder>, parts: &[&str]| {
        let error = result.err().map(|e| e.to_string()).unwrap_or_default();
        for part in parts.iter().chain([&shown.as_str()]) {
            assert!(error.contains(part), "expected {part:?} in:\n{error}");
        }
    };
    refused(RunFolder::open(&path), &["another process is using this run", "hint: wait until it ends"]);
    drop(first);
    let second = RunFolder::open(&path).unwrap();
    refused(RunFolder::open(&path), &["another process is using this run"]);
    drop(second);
    refused(
        RunFolder::create(&path, &config(), &layout(folder.path())),
        &["holds a run already", "hint: go on with it by `--resume`"],
    );
    fs::remove_file(path.join("config.toml")).unwrap();
    refused(RunFolder::open(&path), &["found no config.toml"]);
}
