//! `include/ekphrasis.h` and the Rust structs say the same: a C program built from the Rust layout compares
//! every size, offset, constant and id with what the header declares.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use ekphrasis_abi::reward::*;
use ekphrasis_abi::*;

macro_rules! layout {
    ($out:ident: $($rust:ident = $c:literal { $($field:ident),+ $(,)? })+) => {$(
        writeln!($out, "CHECK(sizeof({}) == {});", $c, size_of::<$rust>()).unwrap();
        $(
            writeln!($out, "CHECK(offsetof({}, {}) == {});", $c, stringify!($field),
                std::mem::offset_of!($rust, $field)).unwrap();
        )+
        // A struct pattern must name every field, so that none is left unchecked.
        let _ = |value: $rust| { let $rust { $($field: _),+ } = value; };
    )+};
}

#[test]
fn the_header_has_the_layout_of_the_rust_structs() {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("skipped: no C compiler (`cc`) here");
        return;
    }
    let mut checks = String::new();
    layout! { checks:
        Str = "ekphrasis_str" { data, length }
        ErrorBuffer = "ekphrasis_error" { data, capacity, length }
        PluginEntry = "ekphrasis_plugin_entry" { abi_major, abi_minor, get_factory }
        Parameter = "ekphrasis_parameter" { name, default_value, doc }
        RewardDescription = "ekphrasis_reward_description" { name, doc, parameters, parameter_count }
        ParameterValue = "ekphrasis_parameter_value" { name, value }
        SpecialTokens = "ekphrasis_special_tokens" { pad, bos, eos, unk }
        RewardBatch = "ekphrasis_reward_batch" {
            captions, columns, tokens, lengths, images, image_count, image_offsets, reference_count,
            reference_offsets, reference_tokens, vocabulary_size, vocabulary, special, step,
        }
        RewardFactory = "ekphrasis_reward_factory" { count, describe, create, score, destroy }
    }
    for (name, value) in [
        ("EKPHRASIS_ABI_MAJOR", i64::from(ABI.major)),
        ("EKPHRASIS_ABI_MINOR", i64::from(ABI.minor)),
        ("EKPHRASIS_OK", i64::from(Status::OK.0)),
        ("EKPHRASIS_ERROR", i64::from(Status::ERROR.0)),
        ("EKPHRASIS_PANIC", i64::from(Status::PANIC.0)),
        ("sizeof(ekphrasis_status)", size_of::<Status>() as i64),
    ] {
        writeln!(checks, "CHECK({name} == {value});").unwrap();
    }
    let id = FACTORY_ID.to_str().unwrap();
    writeln!(checks, "CHECK(strcmp(EKPHRASIS_REWARD_FACTORY_ID, \"{id}\") == 0);").unwrap();
    let count = checks.lines().count();

    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("layout.c");
    let program = folder.path().join("layout");
    std::fs::write(
        &source,
        format!(
            "#include <stdio.h>\n#include \"ekphrasis.h\"\n\
             #define CHECK(x) do {{ checked++; if (!(x)) {{ failed++; puts(#x); }} }} while (0)\n\
             int main(void) {{ int checked = 0, failed = 0;\n{checks}\
             printf(\"%d checked\\n\", checked); return failed != 0; }}\n"
        ),
    )
    .unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(include)
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let output = Command::new(&program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the header differs:\n{text}");
    assert_eq!(text.trim_end(), format!("{count} checked"));
}
