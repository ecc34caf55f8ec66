//! The words that a model knows, and their ids.

use std::collections::HashMap;
use std::path::Path;

use crate::cache::write_atomically;
use crate::{DataError, words};

const SPECIALS: [&str; 4] = ["<pad>", "<bos>", "<eos>", "<unk>"];

/// A list of words; a word's id is its place in the list.
///
/// The first four are `<pad>`, `<bos>`, `<eos>` and `<unk>`, then come words by falling count, ties in
/// alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// Fills a sequence up after its end.
    pub const PAD: u32 = 0;
    /// Starts a sequence.
    pub const BOS: u32 = 1;
    /// Ends a sequence.
    pub const EOS: u32 = 2;
    /// Stands for a word that is not in the list.
    pub const UNK: u32 = 3;

    /// Counts the words of `captions` and keeps those seen `min_count` times or more, and all of `always`.
    pub fn build<'a, W: AsRef<str> + 'a>(
        captions: impl IntoIterator<Item = &'a Vec<W>>,
        min_count: usize,
        always: &[&str],
    ) -> Vocabulary {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for word in captions.into_iter().flatten() {
            match counts.get_mut(word.as_ref()) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.as_ref().to_owned(), 1)),
            }
        }
        counts.retain(|word, count| *count >= min_count || always.contains(&word.as_str()));
        for word in always {
            counts.entry((*word).to_owned()).or_insert(0);
        }
        for special in SPECIALS {
            counts.remove(special);
        }
        let mut ranked: Vec<_> = counts.into_iter().collect();
        ranked.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        let listed = SPECIALS.iter().map(|s| (*s).to_owned()).chain(ranked.into_iter().map(|(word, _)| word));
        Vocabulary::from_words(listed.collect())
    }

    fn from_words(words: Vec<String>) -> Vocabulary {
        let ids = words.iter().zip(0..).map(|(word, id)| (word.clone(), id)).collect();
        Vocabulary { words, ids }
    }

    /// Number of ids, the four special ones included.
    #[allow(clippy::len_without_is_empty, reason = "never empty: the special words are always there")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The words in the order of their ids.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The id of `word`, or [`Vocabulary::UNK`].
    pub fn id(&self, word: &str) -> u32 {
        self.ids.get(word).copied().unwrap_or(Vocabulary::UNK)
    }

    /// The word of `id`, or `<unk>` where there is none.
    pub fn word(&self, id: u32) -> &str {
        usize::try_from(id).ok().and_then(|i| self.words.get(i)).map_or("<unk>", String::as_str)
    }

    /// The ids of a raw caption, without begin and end.
    pub fn encode(&self, caption: &str) -> Vec<u32> {
        self.encode_words(&words(caption))
    }

    /// The ids of words, without begin and end.
    pub fn encode_words<W: AsRef<str>>(&self, words: &[W]) -> Vec<u32> {
        words.iter().map(|word| self.id(word.as_ref())).collect()
    }

    /// The words of `ids` with spaces between, up to the first end or padding; begins are skipped.
    pub fn decode(&self, ids: &[u32]) -> String {
        let kept = ids.iter().take_while(|id| !matches!(**id, Vocabulary::EOS | Vocabulary::PAD));
        let words: Vec<&str> = kept.filter(|id| **id != Vocabulary::BOS).map(|id| self.word(*id)).collect();
        words.join(" ")
    }

    /// `ids`, then an end, then padding: always `length` numbers. Longer captions lose their tail, never the
    /// end mark.
    pub fn pad(ids: &[u32], length: usize) -> Vec<i64> {
        let mut row: Vec<i64> = ids.iter().take(length.saturating_sub(1)).map(|id| i64::from(*id)).collect();
        if length > 0 {
            row.push(i64::from(Vocabulary::EOS));
        }
        row.resize(length, i64::from(Vocabulary::PAD));
        row
    }

    /// Writes one word a line, the line number less one being the id.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let mut text = self.words.join("\n");
        text.push('\n');
        write_atomically(path, text.as_bytes())
    }

    /// Reads what [`Vocabulary::save`] wrote.
    pub fn load(path: &Path) -> Result<Vocabulary, DataError> {
        let text = std::fs::read_to_string(path).map_err(DataError::io("read vocabulary", path))?;
        let words: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, word) in words.iter().enumerate() {
            let line = || format!("line {}", index + 1);
            if let Some(special) = SPECIALS.get(index).filter(|special| *special != word) {
                return Err(DataError::malformed(
                    path,
                    line(),
                    format!("expected {special}, found `{word}`"),
                ));
            }
            if word.is_empty() || word.contains(char::is_whitespace) {
                return Err(DataError::malformed(path, line(), format!("expected one word, found `{word}`")));
            }
            if let Some(first) = seen.insert(word, index) {
                let message = format!("`{word}` stands on line {} already", first + 1);
                return Err(DataError::malformed(path, line(), message));
            }
        }
        if words.len() < SPECIALS.len() {
            let message = format!("expected the words {}, found the end of the file", SPECIALS.join(", "));
            return Err(DataError::malformed(path, format!("line {}", words.len() + 1), message));
        }
        Ok(Vocabulary::from_words(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vocabulary {
        let captions = vec![words("b a c a"), words("c b rare")];
        Vocabulary::build(&captions, 2, &["zebras"])
    }

    #[test]
    fn order_is_by_count_then_alphabet() {
        assert_eq!(sample().words()[4..], ["a", "b", "c", "zebras"]);
        assert_eq!(sample().encode("C? rare zebras"), [6, Vocabulary::UNK, 7]);
    }

    #[test]
    fn decode_stops_at_the_end() {
        let v = sample();
        assert_eq!(v.decode(&[1, 4, 6, 2, 5]), "a c");
        assert_eq!(v.decode(&[4, 0, 5]), "a");
        assert_eq!(v.decode(&[99, 3]), "<unk> <unk>");
    }

    #[test]
    fn padding_keeps_the_end_mark() {
        assert_eq!(Vocabulary::pad(&[7, 8], 5), [7, 8, 2, 0, 0]);
        assert_eq!(Vocabulary::pad(&[7, 8, 9], 3), [7, 8, 2]);
        assert_eq!(Vocabulary::pad(&[7], 0), [0i64; 0]);
    }

    #[test]
    fn saved_and_loaded_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/vocabulary.txt");
        sample().save(&path).unwrap();
        assert_eq!(Vocabulary::load(&path).unwrap(), sample());
    }

    #[test]
    fn bad_files_are_located() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.txt");
        for (text, expected) in [
            ("<pad>\n<bos>\n", "line 3: expected the words"),
            ("<pad>\n<bos>\n<eos>\nfoo\n", "line 4: expected <unk>, found `foo`"),
            ("<pad>\n<bos>\n<eos>\n<unk>\na\nb\na\n", "line 7: `a` stands on line 5 already"),
            ("<pad>\n<bos>\n<eos>\n<unk>\na b\n", "line 5: expected one word, found `a b`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Vocabulary::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
