//! What becomes of a token's text: spellings of the Penn Treebank, in lower case.

use super::action::Action;
use std::borrow::Cow;

/// The text of a token after `action`, in lower case.
pub fn normalized(action: Action, text: &str) -> Cow<'_, str> {
    let changed = match action {
        Action::Replace(with) => with.into(),
        Action::Word => word(text),
        Action::Spaced => text.replace(' ', "\u{a0}").into(),
        Action::Ampersand => ampersands(text).into(),
        Action::Parentheses => parentheses(text).into(),
        Action::Phone => parentheses(&text.replace(' ', "\u{a0}")).into(),
        Action::OpeningQuotes => quotes(text, "`", "``").into(),
        Action::ClosingQuotes => quotes(text, "'", "''").into(),
        Action::Hyphens if (3..=4).contains(&text.len()) => "--".into(),
        Action::Currency => currency(text).into(),
        Action::Fraction => fraction(text).into(),
        _ => text.into(),
    };
    lower(changed)
}

fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.is_ascii() {
        return text.to_lowercase().into();
    }
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => text.to_ascii_lowercase().into(),
        false => text,
    }
}

/// Without soft hyphens; what consists of them alone is a hyphen.
fn word(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains('\u{ad}') {
        return text.into();
    }
    let word = text.replace('\u{ad}', "");
    if word.is_empty() { "-".into() } else { word.into() }
}

/// With `&` for `&amp;` in either case.
fn ampersands(text: &str) -> String {
    let mut rest = text;
    let mut changed = String::with_capacity(text.len());
    while let Some(at) = rest.find('&') {
        changed.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        if rest.get(..4).is_some_and(|entity| entity.eq_ignore_ascii_case("amp;")) {
            rest = &rest[4..];
        }
    }
    changed + rest
}

fn parentheses(text: &str) -> String {
    text.replace('(', "-LRB-").replace(')', "-RRB-")
}

/// Quotation marks in ASCII; `single` and `double` are for those that have no direction.
fn quotes(text: &str, single: &str, double: &str) -> String {
    // The entities first, as written: they are known in lower case only.
    let text = text.replace("&apos;", "'").replace("&quot;", "\"");
    let mut changed = String::with_capacity(text.len() + 2);
    for mark in text.chars() {
        match mark {
            '\'' => changed.push_str(single),
            '"' => changed.push_str(double),
            '\u{91}' | '\u{2018}' | '\u{201b}' | '\u{2039}' => changed.push('`'),
            '\u{92}' | '\u{2019}' | '\u{203a}' => changed.push('\''),
            '\u{93}' | '\u{201c}' | '\u{ab}' => changed.push_str("``"),
            '\u{94}' | '\u{201d}' | '\u{bb}' => changed.push_str("''"),
            other => changed.push(other),
        }
    }
    changed
}

/// Cents and pounds (in an old British ASCII, `#`) by name; the euro and signs for any currency as dollars.
fn currency(sign: &str) -> &str {
    match sign {
        "\u{a2}" => "cents",
        "\u{a3}" => "#",
        "\u{80}" | "\u{a4}" | "\u{20a0}" | "\u{20ac}" => "$",
        other => other,
    }
}

fn fraction(sign: &str) -> &str {
    match sign {
        "\u{bc}" => "1/4",
        "\u{bd}" => "1/2",
        "\u{be}" => "3/4",
        "\u{2153}" => "1/3",
        "\u{2154}" => "2/3",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_treebank() {
        for (action, text, expected) in [
            (Action::Keep, "A.M.", "a.m."),
            (Action::Keep, "\u{c9}T\u{c9}", "\u{e9}t\u{e9}"),
            (Action::Word, "co\u{ad}Op", "coop"),
            (Action::Word, "\u{ad}\u{ad}", "-"),
            (Action::Spaced, "23 3/4", "23\u{a0}3/4"),
            (Action::Ampersand, "AT&AMP;T&amp", "at&t&amp"),
            (Action::Phone, "(212) 555-1234", "-lrb-212-rrb-\u{a0}555-1234"),
            (Action::OpeningQuotes, "&quot;", "``"),
            (Action::ClosingQuotes, "\u{201c}'", "``'"),
            (Action::Hyphens, "----", "--"),
            (Action::Hyphens, "-----", "-----"),
            (Action::Currency, "\u{20ac}", "$"),
            (Action::Currency, "\u{a5}", "\u{a5}"),
            (Action::Fraction, "\u{2153}", "1/3"),
        ] {
            assert_eq!(normalized(action, text), expected, "{action:?} of {text}");
        }
    }
}
