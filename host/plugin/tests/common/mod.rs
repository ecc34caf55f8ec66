//! A batch to score, and C plugins compiled against `ekphrasis.h`.

#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::process::Command;

use ekphrasis_plugin::{RewardBatchView, SpecialTokens};

/// Three captions (the last one cut) of two images with one and two references.
pub struct Captions {
    tokens: Vec<i64>,
    lengths: Vec<usize>,
    images: Vec<usize>,
    image_offsets: Vec<usize>,
    reference_offsets: Vec<usize>,
    reference_tokens: Vec<i64>,
    vocabulary: Vec<String>,
}

impl Captions {
    pub fn new() -> Self {
        Captions {
            tokens: vec![4, 5, 6, 2, 0, 4, 4, 2, 0, 0, 6, 4, 6, 4, 6],
            lengths: vec![4, 3, 5],
            images: vec![0, 0, 1],
            image_offsets: vec![0, 1, 3],
            reference_offsets: vec![0, 3, 5, 6],
            reference_tokens: vec![4, 5, 2, 6, 2, 2],
            vocabulary: ["<pad>", "<bos>", "<eos>", "<unk>", "a", "red", "circle"].map(String::from).to_vec(),
        }
    }

    pub fn view(&self) -> RewardBatchView<'_> {
        RewardBatchView {
            columns: 5,
            tokens: &self.tokens,
            lengths: &self.lengths,
            images: &self.images,
            image_offsets: &self.image_offsets,
            reference_offsets: &self.reference_offsets,
            reference_tokens: &self.reference_tokens,
            vocabulary: &self.vocabulary,
            special: SpecialTokens { pad: 0, bos: 1, eos: 2, unk: 3 },
            step: 9,
        }
    }
}

/// Whether there is a C compiler; says so on stderr when there is none.
pub fn has_cc() -> bool {
    let found = Command::new("cc").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: no C compiler (`cc`) here");
    }
    found
}

/// Compiles `tests/fixtures/<source>` into a shared library `<folder>/<stem>.so`.
pub fn compile(folder: &Path, stem: &str, source: &str, defines: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(source);
    compile_file(folder, stem, &source, defines)
}

/// Compiles the C file `source` into a shared library `<folder>/<stem>.so`.
pub fn compile_file(folder: &Path, stem: &str, source: &Path, defines: &[&str]) -> PathBuf {
    let library = folder.join(format!("{stem}{}", std::env::consts::DLL_SUFFIX));
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../abi/include"))
        .args(defines.iter().map(|define| format!("-D{define}")))
        .arg(source)
        .arg("-o")
        .arg(&library)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// The first block of `language` in `plugins/README.md`.
pub fn readme_block(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, guide) = text.split_once("## A compiled reward").expect("the guide to rewards");
    let (_, rest) = guide.split_once(&format!("```{language}\n")).expect("a block of this language");
    rest.split_once("```").expect("the end of the block").0.to_owned()
}
