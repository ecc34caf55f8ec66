//! The tokenizer that coco-caption uses: CoreNLP 3.4.1's `PTBTokenizer -preserveLines -lowerCase`, then the removal of
//! punctuation by `pycocoevalcap`'s `ptbtokenizer.py`.
//!
//! The reference joins all captions to one file. What follows a caption can change its tokens: `etc.` keeps its point
//! before a lower-case word and yields it once more before a capital, be that in the next caption or nowhere because
//! the file ends. So captions are tokenised together here too: [`tokenize_captions`] takes them in the order in which
//! the reference would write them.
//!
//! Where a caption holds a line break other than `\n` (a carriage return, U+2028, a form feed), the reference writes
//! one line more than it was given and takes each later line for the caption after the one it belongs to. Here every
//! caption keeps its own tokens.

mod action;
mod automaton;
mod captions;
mod text;

pub(crate) use captions::each_token;
pub use captions::tokenize_captions;

use action::Action;
use std::borrow::Cow;

/// One thing that the scanner finds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found<'t> {
    /// A token that begins at a byte of the text.
    Token(usize, Cow<'t, str>),
    /// The end of a line.
    Line,
}

/// The tokens and line ends of a text from some byte on.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Scanner<'t> {
    type Item = Found<'t>;

    fn next(&mut self) -> Option<Found<'t>> {
        let bytes = self.text.as_bytes();
        loop {
            // No rule for a space but to skip it.
            while bytes.get(self.at) == Some(&b' ') {
                self.at += 1;
            }
            let start = self.at;
            if start >= bytes.len() {
                return None;
            }
            let (end, rule) = automaton::next_token(bytes, start);
            self.at = end;
            let (mut shown, action) = (end, rule.action);
            match action {
                Action::Skip => continue,
                Action::Line => return Some(Found::Line),
                Action::EndsSentence => self.at -= 1,
                Action::AcronymEndsSentence => {
                    self.at -= 1;
                    if end - start == 2 {
                        shown = self.at;
                    }
                }
                _ => {}
            }
            // Half of a character is never a token of its own: it is skipped.
            let text = self.text.get(start..shown).unwrap_or_default();
            return Some(Found::Token(start, text::normalized(action, text)));
        }
    }
}

/// What the reference's Java program prints for a file with this text: a line for each line, tokens parted by spaces,
/// punctuation kept.
///
/// ```
/// use ekphrasis_metrics::ptb_lines;
///
/// assert_eq!(ptb_lines("A man's \"T.V.\" (new)\nEnd."), "a man 's `` t.v. '' -lrb- new -rrb-\nend .");
/// ```
pub fn ptb_lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + text.len() / 8);
    let mut begins = true;
    for found in (Scanner { text, at: 0 }) {
        match found {
            Found::Line => {
                lines.push('\n');
                begins = true;
            }
            Found::Token(_, token) => {
                if !begins {
                    lines.push(' ');
                }
                lines.push_str(&token);
                begins = false;
            }
        }
    }
    lines
}
