//! Words to lists of numbers, in a form that needs no parsing when it is read.

use super::slices::{Slice, bytes_of};

/// Sections that a [`Table`] takes in a file.
pub(super) const SECTIONS: usize = 5;

/// A hash table over sections of a file. Entries are numbered in the order in which they were given.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Number of the entry plus 1, or 0; a power of two of them, probed one after the other.
    buckets: Slice,
    /// Where each key begins, and where the last ends.
    key_ends: Slice,
    keys: Slice,
    /// Where each list begins, and where the last ends.
    value_ends: Slice,
    values: Slice,
}

/// FNV-1a: short, and the same on every machine.
pub(super) fn hash(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// The sections of a table of distinct keys.
pub(super) fn sections<'a>(entries: impl ExactSizeIterator<Item = (&'a str, &'a [u32])>) -> Vec<Vec<u8>> {
    let size = (2 * entries.len()).next_power_of_two();
    let mut buckets = vec![0u32; size];
    let (mut keys, mut key_ends) = (Vec::new(), vec![0u32]);
    let (mut values, mut value_ends) = (Vec::new(), vec![0u32]);
    for (number, (key, list)) in entries.enumerate() {
        let mut at = hash(key.as_bytes()) as usize & (size - 1);
        while buckets[at] != 0 {
            at = (at + 1) & (size - 1);
        }
        buckets[at] = number as u32 + 1;
        keys.extend(key.as_bytes());
        key_ends.push(keys.len() as u32);
        values.extend(list);
        value_ends.push(values.len() as u32);
    }
    vec![bytes_of(&buckets), bytes_of(&key_ends), keys, bytes_of(&value_ends), bytes_of(&values)]
}

impl Table {
    /// From the five sections that [`sections`] made.
    pub(super) fn new(sections: &[Slice]) -> Option<Self> {
        let [buckets, key_ends, keys, value_ends, values] = sections else { return None };
        let sound = (buckets.len() / 4).is_power_of_two() && buckets.len().is_multiple_of(4);
        sound.then(|| Self {
            buckets: buckets.clone(),
            key_ends: key_ends.clone(),
            keys: keys.clone(),
            value_ends: value_ends.clone(),
            values: values.clone(),
        })
    }

    /// The number of the entry with this key.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        let mask = self.buckets.len() / 4 - 1;
        let mut at = hash(key.as_bytes()) as usize & mask;
        // At most half of the buckets are taken; the bound is for a damaged file.
        for _ in 0..=mask {
            let entry = (self.buckets.u32(at) as usize).checked_sub(1)?;
            let range = self.key_ends.u32(entry) as usize..self.key_ends.u32(entry + 1) as usize;
            if self.keys.get(range) == Some(key.as_bytes()) {
                return Some(entry);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// The list under this key.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u32>> {
        let entry = self.find(key)?;
        let range = self.value_ends.u32(entry) as usize..self.value_ends.u32(entry + 1) as usize;
        let values = self.values.elements(range, 4).as_chunks::<4>().0;
        Some(values.iter().map(|b| u32::from_le_bytes(*b)).collect())
    }
}
