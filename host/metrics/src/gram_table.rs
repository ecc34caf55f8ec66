//! A hash table keyed by n-grams: open addressing with linear probing and one multiplication as hash.
//!
//! A caption needs some forty lookups, which is too many for the keyed hash of the standard map.

use crate::ngrams::Gram;

/// From grams of one order to values. A value type with a niche (`NonZero`) keeps a slot at 32 bytes.
#[derive(Debug, Clone)]
pub(crate) struct GramTable<V> {
    /// Empty, or a power of two of slots of which at most half are taken.
    slots: Vec<Slot<V>>,
    len: usize,
}

/// Aligned so that a slot never lies across two cache lines.
#[derive(Debug, Clone)]
#[repr(align(32))]
struct Slot<V> {
    gram: Gram,
    value: Option<V>,
}

// Derived, it would ask for `V: Default`.
impl<V> Default for GramTable<V> {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }
}

impl<V> GramTable<V> {
    /// An empty table that need not grow for this many n-grams.
    pub(crate) fn with_room(grams: usize) -> Self {
        let mut table = Self::default();
        if grams > 0 {
            table.resize((2 * grams).next_power_of_two().max(16));
        }
        table
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, gram: Gram) -> Option<&V> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots[self.find(gram)].value.as_ref()
    }

    /// The value of a gram, made by `new` if the gram is not there yet.
    pub(crate) fn get_or_insert_with(&mut self, gram: Gram, new: impl FnOnce() -> V) -> &mut V {
        if 2 * (self.len + 1) > self.slots.len() {
            self.grow();
        }
        let slot = self.find(gram);
        let Slot { gram: key, value } = &mut self.slots[slot];
        if value.is_none() {
            *key = gram;
            self.len += 1;
        }
        value.get_or_insert_with(new)
    }

    /// Inserts the value if the gram is new, else updates the one that is there.
    pub(crate) fn insert_or_update(&mut self, gram: Gram, value: V, update: impl FnOnce(&mut V)) {
        let mut is_new = false;
        let present = self.get_or_insert_with(gram, || {
            is_new = true;
            value
        });
        if !is_new {
            update(present);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Gram, &V)> {
        self.slots.iter().filter_map(|slot| Some((slot.gram, slot.value.as_ref()?)))
    }

    /// The slot that holds the gram, or the free one where it belongs. There must be slots.
    fn find(&self, gram: Gram) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash(gram) as usize & mask;
        while self.slots[slot].value.is_some() && self.slots[slot].gram != gram {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.resize((2 * self.slots.len()).max(16));
    }

    /// Makes room for `larger` slots, a power of two.
    fn resize(&mut self, larger: usize) {
        let old = std::mem::take(&mut self.slots);
        self.slots.resize_with(larger, || Slot { gram: 0, value: None });
        for slot in old.into_iter().filter(|slot| slot.value.is_some()) {
            let place = self.find(slot.gram);
            self.slots[place] = slot;
        }
    }
}

/// Both halves of a 64 x 64 -> 128 bit product, folded, as wyhash and foldhash do.
fn hash(gram: Gram) -> u64 {
    let low = gram as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let high = (gram >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03;
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::num::NonZeroU32;

    #[test]
    fn agrees_with_the_standard_map() {
        let mut table = GramTable::<usize>::default();
        let mut map = HashMap::new();
        assert_eq!(table.get(0), None);
        assert_eq!(GramTable::<usize>::with_room(40).slots.len(), 128, "half full at most");
        for i in 0..5000u128 {
            let gram = i * i % 1009 * ((i % 7) << 61 | 1);
            table.insert_or_update(gram, 1, |n| *n += 1);
            *map.entry(gram).or_insert(0) += 1;
        }
        assert_eq!(table.len(), map.len());
        assert_eq!(table.iter().map(|(gram, &n)| (gram, n)).collect::<HashMap<_, _>>(), map);
        for gram in 0..2000 {
            assert_eq!(table.get(gram), map.get(&gram));
        }
    }

    #[test]
    fn a_slot_is_half_a_cache_line() {
        assert_eq!(size_of::<Slot<NonZeroU32>>(), 32);
        assert_eq!(size_of::<Slot<(f64, NonZeroU32)>>(), 32);
    }
}
