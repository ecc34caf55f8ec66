//! All metrics of a whole split at once.

use crate::bleu::BleuStatistics;
use crate::document_frequencies::DocumentFrequencies;
use crate::error::MetricsError;
use crate::interner::Interner;
use crate::ngrams::MAX_ORDER;
use crate::rows::{Row, Scorers};
use crate::suite::Metric;
use crate::word_lists::WordLists;
use serde::Serialize;
use std::sync::Arc;

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
    fn of(rows: Vec<Row>) -> Self {
        let mut per_image = PerImage::default();
        let mut bleu_statistics = BleuStatistics::default();
        for Row { bleu, rouge_l, cider_d, cider } in rows {
            per_image.cider_d.push(cider_d);
            per_image.cider.push(cider);
            per_image.bleu.push(bleu.scores());
            per_image.rouge_l.push(rouge_l);
            bleu_statistics += bleu;
        }
        Self {
            cider_d: mean(&per_image.cider_d),
            cider: mean(&per_image.cider),
            bleu: bleu_statistics.scores(),
            rouge_l: mean(&per_image.rouge_l),
            bleu_statistics,
            per_image,
        }
    }

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
    Ok(Scores::of(Scorers::new(&Metric::ALL, || frequencies).of_ids(hypotheses, references)))
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
    let mut interner = Interner::new();
    let hypotheses = WordLists::new(hypotheses.iter().map(AsRef::as_ref), false, &mut interner);
    let captions = WordLists::new(references.iter().flatten().map(AsRef::as_ref), false, &mut interner);
    let mut ends = vec![0];
    ends.extend(references.iter().scan(0, |end, image| {
        *end += image.len();
        Some(*end)
    }));
    let range = |image: usize| ends[image]..ends[image + 1];
    let frequencies = Arc::new(DocumentFrequencies::count(references.len(), |image, take| {
        range(image).for_each(|caption| take(captions.get(caption)));
    }));
    let scorers = Scorers::new(&Metric::ALL, || &frequencies);
    Ok(Scores::of(scorers.of_text(&hypotheses, &captions, range)))
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
