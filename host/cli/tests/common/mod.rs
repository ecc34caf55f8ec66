//! A small project in a folder of its own, and the `ekphrasis` program run in it.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// The whole schedule at a size that takes seconds.
const CONFIG: &str = r#"
name = "tiny"
max_length = 16
checkpoint_seconds = 0.001

[data]
format = "shapes"
image_size = 16
counts = { train = 64, val = 16, test = 16, compositional = 16 }

[models]
captioner = { script = "transformer_captioner", params = { dim = 32, heads = 2, layers = 1, channels = 8 } }
generator = { script = "generator", params = { noise = 8, condition = 16, channels = [16, 12, 8], embedding = 16, text = { dim = 16, heads = 2, layers = 1 } } }
discriminator = { script = "discriminator", params = { channels = 8, joint = 16, hidden = 8, embedding = 16, text = { dim = 16, heads = 2, layers = 1 } } }
scorer = { script = "dual_encoder", params = { embedding = 16, image = { dim = 16, channels = 8, hidden = 16 }, text = { dim = 16, heads = 2, layers = 1 } } }

[schedule]
script = "alternate"
params = { rounds = 2 }

[evaluation]
policy = "greedy"
batch = 16
draws = 2

[phases.cross_entropy]
loss = { script = "cross_entropy", params = { smoothing = 0.1 } }
steps = 40
batch = 16
optimizer = { kind = "adamw", learning_rate = 3e-3, weight_decay = 0.01, clip_norm = 1.0, warmup = 5, decay = "cosine" }

[phases.scorer]
loss = "info_nce"
steps = 20
batch = 16
shift = 1
optimizer = { kind = "adamw", learning_rate = 1e-3 }

[phases.gan]
loss = "hinge_gan"
steps = 20
batch = 8
optimizer = { kind = "adam", learning_rate = 3e-4, beta1 = 0.5, beta2 = 0.99, average = 0.9 }

[phases.gan_turn]
loss = "hinge_gan"
steps = 10
batch = 8
sampled_captions = 0.25
optimizer = { kind = "adam", learning_rate = 3e-4, beta1 = 0.5, beta2 = 0.99, average = 0.9 }

[phases.policy_gradient]
loss = "policy_gradient"
steps = 10
batch = 8
mode = "eval"
generated_pictures = 0.25
optimizer = { kind = "adam", learning_rate = 4e-4, clip_norm = 1.0 }

[phases.policy_gradient.rollout]
policy = "multinomial"
samples = 3
baseline = "leave_one_out"
reward = { script = "mix", params = { weights = { cider_d = 1.0, similarity = 0.5, discriminator = 0.5, redescription = 1.0 } } }
"#;

/// The project that the program is built in.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("host/cli lies in the workspace")
        .to_owned()
}

/// A folder with the workspace's scripts and models, and `configs/tiny.toml`.
pub struct Project {
    folder: TempDir,
}

impl Project {
    /// A fresh one.
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for part in ["scripts", "plugins/models"] {
            ekphrasis_train::files::copy_folder(&workspace().join(part), &folder.path().join(part)).unwrap();
        }
        let project = Self { folder };
        project.write("configs/tiny.toml", CONFIG);
        project
    }

    /// A path in it.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file in it.
    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The program in this folder, with arguments that are separated by spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ekphrasis"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub fn ekphrasis(&self, arguments: &str) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// What a finished run found out.
    pub fn summary(&self, run: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(run).join("summary.json")).unwrap()).unwrap()
    }
}

/// How the program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Of a finished process.
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Fails the test with all that was written, unless it went well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Fails the test unless it ended with this code and said all of `parts` on standard error.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "expected {part:?} in:\n{}", self.err);
        }
        self
    }
}
