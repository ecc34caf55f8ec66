//! Reading a [`RewardBatch`] safely. Both sides use it: the host to check what it is about to pass on, a
//! plugin written in Rust to read it.

use crate::reward::{RewardBatch, SpecialTokens};
use crate::{Str, slice};

/// A checked batch of captions, borrowed for one call of `score`.
///
/// Methods that take the index of a caption panic when it is not below [`Batch::len`].
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    columns: usize,
    tokens: &'a [i64],
    lengths: &'a [usize],
    images: &'a [usize],
    image_offsets: &'a [usize],
    reference_offsets: &'a [usize],
    reference_tokens: &'a [i64],
    vocabulary: &'a [Str],
    special: SpecialTokens,
    step: u64,
}

impl<'a> Batch<'a> {
    /// Checks every index, offset, token and word of `raw`; the error names the field, what was expected and
    /// what was found.
    ///
    /// # Safety
    /// Each pointer of `raw` is null, or points to as many elements as its comment says, which stay unchanged
    /// during `'a`; the same holds for each word of `vocabulary`.
    pub unsafe fn from_raw(raw: &'a RewardBatch) -> Result<Self, String> {
        let cells = raw
            .captions
            .checked_mul(raw.columns)
            .ok_or_else(|| format!("captions * columns: {} * {} overflows", raw.captions, raw.columns))?;
        let fences = |field: &str, count: usize| {
            count.checked_add(1).ok_or_else(|| format!("{field}: {count} + 1 overflows"))
        };
        let image_fences = fences("image_count", raw.image_count)?;
        let reference_fences = fences("reference_count", raw.reference_count)?;
        // SAFETY: all slices of this block are as long as the comments of `RewardBatch` say, which the caller
        // promises.
        let batch = unsafe {
            let reference_offsets = slice(raw.reference_offsets, reference_fences, "reference_offsets")?;
            let reference_length = reference_offsets.last().copied().unwrap_or(0);
            Batch {
                columns: raw.columns,
                tokens: slice(raw.tokens, cells, "tokens")?,
                lengths: slice(raw.lengths, raw.captions, "lengths")?,
                images: slice(raw.images, raw.captions, "images")?,
                image_offsets: slice(raw.image_offsets, image_fences, "image_offsets")?,
                reference_offsets,
                reference_tokens: slice(raw.reference_tokens, reference_length, "reference_tokens")?,
                vocabulary: slice(raw.vocabulary, raw.vocabulary_size, "vocabulary")?,
                special: raw.special,
                step: raw.step,
            }
        };
        batch.check(raw)?;
        Ok(batch)
    }

    fn check(&self, raw: &RewardBatch) -> Result<(), String> {
        for (i, word) in self.vocabulary.iter().enumerate() {
            // SAFETY: the words are valid for `'a`, as the caller of `from_raw` promises.
            unsafe { word.get() }.map_err(|e| format!("vocabulary[{i}]: {e}"))?;
        }
        for (i, &length) in self.lengths.iter().enumerate() {
            if length > self.columns {
                return Err(format!(
                    "lengths[{i}]: expected at most {} (columns), found {length}",
                    self.columns
                ));
            }
            let row = &self.tokens[i * self.columns..][..length];
            self.check_tokens(row).map_err(|(t, e)| format!("tokens[{i}, {t}]: {e}"))?;
        }
        for (i, &image) in self.images.iter().enumerate() {
            if image >= raw.image_count {
                return Err(format!(
                    "images[{i}]: expected below {} (image_count), found {image}",
                    raw.image_count
                ));
            }
        }
        check_offsets("image_offsets", self.image_offsets, raw.reference_count)?;
        check_offsets("reference_offsets", self.reference_offsets, self.reference_tokens.len())?;
        self.check_tokens(self.reference_tokens).map_err(|(t, e)| format!("reference_tokens[{t}]: {e}"))
    }

    fn check_tokens(&self, tokens: &[i64]) -> Result<(), (usize, String)> {
        let size = self.vocabulary.len();
        match tokens.iter().position(|&t| usize::try_from(t).map_or(true, |t| t >= size)) {
            Some(i) => {
                Err((i, format!("expected a token in 0..{size} (vocabulary_size), found {}", tokens[i])))
            }
            None => Ok(()),
        }
    }

    /// Number of captions.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is no caption at all.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Tokens of caption `i`: without `bos` and `pad`, with `eos` unless the caption was cut.
    pub fn tokens(&self, i: usize) -> &'a [i64] {
        &self.tokens[i * self.columns..][..self.lengths[i]]
    }

    /// Words of caption `i`, without `eos`.
    pub fn words(&self, i: usize) -> Vec<&'a str> {
        self.spell(self.tokens(i))
    }

    /// Which image of the batch caption `i` is about. Captions of one image have the same number.
    pub fn image(&self, i: usize) -> usize {
        self.images[i]
    }

    /// Tokens of each reference of the image of caption `i`: without `bos` and `pad`, with `eos`.
    pub fn references(&self, i: usize) -> impl Iterator<Item = &'a [i64]> + use<'a> {
        let image = self.images[i];
        let bounds = &self.reference_offsets[self.image_offsets[image]..=self.image_offsets[image + 1]];
        let tokens = self.reference_tokens;
        bounds.windows(2).map(move |pair| &tokens[pair[0]..pair[1]])
    }

    /// Words of `tokens` up to `eos`, without `bos` and `pad`; a token outside the vocabulary has none.
    pub fn spell(&self, tokens: &[i64]) -> Vec<&'a str> {
        let special = self.special;
        tokens
            .iter()
            .take_while(|&&t| t != special.eos)
            .filter(|&&t| t != special.bos && t != special.pad)
            .filter_map(|&t| self.word(t))
            .collect()
    }

    /// Word of a token id, if it is in the vocabulary.
    pub fn word(&self, token: i64) -> Option<&'a str> {
        let word = self.vocabulary.get(usize::try_from(token).ok()?)?;
        // SAFETY: valid for `'a`, as the caller of `from_raw` promises; checked there to be UTF-8.
        unsafe { word.get() }.ok()
    }

    /// Number of words in the vocabulary.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// Token ids with a meaning of their own.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    /// Training step that asks, counted from 0.
    pub fn step(&self) -> u64 {
        self.step
    }
}

/// Offsets start at 0, never fall and end at `end`.
fn check_offsets(field: &str, offsets: &[usize], end: usize) -> Result<(), String> {
    if let Some(&first) = offsets.first()
        && first != 0
    {
        return Err(format!("{field}[0]: expected 0, found {first}"));
    }
    if let Some(i) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
        return Err(format!(
            "{field}[{}]: expected at least {}, found {}",
            i + 1,
            offsets[i],
            offsets[i + 1]
        ));
    }
    match offsets.last() {
        Some(&last) if last != end => {
            Err(format!("{field}[{}]: expected {end}, found {last}", offsets.len() - 1))
        }
        _ => Ok(()),
    }
}
