//! The stubs for editors that are kept with the scripts are those that the tables give.

use ekphrasis_script::{Engine, Limits, stubs};
use std::{fs, path::Path};

/// With EKPHRASIS_WRITE_STUBS set, writes the files instead of comparing them.
#[test]
fn stubs_do_not_drift() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let engine = Engine::new(Limits::default(), None).unwrap();
    ekphrasis_train::classes(&engine).unwrap();
    let mut docs = engine.docs();
    docs.extend(ekphrasis_study::docs());
    let folder = root.join("scripts/types");
    let mut files: Vec<_> =
        stubs::generate(&docs).into_iter().map(|(name, text)| (folder.join(name), text)).collect();
    let known = files.len();
    files.push((root.join(".luarc.json"), stubs::luarc(&docs)));
    for (path, text) in files {
        if std::env::var_os("EKPHRASIS_WRITE_STUBS").is_some() {
            fs::write(&path, text).unwrap();
            continue;
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        let hint = "EKPHRASIS_WRITE_STUBS=1 cargo test -p ekphrasis-cli --test stubs";
        assert!(found == text, "{} differs from the tables\nhint: {hint}", path.display());
    }
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        known,
        "scripts/types holds a file that no table gives"
    );
}
