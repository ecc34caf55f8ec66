//! Finding the ONNX Runtime library.

use crate::{
    Config, Result, RuntimeError,
    error::io,
    fetch::{self, VERSION},
};
use std::{
    env,
    ffi::CStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The oldest minor version (1.x) whose interface is enough.
const OLDEST: u32 = ort::MINOR_VERSION;

/// A library that was found, and where it came from, as `cache`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The library.
    pub path: PathBuf,
    /// How it was found.
    pub source: &'static str,
    /// Its version, as `1.31.1`.
    pub version: String,
}

/// Finds ONNX Runtime: `ORT_DYLIB_PATH`, the config, the cache folder, installed Python packages, the
/// system; where there is none it is fetched into the cache folder, unless `offline` forbids it.
///
/// # Errors
/// [`RuntimeError::Library`] when a path that the user gave holds no usable library;
/// [`RuntimeError::Missing`] when there is none and fetching is forbidden; the errors of fetching.
pub fn locate(config: &Config, say: &dyn Fn(&str)) -> Result<Found> {
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|v| !v.is_empty()) {
        return given(Path::new(&path), "ORT_DYLIB_PATH");
    }
    if let Some(path) = &config.library {
        return given(path, "config");
    }
    let mut looked = vec!["ORT_DYLIB_PATH is not set".into(), "the config names no library".into()];
    let cache = std::path::absolute(&config.cache).map_err(io(&config.cache))?;
    if let Some(path) = fetch::cached(&cache) {
        match usable(&path) {
            Ok(version) => return Ok(Found { path, source: "cache", version }),
            Err(why) => looked.push(format!("{}: {why}", path.display())),
        }
    } else {
        looked.push(format!("nothing in the cache ({})", cache.display()));
    }
    for source in ["Python package", "system"] {
        let mut remark = format!("no {source} holds it");
        for folder in if source == "system" { system() } else { python() } {
            let Some(path) = library_in(&folder) else { continue };
            match usable(&path) {
                Ok(version) => return Ok(Found { path, source, version }),
                Err(why) => remark = format!("{}: {why}", path.display()),
            }
        }
        looked.push(remark);
    }
    if config.offline {
        return Err(RuntimeError::Missing {
            looked,
            hint: format!(
                "run once without --offline, or `python3 -m pip install onnxruntime=={VERSION}`, or set ORT_DYLIB_PATH"
            ),
        });
    }
    let path = fetch::fetch(&cache, say)?;
    match usable(&path) {
        Ok(version) => Ok(Found { path, source: "fetched", version }),
        Err(message) => {
            let hint = "install a build for this system and set ORT_DYLIB_PATH to its library".into();
            Err(RuntimeError::Library { path, message, hint })
        }
    }
}

/// The library at a path that the user gave: the file, or the one within the folder.
fn given(path: &Path, source: &'static str) -> Result<Found> {
    let error = |message: String| RuntimeError::Library {
        path: path.to_owned(),
        message,
        hint: format!("{source} must name libonnxruntime.so 1.{OLDEST} or later, or a folder that holds it"),
    };
    let file = if path.is_dir() { library_in(path) } else { path.is_file().then(|| path.to_owned()) };
    let file = file.ok_or_else(|| error("no such library".into()))?;
    let file = file.canonicalize().map_err(|e| error(e.to_string()))?;
    let version = usable(&file).map_err(error)?;
    Ok(Found { path: file, source, version })
}

/// The version of a library that loads and is new enough, as `1.31.1`; otherwise why it is not used.
fn usable(path: &Path) -> Result<String, String> {
    let version = version(path).map_err(|e| format!("it does not load as ONNX Runtime ({e})"))?;
    match version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()) {
        Some(minor) if minor >= OLDEST && version.starts_with("1.") => Ok(version),
        _ => Err(format!("expected ONNX Runtime 1.{OLDEST} or later, found {version}")),
    }
}

/// Asks a library for its version.
fn version(path: &Path) -> Result<String, libloading::Error> {
    type Base = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: loading runs the library's initialisers; those of ONNX Runtime have no demands. The
    // function and what it returns are used only while the library is loaded.
    unsafe {
        let library = libloading::Library::new(path)?;
        let base = library.get::<Base>(b"OrtGetApiBase")?();
        Ok(CStr::from_ptr(((*base).GetVersionString)()).to_string_lossy().into_owned())
    }
}

/// Whether a file name is that of the library: `libonnxruntime.so`, with or without a version.
pub(crate) fn is_library(name: &str) -> bool {
    name.strip_prefix("libonnxruntime.").is_some_and(|rest| {
        rest == "so"
            || rest.strip_prefix("so.").is_some_and(|v| v.chars().all(|c| c.is_ascii_digit() || c == '.'))
            || rest.ends_with("dylib")
    })
}

/// The library in a folder; of several versions the last by name.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries.filter(|e| e.file_name().to_str().is_some_and(is_library)).map(|e| e.path()).max()
}

/// Folders of Python's `onnxruntime` package, found without importing it.
fn python() -> Vec<PathBuf> {
    let code = "import importlib.util as u\ns = u.find_spec('onnxruntime')\nprint(s.origin if s else '')";
    let output =
        Command::new("python3").args(["-I", "-c", code]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Ok(output) = output else { return vec![] };
    let text = String::from_utf8_lossy(&output.stdout);
    let folder = Path::new(text.trim()).parent();
    folder.filter(|f| f.is_absolute()).map(|f| f.join("capi")).into_iter().collect()
}

/// Folders in which the system keeps libraries.
fn system() -> Vec<PathBuf> {
    let path = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let usual = ["/usr/local/lib", "/usr/lib", "/usr/lib64", "/opt/onnxruntime/lib", "/opt/homebrew/lib"];
    let triple = PathBuf::from(format!("/usr/lib/{}-linux-gnu", env::consts::ARCH));
    let usual = usual.into_iter().map(PathBuf::from).chain([triple]);
    env::split_paths(&path).filter(|p| p.is_absolute()).chain(usual).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_names_are_told_from_their_neighbours() {
        for name in ["libonnxruntime.so", "libonnxruntime.so.1.31.1", "libonnxruntime.1.31.1.dylib"] {
            assert!(is_library(name), "{name}");
        }
        for name in ["libonnxruntime_providers_shared.so", "libonnxruntime.so.bak", "libonnxruntime.a"] {
            assert!(!is_library(name), "{name}");
        }
    }

    #[test]
    fn a_given_path_without_a_library_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = given(folder.path(), "config").unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()) && error.contains("hint:"), "{error}");
        let file = folder.path().join("libonnxruntime.so");
        fs::write(&file, "not a library").unwrap();
        let error = given(folder.path(), "config").unwrap_err().to_string();
        assert!(error.contains("does not load"), "{error}");
    }
}
