//! Fetching ONNX Runtime once into the cache folder.

use crate::{Result, locate::is_library};
use ekphrasis_fetch::Wheel;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The version that is fetched.
pub const VERSION: &str = "1.31.1";

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

/// Fetches the library into the cache folder and returns its path.
///
/// # Errors
/// [`RuntimeError::NotPinned`](crate::RuntimeError::NotPinned) on a machine that there is no pinned build
/// for; those of fetching.
pub fn fetch(cache: &Path, say: &dyn Fn(&str)) -> Result<PathBuf> {
    let pinned = pinned().ok_or(crate::RuntimeError::NotPinned { version: VERSION })?;
    let platform = [
        "--implementation=cp".to_owned(),
        "--python-version=3.12".to_owned(),
        "--abi=cp312".to_owned(),
        format!("--platform=manylinux_2_28_{}", pinned.arch),
    ];
    let wheel = Wheel {
        title: "ONNX Runtime",
        package: "onnxruntime",
        version: VERSION,
        size: pinned.wheel,
        platform: &platform,
        instead: "install ONNX Runtime yourself and set ORT_DYLIB_PATH to its library",
    };
    let is = |name: &str| name.rsplit('/').next().is_some_and(is_library);
    let path = target(cache);
    wheel.fetch(
        cache,
        || cached(cache),
        |fetched| {
            fetched.unpack(is, pinned.sha256, &path)?;
            Ok(path.clone())
        },
        say,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_written_library_in_the_cache_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = target(folder.path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "half").unwrap();
        assert_eq!(cached(folder.path()), None);
    }
}
