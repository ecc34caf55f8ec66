//! All metrics of a system over a split, each with the scores of its images and what its corpus score is made of.

mod metric;
mod words;

pub use metric::Metric;
pub use words::{Groups, TextFrequencies};

use crate::bleu::BleuStatistics;
use crate::document_frequencies::DocumentFrequencies;
use crate::error::MetricsError;
use crate::interner::Interner;
use crate::meteor::{Meteor, MeteorScores};
use crate::resampling::PerImageScores;
use crate::rows::{Row, Scorers};
use crate::texts::Texts;
use crate::word_lists::WordLists;
use std::sync::{Arc, OnceLock};

/// The references of a split with what the metrics need of them, for any number of systems.
#[derive(Debug)]
pub struct Suite {
    references: Groups,
    words: WordLists,
    interner: Interner,
    eos: bool,
    /// How many words `frequencies` are of: later ones are of other captions.
    counted: usize,
    /// Counted when they are first asked for.
    frequencies: OnceLock<Arc<DocumentFrequencies>>,
}

/// The scores of one system.
#[derive(Debug, Clone)]
pub struct SystemScores {
    /// BLEU's counts of each image; empty if no BLEU was asked for.
    pub bleu: Vec<BleuStatistics>,
    /// ROUGE-L of each image, 0 to 1.
    pub rouge_l: Vec<f64>,
    /// CIDEr-D of each image, 0 to 10.
    pub cider_d: Vec<f64>,
    /// CIDEr without clipping and length penalty of each image, 0 to 10.
    pub cider: Vec<f64>,
    /// METEOR, if it was asked for.
    pub meteor: Option<MeteorScores>,
    words: WordLists,
}

impl SystemScores {
    /// The words of each caption without its end, by the same ids in all systems of a suite.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.words.len()).map(|caption| self.words.without_end(caption))
    }

    /// What the corpus score is made of, to be resampled; none if the metric was not asked for.
    pub fn resampled(&self, metric: Metric) -> Option<PerImageScores> {
        let some = |scores: &[f64]| (!scores.is_empty()).then(|| PerImageScores::Mean(scores.to_vec()));
        match metric {
            Metric::Bleu(_) if self.bleu.is_empty() => None,
            Metric::Bleu(order) => Some(PerImageScores::Bleu { statistics: self.bleu.clone(), order }),
            Metric::Meteor => Some(PerImageScores::Meteor(self.meteor.as_ref()?.statistics.clone())),
            Metric::RougeL => some(&self.rouge_l),
            Metric::CiderD => some(&self.cider_d),
            Metric::Cider => some(&self.cider),
        }
    }

    /// The scores of each image: 0 to 1, or 0 to 10 for CIDEr. Empty if the metric was not asked for.
    pub fn per_image(&self, metric: Metric) -> Vec<f64> {
        match metric {
            Metric::Bleu(order) => self.bleu.iter().map(|counts| counts.scores()[order - 1]).collect(),
            Metric::Meteor => self.meteor.as_ref().map_or_else(Vec::new, |meteor| meteor.per_image.clone()),
            Metric::RougeL => self.rouge_l.clone(),
            Metric::CiderD => self.cider_d.clone(),
            Metric::Cider => self.cider.clone(),
        }
    }
}

impl Suite {
    /// Takes the references of each image, tokenised. Document frequencies are those given, or else are counted from
    /// the references when CIDEr is asked for; with `eos` the end of a caption counts as a word in BLEU and CIDEr, as in the SCST reference.
    ///
    /// # Errors
    /// If an image has no reference, or `frequencies` were counted otherwise than `eos` says.
    pub fn new(
        references: Groups,
        frequencies: Option<TextFrequencies>,
        eos: bool,
    ) -> Result<Self, MetricsError> {
        if let Some(image) = (0..references.len()).find(|image| references.range(*image).is_empty()) {
            return Err(MetricsError::NoReferences { image });
        }
        let count = |eos| if eos { "counted as a word" } else { "not counted" };
        if let Some(given) = frequencies.as_ref().filter(|given| given.eos() != eos) {
            return Err(MetricsError::StoredFrequencies {
                place: "eos".into(),
                expected: format!("the end of a caption {}", count(eos)),
                found: count(given.eos()).into(),
            });
        }
        let (mut interner, counted, frequencies) = match frequencies {
            Some(given) => (given.words, Some(given.counted), OnceLock::from(given.frequencies)),
            None => Default::default(),
        };
        let words = WordLists::new(references.texts.iter(), eos, &mut interner);
        let counted = counted.unwrap_or(interner.len());
        Ok(Self { references, words, interner, eos, counted, frequencies })
    }

    /// The document frequencies that CIDEr uses.
    pub fn frequencies(&self) -> TextFrequencies {
        TextFrequencies {
            words: self.interner.clone(),
            frequencies: Arc::clone(self.counts()),
            eos: self.eos,
            counted: self.counted,
        }
    }

    fn counts(&self) -> &Arc<DocumentFrequencies> {
        self.frequencies.get_or_init(|| Arc::new(words::count(&self.words, &self.references)))
    }

    /// Number of references of all images.
    pub fn references(&self) -> usize {
        self.references.captions()
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// Scores one tokenised caption for each image by these metrics, on all cores. METEOR is computed where its
    /// data is given.
    ///
    /// # Errors
    /// If there is not one caption for each image.
    pub fn score(
        &mut self,
        candidates: &Texts,
        metrics: &[Metric],
        meteor: Option<&Meteor>,
    ) -> Result<SystemScores, MetricsError> {
        if candidates.len() != self.len() {
            let (hypotheses, references) = (candidates.len(), self.len());
            return Err(MetricsError::CountMismatch { hypotheses, references });
        }
        let words = WordLists::new(candidates.iter(), self.eos, &mut self.interner);
        let scorers = Scorers::new(metrics, || self.counts());
        let rows = scorers.of_text(&words, &self.words, |image| self.references.range(image));
        let column = |metric: Metric, of: fn(&Row) -> f64| match metrics.contains(&metric) {
            true => rows.iter().map(of).collect(),
            false => Vec::new(),
        };
        let meteor = match meteor.filter(|_| metrics.contains(&Metric::Meteor)) {
            Some(meteor) => {
                let hypotheses: Vec<&str> = candidates.iter().collect();
                let references: Vec<Vec<&str>> =
                    (0..self.len()).map(|image| self.references.group(image).collect()).collect();
                Some(meteor.evaluate(&hypotheses, &references)?)
            }
            None => None,
        };
        let any_bleu = metrics.iter().any(|metric| matches!(metric, Metric::Bleu(_)));
        Ok(SystemScores {
            bleu: if any_bleu { rows.iter().map(|row| row.bleu).collect() } else { Vec::new() },
            rouge_l: column(Metric::RougeL, |row| row.rouge_l),
            cider_d: column(Metric::CiderD, |row| row.cider_d),
            cider: column(Metric::Cider, |row| row.cider),
            meteor,
            words,
        })
    }
}
