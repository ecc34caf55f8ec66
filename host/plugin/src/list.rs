//! What plugins there are, and in what state.

use std::path::PathBuf;

use ekphrasis_abi::AbiVersion;

use crate::find::{Kind, PluginFolder, folders};
use crate::{Library, PluginError, RewardDescription};

/// One line of a listing.
#[derive(Debug)]
pub struct PluginInfo {
    /// What it is for.
    pub kind: Kind,
    /// Name of its folder.
    pub name: String,
    /// One line about it; empty when its `plugin.toml` cannot be read.
    pub doc: String,
    /// Its folder.
    pub path: PathBuf,
    /// Whether it can be used.
    pub state: PluginState,
}

/// Whether a plugin can be used.
#[derive(Debug)]
pub enum PluginState {
    /// Its library loads.
    Ready {
        /// The library.
        library: PathBuf,
        /// ABI version that it was built for.
        abi: AbiVersion,
        /// The rewards in it.
        rewards: Vec<RewardDescription>,
    },
    /// It has a `Cargo.toml` and is built when it is first used.
    NotBuilt,
    /// It cannot be used, and why.
    Unusable(PluginError),
}

/// Every plugin below the `plugins` folders in `search`, by kind, folder and name. Nothing is built, but
/// libraries are loaded.
pub fn list(search: &[PathBuf]) -> Vec<PluginInfo> {
    let kinds = Kind::ALL.iter().flat_map(|&kind| search.iter().map(move |root| (kind, root)));
    kinds.flat_map(|(kind, root)| folders(root, kind).into_iter().map(move |path| info(kind, path))).collect()
}

fn info(kind: Kind, path: PathBuf) -> PluginInfo {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match PluginFolder::read(&path, kind) {
        Ok(folder) => PluginInfo { kind, name, path, state: state(&folder), doc: folder.doc },
        Err(error) => {
            PluginInfo { kind, name, path, state: PluginState::Unusable(error), doc: String::new() }
        }
    }
}

fn state(folder: &PluginFolder) -> PluginState {
    let opened = match folder.existing_library() {
        Some(library) => Library::open(&library),
        None if folder.has_source() => return PluginState::NotBuilt,
        None => Err(folder.no_library()),
    };
    match opened {
        Ok(library) => PluginState::Ready {
            library: library.path().to_owned(),
            abi: library.abi(),
            rewards: library.rewards().to_vec(),
        },
        Err(error) => PluginState::Unusable(error),
    }
}
