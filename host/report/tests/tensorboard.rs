//! What is written here, as TensorBoard's own reader reads it.

use std::path::{Path, PathBuf};
use std::process::Command;

use ekphrasis_report::{EventWriter, Picture};

/// A Python with the `tensorboard` wheel, made once below the target folder. `Err` says why there is none.
fn python() -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tensorboard-venv");
    let python = venv.join("bin/python");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    if run(Command::new(&python).args(["-c", "import tensorboard"])).is_err() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "tensorboard==2.21.0"]))?;
    }
    Ok(python)
}

#[test]
#[ignore = "installs the tensorboard wheel; run with --ignored"]
fn tensorboard_reads_what_was_written() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: no Python with tensorboard: {why}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let picture = Picture::new(3, 2, (0..18).collect()).unwrap();
    let mut writer = EventWriter::create(&run, "7", 100.5).unwrap();
    for step in 1..=5 {
        writer.scalar("train/loss", step, 100.5 + step as f64, 1.0 / step as f64).unwrap();
    }
    writer.picture("samples", 2, 102.5, &picture).unwrap();
    writer.text("caption", 2, 102.5, "a **réd** circle").unwrap();
    drop(writer);

    // A torn record, and a run that goes on from step 3.
    let path = run.join("events.out.tfevents.7");
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_within(..20);
    std::fs::write(&path, torn).unwrap();
    let (mut writer, found) = EventWriter::resume(&run, "7", 200.0, |_, step| step <= 3).unwrap();
    assert_eq!((found.dropped, found.damaged_bytes), (2, 20));
    writer.scalar("train/loss", 4, 204.0, 0.125).unwrap();
    writer.text("caption", 4, 204.0, "a dog").unwrap();
    drop(writer);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_events.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let png = picture.to_png().unwrap();
    let third = f64::from(1.0_f32 / 3.0);
    let expected = serde_json::json!({
        "run train/loss": [[1, 101.5, 1.0], [2, 102.5, 0.5], [3, 103.5, third], [4, 204.0, 0.125]],
        "run caption": [[2, 102.5, "a **réd** circle"], [4, 204.0, "a dog"]],
        "run samples": [[2, 102.5, 3, 2, sha256(&png), png.len()]],
    });
    assert_eq!(read, expected);
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
