//! Captions to words, as `ptbtokenizer.py` does it around the Java program.

use super::{Found, Scanner};
use crate::interner::is_python_space;

/// Tokens that the reference drops. It is given lower-cased text, so the names of brackets in its list, as `-LRB-`,
/// never occur, and `-lrb-` stays.
const PUNCTUATION: [&str; 13] = ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// The tokens of each caption without punctuation, parted by spaces; a caption without tokens is empty.
///
/// Captions are tokenised as one text, in this order; see [the module](self) for what that changes.
///
/// ```
/// use ekphrasis_metrics::tokenize_captions;
///
/// let tokenized = tokenize_captions(&["Two dogs, etc.", "A cat's toy (red)!", "..."]);
/// assert_eq!(tokenized, ["two dogs etc.", "a cat 's toy -lrb- red -rrb-", ""]);
/// ```
pub fn tokenize_captions<C: AsRef<str>>(captions: &[C]) -> Vec<String> {
    let mut tokenized = vec![String::new(); captions.len()];
    each_token(captions, |caption, token| {
        let words = &mut tokenized[caption];
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(token);
    });
    tokenized
}

/// Calls `take` with each token that is no punctuation and the position of its caption, in order.
pub(crate) fn each_token<C: AsRef<str>>(captions: &[C], mut take: impl FnMut(usize, &str)) {
    let mut emit = |line, token: &str| {
        if !token.is_empty() && !is_punctuation(token) {
            take(line, token);
        }
    };
    let (text, ends) = joined(captions);
    let mut caption = 0;
    // The last tokens of a line as far as they end in white space, as a web address before U+3000 does: the
    // reference strips that off the line.
    let (mut held, mut held_line) = (Vec::<String>::new(), 0);
    for found in (Scanner { text: &text, at: 0 }) {
        // Line ends as such are passed over: a caption may hold others than the one after it.
        let Found::Token(start, token) = found else { continue };
        while ends.get(caption).is_some_and(|&end| start >= end) {
            caption += 1;
        }
        // A tag may reach over the end of a caption; the reference then takes its lines apart again.
        for (line, part) in (caption..captions.len()).zip(token.split('\n')) {
            let spaced = part.ends_with(is_python_space);
            if !held.is_empty() && (line != held_line || !spaced) {
                if line != held_line {
                    strip_end(&mut held);
                }
                held.drain(..).for_each(|token| emit(held_line, &token));
            }
            match spaced {
                true => {
                    held_line = line;
                    held.push(part.to_owned());
                }
                false => emit(line, part),
            }
        }
    }
    strip_end(&mut held);
    held.iter().for_each(|token| emit(held_line, token));
}

/// Strips white space off the end of a line of tokens.
fn strip_end(tokens: &mut Vec<String>) {
    while let Some(last) = tokens.last_mut() {
        last.truncate(last.trim_end_matches(is_python_space).len());
        if !last.is_empty() {
            break;
        }
        tokens.pop();
    }
}

/// The captions as the lines of one text, and where each ends in it, its line end included.
fn joined<C: AsRef<str>>(captions: &[C]) -> (String, Vec<usize>) {
    let bytes = captions.iter().map(|caption| caption.as_ref().len() + 1).sum();
    let mut text = String::with_capacity(bytes);
    let mut ends = Vec::with_capacity(captions.len());
    for caption in captions {
        let caption = caption.as_ref();
        match caption.contains('\n') {
            true => text.push_str(&caption.replace('\n', " ")),
            false => text.push_str(caption),
        }
        text.push('\n');
        ends.push(text.len());
    }
    // The last line is not ended: that is where abbreviations find the end of the file.
    text.pop();
    (text, ends)
}

fn is_punctuation(token: &str) -> bool {
    token.len() <= 3 && PUNCTUATION.contains(&token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_caption_changes_it() {
        // A capital, in the next caption too, ends the sentence at the abbreviation; so does the end of the file.
        assert_eq!(tokenize_captions(&["He has a pen etc.", "a cat"]), ["he has a pen etc.", "a cat"]);
        let raw = |text| super::super::ptb_lines(text);
        assert_eq!(raw("a pen etc.\na cat"), "a pen etc.\na cat");
        assert_eq!(raw("a pen etc.\nA cat"), "a pen etc. .\na cat");
        assert_eq!(raw("a pen etc."), "a pen etc. .");
    }

    #[test]
    fn white_space_goes_only_at_the_end_of_a_line() {
        for (tokens, expected) in [
            (vec!["a\u{a0}b\u{a0}", "\u{3000}"], vec!["a\u{a0}b"]),
            (vec!["\u{1f}", " "], vec![]),
            (vec![], vec![]),
        ] {
            let mut tokens: Vec<String> = tokens.into_iter().map(str::to_owned).collect();
            strip_end(&mut tokens);
            assert_eq!(tokens, expected);
        }
    }

    #[test]
    fn every_caption_keeps_its_own_tokens() {
        assert_eq!(tokenize_captions(&["a\nb", "c"]), ["a b", "c"]);
        assert_eq!(tokenize_captions(&["a\rb\u{2028}d\u{c}e", "", "c\r", "f"]), ["a b d e", "", "c", "f"]);
        assert_eq!(tokenize_captions(&["a <b c=\"d", "e\"> f"]), ["a <b\u{a0}c=\"d", "e\"> f"]);
        assert_eq!(
            tokenize_captions(&["x.com/a\u{3000}", "x.com/a\u{3000} b"]),
            ["x.com/a", "x.com/a\u{3000} b"]
        );
        assert_eq!(tokenize_captions::<&str>(&[]), [""; 0]);
        assert_eq!(tokenize_captions(&["", " ", "."]), ["", "", ""]);
    }
}
