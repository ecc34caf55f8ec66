//! The automaton that the build script makes of the grammar, at work.

use super::action::Action;

include!(concat!(env!("OUT_DIR"), "/table.rs"));

/// What is left of a rule.
pub struct Rule {
    /// What becomes of the token's text.
    pub action: Action,
    /// Where the automata of the token and of what must follow it begin, if something must.
    border: Option<[u16; 2]>,
}

/// One row of 16-bit little-endian entries a state: 0 for nowhere, else the next state, with `ENDS` set if a rule
/// ends there.
static TRANSITIONS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/transitions.bin"));

/// The longest match from `at`: where the token ends, and its rule.
pub fn next_token(text: &[u8], at: usize) -> (usize, &'static Rule) {
    let (mut state, mut here) = (START, at);
    let (mut end, mut last) = (at, 0);
    while here < text.len() {
        let (class, length) = class(text, here);
        state = step(state, class);
        if state == 0 {
            break;
        }
        here += length;
        if state & ENDS != 0 {
            (end, last) = (here, state & !ENDS);
        }
    }
    let rule = &RULES[usize::from(RULE_OF[usize::from(last)])];
    match rule.border {
        None => (end, rule),
        Some(roots) => (border(text, at, end, roots), rule),
    }
}

/// Where the token ends and its context begins, in a match of both from `at` to `end`: as late as can be.
#[cold]
fn border(text: &[u8], at: usize, end: usize, [body, context]: [u16; 2]) -> usize {
    let (mut state, mut here, mut found) = (body, at, end);
    while here < end {
        let (class, length) = class(text, here);
        state = step(state, class);
        if state == 0 {
            break;
        }
        here += length;
        if state & ENDS != 0 && matches_whole(&text[here..end], context) {
            found = here;
        }
    }
    found
}

fn matches_whole(text: &[u8], root: u16) -> bool {
    let (mut state, mut here) = (root, 0);
    while here < text.len() && state != 0 {
        let (class, length) = class(text, here);
        state = step(state, class);
        here += length;
    }
    state & ENDS != 0
}

fn step(state: u16, class: u8) -> u16 {
    let entry = usize::from(state & !ENDS) * CLASSES + usize::from(class);
    u16::from_le_bytes(TRANSITIONS.as_chunks().0[entry])
}

/// The class of the UTF-16 code unit that begins at a byte of UTF-8, and how many bytes it takes.
///
/// A character beyond the basic plane counts as two halves of two bytes: the reference reads it as a surrogate pair.
fn class(text: &[u8], at: usize) -> (u8, usize) {
    let byte = text[at];
    if byte < 0x80 {
        return (PAGES[usize::from(PAGE_OF[0])][usize::from(byte)], 1);
    }
    let low = |offset: usize| u16::from(text.get(at + offset).copied().unwrap_or(0) & 0x3f);
    let (unit, length) = match byte {
        0xc0..0xe0 => (u16::from(byte & 0x1f) << 6 | low(1), 2),
        0xe0..0xf0 => (u16::from(byte) << 12 | low(1) << 6 | low(2), 3),
        0xf0.. => (0xd800, 2),
        _ => (0xdc00, 2),
    };
    let [page, within] = unit.to_be_bytes();
    (PAGES[usize::from(PAGE_OF[usize::from(page)])][usize::from(within)], length)
}
