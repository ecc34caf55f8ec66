//! Plugins written in Rust on the SDK: found by name, built by cargo, loaded, and harmless when they panic.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Captions, compile_file, has_cc, readme_block};
use ekphrasis_plugin::{
    Kind, Library, PluginError, PluginState, Profile, RewardBatchView, RewardPlugin, build, find, list,
};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes a plugin crate of its own workspace, on the real SDK, into `<root>/rewards/<name>`.
fn write_crate(root: &Path, name: &str, crate_type: &str, source: &str) -> PathBuf {
    let folder = root.join("rewards").join(name);
    fs::create_dir_all(folder.join("src")).unwrap();
    let sdk = workspace().join("plugins/sdk").canonicalize().unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [lib]\ncrate-type = [\"{crate_type}\"]\n\n\
         [dependencies]\nekphrasis-sdk = {{ path = {sdk:?} }}\n\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), source).unwrap();
    fs::write(
        folder.join("plugin.toml"),
        format!("name = \"{name}\"\nkind = \"reward\"\ndoc = \"Made by a test.\"\n"),
    )
    .unwrap();
    folder
}

#[test]
fn the_bundled_plugin_is_found_built_and_scores() {
    let plugins = [workspace().join("plugins")];
    let folder = find("repetition_native", Kind::Reward, &plugins).unwrap();
    let library = Library::open(&folder.library_path(Profile::Release).unwrap()).unwrap();
    assert_eq!(library.rewards()[0].name, "repetition_native");

    let captions = Captions::new();
    let batch = captions.view();
    let score = |n: f64, weight: f64| {
        let parameters = BTreeMap::from([("n".to_owned(), n), ("weight".to_owned(), weight)]);
        RewardPlugin::create(&library, "repetition_native", &parameters).unwrap().score(&batch).unwrap()
    };
    // "a red circle", "a a", "circle a circle a circle"
    assert_eq!(score(1.0, 1.0), [0.0, -0.5, 2.0 / 5.0 - 1.0]);
    assert_eq!(score(2.0, 3.0), [0.0, 0.0, 3.0 * (0.5 - 1.0)]);
    let mut default = RewardPlugin::create(&library, "repetition_native", &BTreeMap::new()).unwrap();
    assert_eq!(default.score(&batch).unwrap(), [0.0, 0.0, 2.0 / 3.0 - 1.0]);

    for n in [0.0, -1.0, 2.5] {
        let parameters = BTreeMap::from([("n".to_owned(), n)]);
        let error = RewardPlugin::create(&library, "repetition_native", &parameters).unwrap_err();
        let expected = format!("n: expected a whole number of at least 1, found {n}");
        assert!(error.to_string().contains(&expected), "{error}");
    }

    let listed = list(&plugins);
    let info = listed.iter().find(|info| info.name == "repetition_native").unwrap();
    assert!(matches!(&info.state, PluginState::Ready { rewards, .. } if rewards.len() == 1), "{info:?}");
    assert!(!info.doc.is_empty());
}

#[test]
fn the_rewards_of_the_guide_work_as_written() {
    let root = tempfile::tempdir().unwrap();
    let folder = write_crate(root.path(), "length", "cdylib", &readme_block("rust"));
    fs::write(folder.join("plugin.toml"), readme_block("toml")).unwrap();
    let search = [root.path().to_owned()];
    let built = find("length", Kind::Reward, &search).unwrap().library_path(Profile::Debug).unwrap();
    let captions = Captions::new();
    let score = |library: &Path, words: f64| {
        let parameters = BTreeMap::from([("words".to_owned(), words)]);
        let library = Library::open(library).unwrap();
        RewardPlugin::create(&library, "length", &parameters).unwrap().score(&captions.view()).unwrap()
    };
    // Captions of 3, 2 and 5 words.
    assert_eq!(score(&built, 3.0), [0.0, -1.0, -2.0]);
    if has_cc() {
        let source = root.path().join("length.c");
        fs::write(&source, readme_block("c")).unwrap();
        let compiled = compile_file(root.path(), "length_in_c", &source, &[]);
        assert_eq!(score(&compiled, 3.0), [0.0, -1.0, -2.0]);
    }
}

const PANICKY: &str = r#"
use ekphrasis_sdk::{Batch, Parameter, Params, Reward, export_plugin};

struct Panicky;

impl Reward for Panicky {
    const DOC: &'static str = "Panics on demand.";
    const PARAMS: &'static [Parameter] = &[Parameter::new("now", 0.0, "1: panic when it is made")];

    fn new(params: &Params<'_>) -> Result<Self, String> {
        assert!(params.get("now") == 0.0, "no time like the present");
        Ok(Panicky)
    }

    fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, String> {
        match batch.step() {
            0 => panic!("stepped on {}", batch.words(0).join(" ")),
            1 => Err("step one is not for me".to_owned()),
            2 => Ok(vec![1.0]),
            3 => Ok(vec![batch.tokens(99)[0] as f64]),
            _ => Ok(vec![2.0; batch.len()]),
        }
    }
}

struct Forgetful;

impl Drop for Forgetful {
    fn drop(&mut self) {
        panic!("panic in a destructor");
    }
}

impl Reward for Forgetful {
    const DOC: &'static str = "Panics when it is dropped.";
    const PARAMS: &'static [Parameter] = &[];

    fn new(_: &Params<'_>) -> Result<Self, String> {
        Ok(Forgetful)
    }

    fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, String> {
        Ok(vec![0.0; batch.len()])
    }
}

export_plugin! { rewards { "panicky" => Panicky, "forgetful" => Forgetful } }
"#;

#[test]
fn a_panic_becomes_an_error() {
    let root = tempfile::tempdir().unwrap();
    // A name of its own, as a shared target folder may hold what an earlier run built.
    let name = format!("panicky_{}", std::process::id());
    let folder = write_crate(root.path(), &name, "cdylib", PANICKY);
    let search = [root.path().to_owned()];
    assert!(matches!(list(&search)[0].state, PluginState::NotBuilt));
    let library = Library::open(&build(&folder, Profile::Debug).unwrap()).unwrap();
    assert!(matches!(&list(&search)[0].state, PluginState::Ready { rewards, .. } if rewards.len() == 2));

    let now = BTreeMap::from([("now".to_owned(), 1.0)]);
    let text = RewardPlugin::create(&library, "panicky", &now).unwrap_err().to_string();
    assert!(text.contains("while it was set up: panicked: no time like the present"), "{text}");

    let captions = Captions::new();
    let mut reward = RewardPlugin::create(&library, "panicky", &BTreeMap::new()).unwrap();
    let mut at = |step| reward.score(&RewardBatchView { step, ..captions.view() }).map_err(|e| e.to_string());
    let text = at(0).unwrap_err();
    assert!(text.ends_with("step 0: panicked: stepped on a red circle"), "{text}");
    let text = at(1).unwrap_err();
    assert!(text.ends_with("step 1: step one is not for me"), "{text}");
    let text = at(2).unwrap_err();
    assert!(text.ends_with("step 2: expected 3 scores (one a caption), found 1"), "{text}");
    let text = at(3).unwrap_err();
    assert!(text.contains("step 3: panicked: "), "{text}");
    assert_eq!(at(4), Ok(vec![2.0; 3]), "an instance goes on after an error");

    // Dropping the host's handle must not take the process down with the plugin's destructor.
    drop(RewardPlugin::create(&library, "forgetful", &BTreeMap::new()).unwrap());
}

#[test]
fn a_plugin_that_does_not_build_says_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let wrong = write_crate(root.path(), "wrong", "cdylib", "this is not Rust");
    let text = build(&wrong, Profile::Debug).unwrap_err().to_string();
    assert!(
        text.contains("building the plugin failed: cargo build: ") && text.contains("hint: cargo's own"),
        "{text}"
    );
    let rlib = write_crate(root.path(), "rlib", "rlib", "");
    let text = build(&rlib, Profile::Debug).unwrap_err().to_string();
    assert!(text.contains("built no shared library") && text.contains("crate-type"), "{text}");
    let text = build(root.path(), Profile::Debug).unwrap_err().to_string();
    assert!(text.contains("Cargo.toml: "), "{text}");
}

