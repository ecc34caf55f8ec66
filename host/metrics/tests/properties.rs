//! What holds of any input.

use ekphrasis_metrics::{
    BleuReferences, BleuStatistics, Cider, CiderD, Diversity, DocumentFrequencies, Lengths, MetricsError,
    evaluate, evaluate_text, mutual_bleu, rouge_l, self_cider,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Few distinct tokens, so that n-grams repeat; the extremes, so that packing is tried.
fn caption() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(prop_oneof![0..6u32, Just(u32::MAX), any::<u32>()], 0..14)
}

fn references() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(caption(), 0..6)
}

fn images() -> impl Strategy<Value = Vec<Vec<Vec<u32>>>> {
    prop::collection::vec(references(), 0..6)
}

struct All {
    cider_d: f64,
    cider: f64,
    bleu: [f64; 4],
    rouge_l: f64,
}

fn all(hypothesis: &[u32], references: &[Vec<u32>], frequencies: &Arc<DocumentFrequencies>) -> All {
    let (cider_d, cider) = (CiderD::new(Arc::clone(frequencies)), Cider::new(Arc::clone(frequencies)));
    All {
        cider_d: cider_d.score(hypothesis, &cider_d.prepare(references)),
        cider: cider.score(hypothesis, &cider.prepare(references)),
        bleu: BleuStatistics::new(hypothesis, &BleuReferences::new(references)).scores(),
        rouge_l: rouge_l(hypothesis, references),
    }
}

