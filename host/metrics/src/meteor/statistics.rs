//! What METEOR counts, and the score that it computes from it.

use super::MeteorModules;
use super::matches::Match;
use super::sentence::Sentence;
use std::ops::AddAssign;

/// Weights tuned to human rankings of English translations (task "rank"), which coco-caption uses too.
mod weights {
    /// Weight of recall against precision.
    pub const ALPHA: f64 = 0.85;
    /// Exponent of fragmentation.
    pub const BETA: f64 = 0.2;
    /// Largest penalty for fragmentation.
    pub const GAMMA: f64 = 0.6;
    /// Weight of content words against function words.
    pub const DELTA: f64 = 0.75;
    /// Weight of exact, stem, synonym and paraphrase matches.
    pub const MODULES: [f64; 4] = [1.0, 0.6, 0.8, 0.6];
}

/// Counts over one caption, or over the captions of a corpus; in pairs: of hypothesis and of reference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeteorStatistics {
    /// Words.
    pub lengths: [u64; 2],
    /// Function words.
    pub function_words: [u64; 2],
    /// Content words matched, by module: exact, stem, synonym, paraphrase.
    pub content_matches: [[u64; 2]; 4],
    /// Function words matched, by module.
    pub function_matches: [[u64; 2]; 4],
    /// Runs of matches that are adjacent and in the same order in both; in a corpus, those of captions that
    /// are one and cover all of both are not counted.
    pub chunks: u64,
}

impl MeteorStatistics {
    /// Counts an alignment: matches by their place in the reference.
    pub(super) fn new(hypothesis: &Sentence, reference: &Sentence, matches: &[Match]) -> Self {
        let sides = [hypothesis, reference];
        let mut counts = Self {
            lengths: sides.map(|s| s.len() as u64),
            function_words: sides.map(|s| s.functions.iter().filter(|function| **function).count() as u64),
            ..Self::default()
        };
        // Where a match must begin, in hypothesis and reference, to go on with the chunk.
        let mut chunk_end = None;
        for m in matches {
            let spans = [(m.match_start, m.match_length), (m.start, m.length)];
            for (side, (start, length)) in spans.into_iter().enumerate() {
                for function in &sides[side].functions[start as usize..(start + length) as usize] {
                    let of =
                        if *function { &mut counts.function_matches } else { &mut counts.content_matches };
                    of[usize::from(m.module)][side] += 1;
                }
            }
            counts.chunks += u64::from(chunk_end != Some(spans.map(|(start, _)| start)));
            chunk_end = Some(spans.map(|(start, length)| start + length));
        }
        counts
    }

    /// Words matched in hypothesis and reference.
    pub(super) fn matched(&self) -> [u64; 2] {
        let all = self.content_matches.iter().chain(&self.function_matches);
        all.fold([0; 2], |sum, of| [sum[0] + of[0], sum[1] + of[1]])
    }

    /// One chunk that covers all words of both.
    fn is_whole(&self) -> bool {
        self.chunks == 1 && self.matched() == self.lengths
    }

    /// The score, 0 to 1. It is 0 where nothing matches, or one of the captions is empty.
    ///
    /// Denkowski and Lavie 2014, "Meteor Universal": the weighted harmonic mean of precision and recall, less a
    /// penalty for fragmentation.
    pub fn score(&self) -> f64 {
        use weights::{ALPHA, BETA, DELTA, GAMMA, MODULES};
        let weighted = |side: usize| {
            let sum = |counts: &[[u64; 2]; 4], weight: f64, start: f64| {
                let terms = counts.iter().zip(MODULES).map(|(c, module)| c[side] as f64 * module * weight);
                terms.fold(start, |sum, term| sum + term)
            };
            let matches = sum(&self.function_matches, 1.0 - DELTA, sum(&self.content_matches, DELTA, 0.0));
            let functions = self.function_words[side] as f64;
            matches / (DELTA * (self.lengths[side] as f64 - functions) + (1.0 - DELTA) * functions)
        };
        let (precision, recall) = (weighted(0), weighted(1));
        let mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let matched = self.matched();
        let fragmentation = match self.is_whole() {
            true => 0.0,
            false => self.chunks as f64 / ((matched[0] as f64 + matched[1] as f64) / 2.0),
        };
        let score = mean * (1.0 - GAMMA * fragmentation.powf(BETA));
        // `max` also turns the NaN of empty captions and of no match into 0.
        score.max(0.0)
    }
}

impl AddAssign for MeteorStatistics {
    fn add_assign(&mut self, other: Self) {
        let whole = other.is_whole();
        for side in 0..2 {
            self.lengths[side] += other.lengths[side];
            self.function_words[side] += other.function_words[side];
            for module in 0..4 {
                self.content_matches[module][side] += other.content_matches[module][side];
                self.function_matches[module][side] += other.function_matches[module][side];
            }
        }
        self.chunks += if whole { 0 } else { other.chunks };
    }
}

impl MeteorModules {
    /// The name under which scores with these matchers are reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "METEOR_exact",
            Self::ExactStem => "METEOR_exact_stem",
            Self::ExactStemSynonym => "METEOR_exact_stem_synonym",
            Self::All => "METEOR",
        }
    }
}
