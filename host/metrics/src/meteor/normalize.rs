//! METEOR's normalisation of English text (its option `-norm`): punctuation apart, contractions split,
//! hyphens and quotation marks made uniform. It follows the tokeniser of Moses, rule by rule: each rule is
//! a window of characters that is looked for from left to right, without overlap.

use super::lexicon::{MeteorLexicon, Prefix};
use std::borrow::Cow;

/// Stands for one of several periods in a row while single ones are handled; no text holds it.
const PROTECTED_PERIOD: char = '\u{ffff}';

/// What METEOR counts as letters: Latin, Cyrillic and phonetic blocks.
fn is_alpha(c: char) -> bool {
    c.is_ascii_alphabetic()
        || matches!(c,
            'Š' | 'Ž' | 'š' | 'ž' | 'Ÿ' | 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ž'
            | '\u{400}'..='\u{4ff}' | '\u{500}'..='\u{527}' | '\u{a640}'..='\u{a66e}'
            | '\u{a67e}'..='\u{a697}' | '\u{1d00}'..='\u{1d7f}')
}

fn is_alnum(c: char) -> bool {
    c.is_ascii_digit() || is_alpha(c)
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// White space in Java's regular expressions.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

/// What parts tokens for Java's `StringTokenizer`.
pub(super) fn is_delimiter(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{c}' | '\r')
}

/// Spaces of any width, which become plain ones at last.
fn is_wide_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

type Is = fn(char) -> bool;

/// Where `middle` stands between characters of two kinds, both are written with `between` in its place.
fn around(text: &mut Vec<char>, middle: char, left: Is, right: Is, between: &str) {
    if !text.contains(&middle) {
        return;
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut rest = text.as_slice();
    loop {
        match *rest {
            [l, m, r, ..] if m == middle && left(l) && right(r) => {
                out.push(l);
                out.extend(between.chars());
                out.push(r);
                rest = &rest[3..];
            }
            [first, ..] => {
                out.push(first);
                rest = &rest[1..];
            }
            [] => break,
        }
    }
    *text = out;
}

/// Two of a character become what `instead` says.
fn pairs(text: &mut Vec<char>, of: char, instead: &str) {
    if !text.contains(&of) {
        return;
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut rest = text.as_slice();
    loop {
        match *rest {
            [a, b, ..] if a == of && b == of => {
                out.extend(instead.chars());
                rest = &rest[2..];
            }
            [first, ..] => {
                out.push(first);
                rest = &rest[1..];
            }
            [] => break,
        }
    }
    *text = out;
}

/// Puts spaces around punctuation that never belongs to a word, and around periods in a row.
fn apart(line: &str) -> Vec<char> {
    let mut text = Vec::with_capacity(line.len() + 16);
    text.push(' ');
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '.' && characters.peek() == Some(&'.') {
            text.extend([' ', PROTECTED_PERIOD]);
            while characters.next_if_eq(&'.').is_some() {
                text.push(PROTECTED_PERIOD);
            }
            text.push(' ');
        } else if is_alnum(c) || is_space(c) || matches!(c, '.' | '\'' | '`' | ',' | '-' | '‘' | '’') {
            text.push(c);
        } else {
            text.extend([' ', c, ' ']);
        }
    }
    text.push(' ');
    text
}

/// Parts the period that ends a word from it, unless the word is an abbreviation.
fn end_of_word(word: &str, next: Option<&str>, lexicon: &MeteorLexicon, out: &mut String) {
    let Some(stem) = word.strip_suffix('.').filter(|s| !s.is_empty()) else {
        out.push_str(word);
        return;
    };
    let starts = |of: fn(u8) -> bool| next.is_some_and(|n| n.as_bytes().first().is_some_and(|b| of(*b)));
    let known = lexicon.prefix(stem);
    if stem.contains('.') && stem.chars().any(is_alpha) {
        // U.S. becomes US.
        out.extend(word.chars().filter(|c| *c != '.'));
    } else if known == Some(Prefix::Any)
        || starts(|b| b.is_ascii_lowercase())
        || (known == Some(Prefix::BeforeNumber) && starts(|b| b.is_ascii_digit()))
    {
        out.push_str(word);
    } else {
        out.push_str(stem);
        out.push_str(" .");
    }
}

/// The words of a line as METEOR sees them: normalised, then in lower case, parted by delimiters.
pub(super) fn normalize<'t>(line: &'t str, lexicon: &MeteorLexicon) -> Cow<'t, str> {
    // Nothing but plain words is the common case, and has nothing to normalise.
    if line.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b' ') {
        return line.into();
    }
    let mut text = apart(line);
    around(&mut text, ',', |c| !is_digit(c), |c| !is_digit(c), " , ");
    around(&mut text, ',', is_digit, |c| !is_digit(c), " , ");
    around(&mut text, ',', |c| !is_digit(c), is_digit, " , ");
    for c in &mut text {
        match *c {
            '`' | '‘' | '’' => *c = '\'',
            '–' => *c = '-',
            '“' | '”' => *c = '"',
            _ => {}
        }
    }
    pairs(&mut text, '\'', " \" ");
    pairs(&mut text, '-', "-");
    around(&mut text, '-', |c| is_alnum(c) || c == '.', is_alnum, " ");
    around(&mut text, '\'', |c| !is_alpha(c), |c| !is_alpha(c), " ' ");
    around(&mut text, '\'', |c| !is_alpha(c) && !is_digit(c), is_alpha, " ' ");
    around(&mut text, '\'', is_alpha, |c| !is_alpha(c), " ' ");
    around(&mut text, '\'', is_alpha, is_alpha, " '");
    around(&mut text, '\'', is_digit, |c| c == 's', " '");

    let text: String = text.into_iter().collect();
    let words: Vec<&str> = text.split(is_delimiter).filter(|w| !w.is_empty()).collect();
    let mut out = String::with_capacity(text.len());
    for (i, word) in words.iter().enumerate() {
        end_of_word(word, words.get(i + 1).copied(), lexicon, &mut out);
        out.push(' ');
    }
    let out = out.replace(PROTECTED_PERIOD, ".").replace(is_wide_space, " ");
    // Java's `trim`, which takes control characters off as well.
    out.trim_matches(|c| c <= ' ').to_lowercase().into()
}
