//! How many images mention an n-gram, which is what CIDEr weighs it by.

use crate::error::MetricsError;
use crate::gram_table::GramTable;
use crate::ngrams::{Gram, MAX_ORDER, counted, pack, push_ngrams, unpack};
use crate::parallel;
use serde::{Deserialize, Serialize, Serializer};
use std::num::NonZeroU32;

/// For each n-gram (n = 1..4) the number of images with a reference that holds it.
///
/// One image is one document, however many references it has: the idf of a gram is
/// `ln(images) - ln(max(1, images that mention it))`, as in coco-caption's `cider_scorer.py`. A gram that a
/// single image mentions thus weighs as much as one that none does, and is not kept: of 158,988 n-grams in
/// the captions of 2,557 COCO images that leaves 27,151, few enough for a processor's cache.
///
/// Serialises in an order that depends on the content alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Stored")]
pub struct DocumentFrequencies {
    images: u32,
    distinct_ngrams: usize,
    log_images: f64,
    /// By order, unigrams first: the n-grams of two or more images.
    grams: [GramTable<Entry>; MAX_ORDER],
}

#[derive(Debug, Clone)]
struct Entry {
    images: NonZeroU32,
    idf: f64,
}

impl DocumentFrequencies {
    /// Counts the references of a split: `images[i][j]` is the j-th reference of the i-th image.
    pub fn from_references<R: AsRef<[u32]> + Sync>(images: &[Vec<R>]) -> Self {
        Self::count(images.len(), |i, take| images[i].iter().for_each(|reference| take(reference.as_ref())))
    }

    /// Counts the n-grams of `images` images; `references` gives those of an image, one after the other. Each
    /// order is counted by itself, on as many cores as there are orders.
    pub(crate) fn count(images: usize, references: impl Fn(usize, &mut dyn FnMut(&[u32])) + Sync) -> Self {
        let counts = parallel::each(MAX_ORDER, 1, |mentioned: &mut Vec<Gram>, order| {
            let mut counts = GramTable::<NonZeroU32>::default();
            for image in 0..images {
                mentioned.clear();
                references(image, &mut |reference| push_ngrams(reference, order + 1, mentioned));
                mentioned.sort_unstable();
                for (gram, _) in counted(mentioned) {
                    counts.insert_or_update(gram, NonZeroU32::MIN, |count| *count = count.saturating_add(1));
                }
            }
            counts
        });
        let mut frequencies = Self::none(u32::try_from(images).unwrap_or(u32::MAX));
        for (n, counts) in (1..).zip(counts) {
            frequencies.distinct_ngrams += counts.len();
            for (gram, &count) in counts.iter().filter(|(_, count)| count.get() > 1) {
                frequencies.insert(gram, n, count);
            }
        }
        frequencies
    }

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
        let table = tokens.len().checked_sub(1).and_then(|order| self.grams.get(order));
        table.and_then(|table| table.get(pack(tokens))).map_or(1, |entry| entry.images.get() as usize)
    }

    /// Inverse document frequency of a gram of order `n` (1..=4).
    pub(crate) fn idf(&self, gram: Gram, n: usize) -> f64 {
        self.grams[n - 1].get(gram).map_or(self.log_images, |entry| entry.idf)
    }

    /// The largest token id of an n-gram that two or more images mention.
    pub(crate) fn largest_token(&self) -> Option<u32> {
        let tokens = (1..)
            .zip(&self.grams)
            .flat_map(|(n, table)| table.iter().flat_map(move |(gram, _)| unpack(gram, n)));
        tokens.max()
    }

    /// Of images that mention nothing.
    fn none(images: u32) -> Self {
        // No images: weights of 0 rather than of minus infinity.
        let log_images = f64::from(images.max(1)).ln();
        Self { images, distinct_ngrams: 0, log_images, grams: Default::default() }
    }

    /// Adds a gram of order `n` (1..=4); false if it is there already.
    fn insert(&mut self, gram: Gram, n: usize, images: NonZeroU32) -> bool {
        let idf = self.log_images - f64::from(images.get()).ln();
        let table = &mut self.grams[n - 1];
        let before = table.len();
        table.get_or_insert_with(gram, || Entry { images, idf });
        table.len() > before
    }
}

/// The form on disk: for each order, the grams of two or more images in ascending order, tokens laid end to
/// end.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    images: u32,
    distinct_ngrams: usize,
    orders: Vec<StoredOrder>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredOrder {
    tokens: Vec<u32>,
    images: Vec<u32>,
}

impl Serialize for DocumentFrequencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let orders = (1..).zip(&self.grams).map(|(n, table)| {
            let mut grams: Vec<(Gram, u32)> =
                table.iter().map(|(gram, entry)| (gram, entry.images.get())).collect();
            grams.sort_unstable();
            StoredOrder {
                tokens: grams.iter().flat_map(|&(gram, _)| unpack(gram, n)).collect(),
                images: grams.iter().map(|&(_, images)| images).collect(),
            }
        });
        Stored { images: self.images, distinct_ngrams: self.distinct_ngrams, orders: orders.collect() }
            .serialize(serializer)
    }
}

impl TryFrom<Stored> for DocumentFrequencies {
    type Error = MetricsError;

    fn try_from(stored: Stored) -> Result<Self, MetricsError> {
        let wrong = |place: String, expected: String, found: String| {
            Err(MetricsError::StoredFrequencies { place, expected, found })
        };
        if stored.orders.len() != MAX_ORDER {
            let expected = format!("{MAX_ORDER} entries");
            return wrong("orders".into(), expected, stored.orders.len().to_string());
        }
        let mut frequencies = Self::none(stored.images);
        for (n, order) in (1..).zip(&stored.orders) {
            if order.tokens.len() != n * order.images.len() {
                let expected = format!("{n} tokens for each of {} counts", order.images.len());
                return wrong(format!("orders[{}].tokens", n - 1), expected, order.tokens.len().to_string());
            }
            for (i, (tokens, &count)) in order.tokens.chunks(n).zip(&order.images).enumerate() {
                let place = || format!("orders[{}].images[{i}]", n - 1);
                let Some(images) = NonZeroU32::new(count).filter(|_| (2..=stored.images).contains(&count))
                else {
                    return wrong(place(), format!("2 to {} images", stored.images), count.to_string());
                };
                if !frequencies.insert(pack(tokens), n, images) {
                    return wrong(place(), "each n-gram once".into(), format!("{tokens:?} again"));
                }
            }
        }
        let kept = frequencies.grams.iter().map(GramTable::len).sum();
        if stored.distinct_ngrams < kept {
            let found = stored.distinct_ngrams.to_string();
            return wrong("distinct_ngrams".into(), format!("at least the {kept} listed"), found);
        }
        frequencies.distinct_ngrams = stored.distinct_ngrams;
        Ok(frequencies)
    }
}
