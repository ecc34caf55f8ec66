//! Stubs for LuaLS (`---@meta`), generated from the tables that scripts are served from.

use crate::{
    class::{ClassDoc, Form, FunctionDoc},
    signature::Signature,
};
use std::{collections::BTreeMap, fmt::Write};

const HEAD: &str = "---@meta\n-- Generated from the tables in the host; edits here are lost.\n";

/// The text of each file of `scripts/types`, by name: one for each class, and `kinds.lua` for the tables
/// that scripts return or get.
pub fn generate(classes: &[ClassDoc]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for class in classes {
        let file = match class.form {
            Form::Table => "kinds.lua".into(),
            _ => format!("{}.lua", snake(&class.name)),
        };
        let text = files.entry(file).or_insert_with(|| HEAD.into());
        // A module `tensor` and a class `Tensor` share a file.
        text.push('\n');
        write_class(text, class);
    }
    files
}

/// `.luarc.json` for editors: where the stubs are, which globals the host adds.
pub fn luarc(classes: &[ClassDoc]) -> String {
    let globals: Vec<&str> =
        classes.iter().filter(|c| c.form == Form::Module).map(|c| c.name.as_str()).collect();
    let settings = serde_json::json!({
        "runtime.version": "Lua 5.4",
        "runtime.builtin": {
            "basic": "enable", "math": "enable", "string": "enable", "table": "enable", "utf8": "enable",
            "bit32": "disable", "coroutine": "disable", "debug": "disable", "io": "disable", "os": "disable",
            "package": "disable",
        },
        "workspace.library": ["scripts/types"],
        "diagnostics.globals": globals,
    });
    format!("{settings:#}\n")
}

/// `LossGraph` as `loss_graph`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    out
}

fn write_class(text: &mut String, class: &ClassDoc) {
    comment(text, &class.doc);
    // Writing to a String cannot fail.
    let _ = match class.form {
        Form::Module => writeln!(text, "---@class {}lib", class.name),
        _ => writeln!(text, "---@class {}", class.name),
    };
    for f in &class.fields {
        let optional = if f.optional { "?" } else { "" };
        let _ = writeln!(text, "---@field {}{optional} {} {}", f.name, f.ty, f.doc);
    }
    for o in &class.operators {
        let _ = writeln!(text, "---@operator {o}");
    }
    let local = match class.form {
        Form::Table => return,
        // A global, so that scripts find it.
        Form::Module => {
            let _ = writeln!(text, "{} = {{}}", class.name);
            class.name.clone()
        }
        Form::Object => {
            let _ = writeln!(text, "local {} = {{}}", class.name);
            class.name.clone()
        }
    };
    let sign = if class.form == Form::Module { '.' } else { ':' };
    for method in &class.methods {
        write_function(text, &local, sign, method);
    }
}

fn write_function(text: &mut String, class: &str, sign: char, f: &FunctionDoc) {
    let signature = Signature::parse(&f.signature);
    text.push('\n');
    comment(text, &f.doc);
    let mut names = vec![];
    for p in &signature.parameters {
        let optional = if p.optional { "?" } else { "" };
        let _ = writeln!(text, "---@param {}{optional} {}", p.name, p.ty);
        names.push(p.name);
    }
    for r in &signature.returns {
        match r.strip_suffix("...") {
            Some(many) => {
                let _ = writeln!(text, "---@return {many} ...");
            }
            None => {
                let _ = writeln!(text, "---@return {r}");
            }
        }
    }
    // Some names are words of the language; editors still complete them.
    let names = names.join(", ");
    let _ = match KEYWORDS.contains(&f.name.as_str()) {
        true => writeln!(text, "{class}[\"{}\"] = function({}) end", f.name, with_self(sign, &names)),
        false => writeln!(text, "function {class}{sign}{}({names}) end", f.name),
    };
}

const KEYWORDS: &[&str] =
    &["and", "break", "end", "for", "function", "goto", "if", "in", "not", "or", "repeat"];

fn with_self(sign: char, names: &str) -> String {
    match (sign, names.is_empty()) {
        (':', true) => "self".into(),
        (':', false) => format!("self, {names}"),
        _ => names.into(),
    }
}

fn comment(text: &mut String, doc: &str) {
    for line in doc.lines() {
        let _ = writeln!(text, "---{line}");
    }
}
