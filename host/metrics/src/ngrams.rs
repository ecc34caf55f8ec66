//! N-grams of token ids as integers.

/// The longest n-gram that BLEU and CIDEr count.
pub const MAX_ORDER: usize = 4;

/// Up to four token ids in one integer. Only grams of one order can be told apart: `[0, 7]` and `[7]`
/// pack to the same value.
pub(crate) type Gram = u128;

pub(crate) fn pack(tokens: &[u32]) -> Gram {
    tokens.iter().fold(0, |gram, &token| gram << 32 | Gram::from(token))
}

/// The tokens of a gram of order `n`.
pub(crate) fn unpack(gram: Gram, n: usize) -> impl Iterator<Item = u32> {
    (0..n).rev().map(move |i| (gram >> (32 * i)) as u32)
}

/// Appends all n-grams of `tokens`.
pub(crate) fn push_ngrams(tokens: &[u32], n: usize, grams: &mut Vec<Gram>) {
    grams.extend(tokens.windows(n).map(pack));
}

/// Replaces the contents of `grams` by the n-grams of `tokens`, equal ones side by side.
pub(crate) fn sorted_ngrams(tokens: &[u32], n: usize, grams: &mut Vec<Gram>) {
    grams.clear();
    push_ngrams(tokens, n, grams);
    grams.sort_unstable();
}

/// Each distinct gram of a sorted list with its count.
pub(crate) fn counted(sorted: &[Gram]) -> impl Iterator<Item = (Gram, usize)> {
    sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_every_bit() {
        let tokens = [u32::MAX, 0, 1, u32::MAX - 1];
        for n in 1..=MAX_ORDER {
            assert_eq!(unpack(pack(&tokens[..n]), n).collect::<Vec<_>>(), tokens[..n]);
        }
    }

    #[test]
    fn grams_are_counted() {
        let mut grams = vec![99];
        sorted_ngrams(&[1, 2, 1, 2, 3], 2, &mut grams);
        let counts: Vec<_> = counted(&grams).collect();
        assert_eq!(counts, [(pack(&[1, 2]), 2), (pack(&[2, 1]), 1), (pack(&[2, 3]), 1)]);
        sorted_ngrams(&[1], 2, &mut grams);
        assert!(grams.is_empty());
    }
}
