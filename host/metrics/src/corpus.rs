//! All metrics of a whole split at once.

use crate::bleu::{BleuReferences, BleuStatistics};
use crate::cider::{Cider, CiderD};
use crate::document_frequencies::DocumentFrequencies;
use crate::error::MetricsError;
use crate::interner::Interner;
use crate::ngrams::MAX_ORDER;
use crate::parallel;
use crate::rouge::rouge_l;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Images that are worth a thread.
const GRAIN: usize = 64;

/// Scores of a split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// CIDEr-D, 0 to 10: the mean over images.
    pub cider_d: f64,
    /// CIDEr without clipping and length penalty, 0 to 10: the mean over images.
    pub cider: f64,
    /// BLEU-1 to BLEU-4, 0 to 1: from the summed statistics, not the mean over images.
    pub bleu: [f64; MAX_ORDER],
    /// ROUGE-L, 0 to 1: the mean over images.
    pub rouge_l: f64,
    /// What BLEU was computed from.
    pub bleu_statistics: BleuStatistics,
    /// The scores of each image.
    pub per_image: PerImage,
}

/// Scores image by image, in the order of the split.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PerImage {
    /// CIDEr-D, 0 to 10.
    pub cider_d: Vec<f64>,
    /// CIDEr, 0 to 10.
    pub cider: Vec<f64>,
    /// BLEU-1 to BLEU-4 of the image alone, 0 to 1.
    pub bleu: Vec<[f64; MAX_ORDER]>,
    /// ROUGE-L, 0 to 1.
    pub rouge_l: Vec<f64>,
}

impl Scores {
    /// The split's scores under the names that tables and summaries use.
    pub fn named(&self) -> [(&'static str, f64); 7] {
        let [bleu_1, bleu_2, bleu_3, bleu_4] = self.bleu;
        [
            ("cider_d", self.cider_d),
            ("cider", self.cider),
            ("bleu_1", bleu_1),
            ("bleu_2", bleu_2),
            ("bleu_3", bleu_3),
            ("bleu_4", bleu_4),
            ("rouge_l", self.rouge_l),
        ]
    }
}

/// Scores one hypothesis for each image, `references[i]` being the references of the i-th image. All
/// scores of an empty split are 0, but for BLEU's trace of smoothing.
///
/// # Errors
/// If the numbers of hypotheses and images differ, or an image has no reference.
pub fn evaluate<H: AsRef<[u32]> + Sync, R: AsRef<[u32]> + Sync>(
    hypotheses: &[H],
    references: &[Vec<R>],
    frequencies: &Arc<DocumentFrequencies>,
) -> Result<Scores, MetricsError> {
    check(hypotheses.len(), references)?;
    Ok(score(hypotheses.len(), frequencies, |i| {
        let references: Vec<&[u32]> = references[i].iter().map(AsRef::as_ref).collect();
        let hypothesis = hypotheses[i].as_ref();
        let rouge_l = rouge_l(hypothesis, &references);
        Image { hypothesis, references, rouge_l }
    }))
}

/// Scores tokenised text as coco-caption does: words parted by spaces, document frequencies from these
/// references.
///
/// Equal to the reference also where a caption holds other white space, which parts words for BLEU and
/// CIDEr but not for ROUGE-L.
///
/// # Errors
/// If the numbers of hypotheses and images differ, or an image has no reference.
pub fn evaluate_text<H: AsRef<str>, R: AsRef<str>>(
    hypotheses: &[H],
    references: &[Vec<R>],
) -> Result<Scores, MetricsError> {
    check(hypotheses.len(), references)?;
    let text = Text::new(hypotheses, references);
    let frequencies = DocumentFrequencies::count(hypotheses.len(), |image, take| {
        text.references(image).for_each(|caption| take(text.words(caption)));
    });
    Ok(score(hypotheses.len(), &Arc::new(frequencies), |image| {
        let spaced: Vec<&[u32]> = text.references(image).map(|caption| text.spaced(caption)).collect();
        Image {
            hypothesis: text.words(text.first[image]),
            references: text.references(image).map(|caption| text.words(caption)).collect(),
            rouge_l: rouge_l(text.spaced(text.first[image]), &spaced),
        }
    }))
}

/// A split's captions as ids, image by image: its hypothesis, then its references.
struct Text {
    tokens: Vec<u32>,
    /// Where each caption ends in `tokens`.
    ends: Vec<usize>,
    /// Each image's first caption, and the number of captions.
    first: Vec<usize>,
    /// The words of ROUGE-L, for the few captions where they are others.
    spaced: HashMap<usize, Vec<u32>>,
}

impl Text {
    fn new<H: AsRef<str>, R: AsRef<str>>(hypotheses: &[H], references: &[Vec<R>]) -> Self {
        let mut text = Self { tokens: vec![], ends: vec![], first: vec![], spaced: HashMap::new() };
        let mut interner = Interner::new();
        let mut push = |text: &mut Self, caption: &str| {
            if !interner.plain_words(caption, &mut text.tokens) {
                text.spaced.insert(text.ends.len(), interner.space_separated(caption));
                text.tokens.extend(interner.words(caption));
            }
            text.ends.push(text.tokens.len());
        };
        for (hypothesis, references) in hypotheses.iter().zip(references) {
            text.first.push(text.ends.len());
            push(&mut text, hypothesis.as_ref());
            references.iter().for_each(|reference| push(&mut text, reference.as_ref()));
        }
        text.first.push(text.ends.len());
        text
    }

