//! N-grams of token ids as integers.

/// The longest n-gram that BLEU and CIDEr count.
pub const MAX_ORDER: usize = 4;

/// Up to four token ids in one integer. Only grams of one order can be told apart: `[0, 7]` and `[7]`
/// pack to the same value.
pub(crate) type Gram = u128;

/// The tokens of a gram: those of order `n` are the last `n`.
pub(crate) fn unpack(gram: Gram) -> [u32; MAX_ORDER] {
    std::array::from_fn(|i| (gram >> (32 * (MAX_ORDER - 1 - i))) as u32)
}

/// All n-grams of `tokens`; `n` is 1 to 4.
pub(crate) fn ngrams(tokens: &[u32], n: usize) -> impl Iterator<Item = Gram> {
    let mask = Gram::MAX >> (128 - 32 * n);
    let grams = tokens.iter().scan(0, move |gram, &token| {
        *gram = (*gram << 32 | Gram::from(token)) & mask;
        Some(*gram)
    });
    grams.skip(n - 1)
}

/// Replaces the contents of `grams` by the n-grams of `tokens`, equal ones side by side.
pub(crate) fn sorted_ngrams(tokens: &[u32], n: usize, grams: &mut Vec<Gram>) {
    grams.clear();
    grams.extend(ngrams(tokens, n));
    grams.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(tokens: &[u32]) -> Gram {
        tokens.iter().fold(0, |gram, &token| gram << 32 | Gram::from(token))
    }

    #[test]
    fn packing_keeps_every_bit() {
        let tokens = [u32::MAX, 0, 1, u32::MAX - 1];
        for n in 1..=MAX_ORDER {
            assert_eq!(unpack(pack(&tokens[..n]))[MAX_ORDER - n..], tokens[..n]);
        }
    }

    #[test]
    fn ngrams_are_packed_windows() {
        let mut grams = vec![99];
        for n in 1..=MAX_ORDER {
            let tokens = [1, 2, u32::MAX, 1, 2, 0];
            assert!(ngrams(&tokens, n).eq(tokens.windows(n).map(pack)), "{n}");
        }
        sorted_ngrams(&[1, 2, 1, 2, 3], 2, &mut grams);
        assert_eq!(grams, [pack(&[1, 2]), pack(&[1, 2]), pack(&[2, 1]), pack(&[2, 3])]);
        sorted_ngrams(&[1], 2, &mut grams);
        assert!(grams.is_empty());
    }
}
