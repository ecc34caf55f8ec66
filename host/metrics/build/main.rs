//! Turns the tokenizer's grammar (`grammar`) into one table of states, so that nothing is left to
//! compile when the program runs: patterns, to an automaton of sets of characters, to the smallest deterministic one.

#[path = "../src/tokenizer/action.rs"]
mod action;
mod automaton;
mod grammar;
mod pattern;
mod table;

use automaton::{Alphabet, Builder};
use grammar::RULES;
use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src/tokenizer/action.rs");
    let mut builder = Builder::default();
    let mut roots = vec![builder.union(RULES.iter().enumerate().map(|(rule, r)| (whole(r), rule)))];
    for rule in RULES.iter().filter(|rule| rule.context.is_some()) {
        for part in [Some(rule.pattern), rule.context] {
            roots.push(builder.union([(part.unwrap_or_default().to_owned(), 0)]));
        }
    }
    let alphabet = Alphabet::new(&builder.sets);
    let machine = automaton::determinize(&builder, &alphabet, &roots);
    let machine = automaton::minimize(&machine, alphabet.classes);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let write = |name: &str, bytes: &[u8]| fs::write(out.join(name), bytes).expect("OUT_DIR takes files");
    write("transitions.bin", &table::transitions(&machine, &alphabet));
    write("table.rs", table::constants(&machine, &alphabet).as_bytes());
}

/// A rule's pattern with what must follow it: the longest match counts both.
fn whole(rule: &grammar::Rule) -> String {
    match rule.context {
        Some(context) => format!("(?:{})(?:{context})", rule.pattern),
        None => rule.pattern.to_owned(),
    }
}
