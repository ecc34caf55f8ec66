//! Which words and n-grams of one caption are in another, by bits.
//!
//! A word of the other caption is compared with 64 words of the first at once: what is left is a bit for each place
//! where it stands. An n-gram ends at those of its last word's places that follow an end of the n-gram before, so
//! one shift and one `and` find it, and no n-gram is ever hashed, sorted or packed.

use crate::ngrams::MAX_ORDER;

/// Bits of those words, of at most 64, that are this one.
pub(crate) fn places<T: Copy + PartialEq>(words: &[T], word: T) -> u64 {
    words.iter().rev().fold(0, |bits, &other| bits << 1 | u64::from(other == word))
}

/// How often something is there, by order, unigrams first.
pub(crate) type Counts = [u32; MAX_ORDER];

/// Counts n-grams of one caption in others.
#[derive(Debug, Default)]
pub(crate) struct Overlap {
    counts: Vec<Counts>,
    /// For each 64 words of the caption, by order: where the n-gram ends that ends at the word at hand of the other.
    ends: Vec<[u64; MAX_ORDER]>,
}

impl Overlap {
    /// How often `other` has the n-grams of `caption`: for each word of `caption` those that end with it. A repeated
    /// n-gram is counted where it ends first and is 0 elsewhere.
    pub(crate) fn count(&mut self, caption: &[u32], other: &[u32]) -> &[Counts] {
        self.counts.clear();
        self.counts.resize(caption.len(), Counts::default());
        self.ends.clear();
        self.ends.resize(caption.len().div_ceil(64), [0; MAX_ORDER]);
        for &token in other {
            let mut carried = [0; MAX_ORDER];
            let mut found = 0;
            for (block, (words, ends)) in caption.chunks(64).zip(&mut self.ends).enumerate() {
                let here = places(words, token);
                let mut next = [here; MAX_ORDER];
                for order in 1..MAX_ORDER {
                    next[order] &= ends[order - 1] << 1 | carried[order - 1];
                    carried[order - 1] = ends[order - 1] >> 63;
                }
                *ends = next;
                // Where an n-gram ends, the shorter ones end as well.
                let ending = next.iter().take_while(|ends| **ends != 0).enumerate();
                for (order, ends) in ending.skip(found) {
                    self.counts[64 * block + ends.trailing_zeros() as usize][order] += 1;
                    found = order + 1;
                }
            }
        }
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn by_hand() {
        // "1 2 1 2 3" in "1 2 3 1 2".
        let mut overlap = Overlap::default();
        let expected = [[2, 0, 0, 0], [2, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]];
        assert_eq!(overlap.count(&[1, 2, 1, 2, 3], &[1, 2, 3, 1, 2]), expected);
        assert!(overlap.count(&[], &[1]).is_empty());
        assert_eq!(overlap.count(&[1], &[]), [[0; 4]]);
    }

    #[test]
    fn long_captions_are_counted_across_blocks() {
        // Few words, so that n-grams repeat, and many, so that some are first where 64 words end.
        let caption = |length: u32, words: u32| (0..length).map(|i| i * i / 3 % words).collect::<Vec<u32>>();
        let lengths = [(63, 65), (64, 64), (65, 300), (130, 129), (300, 20), (1, 1), (200, 0)];
        for ((a, b), words) in lengths.into_iter().flat_map(|lengths| [(lengths, 7), (lengths, 997)]) {
            let (a, b) = (caption(a, words), caption(b, words));
            let counts = Overlap::default().count(&a, &b).to_vec();
            for n in 1..=MAX_ORDER {
                let mut expected: HashMap<&[u32], u32> = HashMap::new();
                b.windows(n).for_each(|gram| *expected.entry(gram).or_default() += 1);
                for (start, gram) in a.windows(n).enumerate() {
                    // What is left after the first place is nothing.
                    let of_gram = expected.insert(gram, 0).unwrap_or(0);
                    assert_eq!(counts[start + n - 1][n - 1], of_gram, "{gram:?} at {start}");
                }
            }
        }
    }
}
