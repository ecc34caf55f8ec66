//! Signs that a captioner cheats its reward: captions that no reader would accept, and a reward that rises while
//! the captions get worse.

use crate::ngrams::{Gram, sorted_ngrams};
use std::collections::{BTreeMap, HashSet};

/// English function words at which no sentence ends: a caption that ends in one was cut off, as "a man on a".
///
/// Determiners, prepositions, conjunctions and relative words, without those that close a caption in their own
/// right ("looks up", "chases her", "stands outside"). Of the 20,385 captions in the Flickr8k sample that it was
/// chosen with, 0.6 % end in one of them, most of these in "on" ("with his helmet on"). Self-critical training
/// without an end in the reward is what makes such ends common (Guo et al. 2018, "Improving Reinforcement Learning
/// Based Image Captioning with Natural Language Prior").
pub const UNFINISHED_ENDS: [&str; 46] = [
    // Determiners.
    "a", "an", "the", "this", "these", "his", "its", "their", "my", "your", "our", "every", "no",
    // Prepositions.
    "of", "at", "with", "from", "for", "to", "into", "onto", "in", "on", "between", "among", "against",
    "beside", "near", "under", "towards", "toward", "upon", "during", "like", "via", "atop",
    // Conjunctions and relative words.
    "and", "or", "but", "while", "as", "because", "which", "who", "whose", "that",
];

/// What can be wrong with a sampled caption, whatever its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// A word stands twice in a row.
    RepeatedWords,
    /// Some bigram occurs twice. People do this too, in 4 % of Flickr8k's captions.
    RepeatedBigrams,
    /// Some trigram occurs twice. In 0.6 % of Flickr8k's captions.
    RepeatedTrigrams,
    /// It has no end: it was cut off at the largest length.
    NoEos,
    /// Its last word is one of [`UNFINISHED_ENDS`].
    Truncated,
    /// It has no words.
    Empty,
    /// It holds the token for unknown words.
    Unknown,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::RepeatedWords,
        Self::RepeatedBigrams,
        Self::RepeatedTrigrams,
        Self::NoEos,
        Self::Truncated,
        Self::Empty,
        Self::Unknown,
    ];

    /// Its name in logs, as `repeated_trigrams`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RepeatedWords => "repeated_words",
            Self::RepeatedBigrams => "repeated_bigrams",
            Self::RepeatedTrigrams => "repeated_trigrams",
            Self::NoEos => "no_eos",
            Self::Truncated => "truncated",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }

    /// The flaw of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flaw| flaw.name() == name)
    }
}

/// Finds flaws in captions of one vocabulary.
#[derive(Debug, Clone)]
pub struct FlawFinder {
    eos: u32,
    unknown: Option<u32>,
    unfinished: HashSet<u32>,
}

impl FlawFinder {
    /// For captions that end with `eos`; `id` gives the token of a word that the vocabulary has.
    pub fn new(eos: u32, unknown: Option<u32>, id: impl Fn(&str) -> Option<u32>) -> Self {
        Self { eos, unknown, unfinished: UNFINISHED_ENDS.into_iter().filter_map(id).collect() }
    }

    /// Whether a sampled caption has this flaw: words, then `eos` unless it was cut off, no padding.
    pub fn has(&self, flaw: Flaw, caption: &[u32]) -> bool {
        self.check(flaw, caption, &mut Vec::new())
    }

    /// The share of captions with each flaw, in the order of [`Flaw::ALL`]; 0 for no captions.
    pub fn shares<C: AsRef<[u32]>>(&self, captions: &[C]) -> [f64; Flaw::ALL.len()] {
        let mut grams = Vec::new();
        Flaw::ALL.map(|flaw| {
            let with = captions.iter().filter(|caption| self.check(flaw, caption.as_ref(), &mut grams));
            with.count() as f64 / captions.len().max(1) as f64
        })
    }

    fn check(&self, flaw: Flaw, caption: &[u32], grams: &mut Vec<Gram>) -> bool {
        let words = caption.strip_suffix(&[self.eos]).unwrap_or(caption);
        let mut repeated = |n| {
            sorted_ngrams(words, n, grams);
            grams.windows(2).any(|pair| pair[0] == pair[1])
        };
        match flaw {
            Flaw::RepeatedWords => words.windows(2).any(|pair| pair[0] == pair[1]),
            Flaw::RepeatedBigrams => repeated(2),
            Flaw::RepeatedTrigrams => repeated(3),
            Flaw::NoEos => words.len() == caption.len(),
            Flaw::Truncated => words.last().is_some_and(|last| self.unfinished.contains(last)),
            Flaw::Empty => words.is_empty(),
            Flaw::Unknown => self.unknown.is_some_and(|unknown| words.contains(&unknown)),
        }
    }
}

