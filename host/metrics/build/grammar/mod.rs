//! The grammar of the tokenizer: rules, of which the longest match wins, and among equally long ones the first.
//!
//! It describes the language of CoreNLP 3.4.1's `PTBLexer` as `PTBTokenizer -preserveLines -lowerCase` sets it up. The
//! build script compiles it; the program itself needs the actions alone.

mod characters;
mod rules;
mod words;

use crate::action::Action;
pub use rules::RULES;

/// One kind of token.
pub struct Rule {
    /// What the token looks like.
    pub pattern: &'static str,
    /// What must follow it. It counts for the length of the match but stays in the text; where the border between the
    /// two is open, the token is as long as it can be.
    pub context: Option<&'static str>,
    /// What becomes of the token's text.
    pub action: Action,
}

/// What patterns call `{name}`, each as if in parentheses.
pub const DEFINITIONS: &[&[(&str, &str)]] = &[characters::DEFINITIONS, words::DEFINITIONS];
