//! Captions against references: document frequencies, prepared references, splits as a whole.

use crate::{Captions, Result};
use ekphrasis_data::{
    Dataset, Split, Vocabulary,
    formats::shapes::scene::{Colour, Shape},
};
use ekphrasis_metrics::{
    BleuReferences, BleuStatistics, CiderD, Diversity, DocumentFrequencies, Flaw, FlawFinder, PairWords,
    PerImageScores, PreparedReferences, Resampling, Truth, evaluate, novel_share, rouge_l, with_eos,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
};

/// References of one picture, ready for rewards.
pub struct Prepared {
    cider: PreparedReferences,
    bleu: BleuReferences,
    words: Vec<Vec<u32>>,
}

/// Scores of captions with document frequencies from the training references.
pub struct Scoring {
    /// Without the end, for evaluation.
    plain: Arc<DocumentFrequencies>,
    /// With the end as a word, as the SCST reference has it, for rewards.
    reward: CiderD,
    flaws: FlawFinder,
    prepared: RefCell<HashMap<(String, usize), Rc<Prepared>>>,
}

impl Scoring {
    /// Counts the training references.
    pub fn new(data: &Dataset) -> Result<Self> {
        let train = data.split("train")?;
        let plain: Vec<Vec<Vec<u32>>> = train.examples.iter().map(|e| e.tokens.clone()).collect();
        let ended: Vec<Vec<Vec<u32>>> =
            plain.iter().map(|refs| refs.iter().map(|r| ended(r)).collect()).collect();
        Ok(Self {
            plain: Arc::new(DocumentFrequencies::from_references(&plain)),
            reward: CiderD::new(Arc::new(DocumentFrequencies::from_references(&ended))),
            flaws: FlawFinder::new(Vocabulary::EOS, None, |word| {
                Some(data.vocabulary.id(word)).filter(|id| *id != Vocabulary::UNK)
            }),
            prepared: RefCell::default(),
        })
    }

    /// The references of a picture, prepared once.
    pub fn references(&self, split: &Split, index: usize) -> Rc<Prepared> {
        let key = (split.name.clone(), index);
        if let Some(found) = self.prepared.borrow().get(&key) {
            return found.clone();
        }
        let prepared = Rc::new(self.prepare(split.references(index)));
        self.prepared.borrow_mut().insert(key, prepared.clone());
        prepared
    }

    /// Prepares any references.
    pub fn prepare(&self, references: &[Vec<u32>]) -> Prepared {
        let with_end: Vec<Vec<u32>> = references.iter().map(|r| ended(r)).collect();
        Prepared {
            cider: self.reward.prepare(&with_end),
            bleu: BleuReferences::new(references),
            words: references.to_vec(),
        }
    }

    /// CIDEr-D of caption `i` with its end counted as a word.
    pub fn cider_d(&self, captions: &Captions, i: usize, references: &Prepared) -> f64 {
        self.reward.score(&captions.ended(i), &references.cider)
    }

    /// BLEU-1..4 of caption `i` alone.
    pub fn bleu(&self, captions: &Captions, i: usize, references: &Prepared) -> [f64; 4] {
        BleuStatistics::new(&captions.words(i), &references.bleu).scores()
    }

    /// ROUGE-L of caption `i`.
    pub fn rouge_l(&self, captions: &Captions, i: usize, references: &Prepared) -> f64 {
        rouge_l(&captions.words(i), &references.words)
    }

    /// Whether caption `i` has a flaw.
    pub fn has(&self, flaw: Flaw, captions: &Captions, i: usize) -> bool {
        self.flaws.has(flaw, &captions.ended(i))
    }

    /// Shares of sampled captions with each flaw, by name. Unknown words are not among them: none is ever written.
    pub fn flaws(&self, captions: &Captions) -> impl Iterator<Item = (Flaw, f64)> {
        let rows: Vec<Vec<u32>> = (0..captions.len()).map(|i| captions.ended(i)).collect();
        let shares = Flaw::ALL.into_iter().zip(self.flaws.shares(&rows));
        shares.filter(|(flaw, _)| *flaw != Flaw::Unknown)
    }

    /// All metrics of captions for the pictures of a split of the data, one each.
    pub fn split(&self, captions: &Captions, split: &Split, data: &Dataset) -> Result<BTreeMap<String, f64>> {
        let words: Vec<Vec<u32>> = (0..captions.len()).map(|i| captions.words(i)).collect();
        let references: Vec<Vec<Vec<u32>>> = split.examples.iter().map(|e| e.tokens.clone()).collect();
        let scores = evaluate(&words, &references, &self.plain)?;
        let mut all: BTreeMap<String, f64> =
            scores.named().into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        let interval = Resampling::default().interval(&PerImageScores::Mean(scores.per_image.cider_d));
        all.insert("cider_d_low".into(), interval.low);
        all.insert("cider_d_high".into(), interval.high);
        let diversity = Diversity::of(&words);
        all.insert("repeated_trigrams".into(), diversity.repeated_trigrams);
        all.insert("distinct_1".into(), diversity.distinct_1);
        all.insert("distinct_2".into(), diversity.distinct_2);
        all.insert("vocabulary".into(), diversity.vocabulary as f64);
        all.insert("length".into(), diversity.lengths.mean);
        let training = data.split("train")?.examples.iter().flat_map(|e| e.tokens.iter().map(Vec::as_slice));
        let written: Vec<&[u32]> = words.iter().map(Vec::as_slice).collect();
        all.insert("novel".into(), novel_share(&written, training));
        if split.examples.iter().all(|e| e.scene.is_some()) && !split.is_empty() {
            let truth = truth(&words, split, &data.vocabulary);
            all.insert("truth".into(), truth.precision());
            all.insert("recall".into(), truth.recall());
        }
        Ok(all)
    }
}

fn ended(reference: &[u32]) -> Vec<u32> {
    with_eos(reference, Vocabulary::EOS)
}

/// Whether captions of drawn scenes state (colour, shape) pairs that are there.
fn truth(captions: &[Vec<u32>], split: &Split, vocabulary: &Vocabulary) -> Truth {
    let colours = Colour::ALL.map(Colour::word);
    let shapes = Shape::ALL.map(|s| (s.word(), s.plural()));
    let pairs = PairWords::new(&colours, &shapes);
    let mut truth = Truth::default();
    for (caption, example) in captions.iter().zip(&split.examples) {
        let text = vocabulary.decode(caption);
        let words: Vec<&str> = text.split(' ').collect();
        if let Some(scene) = &example.scene {
            let depicted = scene.pairs().into_iter().map(|(s, c)| (c.word(), s.word())).collect();
            truth.add(&pairs.stated_pairs(&words), &depicted);
        }
    }
    truth
}
