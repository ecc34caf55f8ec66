//! The folder of a run: what it ran, how far it got, what came out.

use crate::{Config, FolderLock, Layout, Result, TrainError, files};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

/// A run folder that this process holds: no other process can use it meanwhile.
pub struct RunFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl RunFolder {
    /// Makes the folder of a new run: config, copies of scripts and plugins, and what they were made from.
    ///
    /// # Errors
    /// When the folder holds a run already, or another process uses it.
    pub fn create(path: &Path, config: &Config, layout: &Layout) -> Result<Self> {
        if path.join("config.toml").exists() {
            let message = "it holds a run already\nhint: go on with it by `--resume`, or choose another folder with `--out`";
            return Err(TrainError::folder(path, message));
        }
        std::fs::create_dir_all(path).map_err(TrainError::io("create folder", path))?;
        let this = Self::lock(path)?;
        files::copy_folder(&layout.root.join("scripts"), &this.path.join("scripts"))?;
        for choice in config.models.values() {
            let from = layout.model(&choice.script)?;
            files::copy_folder(&from, &this.path.join("plugins/models").join(&choice.script))?;
        }
        this.copy_rewards(config, layout)?;
        this.write_json("manifest.json", &manifest(&this.path, &layout.root)?)?;
        if let Some(diff) = git(&layout.root, &["diff", "HEAD"]).filter(|d| !d.is_empty()) {
            files::write(&this.path.join("git.diff"), diff.as_bytes())?;
        }
        // Last: a folder with a config is whole.
        files::write(&this.path.join("config.toml"), config.to_toml()?.as_bytes())?;
        Ok(this)
    }

    /// Opens the folder of a run to go on with it.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join("config.toml").is_file() {
            return Err(TrainError::folder(path, "expected the folder of a run, found no config.toml in it"));
        }
        Self::lock(path)
    }

    fn lock(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(TrainError::io("read", path))?;
        let lock = FolderLock::take(&path, "run.lock", "using this run")?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its config.
    pub fn config(path: &Path) -> Result<Config> {
        Config::load(&path.join("config.toml"), &[])
    }

    /// Writes a JSON file.
    pub fn write_json(&self, name: &str, value: &serde_json::Value) -> Result<()> {
        let path = self.path.join(name);
        let text =
            serde_json::to_string_pretty(value).map_err(|e| TrainError::folder(&path, e.to_string()))?;
        files::write(&path, text.as_bytes())
    }

    /// Copies compiled rewards, so that the run goes on with the ones it started with.
    fn copy_rewards(&self, config: &Config, layout: &Layout) -> Result<()> {
        let named = config.phases.values().filter_map(|p| p.rollout.as_ref()).map(|r| &r.reward.script);
        for name in named {
            let from = layout.root.join("plugins/rewards").join(name);
            if !from.join("plugin.toml").is_file()
                || layout.script(ekphrasis_script::Kind::Reward, name).is_ok()
            {
                continue;
            }
            let folder = ekphrasis_plugin::PluginFolder::read(&from, ekphrasis_plugin::Kind::Reward)?;
            let library = folder.library_path(ekphrasis_plugin::Profile::Release)?;
            let to = self.path.join("plugins/rewards").join(name);
            std::fs::create_dir_all(&to).map_err(TrainError::io("create folder", &to))?;
            let file = library.file_name().unwrap_or_default();
            std::fs::copy(&library, to.join(file)).map_err(TrainError::io("copy", &library))?;
            let text = format!(
                "name = {:?}\nkind = \"reward\"\ndoc = {:?}\nlibrary = {:?}\n",
                name,
                folder.doc,
                file.to_string_lossy()
            );
            files::write(&to.join("plugin.toml"), text.as_bytes())?;
        }
        Ok(())
    }
}

/// What the run was made from: versions, commit, and a hash of each copied file.
fn manifest(folder: &Path, root: &Path) -> Result<serde_json::Value> {
    let mut hashes = BTreeMap::new();
    for part in ["scripts", "plugins"] {
        hash_folder(&folder.join(part), part, &mut hashes)?;
    }
    Ok(json!({
        "ekphrasis": env!("CARGO_PKG_VERSION"),
        "git_commit": git(root, &["rev-parse", "HEAD"]).map(|s| s.trim().to_owned()),
        "blake3": hashes,
    }))
}

fn hash_folder(folder: &Path, name: &str, hashes: &mut BTreeMap<String, String>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(TrainError::io("read", folder))? {
        let entry = entry.map_err(TrainError::io("read", folder))?;
        let (path, name) = (entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy()));
        if path.is_dir() {
            hash_folder(&path, &name, hashes)?;
        } else {
            let bytes = std::fs::read(&path).map_err(TrainError::io("read", &path))?;
            hashes.insert(name, blake3::hash(&bytes).to_hex().to_string());
        }
    }
    Ok(())
}

/// What git says, where there is git and a repository.
fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let out = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}
