//! A suite gives what the metrics give one by one, and saved document frequencies come back.

use ekphrasis_metrics::files::{Training, Wording, read_training};
use ekphrasis_metrics::{
    BleuReferences, BleuStatistics, Cider, CiderD, DocumentFrequencies, Groups, Interner, Metric, Suite,
    TextFrequencies, Texts, rouge_l, with_eos,
};
use std::path::Path;
use std::sync::Arc;

/// A no-break space, two spaces, an empty caption: where the ways to part words differ.
const REFERENCES: [&[&str]; 5] = [
    &["a dog runs in the park", "a dog is running"],
    &["two cats on a mat", "23\u{a0}3/4 cats"],
    &["a  bird", "birds"],
    &["", "nothing at all"],
    &["a man on a horse"],
];
const CANDIDATES: [&str; 5] = ["a dog runs", "23 3/4 cats on a mat", "a bird", "", "a man on a a horse"];

fn references() -> Groups {
    Groups::tokens(REFERENCES.map(<[_]>::to_vec))
}

fn candidates() -> Texts {
    CANDIDATES.into_iter().collect()
}

#[test]
fn a_suite_scores_as_the_metrics_do_alone() {
    let mut suite = Suite::new(references(), None, false).unwrap();
    let scores = suite.score(&candidates(), &Metric::ALL, None).unwrap();
    let mut interner = Interner::new();
    let mut parted = |part: fn(&mut Interner, &str) -> Vec<u32>| {
        let candidates = CANDIDATES.map(|text| part(&mut interner, text));
        let references = REFERENCES.map(|image| image.iter().map(|text| part(&mut interner, text)).collect());
        (candidates, references)
    };
    let (spaced, spaced_references): (_, [Vec<Vec<u32>>; 5]) = parted(Interner::space_separated);
    let (words, references): (_, [Vec<Vec<u32>>; 5]) = parted(Interner::words);
    let frequencies = Arc::new(DocumentFrequencies::from_references(&references));
    let (cider_d, cider) = (CiderD::new(frequencies.clone()), Cider::new(frequencies));
    let each = |of: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..CANDIDATES.len()).map(of).collect() };
    assert_eq!(scores.rouge_l, each(&|i| rouge_l(&spaced[i], &spaced_references[i])));
    let near =
        |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    let by_cider_d = each(&|i| cider_d.score(&words[i], &cider_d.prepare(&references[i])));
    let by_cider = each(&|i| cider.score(&words[i], &cider.prepare(&references[i])));
    assert!(near(&scores.cider_d, &by_cider_d) && near(&scores.cider, &by_cider));
    for order in 1..=4 {
        let counts = |i: usize| BleuStatistics::new(&words[i], &BleuReferences::new(&references[i]));
        assert_eq!(scores.per_image(Metric::Bleu(order)), each(&|i| counts(i).scores()[order - 1]));
    }
    assert!(scores.meteor.is_none() && scores.per_image(Metric::Meteor).is_empty());
    // What was not asked for is not there, rather than 0.
    let scores = suite.score(&candidates(), &[Metric::RougeL], None).unwrap();
    assert!(scores.bleu.is_empty() && scores.cider.is_empty() && scores.rouge_l.len() == 5);
}

#[test]
fn the_end_of_a_caption_counts_where_asked() {
    let mut interner = Interner::new();
    let end = interner.intern("<end>");
    let mut ended = |text: &str| with_eos(&interner.words(text), end);
    let references_ended: Vec<Vec<Vec<u32>>> =
        REFERENCES.iter().map(|image| image.iter().map(|text| ended(text)).collect()).collect();
    let frequencies = Arc::new(DocumentFrequencies::from_references(&references_ended));
    let (cider_d, cider) = (CiderD::new(frequencies.clone()), Cider::new(frequencies));

    let mut suite = Suite::new(references(), None, true).unwrap();
    let scores = suite.score(&candidates(), &Metric::ALL, None).unwrap();
    for (image, text) in CANDIDATES.iter().enumerate() {
        let (caption, prepared) = (ended(text), cider_d.prepare(&references_ended[image]));
        assert!((scores.cider_d[image] - cider_d.score(&caption, &prepared)).abs() < 1e-12);
        assert!((scores.cider[image] - cider.score(&caption, &prepared)).abs() < 1e-12);
        assert_eq!(scores.bleu[image].hypothesis_length as usize, caption.len());
    }
    assert_eq!(scores.words().nth(2).unwrap().len(), 2);
    let plain =
        Suite::new(references(), None, false).unwrap().score(&candidates(), &Metric::ALL, None).unwrap();
    assert_eq!(scores.rouge_l, plain.rouge_l);
    assert_ne!(scores.cider_d, plain.cider_d);
}