    /// The captions that are an image's references.
    fn references(&self, image: usize) -> Range<usize> {
        self.first[image] + 1..self.first[image + 1]
    }

    fn words(&self, caption: usize) -> &[u32] {
        let start = caption.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.tokens[start..self.ends[caption]]
    }

    fn spaced(&self, caption: usize) -> &[u32] {
        self.spaced.get(&caption).map_or_else(|| self.words(caption), Vec::as_slice)
    }
}

pub(crate) fn check<R>(hypotheses: usize, references: &[Vec<R>]) -> Result<(), MetricsError> {
    if hypotheses != references.len() {
        return Err(MetricsError::CountMismatch { hypotheses, references: references.len() });
    }
    match references.iter().position(Vec::is_empty) {
        Some(image) => Err(MetricsError::NoReferences { image }),
        None => Ok(()),
    }
}

/// An image to be scored.
struct Image<'a> {
    hypothesis: &'a [u32],
    references: Vec<&'a [u32]>,
    rouge_l: f64,
}

/// The scores of images, on all cores.
fn score<'a>(
    images: usize,
    frequencies: &Arc<DocumentFrequencies>,
    image: impl Fn(usize) -> Image<'a> + Sync,
) -> Scores {
    let (cider_d, cider) = (CiderD::new(Arc::clone(frequencies)), Cider::new(Arc::clone(frequencies)));
    let each = parallel::each(images, GRAIN, |_: &mut (), i| {
        let Image { hypothesis, references, rouge_l } = image(i);
        let prepared = cider_d.prepare(&references);
        let bleu = BleuStatistics::new(hypothesis, &BleuReferences::new(&references));
        (cider_d.score(hypothesis, &prepared), cider.score(hypothesis, &prepared), bleu, rouge_l)
    });
    let mut per_image = PerImage::default();
    let mut bleu_statistics = BleuStatistics::default();
    for (cider_d, cider, statistics, rouge_l) in each {
        per_image.cider_d.push(cider_d);
        per_image.cider.push(cider);
        per_image.bleu.push(statistics.scores());
        per_image.rouge_l.push(rouge_l);
        bleu_statistics += statistics;
    }
    Scores {
        cider_d: mean(&per_image.cider_d),
        cider: mean(&per_image.cider),
        bleu: bleu_statistics.scores(),
        rouge_l: mean(&per_image.rouge_l),
        bleu_statistics,
        per_image,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_scored_is_named() {
        let references = vec![vec!["a dog"], vec![]];
        let error = evaluate_text(&["a dog"], &references).unwrap_err();
        assert_eq!(error, MetricsError::CountMismatch { hypotheses: 1, references: 2 });
        let error = evaluate_text(&["a dog", "a cat"], &references).unwrap_err();
        assert_eq!(error, MetricsError::NoReferences { image: 1 });
        assert!(error.to_string().contains("image 1"));
    }

    #[test]
    fn text_and_ids_score_alike() {
        let hypotheses = ["a dog runs", "two cats on a mat", "a bird"];
        let references = [
            vec!["a dog is running", "a dog runs here"],
            vec!["two cats sit on a mat"],
            vec!["birds", "a bird"],
        ];
        let mut interner = Interner::new();
        let mut ids = |text: &&str| interner.words(text);
        let hypothesis_ids: Vec<_> = hypotheses.iter().map(&mut ids).collect();
        let reference_ids: Vec<Vec<_>> =
            references.iter().map(|r| r.iter().map(&mut ids).collect()).collect();
        let frequencies = Arc::new(DocumentFrequencies::from_references(&reference_ids));
        let by_ids = evaluate(&hypothesis_ids, &reference_ids, &frequencies).unwrap();
        // Sorting by other ids may round otherwise: compare to within rounding.
        let by_text = evaluate_text(&hypotheses, &references).unwrap();
        for ((name, a), (_, b)) in by_ids.named().into_iter().zip(by_text.named()) {
            assert!(a > 0.0 && (a - b).abs() < 1e-12, "{name}: {a} {b}");
        }
    }

    #[test]
    fn an_empty_split_scores_nothing() {
        let scores = evaluate_text::<&str, &str>(&[], &[]).unwrap();
        assert!(scores.named().iter().all(|&(_, value)| value.abs() < 1e-6), "{scores:?}");
    }
}
