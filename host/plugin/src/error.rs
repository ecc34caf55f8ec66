//! What can go wrong with a plugin. Each message says where, what was expected and found, and what to do.

use std::path::{Path, PathBuf};

use ekphrasis_abi::{ABI, AbiVersion, SYMBOL};

/// An error about a plugin: its folder, its library or a call into it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// No searched folder has this plugin.
    #[error("there is no compiled {kind} `{name}`; looked in {}\nhint: {}", paths(.searched), suggestion(.name, .known))]
    NotFound {
        /// Kind that was asked for.
        kind: &'static str,
        /// Name that was asked for.
        name: String,
        /// Folders that were searched.
        searched: Vec<PathBuf>,
        /// Names of this kind that exist.
        known: Vec<String>,
    },
    /// `plugin.toml` cannot be read, or does not say what it should.
    #[error("{}: {message}\nhint: a plugin.toml holds `name`, `kind`, `doc` and, if need be, `library`", path.display())]
    Manifest {
        /// The `plugin.toml`.
        path: PathBuf,
        /// What is wrong in it, with the line where there is one.
        message: String,
    },
    /// A plugin folder has neither a library nor the means to build one.
    #[error("{}: the plugin has no library; expected {}\nhint: {hint}", folder.display(), looked_for.display())]
    NoLibrary {
        /// The plugin's folder.
        folder: PathBuf,
        /// File that would have done.
        looked_for: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// `cargo build` of the plugin did not give a library.
    #[error("{}: building the plugin failed: {message}\nhint: {hint}", folder.display())]
    Build {
        /// The plugin's folder.
        folder: PathBuf,
        /// What failed.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The file is missing, or the system's loader refuses it.
    #[error("{}: cannot load the library: {message}\nhint: {hint}", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the system says.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// The library lacks the symbol that makes it a plugin.
    #[error("{}: the library does not export `{SYMBOL}`, so it is no Ekphrasis plugin\nhint: in Rust, call `export_plugin!` once in a crate with crate-type = [\"cdylib\"]; in C, define `ekphrasis_plugin` as ekphrasis.h declares it", path.display())]
    NoSymbol {
        /// The library.
        path: PathBuf,
    },
    /// The library was built for an ABI that this host does not speak.
    #[error("{}: the plugin was built for ABI {plugin}, this host has ABI {ABI}\nhint: {}", path.display(), version_hint(*.plugin))]
    Abi {
        /// The library.
        path: PathBuf,
        /// Version that the library asks for.
        plugin: AbiVersion,
    },
    /// The library breaks a rule of the ABI.
    #[error("{}: the plugin breaks the ABI: {message}\nhint: ekphrasis.h says what each field and function must do", path.display())]
    Broken {
        /// The library.
        path: PathBuf,
        /// Field or function, expected and found.
        message: String,
    },
    /// The library has no reward of this name.
    #[error("{}: the plugin has no reward `{name}`\nhint: {}", path.display(), suggestion(.name, .known))]
    UnknownReward {
        /// The library.
        path: PathBuf,
        /// Name that was asked for.
        name: String,
        /// Rewards that it has.
        known: Vec<String>,
    },
    /// The reward has no parameter of this name.
    #[error("reward `{reward}` ({}): unknown parameter `{name}`\nhint: {}", path.display(), suggestion(.name, .known))]
    UnknownParameter {
        /// The library.
        path: PathBuf,
        /// The reward.
        reward: String,
        /// Name that was given.
        name: String,
        /// Parameters that it has.
        known: Vec<String>,
    },
    /// A parameter was set to something that is not a finite number.
    #[error("reward `{reward}`: parameter `{name}`: expected a finite number, found {value}")]
    ParameterValue {
        /// The reward.
        reward: String,
        /// The parameter.
        name: String,
        /// Value that was given.
        value: f64,
    },
    /// The batch that was to be scored contradicts itself.
    #[error("reward `{reward}`, step {step}: wrong batch: {message}")]
    Batch {
        /// The reward.
        reward: String,
        /// Training step.
        step: u64,
        /// Field, expected and found.
        message: String,
    },
    /// The plugin reported an error or panicked.
    #[error("reward `{reward}` ({}), {}: {message}", path.display(), at_step(*.step))]
    Failed {
        /// The library.
        path: PathBuf,
        /// The reward.
        reward: String,
        /// Training step; none while the instance was made.
        step: Option<u64>,
        /// The plugin's own message.
        message: String,
    },
    /// A score is NaN or infinite, or was not written.
    #[error("reward `{reward}` ({}), step {step}, caption {caption} (image {image} of the batch): expected a finite score, found {value}\n  caption: {words}\nhint: NaN is also what a score that the plugin does not write reads as", path.display())]
    Score {
        /// The library.
        path: PathBuf,
        /// The reward.
        reward: String,
        /// Training step.
        step: u64,
        /// Index of the caption in the batch, from 0.
        caption: usize,
        /// Index of its image in the batch, from 0.
        image: usize,
        /// The caption.
        words: String,
        /// The score.
        value: f64,
    },
}

impl PluginError {
    pub(crate) fn broken(path: &Path, message: impl Into<String>) -> Self {
        PluginError::Broken { path: path.to_owned(), message: message.into() }
    }
}

fn at_step(step: Option<u64>) -> String {
    step.map_or_else(|| "while it was set up".to_owned(), |step| format!("step {step}"))
}

fn paths(paths: &[PathBuf]) -> String {
    match paths {
        [] => "no folder at all".to_owned(),
        paths => paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}

/// "did you mean" the nearest known name, or else the list of them.
fn suggestion(found: &str, known: &[String]) -> String {
    let nearest = known.iter().map(|name| (strsim::jaro_winkler(found, name), name));
    match nearest.max_by(|a, b| a.0.total_cmp(&b.0)) {
        None => "there are none".to_owned(),
        Some((likeness, name)) if likeness > 0.8 => format!("did you mean `{name}`?"),
        Some(_) => format!("known are {}", known.join(", ")),
    }
}

fn version_hint(plugin: AbiVersion) -> &'static str {
    if plugin.major < ABI.major {
        "rebuild the plugin with this host's SDK or ekphrasis.h, and adapt it to what changed"
    } else {
        "update the host, or rebuild the plugin with this host's SDK or ekphrasis.h"
    }
}
