//! The scores of each image of a split, on all cores.

use crate::bleu::{BleuReferences, BleuStatistics};
use crate::cider::{Cider, CiderD};
use crate::document_frequencies::DocumentFrequencies;
use crate::parallel;
use crate::rouge::rouge_l;
use crate::suite::Metric;
use crate::word_lists::WordLists;
use std::ops::Range;
use std::sync::Arc;

/// Images that are worth a thread.
const GRAIN: usize = 64;

/// The scores of one image; 0 for a metric that was not asked for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Row {
    pub bleu: BleuStatistics,
    pub rouge_l: f64,
    pub cider_d: f64,
    pub cider: f64,
}

/// The metrics that are asked for, but METEOR, which works on text.
pub(crate) struct Scorers {
    bleu: bool,
    rouge_l: bool,
    cider_d: Option<CiderD>,
    cider: Option<Cider>,
}

impl Scorers {
    /// The document frequencies are asked for where CIDEr is.
    pub(crate) fn new<'f>(
        metrics: &[Metric],
        frequencies: impl Fn() -> &'f Arc<DocumentFrequencies>,
    ) -> Self {
        let wanted = |metric| metrics.contains(&metric);
        Self {
            bleu: metrics.iter().any(|metric| matches!(metric, Metric::Bleu(_))),
            rouge_l: wanted(Metric::RougeL),
            cider_d: wanted(Metric::CiderD).then(|| CiderD::new(Arc::clone(frequencies()))),
            cider: wanted(Metric::Cider).then(|| Cider::new(Arc::clone(frequencies()))),
        }
    }

    /// The scores of ids: one hypothesis for each image.
    pub(crate) fn of_ids<H: AsRef<[u32]> + Sync, R: AsRef<[u32]> + Sync>(
        &self,
        hypotheses: &[H],
        references: &[Vec<R>],
    ) -> Vec<Row> {
        parallel::each(hypotheses.len(), GRAIN, |(), image| {
            let hypothesis = hypotheses[image].as_ref();
            let references: Vec<&[u32]> = references[image].iter().map(AsRef::as_ref).collect();
            self.row(hypothesis, &references, || rouge_l(hypothesis, &references))
        })
    }

    /// The scores of text: one caption of `hypotheses` for each image, whose references are those of a range.
    pub(crate) fn of_text(
        &self,
        hypotheses: &WordLists,
        references: &WordLists,
        range: impl Fn(usize) -> Range<usize> + Sync,
    ) -> Vec<Row> {
        parallel::each(hypotheses.len(), GRAIN, |(), image| {
            let words: Vec<&[u32]> = range(image).map(|caption| references.get(caption)).collect();
            self.row(hypotheses.get(image), &words, || {
                let spaced: Vec<&[u32]> = range(image).map(|caption| references.spaced(caption)).collect();
                rouge_l(hypotheses.spaced(image), &spaced)
            })
        })
    }

    fn row(&self, hypothesis: &[u32], references: &[&[u32]], rouge_l: impl FnOnce() -> f64) -> Row {
        let mut row = Row::default();
        if self.bleu {
            row.bleu = BleuStatistics::new(hypothesis, &BleuReferences::new(references));
        }
        // References are prepared alike for both.
        let prepared = match (&self.cider_d, &self.cider) {
            (Some(cider_d), _) => Some(cider_d.prepare(references)),
            (None, Some(cider)) => Some(cider.prepare(references)),
            (None, None) => None,
        };
        if let Some(prepared) = &prepared {
            row.cider_d = self.cider_d.as_ref().map_or(0.0, |cider_d| cider_d.score(hypothesis, prepared));
            row.cider = self.cider.as_ref().map_or(0.0, |cider| cider.score(hypothesis, prepared));
        }
        if self.rouge_l {
            row.rouge_l = rouge_l();
        }
        row
    }
}