#[test]
fn a_plugin_is_not_found_or_its_folder_is_wrong() {
    let root = tempfile::tempdir().unwrap();
    let search = [root.path().to_owned()];
    let look = |name: &str| find(name, Kind::Reward, &search);
    let write = |name: &str, text: &str| {
        let folder = root.path().join("rewards").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("plugin.toml"), text).unwrap();
        folder
    };
    let text = look("length").unwrap_err().to_string();
    assert!(
        text.starts_with("there is no compiled reward `length`; looked in ")
            && text.contains("there are none")
    );
    let folder = write("length", "name = \"length\"\nkind = \"reward\"\ndoc = \"\"\n");
    let text = look("lenght").unwrap_err().to_string();
    assert!(text.contains("hint: did you mean `length`?"), "{text}");
    let text = look("../rewards/length").unwrap_err().to_string();
    assert!(text.contains("there is no compiled reward"), "{text}");

    let error = look("length").unwrap().library_path(Profile::Release).unwrap_err();
    assert!(matches!(error, PluginError::NoLibrary { .. }));
    assert!(error.to_string().contains("add a Cargo.toml"), "{error}");
    let placed =
        folder.join(format!("{}length{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    fs::write(&placed, "").unwrap();
    assert_eq!(look("length").unwrap().library_path(Profile::Release).unwrap(), placed);
    assert!(matches!(&list(&search)[0].state, PluginState::Unusable(PluginError::Load { .. })));

    for (name, text, expected) in [
        ("b1", "name = \"b1\"\nkind = \"reward\"\n", "missing field `doc`"),
        (
            "b2",
            "name = \"b2\"\nkind = \"reword\"\ndoc = \"\"\n",
            "unknown variant `reword`, expected `reward`",
        ),
        (
            "b3",
            "name = \"other\"\nkind = \"reward\"\ndoc = \"\"\n",
            "name: expected `b3`, as the folder is called, found `other`",
        ),
        ("b4", "name = \"b4\"\nkind = \"reward\"\ndoc = \"\"\nlibary = \"x\"\n", "line 4"),
        ("b5", "name =", "line 1"),
    ] {
        write(name, text);
        let error = look(name).unwrap_err();
        assert!(matches!(error, PluginError::Manifest { .. }));
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    let named = "name = \"b6\"\nkind = \"reward\"\ndoc = \"\"\nlibrary = \"sub/x.so\"\n";
    let folder = write("b6", named);
    let text = look("b6").unwrap().library_path(Profile::Release).unwrap_err().to_string();
    assert!(text.contains("correct `library` in plugin.toml"), "{text}");
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/x.so"), "").unwrap();
    assert_eq!(look("b6").unwrap().library_path(Profile::Release).unwrap(), folder.join("sub/x.so"));
    fs::create_dir_all(root.path().join("rewards/b7/plugin.toml")).unwrap();
    assert!(matches!(look("b7"), Err(PluginError::Manifest { .. })));
}
