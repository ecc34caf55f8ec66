//! What can go wrong in a run.

use std::path::{Path, PathBuf};

/// Every error of this crate; each says where, what was expected, what was found.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The config does not say something that can be done.
    #[error("{}: {message}", place(.file, .field))]
    Config {
        /// The config file, if it came from one.
        file: Option<PathBuf>,
        /// The field, as `phases.gan.batch`.
        field: String,
        /// What was expected, what was found, and a hint.
        message: String,
    },
    /// A model that breaks its contract or cannot be used as asked.
    #[error("model `{model}`: {message}")]
    Model {
        /// Folder name of the plugin.
        model: String,
        /// The graph, the port, what was expected and found.
        message: String,
    },
    /// Something wrong while running a phase.
    #[error("phase `{phase}`, step {step}: {message}")]
    Step {
        /// The phase.
        phase: String,
        /// The step, from 1.
        step: u64,
        /// What happened.
        message: String,
    },
    /// The run folder cannot be used.
    #[error("{}: {message}", path.display())]
    RunFolder {
        /// The folder or a file in it.
        path: PathBuf,
        /// What was expected, what was found, and a hint.
        message: String,
    },
    /// The system refused to read or write.
    #[error("{action} {}: {source}{}", path.display(), hint(.source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Somebody asked the run to stop; its state is saved.
    #[error("stopped as asked; everything up to here is saved")]
    Stopped,
    /// A script failed.
    #[error(transparent)]
    Script(#[from] ekphrasis_script::ScriptError),
    /// A graph could not be built.
    #[error(transparent)]
    Graph(#[from] ekphrasis_graph::GraphError),
    /// A graph could not be differentiated.
    #[error(transparent)]
    Grad(#[from] ekphrasis_grad::GradError),
    /// ONNX Runtime refused.
    #[error(transparent)]
    Runtime(#[from] ekphrasis_runtime::RuntimeError),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] ekphrasis_data::DataError),
    /// A metric could not be computed.
    #[error(transparent)]
    Metrics(#[from] ekphrasis_metrics::MetricsError),
    /// A compiled plugin failed.
    #[error(transparent)]
    Plugin(#[from] ekphrasis_plugin::PluginError),
}

/// A result whose error is a [`TrainError`].
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

impl TrainError {
    /// An error about a field of the config.
    pub fn config(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { file: None, field: field.into(), message: message.into() }
    }

    pub(crate) fn model(model: &str, message: impl Into<String>) -> Self {
        Self::Model { model: model.into(), message: message.into() }
    }

    pub(crate) fn folder(path: &Path, message: impl Into<String>) -> Self {
        Self::RunFolder { path: path.to_owned(), message: message.into() }
    }

    /// Wraps what Lua itself says, outside any script.
    pub(crate) fn lua(error: mlua::Error) -> Self {
        let fault = ekphrasis_script::Fault::new(error.to_string());
        Self::Script(ekphrasis_script::ScriptError::new("the script engine", fault))
    }

    /// Wraps a system error for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn place(file: &Option<PathBuf>, field: &str) -> String {
    match (file, field) {
        (Some(file), "") => file.display().to_string(),
        (Some(file), field) => format!("{}: {field}", file.display()),
        (None, field) => field.to_owned(),
    }
}

fn hint(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::StorageFull => {
            "\nhint: free some space, then go on with `ekphrasis run --resume DIR`; nothing written before is lost"
        }
        std::io::ErrorKind::PermissionDenied => {
            "\nhint: check the permissions, or choose another folder with --out"
        }
        _ => "",
    }
}

/// `did you mean ...?` for a name that is not among `known`.
pub(crate) fn suggestion<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), *name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min();
    match nearest {
        Some((_, name)) => format!("hint: did you mean `{name}`?"),
        None => format!("hint: known are {}", known.join(", ")),
    }
}
