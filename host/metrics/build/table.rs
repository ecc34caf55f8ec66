//! The automaton as bytes and constants.

use crate::automaton::{Alphabet, Machine, NONE};
use crate::grammar::RULES;

/// Set in a transition to a state where a rule ends.
const ENDS: u16 = 1 << 15;

/// One row a state of 16-bit little-endian entries: 0 for nowhere, else the state, with a bit set if a rule ends there.
pub fn transitions(machine: &Machine, alphabet: &Alphabet) -> Vec<u8> {
    let entry = |&state: &u16| match state {
        NONE => 0,
        state if machine.rule[state as usize] == NONE => state + 1,
        state => (state + 1) | ENDS,
    };
    let nowhere = vec![NONE; alphabet.classes];
    let rows = std::iter::once(&nowhere).chain(&machine.next);
    rows.flatten().flat_map(|state| entry(state).to_le_bytes()).collect()
}

/// Everything else, as Rust.
pub fn constants(machine: &Machine, alphabet: &Alphabet) -> String {
    assert!(machine.next.len() < ENDS as usize, "a state and a bit fit 16 bits");
    let mut pages: Vec<&[u8]> = vec![];
    let page_of: Vec<usize> = alphabet
        .class_of
        .chunks(256)
        .map(|page| {
            pages.iter().position(|known| *known == page).unwrap_or_else(|| {
                pages.push(page);
                pages.len() - 1
            })
        })
        .collect();
    let rules: Vec<u16> = std::iter::once(NONE).chain(machine.rule.iter().copied()).collect();
    // The first is where every token begins; then two for each rule with a context.
    let mut roots = machine.roots.iter().map(|root| root + 1);
    let start = roots.next().expect("there are rules");
    let mut listed = String::new();
    for rule in RULES {
        let border = rule.context.and_then(|_| Some([roots.next()?, roots.next()?]));
        listed += &format!("    Rule {{ action: Action::{:?}, border: {border:?} }},\n", rule.action);
    }
    format!(
        "const CLASSES: usize = {};\nconst ENDS: u16 = {ENDS};\nstatic PAGE_OF: [u8; 256] = {page_of:?};\n\
         static PAGES: [[u8; 256]; {}] = {pages:?};\nstatic RULE_OF: [u16; {}] = {rules:?};\n\
         const START: u16 = {start};\nstatic RULES: [Rule; {}] = [\n{listed}];\n",
        alphabet.classes,
        pages.len(),
        rules.len(),
        RULES.len(),
    )
}
