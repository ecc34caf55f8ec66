//! The end-of-sentence token, counted as self-critical training counts it.

/// A sampled row up to and including its first `eos`; all of it if the sample never ended.
///
/// This is how `array_to_str` in ImageCaptioning.pytorch's `rewards.py` reads a padded row.
pub fn until_eos(tokens: &[u32], eos: u32) -> &[u32] {
    match tokens.iter().position(|&token| token == eos) {
        Some(end) => &tokens[..=end],
        None => tokens,
    }
}

/// A reference with `eos` as its last token.
pub fn with_eos(tokens: &[u32], eos: u32) -> Vec<u32> {
    let mut ended = Vec::with_capacity(tokens.len() + 1);
    ended.extend_from_slice(tokens);
    ended.push(eos);
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_to_its_first_end() {
        assert_eq!(until_eos(&[4, 5, 2, 2, 0], 2), [4, 5, 2]);
        assert_eq!(until_eos(&[2, 5], 2), [2]);
        assert_eq!(until_eos(&[4, 5], 2), [4, 5]);
        assert_eq!(until_eos(&[], 2), [0u32; 0]);
    }

    #[test]
    fn a_reference_gains_its_end() {
        assert_eq!(with_eos(&[4, 5], 2), [4, 5, 2]);
        assert_eq!(with_eos(&[], 2), [2]);
    }
}
