//! A library that is no plugin, of another ABI, or that breaks a rule is refused or caught, and the error says
//! which.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Captions, compile, has_cc};
use ekphrasis_plugin::{Library, PluginError, RewardPlugin};

fn fault(folder: &Path, name: &str) -> Result<Library, PluginError> {
    Library::open(&compile(folder, name, "faults.c", &[&format!("FAULT={name}")]))
}

#[test]
fn another_abi_is_refused_with_both_versions() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (stem, major, minor, hint) in [
        ("newer_major", 2, 0, "update the host"),
        ("older_major", 0, 9, "rebuild the plugin with this host's SDK"),
        ("newer_minor", 1, 1, "update the host"),
    ] {
        let defines = ["FAULT=NONE".to_owned(), format!("MAJOR={major}"), format!("MINOR={minor}")];
        let library = compile(folder.path(), stem, "faults.c", &defines.each_ref().map(String::as_str));
        let error = Library::open(&library).unwrap_err();
        assert!(matches!(error, PluginError::Abi { .. }));
        let text = error.to_string();
        let versions = format!("was built for ABI {major}.{minor}, this host has ABI 1.0\nhint: {hint}");
        assert!(text.contains(&versions) && text.contains(stem), "{text}");
    }
    let library = fault(folder.path(), "NONE").unwrap();
    let mut reward = RewardPlugin::create(&library, "fault", &BTreeMap::new()).unwrap();
    assert_eq!(reward.score(&Captions::new().view()).unwrap(), [1.0; 3], "without a fault it scores");
}

#[test]
fn what_is_no_plugin_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Library::open(&folder.path().join("missing.so")).unwrap_err();
    assert!(matches!(missing, PluginError::Load { .. }));
    let text = missing.to_string();
    assert!(
        text.contains("missing.so: cannot load the library: ") && text.contains("hint: check the path"),
        "{text}"
    );
    let text = Library::open(folder.path()).unwrap_err().to_string();
    assert!(text.contains("expected a file, found something else"), "{text}");
    let note = folder.path().join("note.so");
    std::fs::write(&note, "not a library").unwrap();
    let text = Library::open(&note).unwrap_err().to_string();
    assert!(text.contains("note.so: cannot load the library: "), "{text}");
    std::fs::write(&note, "").unwrap();
    assert!(matches!(Library::open(&note), Err(PluginError::Load { .. })));
}

#[test]
fn a_library_without_the_symbol_is_no_plugin() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The same source with the symbol renamed.
    let defines = ["FAULT=NONE", "ekphrasis_plugin=another_symbol"];
    let error = Library::open(&compile(folder.path(), "no_symbol", "faults.c", &defines)).unwrap_err();
    assert!(matches!(error, PluginError::NoSymbol { .. }));
    assert!(error.to_string().contains("does not export `ekphrasis_plugin`"), "{error}");
}

#[test]
fn broken_descriptions_and_factories_are_refused() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, expected) in [
        ("NO_GET_FACTORY", "`get_factory`: expected a function, found NULL"),
        ("NO_SCORE_FUNCTION", "`score` of the reward factory: expected a function, found NULL"),
        ("NO_DESCRIPTION", "`describe(0)`: expected a description, found NULL"),
        ("NAME_NOT_UTF8", "`describe(0)`: name: text is not UTF-8"),
        ("SAME_NAME_TWICE", "`describe(1)`: a second reward is called `fault`"),
        ("NAN_DEFAULT", "`describe(0)`: parameter `p`: expected a finite default, found NaN"),
        ("HUGE_COUNT", "`count`: expected at most 10000 rewards"),
    ] {
        let error = fault(folder.path(), name).unwrap_err();
        assert!(matches!(error, PluginError::Broken { .. }), "{name}: {error}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    // A library without rewards is a plugin all the same; it may have other factories.
    let library = fault(folder.path(), "NO_FACTORY").unwrap();
    assert!(library.rewards().is_empty());
    let error = RewardPlugin::create(&library, "fault", &BTreeMap::new()).unwrap_err();
    assert!(error.to_string().contains("no reward `fault`\nhint: there are none"), "{error}");
    let library = fault(folder.path(), "NULL_INSTANCE").unwrap();
    let error = RewardPlugin::create(&library, "fault", &BTreeMap::new()).unwrap_err();
    assert!(error.to_string().contains("`create`: expected an instance, found NULL"), "{error}");
}

#[test]
fn a_score_that_is_no_number_is_located() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let captions = Captions::new();
    for (name, found) in [("NAN_SCORE", "NaN"), ("INFINITE_SCORE", "-inf"), ("UNWRITTEN_SCORE", "NaN")] {
        let library = fault(folder.path(), name).unwrap();
        let mut reward = RewardPlugin::create(&library, "fault", &BTreeMap::new()).unwrap();
        let error = reward.score(&captions.view()).unwrap_err();
        assert!(matches!(error, PluginError::Score { caption: 1, image: 0, step: 9, .. }), "{name}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("expected a finite score, found {found}\n  caption: a a\n")),
            "{text}"
        );
    }
}

#[test]
fn an_error_status_becomes_an_error() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let captions = Captions::new();
    for (name, expected) in
        [("SILENT_ERROR", "step 9: failed with status 77 and no message"), ("LYING_LENGTH", "step 9: cut")]
    {
        let library = fault(folder.path(), name).unwrap();
        let mut reward = RewardPlugin::create(&library, "fault", &BTreeMap::new()).unwrap();
        let text = reward.score(&captions.view()).unwrap_err().to_string();
        assert!(text.ends_with(expected), "{name}: {text}");
    }
}
