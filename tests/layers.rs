//! What holds between the crates of the workspace, and in each of them.
//!
//! The reader of a failure here should find out what to move where: see `host/README.md`.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use ekphrasis_tests::{root, sources};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// Crates from the lowest to the highest with what each may import; `ALL` stands for all above it.
const LAYERS: &[(&str, &[&str])] = &[
    ("abi", &[]),
    ("fetch", &[]),
    ("graph", &[]),
    ("grad", &["graph"]),
    ("runtime", &["fetch", "graph"]),
    ("metrics", &["fetch"]),
    ("data", &[]),
    ("plugin", &["abi"]),
    ("script", &["graph", "runtime", "metrics", "plugin"]),
    ("train", &[ALL]),
    ("study", &[ALL]),
    ("report", &["train", "study"]),
    ("cli", &[ALL]),
];
const ALL: &str = "*";

/// Crates that may hold `unsafe` code.
const UNSAFE: &[&str] = &["abi", "plugin", "runtime"];

/// The most lines that a source file may have.
const LINES: usize = 400;

fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo tells the members")
}

/// `host/graph` for the crate that lies there.
fn place(package: &Package) -> String {
    let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
    let folder = fs::canonicalize(folder).expect("the folder of a member is there");
    let relative =
        folder.strip_prefix(fs::canonicalize(root()).unwrap()).expect("members lie in the project");
    relative.to_string_lossy().replace('\\', "/")
}

/// The name in the table: the folder below `host`.
fn layer(place: &str) -> Option<&str> {
    place.strip_prefix("host/")
}

/// Every member's place with the places of the members that it imports, dev-dependencies left out.
fn imports(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeMap<String, String> =
        metadata.workspace_packages().iter().map(|p| (p.name.to_string(), place(p))).collect();
    let of = |package: &&Package| {
        let used = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
        let used = used.filter_map(|d| members.get(&d.name).cloned()).collect();
        (place(package), used)
    };
    metadata.workspace_packages().iter().map(of).collect()
}

/// What `place` may import.
fn allowed(place: &str) -> BTreeSet<String> {
    let host = |names: &[&str]| names.iter().map(|name| format!("host/{name}")).collect();
    match layer(place) {
        Some(name) => {
            let at = LAYERS.iter().position(|(layer, _)| *layer == name);
            let at =
                at.unwrap_or_else(|| panic!("{place}: not in the table of layers; give it a place there"));
            match LAYERS[at].1 {
                [ALL] => host(&LAYERS[..at].iter().map(|(name, _)| *name).collect::<Vec<_>>()),
                names => host(names),
            }
        }
        None if place == "plugins/sdk" => host(&["abi"]),
        None if place.starts_with("plugins/") => BTreeSet::from(["plugins/sdk".to_owned()]),
        None => BTreeSet::new(),
    }
}

#[test]
fn a_crate_imports_only_what_stands_above_it() {
    let imports = imports(&metadata());
    assert!(imports["host/train"].contains("host/graph"), "imports are seen");
    let mut wrong = vec![];
    for (place, used) in &imports {
        let allowed = allowed(place);
        wrong.extend(used.difference(&allowed).map(|used| format!("{place} imports {used}")));
    }
    assert!(wrong.is_empty(), "not allowed by the table of layers:\n  {}", wrong.join("\n  "));

    // The table itself: nobody may import what stands below, and every layer is there.
    for (i, (name, names)) in LAYERS.iter().enumerate() {
        assert!(imports.contains_key(&format!("host/{name}")), "host/{name} is gone; take it from the table");
        for import in names.iter().filter(|n| **n != ALL) {
            assert!(LAYERS[..i].iter().any(|(above, _)| above == import), "{name} stands above {import}");
        }
    }
}

#[test]
fn lints_come_from_the_workspace() {
    for package in metadata().workspace_packages() {
        let text = fs::read_to_string(&package.manifest_path).unwrap();
        let inherits = text
            .split("[lints]")
            .nth(1)
            .is_some_and(|rest| rest.trim_start().starts_with("workspace = true"));
        assert!(inherits, "{}: expected [lints] with workspace = true", package.manifest_path);
    }
}

#[test]
fn files_stay_readable() {
    let sources = sources();
    assert!(sources.len() > 100, "found only {} source files", sources.len());
    let long =
        sources.iter().map(|(name, text)| (name, text.lines().count())).filter(|(_, lines)| *lines > LINES);
    let long: Vec<String> = long.map(|(name, lines)| format!("{name}: {lines} lines")).collect();
    assert!(long.is_empty(), "more than {LINES} lines; a file has one subject:\n  {}", long.join("\n  "));
}

#[test]
fn unsafe_code_stays_in_its_crates() {
    let mut wrong = vec![];
    for (name, text) in sources() {
        let may = UNSAFE.iter().any(|layer| name.starts_with(&format!("host/{layer}/")));
        // The macro that exports a plugin must name its symbol.
        let exports = name.starts_with("plugins/sdk/");
        let names_itself = name == "tests/layers.rs";
        if may || names_itself {
            continue;
        }
        for (number, line) in code(&text).lines().enumerate() {
            let line = if exports { line.replace("#[unsafe(no_mangle)]", "") } else { line.to_owned() };
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| word == "unsafe") {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "`unsafe` outside {UNSAFE:?}:\n  {}", wrong.join("\n  "));
}

/// The text without line comments, so that prose may speak of anything.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

#[test]
fn every_folder_at_the_top_has_its_guide() {
    for folder in ["host", "plugins", "scripts", "configs", "tests"] {
        let guide = root().join(folder).join("README.md");
        assert!(
            fs::read_to_string(&guide).is_ok_and(|text| text.len() > 500),
            "{folder}/README.md: expected a guide"
        );
    }
    // The top level itself is fixed; what git ignores is the user's own.
    let known = ["configs", "host", "plugins", "scripts", "tests", "target", "runs", "studies"];
    let folders = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap());
    let folders = folders.filter(|entry| entry.file_type().unwrap().is_dir());
    for name in folders.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        assert!(
            name.starts_with('.') || known.contains(&name.as_str()),
            "{name}: no folder of this name belongs at the top"
        );
    }
}

/// Each README that names a path in the project names one that exists.
#[test]
fn guides_name_what_is_there() {
    let root = root();
    let mut wrong = vec![];
    for guide in [
        "README.md",
        "host/README.md",
        "configs/README.md",
        "tests/README.md",
        "scripts/README.md",
        "plugins/README.md",
    ] {
        let Ok(text) = fs::read_to_string(root.join(guide)) else { continue };
        for quoted in text.split('`').skip(1).step_by(2) {
            let tops = ["host/", "plugins/", "scripts/", "configs/", "tests/"];
            let plain = !quoted.contains([' ', '<', '*', '{', '\n', ':']) && !quoted.contains("NAME");
            if plain && tops.iter().any(|top| quoted.starts_with(top)) && !root.join(quoted).exists() {
                wrong.push(format!("{guide}: {quoted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "paths that are not there:\n  {}", wrong.join("\n  "));
}
