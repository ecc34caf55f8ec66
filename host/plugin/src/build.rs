//! Building a plugin's crate with cargo.

use std::env::consts::DLL_SUFFIX;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::PluginError;

/// How cargo compiles a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Optimised.
    Release,
    /// Quick to compile, with checks.
    Debug,
}

/// The part of a line of cargo's `--message-format=json` that matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default)]
    crate_types: Vec<String>,
}

/// Runs `cargo build` on the crate in `folder` and gives the path of its `cdylib`. Cargo's progress and the
/// compiler's errors go to stderr.
pub fn build(folder: &Path, profile: Profile) -> Result<PathBuf, PluginError> {
    let failed = |message: String, hint: &str| PluginError::Build {
        folder: folder.to_owned(),
        message,
        hint: hint.to_owned(),
    };
    let manifest = folder
        .join("Cargo.toml")
        .canonicalize()
        .map_err(|e| failed(format!("Cargo.toml: {e}"), "a plugin that is to be built has a Cargo.toml"))?;
    let mut command = Command::new(cargo());
    command.args(["build", "--message-format=json-render-diagnostics", "--manifest-path"]).arg(&manifest);
    if profile == Profile::Release {
        command.arg("--release");
    }
    let install = "install Rust (https://rustup.rs), or put a built library into the plugin's folder";
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| failed(format!("cargo: {e}"), install))?;
    let mut library = None;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Lines that are not cargo's (a build script's, say) are none of our business.
            let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
            let ours = message.reason == "compiler-artifact"
                && message.target.crate_types.iter().any(|kind| kind == "cdylib")
                && message.manifest_path.canonicalize().is_ok_and(|path| path == manifest);
            if ours {
                library = message.filenames.into_iter().find(|f| f.to_string_lossy().ends_with(DLL_SUFFIX));
            }
        }
    }
    let status = child.wait().map_err(|e| failed(format!("cargo: {e}"), install))?;
    if !status.success() {
        let hint =
            format!("cargo's own message stands above; `cargo build` in {} repeats it", folder.display());
        return Err(failed(format!("cargo build: {status}"), &hint));
    }
    library.ok_or_else(|| {
        failed(
            "cargo built no shared library".to_owned(),
            "the plugin's Cargo.toml needs `crate-type = [\"cdylib\"]` under [lib]",
        )
    })
}

/// Whether cargo can be run here.
pub(crate) fn cargo_is_there() -> bool {
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new(cargo()).arg("--version")).is_ok_and(|status| status.success())
}

/// The cargo that started this process, or else the one on the PATH.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
