//! The form on disk.

use super::DocumentFrequencies;
use crate::error::MetricsError;
use crate::ngrams::{MAX_ORDER, unpack};
use serde::{Deserialize, Serialize, Serializer};
use std::num::NonZeroU32;

/// For each order, the grams of two or more images in ascending order, tokens laid end to end.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
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
        let orders = (1..).zip(self.sorted()).map(|(n, grams)| StoredOrder {
            tokens: grams
                .iter()
                .flat_map(|&(gram, _)| unpack(gram).into_iter().skip(MAX_ORDER - n))
                .collect(),
            images: grams.iter().map(|&(_, images)| images).collect(),
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
        let kept = stored.orders.iter().map(|order| order.images.len()).sum();
        let mut frequencies = Self::with_room(stored.images, kept);
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
                match frequencies.insert(tokens, images) {
                    Some(true) => {}
                    Some(false) => {
                        return wrong(place(), "each n-gram once".into(), format!("{tokens:?} again"));
                    }
                    None => {
                        let before = &tokens[..n - 1];
                        let expected = format!("{before:?} in orders[{}], since {tokens:?} is here", n - 2);
                        return wrong(place(), expected, "no such n-gram".into());
                    }
                }
            }
        }
        if stored.distinct_ngrams < kept {
            let found = stored.distinct_ngrams.to_string();
            return wrong("distinct_ngrams".into(), format!("at least the {kept} listed"), found);
        }
        frequencies.distinct_ngrams = stored.distinct_ngrams;
        Ok(frequencies)
    }
}
