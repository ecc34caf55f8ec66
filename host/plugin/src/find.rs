//! Finding a plugin's folder by name: `<plugins>/<kind>s/<name>/plugin.toml`.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::PluginError;
use crate::build::{Profile, build, cargo_is_there};

const MANIFEST: &str = "plugin.toml";

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Scores sampled captions.
    Reward,
}

impl Kind {
    /// Every kind.
    pub const ALL: &[Kind] = &[Kind::Reward];

    /// Its name, as in `plugin.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Reward => "reward",
        }
    }

    /// Its folder below `plugins`.
    pub fn folder(self) -> &'static str {
        match self {
            Kind::Reward => "rewards",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    kind: Kind,
    doc: String,
    library: Option<PathBuf>,
}

/// A folder with a `plugin.toml`.
#[derive(Clone, Debug)]
pub struct PluginFolder {
    /// Name of the plugin and of its folder.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// One line about it.
    pub doc: String,
    /// The folder.
    pub path: PathBuf,
    library: Option<PathBuf>,
}

impl PluginFolder {
    /// Reads `<folder>/plugin.toml`.
    pub fn read(folder: &Path, kind: Kind) -> Result<Self, PluginError> {
        let path = folder.join(MANIFEST);
        let wrong = |message: String| PluginError::Manifest { path: path.clone(), message };
        let text = fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
        let manifest: Manifest =
            toml::from_str(&text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        let stem = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if manifest.name != stem {
            let message =
                format!("name: expected `{stem}`, as the folder is called, found `{}`", manifest.name);
            return Err(wrong(message));
        }
        if manifest.kind != kind {
            let message = format!(
                "kind: expected `{kind}`, as the folder lies in `{}`, found `{}`",
                kind.folder(),
                manifest.kind
            );
            return Err(wrong(message));
        }
        let library = manifest.library.map(|library| folder.join(library));
        let Manifest { name, doc, .. } = manifest;
        Ok(PluginFolder { name, kind, doc, path: folder.to_owned(), library })
    }

    /// The plugin's library, ready to be opened: the one that `plugin.toml` names, else one that lies in the
    /// folder, else what `cargo build` makes of the folder's `Cargo.toml`, else (without cargo on this machine)
    /// one built earlier.
    pub fn library_path(&self, profile: Profile) -> Result<PathBuf, PluginError> {
        if let Some(path) = self.placed() {
            return Ok(path);
        }
        if self.has_source() && cargo_is_there() {
            // Also when a built one exists: cargo knows whether that is up to date.
            return build(&self.path, profile);
        }
        self.built().ok_or_else(|| self.no_library())
    }

    /// The library as it is now, without building: placed there, or built by cargo earlier.
    pub fn existing_library(&self) -> Option<PathBuf> {
        self.placed().or_else(|| self.built())
    }

    /// Whether the library is made from a `Cargo.toml` in the folder.
    pub(crate) fn has_source(&self) -> bool {
        self.library.is_none() && self.path.join("Cargo.toml").is_file()
    }

    pub(crate) fn no_library(&self) -> PluginError {
        PluginError::NoLibrary {
            folder: self.path.clone(),
            looked_for: self.place(),
            hint: match (&self.library, self.has_source()) {
                (Some(_), _) => "put it there, or correct `library` in plugin.toml",
                (None, true) => {
                    "install Rust, so that cargo can build the plugin, or put the built library there"
                }
                (None, false) => "put it there, name it as `library` in plugin.toml, or add a Cargo.toml",
            },
        }
    }

    /// Where a library that cargo does not make is expected.
    fn place(&self) -> PathBuf {
        self.library.clone().unwrap_or_else(|| self.path.join(self.file_name()))
    }

    fn placed(&self) -> Option<PathBuf> {
        Some(self.place()).filter(|path| path.is_file())
    }

    /// The newest library in a `target` folder of this folder or one above it.
    fn built(&self) -> Option<PathBuf> {
        if !self.has_source() {
            return None;
        }
        let folder = self.path.canonicalize().ok()?;
        let configured = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let targets = configured.into_iter().chain(folder.ancestors().map(|above| above.join("target")));
        let files = targets.flat_map(|target| {
            ["release", "debug"].map(|profile| target.join(profile).join(self.file_name()))
        });
        files
            .filter(|path| path.is_file())
            .max_by_key(|path| fs::metadata(path).and_then(|m| m.modified()).ok())
    }

    fn file_name(&self) -> String {
        format!("{DLL_PREFIX}{}{DLL_SUFFIX}", self.name.replace('-', "_"))
    }
}

/// Finds plugin `name` of a kind. `search` holds `plugins` folders; the first that has it wins.
pub fn find(name: &str, kind: Kind, search: &[PathBuf]) -> Result<PluginFolder, PluginError> {
    // A name is one folder's name, not a path that leads elsewhere.
    let known = || search.iter().flat_map(|root| folders(root, kind)).collect::<Vec<_>>();
    let found = known().into_iter().find(|folder| folder.file_name().is_some_and(|stem| stem == name));
    match found {
        Some(folder) => PluginFolder::read(&folder, kind),
        None => Err(PluginError::NotFound {
            kind: kind.name(),
            name: name.to_owned(),
            searched: search.iter().map(|root| root.join(kind.folder())).collect(),
            known: known()
                .iter()
                .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
                .collect(),
        }),
    }
}

/// Folders of a kind below a `plugins` folder that have a `plugin.toml`, by name.
pub(crate) fn folders(root: &Path, kind: Kind) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join(kind.folder())) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.join(MANIFEST).exists()).collect();
    folders.sort();
    folders
}
