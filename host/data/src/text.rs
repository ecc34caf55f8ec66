//! From a raw caption to words.

/// The words of `raw`: lower case, without punctuation, split at white space and hyphens.
///
/// Apostrophes vanish (`"dog's"` becomes `dogs`), as in the token lists of Karpathy's splits.
pub fn words(raw: &str) -> Vec<String> {
    raw.split(|c: char| c.is_whitespace() || matches!(c, '-' | '/' | '\u{2013}' | '\u{2014}'))
        .map(|word| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
        .filter(|word: &String| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn punctuation_and_case_go() {
        assert_eq!(
            words("A man's T-shirt , at 3 o'clock . \"Été\"!"),
            ["a", "mans", "t", "shirt", "at", "3", "oclock", "été"]
        );
        assert!(words(" .,! - ").is_empty());
    }
}
