//! Each metric against a slow version that is right at a glance, and captions that nobody writes.

use ekphrasis_metrics::{
    BleuReferences, BleuStatistics, Cider, CiderD, DocumentFrequencies, Meteor, MeteorFiles, MeteorLexicon,
    evaluate_text, rouge_l, tokenize_captions,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

type Caption = Vec<u32>;
type Vector = BTreeMap<Caption, f64>;

fn counts(caption: &[u32], n: usize) -> Vector {
    let mut counts = Vector::new();
    for gram in caption.windows(n) {
        *counts.entry(gram.to_vec()).or_default() += 1.0;
    }
    counts
}

/// BLEU-1..4 of one caption, as `bleu_scorer.py` has it.
fn bleu(hypothesis: &[u32], references: &[Caption]) -> [f64; 4] {
    let (tiny, small) = (1e-15, 1e-9);
    let length = hypothesis.len() as f64;
    let distance = |r: &&Caption| (r.len().abs_diff(hypothesis.len()), r.len());
    let closest = references.iter().min_by_key(distance).unwrap().len() as f64;
    let ratio = (length + tiny) / (closest + small);
    let mut product = 1.0;
    [1, 2, 3, 4].map(|n| {
        let most = |gram: &Caption| {
            references.iter().map(|r| counts(r, n).get(gram).copied().unwrap_or(0.0)).fold(0.0, f64::max)
        };
        let correct: f64 = counts(hypothesis, n).iter().map(|(gram, count)| count.min(most(gram))).sum();
        let guess = (hypothesis.len() + 1).saturating_sub(n) as f64;
        product *= (correct + tiny) / (guess + small);
        let score = f64::powf(product, 1.0 / n as f64);
        if ratio < 1.0 { score * (1.0 - 1.0 / ratio).exp() } else { score }
    })
}

/// The longest of all subsequences of `a` that is one of `b`.
fn common(a: &[u32], b: &[u32]) -> usize {
    let subsequence = |bits: u32| (0..a.len()).filter(move |i| bits >> i & 1 == 1).map(|i| a[i]);
    let within = |bits: &u32| {
        let mut rest = b.iter();
        subsequence(*bits).all(|word| rest.any(|other| *other == word))
    };
    (0..1u32 << a.len()).filter(within).map(|bits| bits.count_ones() as usize).max().unwrap()
}

/// ROUGE-L of captions that are not empty.
fn rouge(hypothesis: &[u32], references: &[Caption]) -> f64 {
    let best = |length: fn(&[u32], &[u32]) -> usize| {
        let of = |r: &Caption| common(hypothesis, r) as f64 / length(hypothesis, r) as f64;
        references.iter().map(of).fold(0.0, f64::max)
    };
    let (precision, recall) = (best(|h, _| h.len()), best(|_, r| r.len()));
    let beta = 1.2f64;
    match precision * recall {
        0.0 => 0.0,
        product => (1.0 + beta.powi(2)) * product / (recall + beta.powi(2) * precision),
    }
}

/// CIDEr-D, or plain CIDEr, as ruotianluo/cider has them.
fn cider(hypothesis: &[u32], references: &[Caption], images: &[Vec<Caption>], plain: bool) -> f64 {
    let vector = |caption: &[u32], n: usize| -> Vector {
        let weigh = |(gram, count): (Caption, f64)| {
            let mentions = |image: &&Vec<Caption>| image.iter().any(|r| r.windows(n).any(|g| g == gram));
            let images_with = images.iter().filter(mentions).count().max(1) as f64;
            (gram, count * ((images.len() as f64).ln() - images_with.ln()))
        };
        counts(caption, n).into_iter().map(weigh).collect()
    };
    let norm = |v: &Vector| v.values().map(|x| x * x).sum::<f64>().sqrt();
    let bigrams = |caption: &[u32]| caption.windows(2).count() as f64;
    let mut total = 0.0;
    for reference in references {
        let gap = bigrams(hypothesis) - bigrams(reference);
        let penalty = if plain { 1.0 } else { (-gap * gap / (2.0 * 36.0)).exp() };
        for n in 1..=4 {
            let (h, r) = (vector(hypothesis, n), vector(reference, n));
            let dot: f64 = h
                .iter()
                .map(|(gram, weight)| {
                    let other = r.get(gram).copied().unwrap_or(0.0);
                    if plain { weight * other } else { weight.min(other) * other }
                })
                .sum();
            let norms = norm(&h) * norm(&r);
            total += penalty * if norms > 0.0 { dot / norms } else { 0.0 };
        }
    }
    10.0 * total / (4 * references.len()) as f64
}

fn caption(fewest: usize) -> impl Strategy<Value = Caption> {
    prop::collection::vec(0..5u32, fewest..10)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs().max(1.0)
}

proptest! {
    #[test]
    fn bleu_is_the_slow_one(hypothesis in caption(0), references in prop::collection::vec(caption(0), 1..4)) {
        let fast = BleuStatistics::new(&hypothesis, &BleuReferences::new(&references)).scores();
        let slow = bleu(&hypothesis, &references);
        prop_assert!(fast.iter().zip(slow).all(|(a, b)| near(*a, b)), "{fast:?} {slow:?}");
    }

    #[test]
    fn rouge_l_is_the_slow_one(hypothesis in caption(1), references in prop::collection::vec(caption(1), 1..4)) {
        let (fast, slow) = (rouge_l(&hypothesis, &references), rouge(&hypothesis, &references));
        prop_assert!(near(fast, slow), "{fast} {slow}");
    }

    #[test]
    fn the_ciders_are_the_slow_ones(
        hypothesis in caption(0),
        images in prop::collection::vec(prop::collection::vec(caption(0), 1..4), 1..5),
    ) {
        let frequencies = Arc::new(DocumentFrequencies::from_references(&images));
        let (clipped, plain) = (CiderD::new(frequencies.clone()), Cider::new(frequencies));
        for references in &images {
            let fast = clipped.score(&hypothesis, &clipped.prepare(references));
            let slow = cider(&hypothesis, references, &images, false);
            prop_assert!(near(fast, slow), "CIDEr-D {fast} {slow}");
            let fast = plain.score(&hypothesis, &plain.prepare(references));
            let slow = cider(&hypothesis, references, &images, true);
            prop_assert!(near(fast, slow), "CIDEr {fast} {slow}");
        }
    }
}

fn meteor() -> Meteor {
    let files =
        MeteorFiles { function_words: "a\n", prefixes: "", exceptions: "", synsets: "w1\n1\nw2\n1\n" };
    Meteor::new(Arc::new(MeteorLexicon::from_bytes(MeteorLexicon::index(&files).unwrap()).unwrap()), None)
}

#[test]
fn empty_captions_score_nothing() {
    let meteor = meteor();
    let (hypotheses, references) = (["", "a dog", ""], [vec!["a dog"], vec!["", "a cat"], vec![""]]);
    let scores = evaluate_text(&hypotheses, &references).unwrap();
    let images = &scores.per_image;
    assert_eq!((images.cider_d[0], images.cider[0], images.rouge_l[0]), (0.0, 0.0, 0.0));
    assert!(images.bleu[0].iter().all(|b| *b < 1e-6));
    // As the reference has it, an empty caption is one empty word for ROUGE-L.
    assert_eq!((images.cider_d[2], images.rouge_l[2]), (0.0, 1.0));
    assert!(scores.named().iter().all(|(_, value)| value.is_finite()));
    let scores = meteor.evaluate(&hypotheses, &references).unwrap();
    assert_eq!((scores.per_image[0], scores.per_image[2]), (0.0, 0.0));
    assert!(scores.per_image[1] > 0.0 && scores.corpus.is_finite());
    assert_eq!(tokenize_captions(&["", "  ", "."]), ["", "", ""]);
}

#[test]
fn captions_of_ten_thousand_words_are_scored() {
    const WORDS: usize = 10_000;
    let long = |step: usize| (0..WORDS).map(|i| format!("w{}", i * step % 701)).collect::<Vec<_>>().join(" ");
    let same = vec!["a"; WORDS].join(" ");
    assert_eq!(tokenize_captions(&[&same])[0].split(' ').count(), WORDS);
    let hypotheses = [long(1), same.clone(), long(3), "a w1".into()];
    let references = [vec![long(1), "a dog".into()], vec![same], vec![long(5)], vec![long(2)]];
    let scores = evaluate_text(&hypotheses, &references).unwrap();
    let images = &scores.per_image;
    for image in [0, 1] {
        assert!((images.bleu[image][3] - 1.0).abs() < 1e-6 && (images.rouge_l[image] - 1.0).abs() < 1e-12);
    }
    assert!(images.cider_d.iter().chain(&images.cider).all(|c| (0.0..=10.0 + 1e-9).contains(c)));
    let scores = meteor().evaluate(&hypotheses, &references).unwrap();
    assert_eq!(scores.per_image[..2], [1.0, 1.0]);
    assert!(scores.per_image.iter().all(|score| (0.0..=1.0).contains(score)));
}