/// Watches whether a reward rises while the score of held-out captions falls: the reward is being cheated.
///
/// After each evaluation it looks back to the best of the last few. There is an alarm where, since then,
///
/// - the held-out score has fallen by more than both bootstrap spreads together (the root of the sum of their
///   squares: the scores are taken as independent, which for the same images is cautious), and
/// - a reward has risen: the median of the last third of its values is above that of the first third, the sign of
///   the resistant line (Tukey 1977, "Exploratory Data Analysis"). A few wild values do not turn it.
#[derive(Debug, Clone, Default)]
pub struct RewardWatch {
    rewards: BTreeMap<String, Vec<(u64, f64)>>,
    scores: Vec<HeldOut>,
}

/// A score of held-out captions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// When, in steps of the run.
    pub step: u64,
    /// The score, the higher the better.
    pub score: f64,
    /// Half the width of its confidence interval.
    pub spread: f64,
}

/// A reward that rose while the held-out score fell.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Name of the reward.
    pub reward: String,
    /// Median of the first third of its values since the best evaluation, and of the last third.
    pub reward_from_to: [f64; 2],
    /// The best evaluation, and the last.
    pub held_out: [HeldOut; 2],
}

impl RewardWatch {
    /// The mean of a reward over the steps up to `step`. Rewards of different phases go by different names.
    pub fn reward(&mut self, name: &str, step: u64, mean: f64) {
        if let Some(values) = self.rewards.get_mut(name) {
            values.push((step, mean));
        } else {
            self.rewards.insert(name.to_owned(), vec![(step, mean)]);
        }
    }

    /// An evaluation, compared with the best of the `window` last ones, itself included (2 at least). A score that is
    /// no number does not count.
    pub fn evaluated(&mut self, last: HeldOut, window: usize) -> Option<Divergence> {
        if !last.score.is_finite() {
            return None;
        }
        self.scores.push(last);
        let forgotten = self.scores.len().saturating_sub(window.max(2));
        self.scores.drain(..forgotten);
        let oldest = self.scores.iter().map(|held_out| held_out.step).min()?;
        self.rewards.values_mut().for_each(|values| values.retain(|(step, _)| *step > oldest));

        let best = self.scores.iter().copied().max_by(|a, b| a.score.total_cmp(&b.score))?;
        let fallen = best.score - last.score > best.spread.hypot(last.spread);
        let mut rewards = self.rewards.iter().filter(|_| fallen);
        let risen = rewards.find_map(|(name, values)| {
            let since: Vec<f64> = values
                .iter()
                .filter(|(step, _)| (best.step + 1..=last.step).contains(step))
                .map(|v| v.1)
                .collect();
            let third = since.len() / 3;
            let ends = [median(&since[..third])?, median(&since[since.len() - third..])?];
            (ends[1] > ends[0]).then(|| (name.clone(), ends))
        });
        risen.map(|(reward, reward_from_to)| Divergence { reward, reward_from_to, held_out: [best, last] })
    }
}

