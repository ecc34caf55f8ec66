//! Counting: which n-grams two or more images mention.

use super::DocumentFrequencies;
use crate::gram_table::{GramTable, Key};
use crate::ngrams::{Gram, MAX_ORDER, ngrams, unpack};
use crate::parallel;
use std::num::NonZeroU32;

/// N-grams that are counted in one table: of more, each part is counted by itself, so that a table stays below
/// 512 MB, with captions as people write them below 128 MB, however many there are.
const PART: usize = 1 << 22;
/// The orders so that two cores have as much to do, the first two or the last two each.
const ORDERS: [usize; MAX_ORDER] = [4, 1, 3, 2];

/// Where an n-gram was seen.
struct Seen {
    images: NonZeroU32,
    /// The last image.
    last: u32,
}

impl DocumentFrequencies {
    /// Counts the references of a split: `images[i][j]` is the j-th reference of the i-th image.
    pub fn from_references<R: AsRef<[u32]> + Sync>(images: &[Vec<R>]) -> Self {
        Self::count(images.len(), |i, take| images[i].iter().for_each(|reference| take(reference.as_ref())))
    }

    /// Counts the n-grams of `images` images; `references` gives those of an image, one after the other. On all
    /// cores, each for the n-grams of an order whose hash is in a part of all.
    pub(crate) fn count(images: usize, references: impl Fn(usize, &mut dyn FnMut(&[u32])) + Sync) -> Self {
        let mut tokens = 0;
        (0..images).for_each(|image| references(image, &mut |reference| tokens += reference.len()));
        Self::count_in_parts(tokens.div_ceil(PART).max(1), tokens, images, references)
    }

    fn count_in_parts(
        parts: usize,
        tokens: usize,
        images: usize,
        references: impl Fn(usize, &mut dyn FnMut(&[u32])) + Sync,
    ) -> Self {
        let counted = parallel::each(parts * MAX_ORDER, 1, |(), task| {
            let (part, n) = (task / MAX_ORDER, ORDERS[task % MAX_ORDER]);
            let mut counts = GramTable::<Gram, Seen>::with_room(tokens / parts / 2);
            for image in 0..images {
                let last = image as u32;
                references(image, &mut |reference| {
                    for gram in ngrams(reference, n) {
                        if ((gram.hash() >> 32) as usize * parts) >> 32 != part {
                            continue;
                        }
                        let new = || Seen { images: NonZeroU32::MIN, last };
                        let seen = counts.get_or_insert_with(gram, new);
                        if seen.last != last {
                            *seen = Seen { images: seen.images.saturating_add(1), last };
                        }
                    }
                });
            }
            let shared = counts.iter().filter(|(_, seen)| seen.images.get() > 1);
            (n, counts.len(), shared.map(|(gram, seen)| (gram, seen.images)).collect::<Vec<_>>())
        });
        let shared = counted.iter().map(|(.., shared)| shared.len()).sum();
        let mut frequencies = Self::with_room(u32::try_from(images).unwrap_or(u32::MAX), shared);
        for n in 1..=MAX_ORDER {
            for (_, distinct, shared) in counted.iter().filter(|(of, ..)| *of == n) {
                frequencies.distinct_ngrams += distinct;
                for &(gram, images) in shared {
                    frequencies.insert(&unpack(gram)[MAX_ORDER - n..], images);
                }
            }
        }
        frequencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        // By a fixed rule, few words, so that images have n-grams of all orders in common.
        let captions: Vec<Vec<u32>> =
            (0..40).map(|i| (0..i % 13).map(|j| (i * j + j / 3) % 5).collect()).collect();
        let counted = |parts| {
            let take = |image: usize, take: &mut dyn FnMut(&[u32])| {
                captions[2 * image..][..2].iter().for_each(|c| take(c))
            };
            let frequencies = DocumentFrequencies::count_in_parts(parts, 240, 20, take);
            serde_json::to_string(&frequencies).unwrap()
        };
        let whole = counted(1);
        assert!(whole.matches(",3").count() > 4, "{whole}");
        for parts in [2, 3, 7, 100] {
            assert_eq!(counted(parts), whole, "{parts}");
        }
    }
}
