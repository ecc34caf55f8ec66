//! Fetching ONNX Runtime once, with pip, into the cache folder.

use crate::{Result, RuntimeError, error::io, locate::is_library};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// The version that is fetched.
pub const VERSION: &str = "1.31.1";

/// How the names of temporary folders in the cache begin.
const PREFIX: &str = ".fetching-";

/// What is pinned for one architecture. The wheels of all CPython versions hold the same library, so
/// one hash covers them; the wheel of one version is asked for whatever Python runs pip.
struct Pinned {
    arch: &'static str,
    /// SHA-256 of the library within the wheel.
    sha256: &'static str,
    /// Bytes of the library.
    size: u64,
    /// Bytes of the wheel, for the progress bar.
    wheel: u64,
}

const PINNED: [Pinned; 2] = [
    Pinned {
        arch: "x86_64",
        sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
        size: 29_352_200,
        wheel: 23_760_988,
    },
    Pinned {
        arch: "aarch64",
        sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
        size: 25_265_040,
        wheel: 21_420_803,
    },
];

fn pinned() -> Option<&'static Pinned> {
    PINNED.iter().find(|p| env::consts::OS == "linux" && p.arch == env::consts::ARCH)
}

fn target(cache: &Path) -> PathBuf {
    let folder = format!("onnxruntime-{VERSION}-{}", env::consts::ARCH);
    cache.join(folder).join(format!("libonnxruntime.so.{VERSION}"))
}

/// The library that was fetched before, if it is there in full.
pub fn cached(cache: &Path) -> Option<PathBuf> {
    let path = target(cache);
    let size = fs::metadata(&path).ok()?.len();
    (size == pinned()?.size).then_some(path)
}

fn error(message: impl Into<String>, hint: &str) -> RuntimeError {
    RuntimeError::Fetch { version: VERSION, message: message.into(), hint: hint.into() }
}

/// Fetches the library into the cache folder and returns its path. Two processes that start at once
/// fetch it once; whatever fails, nothing half-written stays.
///
/// # Errors
/// [`RuntimeError::Fetch`] without `python3` or pip, or when pip fails; [`RuntimeError::Hash`] when the
/// file is not the pinned one; [`RuntimeError::Io`] when it cannot be written.
pub fn fetch(cache: &Path, say: &dyn Fn(&str)) -> Result<PathBuf> {
    let pinned = pinned().ok_or_else(|| {
        error(
            format!("no build is pinned for {}-{}", env::consts::OS, env::consts::ARCH),
            "install ONNX Runtime and set ORT_DYLIB_PATH to its library",
        )
    })?;
    fs::create_dir_all(cache).map_err(io(cache))?;
    let lock_path = cache.join("onnxruntime.lock");
    let lock = File::create(&lock_path).map_err(io(&lock_path))?;
    lock.lock().map_err(io(&lock_path))?;
    // Another process may have fetched it while this one waited.
    if let Some(path) = cached(cache) {
        return Ok(path);
    }
    remove_leftovers(cache);
    say(&format!(
        "fetching ONNX Runtime {VERSION} ({} MB) once into {}",
        pinned.wheel / 1_000_000,
        cache.display()
    ));
    let temporary = tempfile::Builder::new().prefix(PREFIX).tempdir_in(cache).map_err(io(cache))?;
    let wheel = download("python3", pinned, temporary.path())?;
    let path = target(cache);
    install(&wheel, &path, temporary.path(), pinned.sha256)?;
    Ok(path)
}

/// What killed processes left; nobody else is fetching while the lock is held.
fn remove_leftovers(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|n| n.starts_with(PREFIX)) {
            // What cannot be removed does no harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Has pip download the wheel into `folder`, and shows how far it is.
fn download(python: &str, pinned: &Pinned, folder: &Path) -> Result<PathBuf> {
    let pip = Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "--progress-bar=off"])
        .args(["--implementation=cp", "--python-version=3.12", "--abi=cp312"])
        .arg(format!("--platform=manylinux_2_28_{}", pinned.arch))
        .arg("--dest")
        .arg(folder)
        .arg(format!("onnxruntime=={VERSION}"))
        // pip writes here while it downloads, so that progress shows and nothing is left behind.
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| {
            error(format!("cannot run `{python}`: {e}"), "install python3 with pip, or set ORT_DYLIB_PATH")
        })?;
    let message = watch(pip, pinned.wheel, folder)?;
    if let Some(message) = message {
        let hint = if message.contains("No module named pip") {
            "install pip (`python3 -m ensurepip`, or the package python3-pip), or set ORT_DYLIB_PATH"
        } else if message.contains("No space left") {
            "make room for about 60 MB in the cache folder"
        } else {
            "check the network, or install ONNX Runtime yourself and set ORT_DYLIB_PATH"
        };
        return Err(error(message, hint));
    }
    let wheel = fs::read_dir(folder).map_err(io(folder))?.flatten().map(|e| e.path());
    wheel
        .into_iter()
        .find(|p| p.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| error("pip ended well but left no wheel", "set ORT_DYLIB_PATH to a library"))
}

