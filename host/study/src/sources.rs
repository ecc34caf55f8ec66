//! Which files a trial depends on, so that a changed script or model makes a new trial and an
//! unrelated one does not.
//!
//! A config selects scripts and plugins by name, and scripts select others by name. A file counts
//! when its name is among the words of the config, of the settings, or of a file that counts. That may
//! take in a file too many, which costs a trial; it never leaves one out that is named.

use crate::{Result, StudyError};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Hashes (BLAKE3) of the files below `root` that `texts` name, directly or through one another, by
/// path from `root`.
pub fn sources(root: &Path, texts: &[&str]) -> Result<BTreeMap<String, String>> {
    let known = index(root)?;
    let mut words: Vec<String> = texts.iter().flat_map(|t| words_of(t)).collect();
    let (mut seen, mut hashes) = (BTreeSet::new(), BTreeMap::new());
    while let Some(word) = words.pop() {
        let Some(files) = known.get(&word) else { continue };
        if !seen.insert(word) {
            continue;
        }
        for file in files {
            let bytes = std::fs::read(file).map_err(StudyError::io("read", file))?;
            let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
            hashes.insert(name, blake3::hash(&bytes).to_hex().to_string());
            if file.extension().is_some_and(|x| x == "lua" || x == "toml") {
                words.extend(words_of(&String::from_utf8_lossy(&bytes)));
            }
        }
    }
    Ok(hashes)
}

/// Files by the name under which a config selects them.
fn index(root: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut known: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for kind in entries(&root.join("scripts"))? {
        // Studies start trials, and types are for editors.
        if kind.ends_with("studies") || kind.ends_with("types") {
            continue;
        }
        for script in entries(&kind)?.into_iter().filter(|p| p.extension().is_some_and(|x| x == "lua")) {
            known.entry(stem(&script)).or_default().push(script);
        }
    }
    for kind in entries(&root.join("plugins"))? {
        for plugin in entries(&kind)?.into_iter().filter(|p| p.is_dir()) {
            let files = known.entry(plugin.file_name().unwrap_or_default().to_string_lossy().into_owned());
            collect(&plugin, files.or_default())?;
        }
    }
    Ok(known)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in entries(folder)? {
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => collect(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// What a folder holds, sorted; nothing where there is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let read = std::fs::read_dir(folder).and_then(|list| list.map(|e| e.map(|e| e.path())).collect());
    let mut paths: Vec<PathBuf> = read.map_err(StudyError::io("read", folder))?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Words of letters, digits and `_`, and the same with `-` in them, as names may have it.
fn words_of(text: &str) -> BTreeSet<String> {
    let plain = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let dashed = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    plain.chain(dashed).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_names_through_scripts_and_leaves_the_rest_out() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("scripts/rewards/mix.lua", "return { params = { weights = { cider_d = 1.0 } } }");
        write("scripts/rewards/cider_d.lua", "return {}");
        write("scripts/rewards/bleu.lua", "return {}");
        write("scripts/studies/mix.lua", "return {}");
        write("plugins/models/small-net/model.toml", "name = 'small-net'");
        write("plugins/models/small-net/deep/weights.onnx", "\u{1}bleu");
        let texts = ["reward = \"mix\"", "models.captioner = \"small-net\""];
        let before = sources(root.path(), &texts).unwrap();
        let names: Vec<&str> = before.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "plugins/models/small-net/deep/weights.onnx",
                "plugins/models/small-net/model.toml",
                "scripts/rewards/cider_d.lua",
                "scripts/rewards/mix.lua"
            ]
        );
        write("scripts/rewards/bleu.lua", "return { changed = true }");
        assert_eq!(sources(root.path(), &texts).unwrap(), before);
        write("scripts/rewards/cider_d.lua", "return { changed = true }");
        assert_ne!(sources(root.path(), &texts).unwrap(), before);
    }
}
