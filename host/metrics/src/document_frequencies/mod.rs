//! How many images mention an n-gram, which is what CIDEr weighs it by.

mod count;
mod stored;

use crate::gram_table::GramTable;
use crate::ngrams::{Gram, MAX_ORDER};
use serde::Deserialize;
use std::num::NonZeroU32;

/// Numbers of images whose logarithm is kept: nearly all n-grams have fewer.
const KEPT_IDFS: u32 = 1024;

/// For each n-gram (n = 1..4) the number of images with a reference that holds it.
///
/// One image is one document, however many references it has: the idf of a gram is
/// `ln(images) - ln(max(1, images that mention it))`, as in coco-caption's `cider_scorer.py`. A gram that a
/// single image mentions thus weighs as much as one that none does, and is not kept: of 158,988 n-grams in
/// the captions of 2,557 COCO images that leaves 27,151, few enough for a processor's cache.
///
/// Serialises in an order that depends on the content alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "stored::Stored")]
pub struct DocumentFrequencies {
    images: u32,
    distinct_ngrams: usize,
    log_images: f64,
    /// The idf by number of images that mention an n-gram, as far as kept.
    idfs: Vec<f64>,
    /// The n-grams of two or more images, each by its last token and the n-gram before that, which as many images
    /// or more mention: from where one is not found, no longer one is.
    grams: GramTable<u64, Entry>,
}

/// An n-gram of two or more images.
#[derive(Debug, Clone)]
struct Entry {
    images: NonZeroU32,
    /// What longer n-grams know it by: 1, 2, ...; a shorter one has the smaller number.
    number: u32,
}

/// What unigrams are known by instead.
const START: u32 = 0;

fn key(before: u32, token: u32) -> u64 {
    u64::from(before) << 32 | u64::from(token)
}

impl DocumentFrequencies {
    /// Number of images counted.
    pub fn images(&self) -> usize {
        self.images as usize
    }

    /// Number of distinct n-grams of all orders, those of a single image included.
    pub fn distinct_ngrams(&self) -> usize {
        self.distinct_ngrams
    }

    /// Number of images that mention these one to four tokens in a row, as CIDEr counts them: at least 1.
    pub fn images_with(&self, tokens: &[u32]) -> usize {
        self.find(tokens).map_or(1, |entry| entry.images.get() as usize)
    }

    /// The inverse document frequencies of all n-grams of a caption: by order, for each token those of the n-grams
    /// that end with it; 0 where there is none.
    pub(crate) fn idfs(&self, tokens: &[u32], idfs: &mut Vec<[f64; MAX_ORDER]>) {
        idfs.clear();
        idfs.resize(tokens.len(), [0.0; MAX_ORDER]);
        for start in 0..tokens.len() {
            let mut before = Some(START);
            for (order, (token, idfs)) in
                tokens[start..].iter().zip(&mut idfs[start..]).take(MAX_ORDER).enumerate()
            {
                let entry = before.and_then(|before| self.grams.get(key(before, *token)));
                idfs[order] = entry.map_or(self.log_images, |entry| self.idf(entry.images));
                before = entry.map(|entry| entry.number);
            }
        }
    }

    fn idf(&self, images: NonZeroU32) -> f64 {
        let kept = self.idfs.get(images.get() as usize);
        kept.copied().unwrap_or_else(|| self.log_images - f64::from(images.get()).ln())
    }

    fn find(&self, tokens: &[u32]) -> Option<&Entry> {
        let (last, before) = tokens.split_last()?;
        let before = if before.is_empty() { START } else { self.find(before)?.number };
        self.grams.get(key(before, *last))
    }

    /// The largest token id of an n-gram that two or more images mention.
    pub(crate) fn largest_token(&self) -> Option<u32> {
        self.grams.iter().map(|(key, _)| key as u32).max()
    }

    /// Of images that mention nothing, with room for n-grams.
    fn with_room(images: u32, grams: usize) -> Self {
        // No images: weights of 0 rather than of minus infinity.
        let log_images = f64::from(images.max(1)).ln();
        let idfs = 0..KEPT_IDFS.min(images.saturating_add(1));
        let idfs = idfs.map(|images| log_images - f64::from(images.max(1)).ln()).collect();
        Self { images, distinct_ngrams: 0, log_images, idfs, grams: GramTable::with_room(grams) }
    }

    /// Adds an n-gram, those of fewer tokens first; false if it is there already, none if what it begins with is not.
    fn insert(&mut self, tokens: &[u32], images: NonZeroU32) -> Option<bool> {
        let (last, before) = tokens.split_last()?;
        let before = if before.is_empty() { START } else { self.find(before)?.number };
        // 2^32 n-grams would not fit in memory.
        let number = self.grams.len() as u32 + 1;
        Some(self.grams.get_or_insert_with(key(before, *last), || Entry { images, number }).number == number)
    }

    /// For each order the n-grams of two or more images, packed and in ascending order, with their images.
    fn sorted(&self) -> [Vec<(Gram, u32)>; MAX_ORDER] {
        let mut entries: Vec<(u64, &Entry)> = self.grams.iter().collect();
        entries.sort_unstable_by_key(|(_, entry)| entry.number);
        let mut sorted: [Vec<(Gram, u32)>; MAX_ORDER] = Default::default();
        // By number, what it is packed to and its order. What an n-gram begins with has a smaller number.
        let mut packed = vec![(0, 0)];
        for (key, entry) in entries {
            let (before, order) = packed[(key >> 32) as usize];
            let gram: Gram = before << 32 | Gram::from(key as u32);
            sorted[order].push((gram, entry.images.get()));
            packed.push((gram, order + 1));
        }
        sorted.iter_mut().for_each(|grams| grams.sort_unstable());
        sorted
    }
}
