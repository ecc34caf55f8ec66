//! The stubs for editors that are kept with the scripts are those that the tables give.

mod common;

use ekphrasis_script::stubs;
use std::{fs, path::Path};

#[test]
fn stubs_describe_what_is_registered() {
    let engine = common::tracer();
    let files = stubs::generate(&engine.docs());
    let tensor = &files["tensor.lua"];
    assert!(tensor.starts_with("---@meta\n"));
    for part in [
        "---@class Tensor\n---@operator len: integer\n---@operator add(Tensor|number): Tensor\n",
        "---@param axis? integer\n---@return Tensor\nfunction Tensor:softmax(axis) end",
        "---@return Tensor ...\nfunction Tensor:chunk(n, axis) end",
        "---@class tensorlib\ntensor = {}\n",
        "function tensor.concat(tensors, axis) end",
    ] {
        assert!(tensor.contains(part), "{part}\nin\n{tensor}");
    }
    assert!(files["kinds.lua"].contains("---@class ekphrasis.Reward\n---@field api integer"));
    assert!(files["kinds.lua"].contains("---@field params? table"));
    assert!(
        files["graph_builder.lua"].contains("function GraphBuilder:lstm_cell(x, h, c, name, hidden) end")
    );
    // A stub that Lua cannot read would help nobody.
    let lua = mlua::Lua::new();
    for (name, text) in &files {
        lua.load(text.as_str()).exec().unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    assert!(stubs::luarc(&engine.docs()).contains("\"scripts/types\""));
}

/// With EKPHRASIS_WRITE_STUBS set, writes the files instead of comparing them.
#[test]
fn files_of_this_crate_do_not_drift() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let engine = common::tracer();
    let mut files: Vec<_> = stubs::generate(&engine.docs())
        .into_iter()
        .map(|(name, text)| (root.join("scripts/types").join(name), text))
        .collect();
    files.push((root.join(".luarc.json"), stubs::luarc(&engine.docs())));
    for (path, text) in files {
        if std::env::var_os("EKPHRASIS_WRITE_STUBS").is_some() {
            fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            continue;
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{} differs; EKPHRASIS_WRITE_STUBS=1 cargo test -p ekphrasis-script",
            path.display()
        );
    }
}
