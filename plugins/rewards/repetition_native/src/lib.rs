//! A compiled reward: minus the share of repeated n-grams in a caption.
//!
//! For a caption with `total` n-grams, `distinct` of them different, the score is
//! `weight * (distinct / total - 1)`: 0 when nothing repeats, towards `-weight` when everything does. A caption
//! shorter than n words has no n-gram and scores 0. `eos` is not a word. The script `repetition` gives the same
//! numbers.

use std::collections::HashSet;

use ekphrasis_sdk::{Batch, Parameter, Params, Reward, export_plugin};

struct Repetition {
    n: usize,
    weight: f64,
}

impl Reward for Repetition {
    const DOC: &'static str = "Minus the share of repeated n-grams in a caption.";
    const PARAMS: &'static [Parameter] = &[
        Parameter::new("n", 3.0, "length of the n-grams, in words"),
        Parameter::new("weight", 1.0, "score of a caption that only repeats, negated"),
    ];

    fn new(params: &Params<'_>) -> Result<Self, String> {
        let n = params.get("n");
        if n < 1.0 || n.fract() != 0.0 {
            return Err(format!("n: expected a whole number of at least 1, found {n}"));
        }
        Ok(Repetition { n: n as usize, weight: params.get("weight") })
    }

    fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, String> {
        Ok((0..batch.len()).map(|i| self.weight * (distinct_share(&batch.words(i), self.n) - 1.0)).collect())
    }
}

/// Share of the n-grams of `words` that differ from each one before; 1 when there is no n-gram.
fn distinct_share(words: &[&str], n: usize) -> f64 {
    let total = words.windows(n).count();
    if total == 0 {
        return 1.0;
    }
    let distinct = words.windows(n).collect::<HashSet<_>>().len();
    distinct as f64 / total as f64
}

export_plugin! { rewards { "repetition_native" => Repetition } }

#[cfg(test)]
mod tests {
    use super::*;

    fn share(caption: &str, n: usize) -> f64 {
        distinct_share(&caption.split_whitespace().collect::<Vec<_>>(), n)
    }

    #[test]
    fn counts_what_did_not_occur_before() {
        assert_eq!(share("a red circle above a blue square", 3), 1.0);
        // a-red, red-a, a-red, red-a: two of four are new.
        assert_eq!(share("a red a red a", 2), 0.5);
        // Three trigrams, all the same.
        assert_eq!(share("red red red red red", 3), 1.0 / 3.0);
        assert_eq!(share("a a a a", 1), 0.25);
    }

    #[test]
    fn a_caption_without_n_grams_repeats_nothing() {
        assert_eq!(share("", 1), 1.0);
        assert_eq!(share("red red", 3), 1.0);
        assert_eq!(share("red red red", 3), 1.0);
    }
}
