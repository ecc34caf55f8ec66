//! What the tables give as stubs for editors.

mod common;

use ekphrasis_script::stubs;

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