/// Frequencies from a file that holds some.
fn saved(path: &Path) -> Result<TextFrequencies, String> {
    match read_training(path, Wording::Raw) {
        Ok(Training::Frequencies(saved)) => Ok(saved),
        Ok(Training::Captions(_)) => panic!("not taken for saved frequencies"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn saved_frequencies_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("df.json");
    let training =
        Groups::tokens([vec!["a dog on a mat"], vec!["a dog", "two cats"], vec!["two birds on a mat"]]);
    for eos in [false, true] {
        let counted = TextFrequencies::count(&training, eos);
        let mut first = Suite::new(references(), Some(counted), eos).unwrap();
        let expected = first.score(&candidates(), &Metric::ALL, None).unwrap();
        // Saved after other captions were read: only the words that were counted are kept.
        std::fs::write(&path, first.frequencies().to_json().unwrap()).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("horse"));
        let read = saved(&path).expect("they are known as such");
        assert_eq!((read.eos(), read.frequencies().images()), (eos, 3));
        let mut second = Suite::new(references(), Some(read), eos).unwrap();
        let found = second.score(&candidates(), &Metric::ALL, None).unwrap();
        assert_eq!((found.cider_d, found.cider), (expected.cider_d, expected.cider));
    }
    // Counted when asked for, of the references alone.
    let mut late = Suite::new(references(), None, false).unwrap();
    late.score(&["words of no reference"; 5].into_iter().collect(), &[Metric::RougeL], None).unwrap();
    let counted = TextFrequencies::count(&references(), false);
    assert_eq!(late.frequencies().to_json().unwrap(), counted.to_json().unwrap());
    let read = saved(&path).ok();
    let error = Suite::new(references(), read, false).unwrap_err().to_string();
    assert!(error.contains("expected the end of a caption not counted, found counted as a word"), "{error}");
}

#[test]
fn damaged_frequencies_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("df.json");
    let training = Groups::tokens([vec!["a dog"], vec!["a dog runs"]]);
    let good = String::from_utf8(TextFrequencies::count(&training, false).to_json().unwrap()).unwrap();
    for (from, to, expected) in [
        (r#"["a","dog","runs"]"#, r#"["a","a","runs"]"#, "found the word `a` twice"),
        (r#"["a","dog","runs"]"#, r#"["a"]"#, "found the token 1 of 1 words"),
        (r#""version":1"#, r#""version":2"#, "version 2"),
        (r#""images":2"#, r#""images":1"#, "expected 2 to 1 images, found 2"),
        ("]}}", "]}", "EOF"),
        ("eos", "eoss", "unknown field"),
    ] {
        assert!(good.contains(from), "{good}");
        std::fs::write(&path, good.replace(from, to)).unwrap();
        let error = saved(&path).unwrap_err();
        assert!(
            error.contains("df.json: expected ekphrasis document frequencies, version 1, found "),
            "{error}"
        );
        assert!(error.contains(expected) && error.ends_with("\nhint: count and save them again"), "{error}");
    }
    std::fs::write(&path, r#"{"a": "a dog"}"#).unwrap();
    assert!(matches!(read_training(&path, Wording::Raw), Ok(Training::Captions(_))));
}

#[test]
fn what_cannot_be_scored_is_named() {
    let none = Groups::tokens([vec!["a"], vec![]]);
    assert!(Suite::new(none, None, false).unwrap_err().to_string().contains("image 1"));
    let mut suite = Suite::new(references(), None, false).unwrap();
    let few: Texts = ["a"].into_iter().collect();
    let error = suite.score(&few, &Metric::ALL, None).unwrap_err().to_string();
    assert!(error.contains("5 images with references, found 1 hypotheses"), "{error}");
}

#[test]
fn names_lead_to_metrics() {
    for name in Metric::NAMES {
        assert!(Metric::named(name).is_some_and(|metrics| !metrics.is_empty()), "{name}");
    }
    assert_eq!(Metric::named("cider"), Some(&[Metric::CiderD][..]));
    assert_eq!(Metric::named("bleu").map(<[_]>::len), Some(4));
    assert_eq!(Metric::named("spice"), None);
}
