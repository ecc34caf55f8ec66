//! CLIPScore, R-precision, retrieval.

use crate::{expected, near, number, random};
use ekphrasis_metrics::{Embeddings, Ranking, Trial, clip_scores, r_precision, ref_clip_scores, retrieval};

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Pictures, three captions for each, their pictures, and one candidate for each, as in `expected.py`.
fn fixture() -> (Vec<f32>, Vec<f32>, Vec<usize>, Vec<f32>) {
    let (images, mut captions) = (random(4, 40, 12), random(5, 120, 12));
    for (i, value) in captions.iter_mut().enumerate() {
        *value += 0.5 * images[i / 36 * 12 + i % 12];
    }
    let candidates = random(6, 40, 12).iter().zip(&images).map(|(r, i)| r + i).collect();
    (images, captions, (0..120).map(|j| j / 3).collect(), candidates)
}

fn check(found: &Ranking, name: &str) {
    let Ranking { recall_at_1, recall_at_5, recall_at_10, median_rank, mean_rank } = *found;
    for (i, value) in [recall_at_1, recall_at_5, recall_at_10, median_rank, mean_rank].into_iter().enumerate()
    {
        near(value, number(&expected()[name][i]), 1e-12);
    }
}

#[test]
fn scores_are_those_of_numpy() {
    let (images, captions, image_of, candidates) = fixture();
    let images = Embeddings::new("images", &images, 12).unwrap();
    let captions = Embeddings::new("captions", &captions, 12).unwrap();
    let candidates = Embeddings::new("candidates", &candidates, 12).unwrap();
    near(mean(&clip_scores(&images, &candidates).unwrap()), number(&expected()["clip_score"]), 1e-12);
    let with_references = ref_clip_scores(&images, &candidates, &captions, &image_of).unwrap();
    near(mean(&with_references), number(&expected()["ref_clip_score"]), 1e-12);
    let found = retrieval(&images, &captions, &image_of).unwrap();
    check(&found.image_to_text, "image_to_text");
    check(&found.text_to_image, "text_to_image");
}

#[test]
fn clip_scores_by_hand() {
    let images = Embeddings::new("images", &[1.0, 0.0, 0.0, 5.0, 3.0, 4.0], 2).unwrap();
    let captions = Embeddings::new("captions", &[2.0, 0.0, 0.0, -1.0, 4.0, 3.0], 2).unwrap();
    let found = clip_scores(&images, &captions).unwrap();
    // Along, against (no less than 0), and at a cosine of 24/25.
    near(found[0], 2.5, 1e-15);
    assert_eq!(found[1], 0.0);
    near(found[2], 2.4, 1e-15);
    // References in any order; the better of the two of the last picture is the caption itself.
    let references = Embeddings::new("references", &[4.0, 3.0, -1.0, 0.0, 0.0, 1.0, 1.0, 0.0], 2).unwrap();
    let found = ref_clip_scores(&images, &captions, &references, &[2, 0, 1, 2]).unwrap();
    assert_eq!(found[..2], [0.0, 0.0], "a best reference that points away, and a picture that does");
    near(found[2], 2.0 * 2.4 / 3.4, 1e-15);
}

#[test]
fn lengths_and_order_do_not_matter() {
    let (images, captions, image_of, _) = fixture();
    let of = |images: &[f32], captions: &[f32], image_of: &[usize]| {
        let images = Embeddings::new("images", images, 12).unwrap();
        retrieval(&images, &Embeddings::new("captions", captions, 12).unwrap(), image_of).unwrap()
    };
    let known = of(&images, &captions, &image_of);
    let longer: Vec<f32> = captions.iter().enumerate().map(|(i, v)| v * (1 + i / 12) as f32).collect();
    assert_eq!(of(&images, &longer, &image_of), known);
    let backwards = |v: &[f32]| v.chunks(12).rev().flatten().copied().collect::<Vec<_>>();
    let owners: Vec<usize> = image_of.iter().rev().map(|i| 39 - i).collect();
    assert_eq!(of(&backwards(&images), &backwards(&captions), &owners), known);
}

/// More queries than a block, so that blocks are joined in order; each finds its own copy.
#[test]
fn many_queries() {
    let rows = random(9, 300, 16);
    let a = Embeddings::new("images", &rows, 16).unwrap();
    let owners: Vec<usize> = (0..300).collect();
    let found = retrieval(&a, &a, &owners).unwrap();
    assert_eq!((found.image_to_text.recall_at_1, found.text_to_image.median_rank), (1.0, 1.0));
    // Moved by one, none does.
    let moved: Vec<usize> = (0..300).map(|i| (i + 1) % 300).collect();
    assert_eq!(retrieval(&a, &a, &moved).unwrap().text_to_image.recall_at_1, 0.0);
}

#[test]
fn ties_count_against() {
    let same = Embeddings::new("embeddings", &[1.0; 24], 2).unwrap();
    let owners: Vec<usize> = (0..12).collect();
    let found = retrieval(&same, &same, &owners).unwrap();
    assert_eq!((found.text_to_image.recall_at_10, found.image_to_text.median_rank), (0.0, 12.0));
    let trial = Trial { image: 0, own: 0, others: vec![1] };
    assert_eq!(r_precision(&same, &same, &[trial]).unwrap(), 0.0);
}

#[test]
fn ranks_and_their_median_by_hand() {
    // Captions along the axes and one between; the second picture's own caption is its third.
    let images = Embeddings::new("images", &[1.0, 0.0, 0.6, 0.8], 2).unwrap();
    let captions = Embeddings::new("captions", &[1.0, 0.1, 0.7, 0.7, 0.0, 1.0], 2).unwrap();
    let found = retrieval(&images, &captions, &[0, 0, 1]).unwrap();
    assert_eq!((found.image_to_text.recall_at_1, found.image_to_text.mean_rank), (0.5, 1.5));
    assert_eq!(found.image_to_text.median_rank, 1.0, "between 1 and 2, rounded down");
    assert_eq!(found.text_to_image.recall_at_1, 2.0 / 3.0, "the caption between is nearer to the other");
}

#[test]
fn r_precision_by_hand() {
    let images = Embeddings::new("images", &[1.0, 0.0, 0.0, 1.0], 2).unwrap();
    let captions = Embeddings::new("captions", &[9.0, 1.0, 1.0, 9.0, 1.0, 0.0], 2).unwrap();
    let trial = |image, own, others: &[usize]| Trial { image, own, others: others.to_vec() };
    let share = |trials: &[Trial]| r_precision(&images, &captions, trials).unwrap();
    assert_eq!(
        share(&[trial(0, 0, &[1]), trial(1, 1, &[0, 2]), trial(0, 0, &[1, 2]), trial(0, 2, &[])]),
        0.75
    );
}
