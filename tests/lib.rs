//! What tests over the whole project share.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_owned()
}

/// All Rust files of the project, named relative to its root, with their text.
pub fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = vec![];
    for folder in ["host", "plugins", "tests"] {
        visit(&root.join(folder), &mut found);
    }
    found.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    let read =
        |path: &PathBuf| fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    found.iter().map(|path| (name(path), read(path))).collect()
}

fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
        if path.is_dir() {
            // What a build made beside its sources is no source.
            if path.file_name().is_some_and(|name| name != "target") {
                visit(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