/// Waits for pip; what it said last, if it failed.
fn watch(mut pip: Child, size: u64, folder: &Path) -> Result<Option<String>> {
    let bar = ProgressBar::new(size); // Draws on stderr, and only on a terminal.
    let style = "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix("ONNX Runtime");
    let mut stderr = pip.stderr.take();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.as_mut().map(|s| s.read_to_string(&mut text));
        text
    });
    let status = loop {
        let status = pip.try_wait().map_err(|e| error(format!("waiting for pip: {e}"), "try again"))?;
        bar.set_position(bytes_below(folder).min(size));
        match status {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(50)),
        }
    };
    bar.finish_and_clear();
    let text = reader.join().unwrap_or_default();
    if status.success() {
        return Ok(None);
    }
    let last = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no message");
    Ok(Some(format!("pip ended with {status}: {}", last.trim())))
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| match e.metadata() {
            Ok(m) if m.is_dir() => bytes_below(&e.path()),
            Ok(m) => m.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Unpacks the library from the wheel, checks it, and moves it into place in one step.
fn install(wheel: &Path, target: &Path, temporary: &Path, sha256: &str) -> Result<()> {
    let broken = |e: zip::result::ZipError| {
        error(format!("{}: {e}", wheel.display()), "the download was cut short; try again")
    };
    let mut archive = zip::ZipArchive::new(File::open(wheel).map_err(io(wheel))?).map_err(broken)?;
    let name = archive
        .file_names()
        .filter_map(std::result::Result::ok)
        .find(|n| n.rsplit('/').next().is_some_and(is_library))
        .ok_or_else(|| error("the wheel holds no libonnxruntime", "set ORT_DYLIB_PATH to a library"))?
        .into_owned();
    let mut entry = archive.by_name(&name).map_err(broken)?;
    let unpacked = temporary.join("library");
    let mut file = File::create(&unpacked).map_err(io(&unpacked))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = entry.read(&mut buffer).map_err(|e| broken(e.into()))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(io(&unpacked))?;
    }
    let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    if found != sha256 {
        return Err(RuntimeError::Hash { file: name, expected: sha256.into(), found });
    }
    file.sync_all().map_err(io(&unpacked))?;
    let folder = target.parent().unwrap_or(target);
    fs::create_dir_all(folder).map_err(io(folder))?;
    fs::rename(&unpacked, target).map_err(io(target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    fn wheel(folder: &Path, library: &[u8]) -> PathBuf {
        let path = folder.join("onnxruntime.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, data) in
            [("libonnxruntime_providers_shared.so", &b"other"[..]), ("libonnxruntime.so.1.2.3", library)]
        {
            zip.start_file(format!("onnxruntime/capi/{name}"), SimpleFileOptions::default()).unwrap();
            zip.write_all(data).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn a_wheel_is_installed_only_with_the_pinned_hash() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = wheel(folder.path(), b"library");
        let target = folder.path().join("cache/libonnxruntime.so");
        let error = install(&wheel, &target, folder.path(), &"0".repeat(64)).unwrap_err();
        assert!(matches!(error, RuntimeError::Hash { .. }), "{error}");
        assert!(!target.exists() && !folder.path().join("cache").exists());
        // From `printf library | sha256sum`.
        let right = "b718f1354f7247312eca086d9a024afe5fa717ddea5adeddd6f12bcf945b2e8c";
        install(&wheel, &target, folder.path(), right).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"library");
    }

    #[test]
    fn a_truncated_wheel_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = wheel(folder.path(), &[7; 1000]);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let target = folder.path().join("lib.so");
        let error = install(&path, &target, folder.path(), "").unwrap_err().to_string();
        assert!(error.contains("onnxruntime.whl") && !target.exists(), "{error}");
    }

    #[test]
    fn a_missing_python_is_an_error_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let error = download("no-such-python", &PINNED[0], folder.path()).unwrap_err().to_string();
        assert!(error.contains("no-such-python") && error.contains("hint: install python3"), "{error}");
    }

    #[test]
    fn a_half_written_library_in_the_cache_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = target(folder.path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "half").unwrap();
        assert_eq!(cached(folder.path()), None);
    }
}
