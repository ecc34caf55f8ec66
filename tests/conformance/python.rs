//! The Python side of a suite: a virtual environment in the cache folder, and the cases that its scripts write.

use crate::data;
use ekphrasis_runtime::Config;
use ekphrasis_tests::root;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// A script of this folder, and what it needs.
pub struct Script {
    /// Its name without `.py`; the folder of its cases is called so too.
    pub name: &'static str,
    /// The file of pinned packages.
    pub requirements: &'static str,
}

fn here() -> PathBuf {
    root().join("tests/conformance")
}

/// The fixtures that lie in the repository, made by the script of this name.
pub fn fixtures(name: &str) -> Vec<data::Case> {
    data::cases(&here().join("fixtures").join(name)).expect("fixtures can be read")
}

/// All cases that a script writes. They are kept below `target/` until the script or its packages change.
///
/// # Errors
/// When Python, pip or the script fails; what they wrote to standard error stands above.
pub fn cases(script: &Script) -> Result<Vec<data::Case>, String> {
    let path = here().join(format!("{}.py", script.name));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance").join(script.name);
    let parts = ["common.py", "architectures.py", script.requirements].map(|name| here().join(name));
    let text = parts.iter().chain([&path]).map(|part| read(part)).collect::<Result<String, _>>()?;
    let marker = folder.join("made-by.txt");
    // Two suites may want the same cases.
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let _lock = locked(&folder.with_extension("lock"))?;
    if !fs::read_to_string(&marker).is_ok_and(|known| known == text) {
        let python = environment(script.requirements)?;
        fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        eprintln!("{}: writing cases to {}", script.name, folder.display());
        run(Command::new(python).arg(&path).arg(&folder))?;
        fs::write(&marker, text).map_err(|e| format!("{}: {e}", marker.display()))?;
    }
    data::cases(&folder)
}

/// The Python of a virtual environment that holds the packages of a requirements file.
fn environment(requirements: &str) -> Result<PathBuf, String> {
    let list = here().join(requirements);
    let wanted = read(&list)?;
    let stem = Path::new(requirements).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let cache = Config::default_cache();
    fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    let _lock = locked(&cache.join(format!("conformance-{stem}.lock")))?;
    let folder = cache.join(format!("conformance-{stem}"));
    let (python, marker) = (folder.join("bin/python"), folder.join("installed.txt"));
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!(
        "installing {} into {}",
        wanted.split_whitespace().collect::<Vec<_>>().join(", "),
        folder.display()
    );
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(&python).args(pip).arg(&list))?;
    fs::write(&marker, wanted).map_err(|e| format!("{}: {e}", marker.display()))?;
    Ok(python)
}

/// A lock that is held as long as the file.
fn locked(path: &Path) -> Result<File, String> {
    let file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    file.lock().map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(file)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown} ended with {status}")),
        Err(e) => Err(format!("{shown}: {e}\nhint: install python3 with pip and venv")),
    }
}
