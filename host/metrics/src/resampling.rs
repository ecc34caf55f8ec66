//! How sure a corpus score is, and whether two systems differ: bootstrap and randomisation over images.
//!
//! BLEU and METEOR of a corpus are not means over images: they are resampled by drawing images and computing the
//! score anew from the drawn images' counts.

use crate::bleu::BleuStatistics;
use crate::error::MetricsError;
use crate::meteor::MeteorStatistics;
use crate::ngrams::MAX_ORDER;
use crate::parallel;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// What one metric knows of each image of a corpus.
#[derive(Debug, Clone, PartialEq)]
pub enum PerImageScores {
    /// A score for each image; that of the corpus is their mean (CIDEr, CIDEr-D, ROUGE-L, ...).
    Mean(Vec<f64>),
    /// BLEU's counts for each image; the corpus has the score of their sum.
    Bleu {
        /// The counts, image by image.
        statistics: Vec<BleuStatistics>,
        /// Which BLEU, 1 to 4.
        order: usize,
    },
    /// METEOR's counts for each image; the corpus has the score of their sum.
    Meteor(Vec<MeteorStatistics>),
}

impl PerImageScores {
    /// Number of images.
    pub fn len(&self) -> usize {
        match self {
            Self::Mean(values) => values.len(),
            Self::Bleu { statistics, .. } => statistics.len(),
            Self::Meteor(statistics) => statistics.len(),
        }
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of the corpus; NaN for no images, and where an image's score is NaN.
    pub fn corpus(&self) -> f64 {
        match self {
            Self::Mean(values) => of_sum(&mean_rows(values), mean_of(values.len())),
            Self::Bleu { statistics, order } => of_sum(&bleu_rows(statistics), bleu_of(*order)),
            Self::Meteor(statistics) => of_sum(&meteor_rows(statistics), meteor_of),
        }
    }

    /// What it is, in words.
    fn kind(&self) -> String {
        match self {
            Self::Mean(_) => "a mean over images".into(),
            Self::Bleu { order, .. } => format!("BLEU-{order}"),
            Self::Meteor(_) => "METEOR".into(),
        }
    }

    /// The first image whose score is no number.
    fn nan(&self) -> Option<usize> {
        match self {
            Self::Mean(values) => values.iter().position(|value| !value.is_finite()),
            Self::Bleu { .. } | Self::Meteor(_) => None,
        }
    }
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// How one system differs from another on the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Corpus score of the first less that of the second.
    pub difference: f64,
    /// Percentile interval of the difference, both systems resampled together.
    pub interval: Interval,
    /// Two-sided p of the paired bootstrap (Koehn 2004, "Statistical Significance Tests for Machine Translation
    /// Evaluation"): twice the share of resamples in which the sign of the difference is the rarer one, ties
    /// counted for both. It goes with `interval`: it is below 1 - confidence where the interval leaves out 0. With
    /// less than some thirty images it is too small.
    pub p_bootstrap: f64,
    /// Two-sided p of approximate randomisation (Noreen 1989, "Computer-Intensive Methods for Testing
    /// Hypotheses"): the share of random swaps of the two systems' captions that make at least this difference.
    pub p_randomisation: f64,
}

/// Draws images again and again. The result is a function of the seed alone, on any number of cores.
///
/// Both p-values are `(count + 1) / (samples + 1)`, so never 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// How often; 0 counts as 1.
    pub samples: usize,
    /// Share of resamples within an interval, 0 to 1; beyond that the nearer of them.
    pub confidence: f64,
    /// Where the random numbers begin.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { samples: 1000, confidence: 0.95, seed: 0 }
    }
}

impl Resampling {
    /// The percentile interval (Efron 1979, "Bootstrap Methods: Another Look at the Jackknife") of a corpus score.
    ///
    /// One image has an interval of no width; both ends are NaN where the score is.
    pub fn interval(&self, scores: &PerImageScores) -> Interval {
        if scores.is_empty() {
            return Interval { low: f64::NAN, high: f64::NAN };
        }
        let resampled = match scores {
            PerImageScores::Mean(values) => self.resample(&mean_rows(values), mean_of(values.len())),
            PerImageScores::Bleu { statistics, order } => {
                self.resample(&bleu_rows(statistics), bleu_of(*order))
            }
            PerImageScores::Meteor(statistics) => self.resample(&meteor_rows(statistics), meteor_of),
        };
        self.percentiles(resampled)
    }

