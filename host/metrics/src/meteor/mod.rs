//! METEOR 1.5 for English, equal to the reference implementation as coco-caption runs it (`-l en -norm`).
//!
//! Its data is not here: [`MeteorLexicon`] and [`ParaphraseTable`] are made from the files of the reference
//! implementation and can be kept as indexes that load at once; [`MeteorData`] finds or fetches them.

mod align;
mod data;
mod hypothesis;
mod lexicon;
mod matches;
mod normalize;
mod paraphrases;
mod sentence;
mod slices;
mod statistics;
mod table;
#[cfg(test)]
mod tests;

pub use data::MeteorData;
pub use lexicon::{MeteorFiles, MeteorLexicon};
pub use paraphrases::ParaphraseTable;
pub use statistics::MeteorStatistics;

use crate::error::MetricsError;
use crate::parallel;
use align::Search;
use sentence::{Reader, Sentence};
use std::fmt;
use std::sync::Arc;

/// Captions that are worth a thread.
const GRAIN: usize = 16;

/// Which matchers METEOR uses. Only with all of them is a score called METEOR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MeteorModules {
    /// Equal words.
    Exact,
    /// And words of equal stem (Snowball English).
    ExactStem,
    /// And words in a common set of synonyms (WordNet).
    ExactStemSynonym,
    /// And paraphrases by the table.
    All,
}

/// What there is to match with.
#[derive(Debug, Clone, Copy)]
struct Matchers<'t> {
    modules: MeteorModules,
    table: Option<&'t ParaphraseTable>,
}

impl<'t> Matchers<'t> {
    fn table(self) -> Option<&'t ParaphraseTable> {
        self.table.filter(|_| self.modules >= MeteorModules::All)
    }
}

/// METEOR, with its data.
pub struct Meteor {
    reader: Reader,
    modules: MeteorModules,
}

impl fmt::Debug for Meteor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meteor").field("modules", &self.modules).finish_non_exhaustive()
    }
}

/// References of one image, ready to be scored against.
#[derive(Debug)]
pub struct MeteorReferences(Vec<Sentence>);

/// METEOR of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct MeteorScores {
    /// The name of what was computed: `METEOR`, or a form with fewer matchers.
    pub name: &'static str,
    /// 0 to 1: from the summed statistics, not the mean over images.
    pub corpus: f64,
    /// The score of each image, in order.
    pub per_image: Vec<f64>,
    /// The counts of each image against its best reference.
    pub statistics: Vec<MeteorStatistics>,
}

impl Meteor {
    /// METEOR with all matchers that there is data for: without a paraphrase table it is
    /// [`MeteorModules::ExactStemSynonym`].
    pub fn new(lexicon: Arc<MeteorLexicon>, table: Option<Arc<ParaphraseTable>>) -> Self {
        let modules = if table.is_some() { MeteorModules::All } else { MeteorModules::ExactStemSynonym };
        Self { reader: Reader::new(lexicon, table), modules }
    }

    /// The same with no more than these matchers; with fewer, where there is no paraphrase table.
    pub fn limited_to(mut self, modules: MeteorModules) -> Self {
        self.modules = self.modules.min(modules);
        self
    }

    /// Which matchers it uses.
    pub fn modules(&self) -> MeteorModules {
        self.modules
    }

    /// The references of an image, once for many hypotheses. As the reference wrapper does it, `|||` within
    /// a reference parts it in two.
    pub fn prepare<R: AsRef<str>>(&self, references: &[R]) -> MeteorReferences {
        let parts = references.iter().flat_map(|r| r.as_ref().split("|||"));
        MeteorReferences(parts.map(|part| self.reader.sentence(part)).collect())
    }

    /// The counts of a caption against that of its references that gives the highest score, the first of those
    /// that give the same. `|||` is taken out of the caption, as the reference wrapper does it.
    pub fn statistics(&self, hypothesis: &str, references: &MeteorReferences) -> MeteorStatistics {
        self.best(&mut Search::default(), hypothesis, references)
    }

    /// The score of a caption, 0 to 1.
    pub fn score(&self, hypothesis: &str, references: &MeteorReferences) -> f64 {
        self.statistics(hypothesis, references).score()
    }

    fn matchers(&self) -> Matchers<'_> {
        Matchers { modules: self.modules, table: self.reader.table() }
    }

    fn best(&self, search: &mut Search, hypothesis: &str, references: &MeteorReferences) -> MeteorStatistics {
        let hypothesis = self.reader.sentence(&hypothesis.replace("|||", ""));
        let mut best = (MeteorStatistics::default(), -1.0);
        search.index.fill(&hypothesis, &references.0, self.matchers());
        for reference in &references.0 {
            search.matches.find(&hypothesis, &search.index, reference, self.matchers());
            let statistics = search.align(&hypothesis, reference);
            let score = statistics.score();
            if score > best.1 {
                best = (statistics, score);
            }
        }
        best.0
    }

    /// Scores one caption for each image, on all cores. Captions and references are as a PTB tokeniser leaves
    /// them: words parted by spaces.
    ///
    /// # Errors
    /// If the numbers of hypotheses and images differ, or an image has no reference.
    pub fn evaluate<H, R>(
        &self,
        hypotheses: &[H],
        references: &[Vec<R>],
    ) -> Result<MeteorScores, MetricsError>
    where
        H: AsRef<str> + Sync,
        R: AsRef<str> + Sync,
    {
        crate::corpus::check(hypotheses.len(), references)?;
        let statistics = parallel::each(hypotheses.len(), GRAIN, |search, i| {
            self.best(search, hypotheses[i].as_ref(), &self.prepare(&references[i]))
        });
        let mut total = MeteorStatistics::default();
        statistics.iter().for_each(|s| total += *s);
        Ok(MeteorScores {
            name: self.modules.name(),
            corpus: total.score(),
            per_image: statistics.iter().map(MeteorStatistics::score).collect(),
            statistics,
        })
    }

    /// Scores captions against prepared references, on all cores: pairs of a caption and its references.
    pub fn scores<H: AsRef<str> + Sync>(&self, pairs: &[(H, &MeteorReferences)]) -> Vec<f64> {
        parallel::each(pairs.len(), GRAIN, |search, i| {
            self.best(search, pairs[i].0.as_ref(), pairs[i].1).score()
        })
    }
}
