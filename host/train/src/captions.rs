//! Captions as the models write them: token ids in rows.

use ekphrasis_data::Vocabulary;
use ekphrasis_runtime::{DeviceTensor, RuntimeError};

/// N captions of at most T tokens: words, then an end unless cut off, then padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captions {
    rows: Vec<Vec<i64>>,
}

impl Captions {
    /// From rows without padding; what follows an end is dropped.
    pub fn new(mut rows: Vec<Vec<i64>>) -> Self {
        for row in &mut rows {
            let stop = row.iter().position(|t| *t == i64::from(Vocabulary::EOS)).map_or(row.len(), |i| i + 1);
            row.truncate(stop);
            let words = row.iter().position(|t| *t == i64::from(Vocabulary::PAD)).unwrap_or(row.len());
            row.truncate(words);
        }
        Self { rows }
    }

    /// Number of captions.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Tokens of caption `i`, its end included where it has one.
    pub fn row(&self, i: usize) -> &[i64] {
        self.rows.get(i).map_or(&[], Vec::as_slice)
    }

    /// All rows.
    pub fn rows(&self) -> &[Vec<i64>] {
        &self.rows
    }

    /// Length of the longest, at least 1.
    pub fn longest(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0).max(1)
    }

    /// Words of caption `i` as ids, without its end.
    pub fn words(&self, i: usize) -> Vec<u32> {
        let row = self.row(i);
        let end = row.len() - usize::from(row.last() == Some(&i64::from(Vocabulary::EOS)));
        row[..end].iter().map(|t| u32::try_from(*t).unwrap_or(Vocabulary::UNK)).collect()
    }

    /// Tokens of caption `i` as the SCST reference scores them: with the end where the caption has one.
    pub fn ended(&self, i: usize) -> Vec<u32> {
        self.row(i).iter().map(|t| u32::try_from(*t).unwrap_or(Vocabulary::UNK)).collect()
    }

    /// Row-major `[N, width]`, padded or cut to `width`.
    pub fn padded(&self, width: usize) -> Vec<i64> {
        let mut flat = vec![i64::from(Vocabulary::PAD); self.len() * width];
        for (row, out) in self.rows.iter().zip(flat.chunks_mut(width.max(1))) {
            let n = row.len().min(width);
            out[..n].copy_from_slice(&row[..n]);
        }
        flat
    }

    /// As a tensor `i64[N, width]`.
    pub fn tensor(&self, width: usize) -> Result<DeviceTensor, RuntimeError> {
        DeviceTensor::from_i64(&[self.len(), width], self.padded(width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_where_they_end() {
        let c = Captions::new(vec![vec![5, 6, 2, 7], vec![5, 0, 0], vec![]]);
        assert_eq!(c.rows(), [vec![5, 6, 2], vec![5], vec![]]);
        assert_eq!((c.words(0), c.ended(0), c.longest()), (vec![5, 6], vec![5, 6, 2], 3));
        assert_eq!(c.padded(2), [5, 6, 5, 0, 0, 0]);
    }
}
