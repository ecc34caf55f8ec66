//! Intervals and p-values keep their promises: exactly on corpora small enough to list every resample, and on
//! average over many corpora.

use ekphrasis_metrics::{BleuStatistics, Interval, MeteorStatistics, PerImageScores, Resampling};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Values around `mean` with a standard deviation of 1 (Box and Muller 1958).
fn normal(random: &mut ChaCha8Rng, mean: f64, count: usize) -> Vec<f64> {
    let draw = |_| {
        let [u, v]: [f64; 2] = random.random();
        mean + (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    (0..count).map(draw).collect()
}

/// Counts of made-up captions, some of them short.
fn bleu(random: &mut ChaCha8Rng, count: usize, skill: f64) -> Vec<BleuStatistics> {
    let caption = |_| {
        let length = random.random_range(3..15u64);
        let guess = std::array::from_fn(|n| length.saturating_sub(n as u64));
        let mut correct = [0; 4];
        let mut most = length;
        for n in 0..4 {
            most = (0..guess[n].min(most)).filter(|_| random.random_bool(skill)).count() as u64;
            correct[n] = most;
        }
        BleuStatistics {
            hypothesis_length: length,
            reference_length: random.random_range(4..14),
            guess,
            correct,
        }
    };
    (0..count).map(caption).collect()
}

fn meteor(random: &mut ChaCha8Rng, count: usize) -> Vec<MeteorStatistics> {
    let caption = |i| {
        let matched = random.random_range(1..6);
        let mut statistics =
            MeteorStatistics { lengths: [6, 7], function_words: [2, 2], ..Default::default() };
        statistics.content_matches[i % 4] = [matched; 2];
        statistics.function_matches[0] = [1, 1];
        statistics.chunks = random.random_range(1..4);
        // One chunk over everything, which a corpus does not count.
        if i == 0 {
            statistics.lengths = [matched + 1; 2];
            statistics.chunks = 1;
        }
        statistics
    };
    (0..count).map(caption).collect()
}

/// The images of a corpus that `choice` gives, by adding them up.
fn part(scores: &PerImageScores, choice: &[usize]) -> f64 {
    match scores {
        PerImageScores::Mean(v) => choice.iter().map(|&i| v[i]).sum::<f64>() / choice.len() as f64,
        PerImageScores::Bleu { statistics, order } => {
            let mut sum = BleuStatistics::default();
            choice.iter().for_each(|&i| sum += statistics[i]);
            sum.scores()[order - 1]
        }
        PerImageScores::Meteor(statistics) => {
            let mut sum = MeteorStatistics::default();
            choice.iter().for_each(|&i| sum += statistics[i]);
            sum.score()
        }
    }
}

/// Both systems in one, so that a choice can take an image of either.
fn joined(a: &PerImageScores, b: &PerImageScores) -> PerImageScores {
    match (a, b) {
        (PerImageScores::Mean(a), PerImageScores::Mean(b)) => PerImageScores::Mean([&a[..], b].concat()),
        (PerImageScores::Bleu { statistics: a, order }, PerImageScores::Bleu { statistics: b, .. }) => {
            PerImageScores::Bleu { statistics: [&a[..], b].concat(), order: *order }
        }
        (PerImageScores::Meteor(a), PerImageScores::Meteor(b)) => {
            PerImageScores::Meteor([&a[..], b].concat())
        }
        _ => panic!("not of one kind"),
    }
}

/// Two systems of each kind.
fn systems(images: usize) -> Vec<(PerImageScores, PerImageScores)> {
    let random = &mut ChaCha8Rng::seed_from_u64(5);
    let mut all = vec![];
    all.push((
        PerImageScores::Mean(normal(random, 0.6, images)),
        PerImageScores::Mean(normal(random, 0.0, images)),
    ));
    for order in [1, 4] {
        let [a, b] = [0.9, 0.75].map(|skill| bleu(random, images, skill));
        let [a, b] = [a, b].map(|statistics| PerImageScores::Bleu { statistics, order });
        all.push((a, b));
    }
    all.push((
        PerImageScores::Meteor(meteor(random, images)),
        PerImageScores::Meteor(meteor(random, images)),
    ));
    all
}

/// All ways to choose `count` of `0..count` with replacement, each as likely as the others.
fn draws(count: usize) -> Vec<Vec<usize>> {
    let digits = |n: usize| (0..count).map(move |k| n / count.pow(k as u32) % count).collect();
    (0..count.pow(count as u32)).map(digits).collect()
}

fn share(values: &[f64], of: impl Fn(f64) -> bool) -> f64 {
    values.iter().filter(|value| of(**value)).count() as f64 / values.len() as f64
}

#[test]
fn corpora_are_scored_by_their_sums() {
    for (a, _) in systems(7) {
        let all: Vec<usize> = (0..7).collect();
        assert!((a.corpus() - part(&a, &all)).abs() < 1e-14, "{a:?}");
    }
}

#[test]
fn intervals_are_those_of_all_resamples() {
    let resampling = Resampling { samples: 40_000, confidence: 0.8, seed: 1 };
    for (a, _) in systems(5) {
        let all: Vec<f64> = draws(5).iter().map(|choice| part(&a, choice)).collect();
        let Interval { low, high } = resampling.interval(&a);
        // A tenth of the resamples lies below, a tenth above, but for ties and chance.
        for (share, inside) in [
            (share(&all, |v| v < low - 1e-9), share(&all, |v| v <= low + 1e-9)),
            (share(&all, |v| v > high + 1e-9), share(&all, |v| v >= high - 1e-9)),
        ] {
            assert!(share < 0.1 + 0.008 && inside > 0.1 - 0.008, "{share} {inside} {low} {high} {a:?}");
        }
        let Interval { low, high } = Resampling { confidence: 1.0, ..resampling }.interval(&a);
        let ends =
            [all.iter().copied().fold(f64::MAX, f64::min), all.iter().copied().fold(f64::MIN, f64::max)];
        assert!((low - ends[0]).abs() < 1e-12 && (high - ends[1]).abs() < 1e-12, "{low} {high} {ends:?}");
    }
}

#[test]
fn p_values_are_those_of_all_resamples_and_all_swaps() {
    let resampling = Resampling { samples: 40_000, ..Resampling::default() };
    for (a, b) in systems(5) {
        let found = resampling.compare(&a, &b).unwrap();
        let difference = a.corpus() - b.corpus();
        assert!((found.difference - difference).abs() < 1e-14);

        let drawn: Vec<f64> = draws(5).iter().map(|choice| part(&a, choice) - part(&b, choice)).collect();
        let rarer = share(&drawn, |d| d <= 1e-12).min(share(&drawn, |d| d >= -1e-12));
        assert!((found.p_bootstrap - (2.0 * rarer).min(1.0)).abs() < 0.012, "{found:?} {rarer} {a:?}");

        let both = joined(&a, &b);
        let swapped = (0..1usize << 5).map(|swaps| {
            let of = |other: usize| (0..5).map(|i| i + 5 * (swaps >> i & 1 ^ other)).collect::<Vec<_>>();
            part(&both, &of(0)) - part(&both, &of(1))
        });
        let as_far = share(&swapped.collect::<Vec<_>>(), |d| d.abs() >= difference.abs() - 1e-12);
        assert!((found.p_randomisation - as_far).abs() < 0.012, "{found:?} {as_far} {a:?}");
    }
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    let random = &mut ChaCha8Rng::seed_from_u64(11);
    for confidence in [0.95, 0.8] {
        let covered = (0..1000).filter(|&seed| {
            let scores = PerImageScores::Mean(normal(random, 3.0, 100));
            let interval = Resampling { samples: 400, confidence, seed }.interval(&scores);
            (interval.low..=interval.high).contains(&3.0)
        });
        let covered = covered.count() as f64 / 1000.0;
        println!("confidence {confidence}: {covered} of 1000 intervals hold the mean");
        // Three standard errors, and the percentile interval's being a little narrow for 100 values.
        let error = 3.0 * (confidence * (1.0 - confidence) / 1000.0).sqrt();
        assert!(
            (confidence - error - 0.01..confidence + error).contains(&covered),
            "{confidence}: {covered}"
        );
    }
}

#[test]
fn equal_systems_have_even_p_values_and_different_ones_small_ones() {
    let random = &mut ChaCha8Rng::seed_from_u64(12);
    let mut compare = |shift: f64, seed: u64| {
        let [a, b] = [shift, 0.0].map(|mean| PerImageScores::Mean(normal(random, mean, 60)));
        Resampling { samples: 200, confidence: 0.95, seed }.compare(&a, &b).unwrap()
    };
    let same: Vec<_> = (0..600).map(|seed| compare(0.0, seed)).collect();
    for p in [
        same.iter().map(|c| c.p_bootstrap).collect(),
        same.iter().map(|c| c.p_randomisation).collect::<Vec<_>>(),
    ] {
        // 1.63 / sqrt(600) bounds Kolmogorov's distance in 99 of 100 cases.
        let farthest = (1..100).map(|k| f64::from(k) / 100.0).map(|at| (share(&p, |p| p <= at) - at).abs());
        let farthest = farthest.fold(0.0, f64::max);
        println!("equal systems: p <= 0.05 in {}, Kolmogorov distance {farthest}", share(&p, |p| p <= 0.05));
        assert!(farthest < 1.63 / 600f64.sqrt() + 0.01, "{farthest}");
    }
    // Power of a z-test of a difference of 0.6 with sd sqrt(2 / 60): P(Z > 1.96 - 3.29) = 0.91.
    let shifted: Vec<_> = (0..300).map(|seed| compare(0.6, seed)).collect();
    let found = [
        shifted.iter().filter(|c| c.p_bootstrap <= 0.05).count() as f64 / 300.0,
        shifted.iter().filter(|c| c.p_randomisation <= 0.05).count() as f64 / 300.0,
    ];
    println!("shifted by 0.6 sd: found in {found:?}");
    assert!(found.iter().all(|found| (0.84..0.97).contains(found)), "{found:?}");
}

#[test]
fn the_seed_decides_and_nothing_else() {
    for (a, b) in systems(70) {
        let resampling = Resampling { samples: 300, ..Resampling::default() };
        assert_eq!(resampling.compare(&a, &b).unwrap(), resampling.compare(&a, &b).unwrap());
        let other = Resampling { seed: 1, ..resampling };
        assert_ne!(resampling.interval(&a), other.interval(&a));
        // The other way round the same, up to rounding.
        let [there, back] = [resampling.compare(&a, &b).unwrap(), resampling.compare(&b, &a).unwrap()];
        assert!((there.difference + back.difference).abs() < 1e-14);
        assert!((there.interval.low + back.interval.high).abs() < 1e-12);
        assert_eq!((there.p_bootstrap, there.p_randomisation), (back.p_bootstrap, back.p_randomisation));
    }
}

#[test]
fn a_system_does_not_differ_from_itself() {
    for (a, _) in systems(70) {
        let same = Resampling::default().compare(&a, &a).unwrap();
        assert_eq!((same.difference, same.p_bootstrap, same.p_randomisation), (0.0, 1.0, 1.0), "{a:?}");
        assert_eq!(same.interval, Interval { low: 0.0, high: 0.0 });
    }
}

#[test]
fn what_has_no_spread_or_no_score() {
    let resampling = Resampling::default();
    let one = PerImageScores::Mean(vec![0.25]);
    assert_eq!(resampling.interval(&one), Interval { low: 0.25, high: 0.25 });
    let nan = PerImageScores::Mean(vec![0.25, f64::NAN]);
    for unknown in [
        PerImageScores::Mean(vec![]),
        nan.clone(),
        PerImageScores::Bleu { statistics: vec![], order: 4 },
        PerImageScores::Meteor(vec![]),
    ] {
        let Interval { low, high } = resampling.interval(&unknown);
        assert!(unknown.corpus().is_nan() && low.is_nan() && high.is_nan(), "{unknown:?}");
    }
    let none = Resampling { samples: 0, confidence: 2.0, seed: 0 };
    assert_eq!(none.interval(&one), Interval { low: 0.25, high: 0.25 });

    let two = PerImageScores::Mean(vec![1.0, 2.0]);
    let bleu = PerImageScores::Bleu { statistics: vec![BleuStatistics::default(); 2], order: 4 };
    for (a, b, expected) in [
        (&one, &one, "images: expected 2 or more, found 1"),
        (&two, &one, "images: expected 2 as in the first system, found 1"),
        (&two, &nan, "image 1 of the second system: expected a finite score, found NaN"),
        (&two, &bleu, "metric: expected a mean over images as of the first system, found BLEU-4"),
    ] {
        let error = resampling.compare(a, b).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("\nhint: "), "{error}");
    }
}
