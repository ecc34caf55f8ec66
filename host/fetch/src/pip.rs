//! Running `pip download`.

use crate::Wheel;
use crate::error::{FetchError, io};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Has pip download the wheel into `folder`, and shows how far it is.
pub fn download(python: &str, wheel: &Wheel<'_>, folder: &Path) -> Result<PathBuf, FetchError> {
    let pip = Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "--progress-bar=off"])
        .args(wheel.platform)
        .arg("--dest")
        .arg(folder)
        .arg(format!("{}=={}", wheel.package, wheel.version))
        // pip writes here while it downloads, so that progress shows and nothing is left behind.
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| {
            wheel.error(
                format!("cannot run `{python}`: {e}"),
                format!("install python3 with pip, or {}", wheel.instead),
            )
        })?;
    if let Some(message) = watch(pip, wheel, folder)? {
        let hint = if message.contains("No module named pip") {
            format!("install pip (`python3 -m ensurepip`, or the package python3-pip), or {}", wheel.instead)
        } else if message.contains("No space left") {
            // The wheel, and what is made of it.
            format!("make room for about {} MB in the cache folder", wheel.size * 5 / 2_000_000)
        } else {
            format!("check the network, or {}", wheel.instead)
        };
        return Err(wheel.error(message, hint));
    }
    let files = fs::read_dir(folder).map_err(io(folder))?.flatten().map(|e| e.path());
    files
        .into_iter()
        .find(|p| p.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| wheel.error("pip ended well but left no wheel", wheel.instead))
}

/// Waits for pip; what it said last, if it failed.
fn watch(mut pip: Child, wheel: &Wheel<'_>, folder: &Path) -> Result<Option<String>, FetchError> {
    let bar = ProgressBar::new(wheel.size); // Draws on stderr, and only on a terminal.
    let style = "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(wheel.title.to_owned());
    let mut stderr = pip.stderr.take();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.as_mut().map(|s| s.read_to_string(&mut text));
        text
    });
    let status = loop {
        let status = pip.try_wait().map_err(|e| wheel.error(format!("waiting for pip: {e}"), "try again"))?;
        bar.set_position(bytes_below(folder).min(wheel.size));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::WHEEL;

    #[test]
    fn a_missing_python_is_an_error_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let error = download("no-such-python", &WHEEL, folder.path()).unwrap_err().to_string();
        let hint = "hint: install python3 with pip, or set WORDS";
        assert!(error.contains("no-such-python") && error.contains(hint), "{error}");
    }
}