    /// How `a` differs from `b`, image by image the same.
    ///
    /// # Errors
    /// If they are not of one metric, not of equally many images, or of less than two; and where an image's score
    /// is not a finite number.
    pub fn compare(&self, a: &PerImageScores, b: &PerImageScores) -> Result<Comparison, MetricsError> {
        let wrong = |place: &str, expected: String, found: String| MetricsError::Comparison {
            place: place.into(),
            expected,
            found,
        };
        for (system, scores) in [("first", a), ("second", b)] {
            if let Some(image) = scores.nan() {
                let place = format!("image {image} of the {system} system");
                return Err(wrong(&place, "a finite score".into(), "NaN or infinity".into()));
            }
        }
        if a.len() != b.len() {
            return Err(wrong("images", format!("{} as in the first system", a.len()), b.len().to_string()));
        }
        if a.len() < 2 {
            return Err(wrong("images", "2 or more".into(), a.len().to_string()));
        }
        use PerImageScores::{Bleu, Mean, Meteor};
        match (a, b) {
            (Mean(a), Mean(b)) => Ok(self.paired(&mean_rows(a), &mean_rows(b), mean_of(a.len()))),
            (Bleu { statistics: a, order }, Bleu { statistics: b, order: other }) if order == other => {
                Ok(self.paired(&bleu_rows(a), &bleu_rows(b), bleu_of(*order)))
            }
            (Meteor(a), Meteor(b)) => Ok(self.paired(&meteor_rows(a), &meteor_rows(b), meteor_of)),
            _ => Err(wrong("metric", format!("{} as of the first system", a.kind()), b.kind())),
        }
    }

    fn paired<const K: usize>(
        &self,
        a: &[Row<K>],
        b: &[Row<K>],
        score: impl Fn(&Row<K>) -> f64 + Sync,
    ) -> Comparison {
        let scores = [of_sum(a, &score), of_sum(b, &score)];
        let difference = scores[0] - scores[1];
        // Sums in another order are not the same in every bit.
        let rounding = 1e-10 * scores[0].abs().max(scores[1].abs());

        let pairs: Vec<[Row<K>; 2]> = a.iter().zip(b).map(|(a, b)| [*a, *b]).collect();
        let drawn = self.bootstrap(&pairs, |[a, b]| score(a) - score(b));
        let samples = drawn.len();
        let share = |count: usize| (count + 1) as f64 / (samples + 1) as f64;
        let signs = [1.0, -1.0].map(|sign| drawn.iter().filter(|d| sign * **d <= rounding).count());
        let p_bootstrap = (2.0 * share(signs[0].min(signs[1]))).min(1.0);

        let swapped = self.swap(&pairs, score);
        let as_far = swapped.iter().filter(|d| d.abs() >= difference.abs() - rounding).count();
        Comparison {
            difference,
            interval: self.percentiles(drawn),
            p_bootstrap,
            p_randomisation: share(as_far),
        }
    }

    fn resample<const K: usize>(&self, rows: &[Row<K>], score: impl Fn(&Row<K>) -> f64 + Sync) -> Vec<f64> {
        let rows: Vec<[Row<K>; 1]> = rows.iter().map(|row| [*row]).collect();
        self.bootstrap(&rows, |[sum]| score(sum))
    }

    /// The value of each resample: of as many images as there are, drawn with replacement.
    fn bootstrap<const K: usize, const SYSTEMS: usize>(
        &self,
        images: &[[Row<K>; SYSTEMS]],
        value: impl Fn(&[Row<K>; SYSTEMS]) -> f64 + Sync,
    ) -> Vec<f64> {
        self.each(0, |mut random| {
            let mut sums = [[0.0; K]; SYSTEMS];
            for _ in 0..images.len() {
                let drawn = &images[random.random_range(0..images.len())];
                sums.iter_mut().zip(drawn).for_each(|(sum, row)| add(sum, row));
            }
            value(&sums)
        })
    }

    /// The difference of the scores after each image's two rows were swapped or not, evenly.
    fn swap<const K: usize>(&self, pairs: &[[Row<K>; 2]], score: impl Fn(&Row<K>) -> f64 + Sync) -> Vec<f64> {
        let mut totals = [[0.0; K]; 2];
        for pair in pairs {
            totals.iter_mut().zip(pair).for_each(|(total, row)| add(total, row));
        }
        // What one system gains, and the other loses, by a swap.
        let gains: Vec<Row<K>> = pairs.iter().map(|[a, b]| std::array::from_fn(|k| b[k] - a[k])).collect();
        self.each(1, |mut random| {
            let mut gain = [0.0; K];
            for gains in gains.chunks(64) {
                let mut swapped = random.next_u64() & (u64::MAX >> (64 - gains.len()));
                while swapped != 0 {
                    add(&mut gain, &gains[swapped.trailing_zeros() as usize]);
                    swapped &= swapped - 1;
                }
            }
            let [a, b] = [1.0, -1.0].map(|sign| std::array::from_fn(|k| sign * gain[k]));
            score(&sum(&totals[0], &a)) - score(&sum(&totals[1], &b))
        })
    }

