//! Many short texts in one allocation.

use crate::tokenizer::each_token;

/// Texts laid end to end: a million captions take two allocations rather than a million.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    text: String,
    /// Where each text ends.
    ends: Vec<usize>,
}

impl Texts {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// The text at a position, from 0.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, position: usize) -> &str {
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[position]]
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The texts in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|position| self.get(position))
    }

    /// The tokens of captions, as [`tokenize_captions`](crate::tokenize_captions) gives them.
    pub fn tokenized<C: AsRef<str>>(captions: &[C]) -> Self {
        let mut tokens = Self { text: String::new(), ends: Vec::with_capacity(captions.len()) };
        // Tokens come caption by caption; one without tokens is passed over.
        let mut begun = 0;
        each_token(captions, |caption, token| {
            while tokens.ends.len() < caption {
                begun = tokens.text.len();
                tokens.ends.push(begun);
            }
            if tokens.text.len() > begun {
                tokens.text.push(' ');
            }
            tokens.text.push_str(token);
        });
        tokens.ends.resize(captions.len(), tokens.text.len());
        tokens
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text.as_ref()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize_captions;

    #[test]
    fn tokens_are_those_of_the_tokenizer() {
        for captions in [
            &["", "Two dogs, etc.", "...", "", "A cat's toy (red)!", ""][..],
            &["a <b c=\"d", "e\"> f", "g"],
            &["see www.a.com\u{3000}", "", "b"],
            &["."],
            &[],
        ] {
            let texts = Texts::tokenized(captions);
            assert_eq!(texts.iter().collect::<Vec<_>>(), tokenize_captions(captions), "{captions:?}");
        }
    }

    #[test]
    fn texts_come_back() {
        let texts: Texts = ["a b", "", "c"].into_iter().collect();
        assert_eq!((texts.len(), texts.get(0), texts.get(1), texts.get(2)), (3, "a b", "", "c"));
        assert!(Texts::default().is_empty());
    }
}