/// The same inputs in every run.
fn fixed() -> Config {
    Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn scores_stay_in_range(hypothesis in caption(), references in references(), images in images()) {
        let scores = all(&hypothesis, &references, &Arc::new(DocumentFrequencies::from_references(&images)));
        // A comparison with NaN fails too.
        prop_assert!((0.0..=10.0 + 1e-9).contains(&scores.cider));
        prop_assert!((0.0..=scores.cider + 1e-9).contains(&scores.cider_d), "clipping and penalty only lower");
        prop_assert!(scores.bleu.iter().all(|bleu| (0.0..=1.0).contains(bleu)));
        prop_assert!((0.0..=1.0 + 1e-12).contains(&scores.rouge_l));
    }

    #[test]
    fn the_same_caption_scores_ten(caption in prop::collection::vec(0..8u32, 4..14)) {
        // No image mentions anything and there are three images: every n-gram weighs ln 3.
        let frequencies = Arc::new(DocumentFrequencies::from_references(&vec![Vec::<Vec<u32>>::new(); 3]));
        let scores = all(&caption, std::slice::from_ref(&caption), &frequencies);
        prop_assert!((scores.cider_d - 10.0).abs() < 1e-9);
        prop_assert!((scores.cider - 10.0).abs() < 1e-9);
        prop_assert!((scores.bleu[3] - 1.0).abs() < 1e-8);
        prop_assert!((scores.rouge_l - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_order_of_references_does_not_matter(
        hypothesis in caption(),
        (references, shuffled) in references().prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        images in images(),
    ) {
        let frequencies = Arc::new(DocumentFrequencies::from_references(&images));
        let (a, b) = (all(&hypothesis, &references, &frequencies), all(&hypothesis, &shuffled, &frequencies));
        prop_assert!((a.cider_d - b.cider_d).abs() < 1e-12);
        prop_assert!((a.cider - b.cider).abs() < 1e-12);
        prop_assert_eq!(a.bleu, b.bleu);
        prop_assert_eq!(a.rouge_l, b.rouge_l);
    }

    #[test]
    fn frequencies_count_images_and_survive_storage(images in images()) {
        let frequencies = DocumentFrequencies::from_references(&images);
        let stored = serde_json::to_string(&frequencies).unwrap();
        let restored: DocumentFrequencies = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(&serde_json::to_string(&restored).unwrap(), &stored);
        let distinct = |n| images.iter().flatten().flat_map(move |r| r.windows(n)).collect::<BTreeSet<_>>().len();
        prop_assert_eq!(frequencies.distinct_ngrams(), (1..=4).map(distinct).sum::<usize>());
        for n in 1..=4 {
            for gram in images.iter().flatten().flat_map(|reference| reference.windows(n)) {
                let mentions = |image: &&Vec<Vec<u32>>| image.iter().any(|r| r.windows(n).any(|g| g == gram));
                let expected = images.iter().filter(mentions).count().max(1);
                prop_assert_eq!(frequencies.images_with(gram), expected);
                prop_assert_eq!(restored.images_with(gram), expected);
            }
        }
        for references in &images {
            for hypothesis in references {
                let before = all(hypothesis, references, &Arc::new(frequencies.clone()));
                let after = all(hypothesis, references, &Arc::new(restored.clone()));
                prop_assert_eq!(before.cider_d, after.cider_d);
            }
        }
    }

    #[test]
    fn a_split_is_scored_or_refused(hypotheses in references(), images in images()) {
        let frequencies = Arc::new(DocumentFrequencies::from_references(&images));
        match evaluate(&hypotheses, &images, &frequencies) {
            Ok(scores) => {
                prop_assert_eq!(scores.per_image.cider_d.len(), images.len());
                prop_assert!(scores.named().iter().all(|(_, value)| value.is_finite()));
            }
            Err(MetricsError::NoReferences { image }) => prop_assert!(images[image].is_empty()),
            Err(_) => prop_assert_ne!(hypotheses.len(), images.len()),
        }
    }

    #[test]
    fn any_text_is_scored(pairs in prop::collection::vec((".{0,20}", prop::collection::vec(".{0,20}", 1..4)), 0..5)) {
        let (hypotheses, references): (Vec<String>, Vec<Vec<String>>) = pairs.into_iter().unzip();
        let scores = evaluate_text(&hypotheses, &references).unwrap();
        prop_assert!(scores.named().iter().all(|(_, value)| value.is_finite()));
    }

    #[test]
    fn diversity_stays_in_range(captions in references()) {
        let diversity = Diversity::of(&captions);
        for share in [diversity.repeated_trigrams, diversity.distinct_1, diversity.distinct_2] {
            prop_assert!((0.0..=1.0).contains(&share));
        }
        prop_assert_eq!(Lengths::of(&captions).histogram.iter().sum::<usize>(), captions.len());
    }

    #[test]
    fn diversity_of_samples_stays_in_range_in_any_order(
        (samples, shuffled) in references().prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        images in images(),
    ) {
        let cider = Cider::new(Arc::new(DocumentFrequencies::from_references(&images)));
        let of = |samples: &[Vec<u32>]| Some((self_cider(&cider, samples)?, mutual_bleu(samples)?));
        prop_assert_eq!(of(&samples).is_some(), samples.len() > 1);
        if let (Some((cider, bleu)), Some((same_cider, same_bleu))) = (of(&samples), of(&shuffled)) {
            prop_assert!((0.0..=1.0).contains(&cider) && bleu.iter().all(|b| (0.0..=1.0).contains(b)));
            // Square roots: an eigenvalue that should be 0 counts with the root of its rounding.
            prop_assert!((cider - same_cider).abs() < 1e-6);
            prop_assert!((bleu[3] - same_bleu[3]).abs() < 1e-12);
        }
    }
}

#[test]
fn stored_frequencies_that_contradict_themselves_are_refused() {
    let refusal = |distinct: usize, orders: &str| {
        let stored = format!(r#"{{"images":3,"distinct_ngrams":{distinct},"orders":[{orders}]}}"#);
        serde_json::from_str::<DocumentFrequencies>(&stored).unwrap_err().to_string()
    };
    let rest = r#"{"tokens":[],"images":[]},{"tokens":[],"images":[]},{"tokens":[],"images":[]}"#;
    let unigrams = |distinct, unigrams: &str| refusal(distinct, &format!("{unigrams},{rest}"));
    assert!(refusal(9, rest).contains("orders: expected 4 entries, found 3"));
    assert!(unigrams(9, r#"{"tokens":[1],"images":[]}"#).contains("orders[0].tokens"));
    assert!(unigrams(9, r#"{"tokens":[1],"images":[4]}"#).contains("expected 2 to 3 images, found 4"));
    assert!(unigrams(9, r#"{"tokens":[1],"images":[1]}"#).contains("expected 2 to 3 images, found 1"));
    assert!(unigrams(9, r#"{"tokens":[1,1],"images":[2,2]}"#).contains("found [1] again"));
    let none = r#"{"tokens":[],"images":[]}"#;
    let bigrams =
        |unigrams: &str| refusal(9, &format!(r#"{unigrams},{{"tokens":[1,2],"images":[2]}},{none},{none}"#));
    assert!(
        bigrams(r#"{"tokens":[2],"images":[2]}"#).contains("expected [1] in orders[0], since [1, 2] is here")
    );
    assert!(unigrams(1, r#"{"tokens":[1,2],"images":[2,2]}"#).contains("at least the 2 listed, found 1"));
}