    /// Calls `of` once for each sample, with random numbers that depend on seed, `purpose` and sample alone.
    fn each(&self, purpose: u64, of: impl Fn(ChaCha8Rng) -> f64 + Sync) -> Vec<f64> {
        let first = ChaCha8Rng::seed_from_u64(self.seed);
        parallel::each(self.samples.max(1), 1, |(), sample| {
            let mut random = first.clone();
            random.set_stream(purpose << 56 | sample as u64);
            of(random)
        })
    }

    /// The interval that holds the middle of the values; between two of them it interpolates linearly.
    fn percentiles(&self, mut values: Vec<f64>) -> Interval {
        if values.iter().any(|value| value.is_nan()) {
            return Interval { low: f64::NAN, high: f64::NAN };
        }
        values.sort_by(f64::total_cmp);
        let tail = (1.0 - self.confidence.clamp(0.0, 1.0)) / 2.0;
        let [low, high] = [tail, 1.0 - tail].map(|share| {
            let place = share * (values.len() - 1) as f64;
            let [below, above] = [place.floor(), place.ceil()].map(|place| values[place as usize]);
            below + (above - below) * place.fract()
        });
        Interval { low, high }
    }
}

/// What an image adds to the sum that a corpus is scored by. Counts are whole numbers far below 2^53: their sums
/// are exact.
type Row<const K: usize> = [f64; K];

fn add<const K: usize>(to: &mut Row<K>, row: &Row<K>) {
    to.iter_mut().zip(row).for_each(|(to, value)| *to += value);
}

fn sum<const K: usize>(a: &Row<K>, b: &Row<K>) -> Row<K> {
    std::array::from_fn(|k| a[k] + b[k])
}

fn of_sum<const K: usize>(rows: &[Row<K>], score: impl Fn(&Row<K>) -> f64) -> f64 {
    if rows.is_empty() {
        return f64::NAN;
    }
    score(&rows.iter().fold([0.0; K], |total, row| sum(&total, row)))
}

fn mean_rows(values: &[f64]) -> Vec<Row<1>> {
    values.iter().map(|&value| [value]).collect()
}

fn mean_of(images: usize) -> impl Fn(&Row<1>) -> f64 {
    move |&[sum]| sum / images as f64
}

fn bleu_rows(statistics: &[BleuStatistics]) -> Vec<Row<{ 2 + 2 * MAX_ORDER }>> {
    let row = |s: &BleuStatistics| {
        let mut counts =
            [s.hypothesis_length, s.reference_length].into_iter().chain(s.guess).chain(s.correct);
        std::array::from_fn(|_| counts.next().unwrap_or_default() as f64)
    };
    statistics.iter().map(row).collect()
}

fn bleu_of(order: usize) -> impl Fn(&Row<{ 2 + 2 * MAX_ORDER }>) -> f64 {
    move |row| {
        let counts = row.map(|count| count as u64);
        let statistics = BleuStatistics {
            hypothesis_length: counts[0],
            reference_length: counts[1],
            guess: std::array::from_fn(|n| counts[2 + n]),
            correct: std::array::from_fn(|n| counts[2 + MAX_ORDER + n]),
        };
        statistics.scores()[order.clamp(1, MAX_ORDER) - 1]
    }
}

fn meteor_rows(statistics: &[MeteorStatistics]) -> Vec<Row<21>> {
    let row = |&of: &MeteorStatistics| {
        // Adding drops the chunks that a corpus does not count.
        let mut s = MeteorStatistics::default();
        s += of;
        let matches = s.content_matches.into_iter().chain(s.function_matches).flatten();
        let mut counts = s.lengths.into_iter().chain(s.function_words).chain(matches).chain([s.chunks]);
        std::array::from_fn(|_| counts.next().unwrap_or_default() as f64)
    };
    statistics.iter().map(row).collect()
}

fn meteor_of(row: &Row<21>) -> f64 {
    let counts = row.map(|count| count as u64);
    let pair = |first: usize| [counts[first], counts[first + 1]];
    let statistics = MeteorStatistics {
        lengths: pair(0),
        function_words: pair(2),
        content_matches: std::array::from_fn(|module| pair(4 + 2 * module)),
        function_matches: std::array::from_fn(|module| pair(12 + 2 * module)),
        chunks: counts[20],
    };
    statistics.score()
}
