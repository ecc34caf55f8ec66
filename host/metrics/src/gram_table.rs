//! A hash table keyed by n-grams: open addressing with linear probing and one multiplication as hash.
//!
//! A caption needs some forty lookups, which is too many for the keyed hash of the standard map.

use crate::ngrams::Gram;

/// What n-grams are known by.
pub(crate) trait Key: Copy + Default + Eq {
    /// All bits of it are as good as random.
    fn hash(self) -> u64;
}

/// Both halves of a 64 x 64 -> 128 bit product, folded, as wyhash and foldhash do.
impl Key for Gram {
    fn hash(self) -> u64 {
        let low = self as u64 ^ 0x9e37_79b9_7f4a_7c15;
        let high = (self >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03;
        let product = u128::from(low) * u128::from(high);
        product as u64 ^ (product >> 64) as u64
    }
}

impl Key for u64 {
    fn hash(self) -> u64 {
        Gram::from(self).hash()
    }
}

/// From keys to values. A value type with a niche (`NonZero`) keeps a slot small.
#[derive(Debug, Clone)]
pub(crate) struct GramTable<K, V> {
    /// Empty, or a power of two of slots of which at most half are taken.
    slots: Vec<Slot<K, V>>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Slot<K, V> {
    key: K,
    value: Option<V>,
}

// Derived, it would ask for `V: Default`.
impl<K, V> Default for GramTable<K, V> {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }
}

impl<K: Key, V> GramTable<K, V> {
    /// An empty table that need not grow for this many keys.
    pub(crate) fn with_room(keys: usize) -> Self {
        let mut table = Self::default();
        if keys > 0 {
            table.resize((2 * keys).next_power_of_two().max(16));
        }
        table
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots[self.find(key)].value.as_ref()
    }

    /// The value of a key, made by `new` if the key is not there yet.
    pub(crate) fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if 2 * (self.len + 1) > self.slots.len() {
            self.grow();
        }
        let place = self.find(key);
        let slot = &mut self.slots[place];
        if slot.value.is_none() {
            slot.key = key;
            self.len += 1;
        }
        slot.value.get_or_insert_with(new)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.slots.iter().filter_map(|slot| Some((slot.key, slot.value.as_ref()?)))
    }

    /// The slot that holds the key, or the free one where it belongs. There must be slots.
    fn find(&self, key: K) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = key.hash() as usize & mask;
        while self.slots[slot].value.is_some() && self.slots[slot].key != key {
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
        self.slots.resize_with(larger, || Slot { key: K::default(), value: None });
        for slot in old.into_iter().filter(|slot| slot.value.is_some()) {
            let place = self.find(slot.key);
            self.slots[place] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::num::NonZeroU32;

    #[test]
    fn agrees_with_the_standard_map() {
        let mut table = GramTable::<Gram, usize>::default();
        let mut map = HashMap::new();
        assert_eq!(table.get(0), None);
        assert_eq!(GramTable::<u64, usize>::with_room(40).slots.len(), 128, "half full at most");
        for i in 0..5000u128 {
            let gram = i * i % 1009 * ((i % 7) << 61 | 1);
            *table.get_or_insert_with(gram, || 0) += 1;
            *map.entry(gram).or_insert(0) += 1;
        }
        assert_eq!(table.len(), map.len());
        assert_eq!(table.iter().map(|(gram, &n)| (gram, n)).collect::<HashMap<_, _>>(), map);
        for gram in 0..2000 {
            assert_eq!(table.get(gram), map.get(&gram));
        }
    }

    #[test]
    fn a_slot_never_lies_across_two_cache_lines() {
        assert_eq!(size_of::<Slot<Gram, (u32, NonZeroU32)>>(), 32);
        assert_eq!(size_of::<Slot<u64, (u32, NonZeroU32)>>(), 16);
    }
}
