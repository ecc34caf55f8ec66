//! What the rules of the grammar do with a token's text. The build script, which holds the rules, reads this too.

/// What becomes of the text of a token. All is lower-cased in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// No token: white space, and characters that the reference cannot tokenise.
    Skip,
    /// The end of a line.
    Line,
    /// The text as it is.
    Keep,
    /// Without soft hyphens.
    Word,
    /// Another text.
    Replace(&'static str),
    /// With no-break spaces for spaces.
    Spaced,
    /// With `&` for `&amp;`.
    Ampersand,
    /// With parentheses by name.
    Parentheses,
    /// Both: a telephone number.
    Phone,
    /// Quotation marks as `` ` ``, ` `` `, `'`, `''`; those of no direction as opening ones.
    OpeningQuotes,
    /// The same, those of no direction as closing ones.
    ClosingQuotes,
    /// Three or four hyphens as two.
    Hyphens,
    /// A currency sign as the treebank has it.
    Currency,
    /// A fraction in one character as digits and a slash.
    Fraction,
    /// An abbreviation that ends a sentence: its point is a token once more.
    EndsSentence,
    /// The same for an acronym; of a single letter the point is the next token only.
    AcronymEndsSentence,
}
