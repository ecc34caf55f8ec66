//! A plugin written in C against `ekphrasis.h` loads and gives the numbers that its fields say.

mod common;

use std::collections::BTreeMap;

use common::{Captions, compile, has_cc};
use ekphrasis_plugin::{Library, PluginError, RewardBatchView, RewardPlugin};

/// What `everything.c` computes for caption `i`.
fn expected(batch: &RewardBatchView<'_>, i: usize, scale: f64, shift: f64) -> f64 {
    let sizes = [(0.25, batch.lengths.len()), (0.125, batch.columns), (3.0, batch.image_offsets.len() - 1)];
    let more = [(7.0, batch.reference_offsets.len() - 1), (11.0, batch.vocabulary.len())];
    let mut sum: f64 = sizes.iter().chain(&more).map(|(factor, size)| factor * *size as f64).sum();
    for t in 0..batch.lengths[i] {
        let token = batch.tokens[i * batch.columns + t];
        let word = batch.vocabulary[token as usize].as_bytes();
        sum += (t + 1) as f64 * token as f64 + 0.5 * word.len() as f64 + 0.0625 * f64::from(word[0]);
    }
    let image = batch.images[i];
    sum += 100.0 * image as f64;
    for r in batch.image_offsets[image]..batch.image_offsets[image + 1] {
        for k in batch.reference_offsets[r]..batch.reference_offsets[r + 1] {
            sum += 1000.0 * (r + 1) as f64 * batch.reference_tokens[k] as f64;
        }
    }
    let special = batch.special;
    sum += 1e4 * special.pad as f64 + 2e4 * special.bos as f64 + 3e4 * special.eos as f64;
    sum += 4e4 * special.unk as f64 + 1e6 * batch.step as f64;
    scale * sum + shift
}

#[test]
fn every_field_arrives() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = Library::open(&compile(folder.path(), "everything", "everything.c", &[])).unwrap();
    assert_eq!(library.abi().to_string(), "1.0");
    let description = &library.rewards()[0];
    assert_eq!(
        (description.name.as_str(), description.doc.as_str()),
        ("everything", "Reads every field. \u{e9}")
    );
    assert_eq!(description.parameters[0].name, "scale");
    assert_eq!(description.parameters[0].default, 2.0);
    assert_eq!(description.parameters[1].doc, "added at the end");

    let captions = Captions::new();
    let mut batch = captions.view();
    // Four distinct ids in places where a swap would show.
    batch.special = ekphrasis_plugin::SpecialTokens { pad: 0, bos: 5, eos: 2, unk: 3 };
    let parameters = BTreeMap::from([("shift".to_owned(), -0.5)]);
    let mut reward = RewardPlugin::create(&library, "everything", &parameters).unwrap();
    assert_eq!(reward.parameters()["scale"], 2.0, "the default is filled in");
    let scores = reward.score(&batch).unwrap();
    let wanted: Vec<f64> = (0..3).map(|i| expected(&batch, i, 2.0, -0.5)).collect();
    assert_eq!(scores, wanted);

    // An instance moves between threads, and an empty batch has no scores.
    let scores = std::thread::spawn(move || {
        let captions = Captions::new();
        let empty = RewardBatchView { tokens: &[], lengths: &[], images: &[], ..captions.view() };
        reward.score(&empty).unwrap()
    });
    assert!(scores.join().unwrap().is_empty());
}

#[test]
fn an_error_while_it_is_set_up_is_told() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = Library::open(&compile(folder.path(), "everything", "everything.c", &[])).unwrap();
    let parameters = BTreeMap::from([("scale".to_owned(), 0.0)]);
    let error = RewardPlugin::create(&library, "everything", &parameters).unwrap_err();
    assert!(matches!(error, PluginError::Failed { step: None, .. }));
    let text = error.to_string();
    assert!(text.contains("while it was set up: scale: expected another number than 0"), "{text}");
}

#[test]
fn names_and_parameters_are_checked() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = Library::open(&compile(folder.path(), "everything", "everything.c", &[])).unwrap();
    let create = |name: &str, parameter: &str, value: f64| {
        let parameters = BTreeMap::from([(parameter.to_owned(), value)]);
        RewardPlugin::create(&library, name, &parameters).unwrap_err().to_string()
    };
    let text = create("everythin", "scale", 1.0);
    assert!(text.contains("no reward `everythin`\nhint: did you mean `everything`?"), "{text}");
    let text = create("everything", "scal", 1.0);
    assert!(text.contains("unknown parameter `scal`\nhint: did you mean `scale`?"), "{text}");
    let text = create("everything", "zzz", 1.0);
    assert!(text.contains("unknown parameter `zzz`\nhint: known are scale, shift"), "{text}");
    let text = create("everything", "scale", f64::NAN);
    assert!(text.contains("parameter `scale`: expected a finite number, found NaN"), "{text}");
}

#[test]
fn a_batch_that_contradicts_itself_is_refused_before_the_call() {
    if !has_cc() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = Library::open(&compile(folder.path(), "everything", "everything.c", &[])).unwrap();
    let mut reward = RewardPlugin::create(&library, "everything", &BTreeMap::new()).unwrap();
    let captions = Captions::new();
    let right = captions.view();
    for (batch, expected) in [
        (RewardBatchView { columns: 4, ..right }, "tokens: expected 12 elements, found 15"),
        (
            RewardBatchView { lengths: &[4, 3, 6], ..right },
            "lengths[2]: expected at most 5 (columns), found 6",
        ),
        (
            RewardBatchView { images: &[0, 2, 1], ..right },
            "images[1]: expected below 2 (image_count), found 2",
        ),
        (
            RewardBatchView { image_offsets: &[], ..right },
            "image_offsets: expected at least 1 element, found none",
        ),
        (
            RewardBatchView { reference_offsets: &[0, 3, 5, 9], ..right },
            "reference_tokens: expected 9 elements, found 6",
        ),
        (
            RewardBatchView { vocabulary: &[], ..right },
            "tokens[0, 0]: expected a token in 0..0 (vocabulary_size), found 4",
        ),
    ] {
        let error = reward.score(&batch).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("reward `everything`, step 9: wrong batch: ") && text.contains(expected),
            "{text}"
        );
    }
    assert_eq!(reward.score(&right).unwrap().len(), 3, "the reward is unharmed");
}