/// The middle value, or the mean of the two in the middle; none of no values.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EOS: u32 = 2;
    const WORDS: [&str; 6] = ["a", "man", "on", "horse", "and", "dog"];

    fn finder() -> FlawFinder {
        let id = |word: &str| WORDS.iter().position(|known| *known == word).map(|i| i as u32 + 10);
        FlawFinder::new(EOS, Some(3), id)
    }

    fn flaws(caption: &str) -> Vec<&'static str> {
        let id = |word: &str| match word {
            "." => EOS,
            "?" => 3,
            _ => 10 + WORDS.iter().position(|known| *known == word).unwrap() as u32,
        };
        let caption: Vec<u32> = caption.split_whitespace().map(id).collect();
        Flaw::ALL.into_iter().filter(|flaw| finder().has(*flaw, &caption)).map(Flaw::name).collect()
    }

    #[test]
    fn flaws_of_captions() {
        assert_eq!(flaws("a man on a horse ."), [""; 0]);
        assert_eq!(flaws("a man on a horse"), ["no_eos"]);
        assert_eq!(flaws("a man on a"), ["no_eos", "truncated"]);
        assert_eq!(flaws("a man on ."), ["truncated"]);
        assert_eq!(flaws("man man ."), ["repeated_words"]);
        assert_eq!(flaws("a man on a man ."), ["repeated_bigrams"]);
        assert_eq!(flaws("a man on a man on a man ."), ["repeated_bigrams", "repeated_trigrams"]);
        assert_eq!(flaws("."), ["empty"]);
        assert_eq!(flaws(""), ["no_eos", "empty"]);
        assert_eq!(flaws("a ? dog ."), ["unknown"]);
    }

    #[test]
    fn shares_are_those_of_captions() {
        let captions = [vec![10, 11, EOS], vec![11, 11], vec![10], vec![]];
        let shares = finder().shares(&captions);
        assert_eq!(shares, [0.25, 0.0, 0.0, 0.75, 0.25, 0.25, 0.0]);
        assert_eq!(finder().shares::<Vec<u32>>(&[]), [0.0; 7]);
    }

    #[test]
    fn names_and_words_are_distinct() {
        assert!(Flaw::ALL.into_iter().all(|flaw| Flaw::from_name(flaw.name()) == Some(flaw)));
        assert_eq!(Flaw::from_name("boring"), None);
        assert_eq!(HashSet::from(UNFINISHED_ENDS).len(), UNFINISHED_ENDS.len());
    }

    fn at(step: u64, score: f64) -> HeldOut {
        HeldOut { step, score, spread: 0.03 }
    }

    /// A reward that changes by `slope` a step, noisy, and an evaluation every 100 steps.
    fn watch(slope: f64, scores: &[f64], window: usize) -> Vec<Option<Divergence>> {
        let mut watch = RewardWatch::default();
        let mut step = 0;
        let mut alarms = vec![];
        for (i, score) in scores.iter().enumerate() {
            alarms.push(watch.evaluated(at(100 * i as u64, *score), window));
            for k in 1..=10 {
                step += 10;
                // Every seventh value is wild, against the slope.
                let wild = if k == 7 { -100.0 * slope.signum() } else { 0.0 };
                watch.reward(
                    "policy_gradient",
                    step,
                    1.0 + slope * step as f64 + 0.001 * (step % 30) as f64 + wild,
                );
            }
        }
        alarms
    }

    #[test]
    fn a_rising_reward_with_a_falling_score_raises_the_alarm() {
        let alarms = watch(0.01, &[1.0, 1.1, 1.08, 1.0], 3);
        // 0.02 is within the spread, 0.1 beyond it.
        assert!(alarms[..3].iter().all(Option::is_none), "{alarms:?}");
        let alarm = alarms[3].as_ref().unwrap();
        assert_eq!(alarm.held_out, [at(100, 1.1), at(300, 1.0)]);
        assert!(alarm.reward_from_to[0] < alarm.reward_from_to[1] && alarm.reward == "policy_gradient");
    }

    #[test]
    fn no_alarm_without_both() {
        assert!(watch(-0.01, &[1.0, 1.1, 1.08, 1.0], 3).iter().all(Option::is_none), "the reward falls too");
        assert!(watch(0.01, &[1.0, 1.1, 1.2, 1.3], 3).iter().all(Option::is_none), "the score rises too");
        assert!(
            watch(0.01, &[1.0, 0.97, 0.96, 0.97], 3).iter().all(Option::is_none),
            "a drop within the spread"
        );
        // A missing score neither raises the alarm nor hides the drop.
        let missing = watch(0.01, &[1.0, f64::NAN, 0.8], 3);
        assert!(missing[1].is_none() && missing[2].is_some(), "{missing:?}");
        // A slow fall is seen only by looking far enough back.
        let slow = [1.0, 0.98, 0.96, 0.94];
        assert!(watch(0.01, &slow, 2).iter().all(Option::is_none));
        assert!(watch(0.01, &slow, 4)[3].is_some());
        // What was rewarded later has no part in it, as when a log is read before its evaluations.
        let mut later = RewardWatch::default();
        later.evaluated(at(0, 1.0), 3);
        (1..=9).for_each(|i| later.reward("policy_gradient", 100 + i, i as f64));
        assert_eq!(later.evaluated(at(100, 0.5), 3), None);
        // Nothing was rewarded in between.
        let mut idle = RewardWatch::default();
        idle.evaluated(at(0, 1.0), 3);
        assert_eq!(idle.evaluated(at(100, 0.5), 3), None);
    }
}
