//! Which examples a step sees, and the arrays made from them.

use std::sync::{Arc, Mutex};

use ndarray::{Array2, Array4};
use rand::RngExt;
use rand::seq::SliceRandom;

use crate::{DataError, Split, Vocabulary, stream};

/// How long the rows of [`Batch::tokens`] are, the end mark included. Longer captions lose their tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Always this long.
    Fixed(usize),
    /// As long as the longest caption of the batch, and at most this.
    Longest(usize),
}

/// How [`assemble`] makes arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssembleOptions {
    /// Length of the token rows.
    pub length: Length,
    /// Pixels by which the pictures move (right, down).
    pub offset: (i32, i32),
}

/// What a step trains on.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[B, 3, H, W]` in [-1, 1].
    pub image: Array4<f32>,
    /// `[B, T]`: words, then an end, then padding.
    pub tokens: Array2<i64>,
    /// Index of each row's example in the split.
    pub indices: Vec<usize>,
    /// Which of the example's captions the row holds.
    pub caption_index: Vec<usize>,
}

/// The examples of a step, before their arrays are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Index of each row's example in the split.
    pub indices: Vec<usize>,
    /// Which of the example's captions each row holds.
    pub captions: Vec<usize>,
    /// Pixels by which the pictures move (right, down).
    pub offset: (i32, i32),
}

/// Chooses the examples of every step as a pure function of (seed, stream name, step).
///
/// Steps walk through one shuffled order of the split after another (one an epoch), so that within an epoch
/// no example comes twice; a batch that reaches the end of an epoch goes on in the next. Any step can be
/// asked for at any time.
#[derive(Debug)]
pub struct BatchPlan {
    seed: u64,
    stream: String,
    batch_size: usize,
    shift: u32,
    /// Length of each example's captions in words.
    captions: Vec<Vec<usize>>,
    /// Batches among which captions are sorted by length; 1 for no sorting.
    window: u64,
    /// The window asked for last.
    sorted: Mutex<Option<(u64, Arc<[Selection]>)>>,
    /// The order of the epoch asked for last, kept because the next step mostly wants it again.
    order: Mutex<Option<(u64, Arc<[u32]>)>>,
}

impl BatchPlan {
    /// A plan over `split`. Two plans with different `stream` names choose independently.
    pub fn new(split: &Split, batch_size: usize, seed: u64, stream: &str) -> Result<BatchPlan, DataError> {
        let error = |message: String| Err(DataError::Split { split: split.name.clone(), message });
        if split.is_empty() {
            return error("it has no examples".into());
        }
        if split.images.len() != split.len() {
            return error(format!("it has {} examples and {} pictures", split.len(), split.images.len()));
        }
        if u32::try_from(split.len()).is_err() {
            return error(format!("{} examples are more than a plan can hold", split.len()));
        }
        if batch_size == 0 {
            return error("a batch size of 0 was asked for, expected 1 or more".into());
        }
        if let Some(example) = split.examples.iter().find(|example| example.tokens.is_empty()) {
            return error(format!("example `{}` has no caption", example.id));
        }
        let lengths = |tokens: &Vec<Vec<u32>>| tokens.iter().map(Vec::len).collect();
        let captions = split.examples.iter().map(|example| lengths(&example.tokens)).collect();
        let stream = stream.to_owned();
        let (sorted, order) = (Mutex::new(None), Mutex::new(None));
        Ok(BatchPlan { seed, stream, batch_size, shift: 0, captions, window: 1, sorted, order })
    }

    /// Moves each batch by up to `pixels` in each direction, all its pictures alike.
    ///
    /// There is no mirroring: captions tell left from right.
    pub fn with_shift(mut self, pixels: u32) -> BatchPlan {
        self.shift = pixels.min(i32::MAX as u32);
        self
    }

    /// Sorts captions by length among so many batches, so that a batch holds captions of like length and
    /// little padding. The batches of such a window come in random order.
    pub fn with_buckets(mut self, batches: usize) -> BatchPlan {
        self.window = batches.max(1) as u64;
        self
    }

    /// Steps that see as many examples as the split has, rounded up.
    pub fn steps_per_epoch(&self) -> usize {
        self.captions.len().div_ceil(self.batch_size)
    }

    /// The examples of `step`.
    pub fn select(&self, step: u64) -> Selection {
        if self.window == 1 {
            return self.unsorted(step);
        }
        let (number, place) = (step / self.window, (step % self.window) as usize);
        let mut kept = self.sorted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let window = match &*kept {
            Some((known, window)) if *known == number => Arc::clone(window),
            _ => {
                let window: Arc<[Selection]> = self.bucketed(number).into();
                *kept = Some((number, Arc::clone(&window)));
                window
            }
        };
        // Every window has as many batches as it is long.
        window.get(place).cloned().unwrap_or_else(|| self.unsorted(step))
    }

    /// The batches of a window, each of captions of like length.
    fn bucketed(&self, number: u64) -> Vec<Selection> {
        let first = number.saturating_mul(self.window);
        let batches: Vec<_> = (first..first.saturating_add(self.window)).map(|s| self.unsorted(s)).collect();
        let mut rows: Vec<(usize, usize)> =
            batches.iter().flat_map(|b| b.indices.iter().copied().zip(b.captions.iter().copied())).collect();
        rows.sort_by_key(|(index, caption)| self.captions[*index][*caption]);
        let mut parts: Vec<_> = rows.chunks(self.batch_size).collect();
        parts.shuffle(&mut stream(self.seed, &format!("{}/buckets", self.stream), number));
        let offsets = batches.iter().map(|b| b.offset);
        let selection = |(part, offset): (&[(usize, usize)], _)| {
            let (indices, captions) = part.iter().copied().unzip();
            Selection { indices, captions, offset }
        };
        parts.into_iter().zip(offsets).map(selection).collect()
    }

    fn unsorted(&self, step: u64) -> Selection {
        let examples = self.captions.len() as u64;
        // 128 bits: the product must not overflow for any step.
        let first = u128::from(step) * self.batch_size as u128;
        let mut indices = Vec::with_capacity(self.batch_size);
        for position in first..first + self.batch_size as u128 {
            let epoch = (position / u128::from(examples)) as u64;
            let place = (position % u128::from(examples)) as usize;
            indices.push(self.order(epoch)[place] as usize);
        }
        let mut rng = stream(self.seed, &format!("{}/rows", self.stream), step);
        let captions = indices.iter().map(|index| rng.random_range(0..self.captions[*index].len())).collect();
        let shift = self.shift as i32;
        let offset = match shift {
            0 => (0, 0),
            _ => (rng.random_range(-shift..=shift), rng.random_range(-shift..=shift)),
        };
        Selection { indices, captions, offset }
    }

    fn order(&self, epoch: u64) -> Arc<[u32]> {
        let mut kept = self.order.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*kept {
            Some((known, order)) if *known == epoch => Arc::clone(order),
            _ => {
                let mut order: Vec<u32> = (0..self.captions.len() as u32).collect();
                order.shuffle(&mut stream(self.seed, &format!("{}/order", self.stream), epoch));
                let order: Arc<[u32]> = order.into();
                *kept = Some((epoch, Arc::clone(&order)));
                order
            }
        }
    }
}

/// Makes the arrays of a batch: row `r` holds picture `indices[r]` and its caption `captions[r]`.
pub fn assemble(
    split: &Split,
    indices: &[usize],
    captions: &[usize],
    options: &AssembleOptions,
) -> Result<Batch, DataError> {
    if indices.len() != captions.len() {
        let message = format!("{} examples with {} captions chosen", indices.len(), captions.len());
        return Err(DataError::Split { split: split.name.clone(), message });
    }
    let mut rows = Vec::with_capacity(indices.len());
    for (index, caption) in indices.iter().zip(captions) {
        let limit = split.len();
        let example = split.examples.get(*index);
        let example = example.ok_or(DataError::OutOfRange { what: "example", found: *index, limit })?;
        let limit = example.tokens.len();
        let ids = example.tokens.get(*caption);
        rows.push(ids.ok_or(DataError::OutOfRange { what: "caption", found: *caption, limit })?);
    }
    let length = match options.length {
        Length::Fixed(length) => length,
        Length::Longest(most) => rows.iter().map(|ids| ids.len() + 1).max().unwrap_or(0).min(most),
    };
    let tokens = rows.iter().flat_map(|ids| Vocabulary::pad(ids, length)).collect();
    Ok(Batch {
        image: split.images.shifted(indices, options.offset)?,
        tokens: Array2::from_shape_vec((rows.len(), length), tokens)
            .unwrap_or_else(|_| unreachable!("every row is padded to `length`")),
        indices: indices.to_vec(),
        caption_index: captions.to_vec(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Example, ImageStore};

    /// `count` examples of 2x2 pictures of one grey each; example `i` has `1 + i % 3` captions.
    pub(crate) fn split(count: usize) -> Split {
        let example = |i: usize| Example {
            id: i.to_string(),
            captions: (0..1 + i % 3).map(|c| format!("caption {c}")).collect(),
            tokens: (0..1 + i % 3).map(|c| vec![4 + i as u32; 1 + c]).collect(),
            scene: None,
        };
        let bytes = (0..count).flat_map(|i| [i as u8; 12]).collect();
        Split {
            name: "train".into(),
            examples: (0..count).map(example).collect(),
            images: ImageStore::from_bytes(2, bytes),
        }
    }

    #[test]
    fn an_epoch_sees_every_example_once() {
        let plan = BatchPlan::new(&split(10), 4, 7, "captioner").unwrap();
        let seen: Vec<usize> = (0..5).flat_map(|step| plan.select(step).indices).collect();
        for epoch in seen.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(seen[..10], seen[10..], "each epoch has an order of its own");
    }

    #[test]
    fn any_step_can_be_asked_for_first() {
        let plan = |seed, name: &str| BatchPlan::new(&split(10), 4, seed, name).unwrap().with_shift(2);
        let in_turn: Vec<_> = (0..40).map(|step| plan(7, "a").select(step)).collect();
        let one = plan(7, "a");
        for step in (0..40).rev() {
            assert_eq!(one.select(step), in_turn[step as usize]);
        }
        assert_ne!(plan(8, "a").select(0), in_turn[0]);
        assert_ne!(plan(7, "b").select(0), in_turn[0]);
        let offsets: std::collections::BTreeSet<_> = in_turn.iter().map(|s| s.offset).collect();
        assert!(offsets.len() > 10 && offsets.iter().all(|(x, y)| x.abs() <= 2 && y.abs() <= 2));
        one.select(u64::MAX);
    }

    #[test]
    fn buckets_sort_by_length_and_lose_nothing() {
        let plain = BatchPlan::new(&split(12), 4, 7, "a").unwrap();
        let plan = || BatchPlan::new(&split(12), 4, 7, "a").unwrap().with_buckets(3);
        let rows = |s: &Selection| -> Vec<_> { s.indices.iter().copied().zip(s.captions.clone()).collect() };
        let (mut sorted, mut expected) = (vec![], vec![]);
        let buckets = plan();
        for step in 3..6 {
            let chosen = buckets.select(step);
            let lengths: Vec<_> = chosen.captions.iter().map(|c| 1 + c).collect();
            assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1, "{lengths:?}");
            assert_eq!(plan().select(step), chosen, "any step can be asked for first");
            sorted.extend(rows(&chosen));
            expected.extend(rows(&plain.select(step)));
        }
        sorted.sort();
        expected.sort();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn every_caption_gets_its_turn() {
        let plan = BatchPlan::new(&split(3), 3, 1, "a").unwrap();
        let mut counts = [0; 3];
        for step in 0..300 {
            let chosen = plan.select(step);
            let row = chosen.indices.iter().position(|index| *index == 2).unwrap();
            counts[chosen.captions[row]] += 1;
        }
        assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    }

    #[test]
    fn rows_hold_words_end_padding() {
        let options = |length| AssembleOptions { length, offset: (0, 0) };
        let batch = assemble(&split(4), &[2, 0], &[2, 0], &options(Length::Longest(20))).unwrap();
        assert_eq!(batch.tokens, ndarray::array![[6, 6, 6, 2], [4, 2, 0, 0]]);
        assert_eq!(batch.image[[0, 2, 1, 1]], 2.0 / 127.5 - 1.0);
        let batch = assemble(&split(4), &[2], &[2], &options(Length::Longest(3))).unwrap();
        assert_eq!(batch.tokens, ndarray::array![[6, 6, 2]]);
        let batch = assemble(&split(4), &[2], &[0], &options(Length::Fixed(5))).unwrap();
        assert_eq!(batch.tokens, ndarray::array![[6, 2, 0, 0, 0]]);
    }

    #[test]
    fn bad_choices_are_errors() {
        let options = AssembleOptions { length: Length::Fixed(5), offset: (0, 0) };
        let error = |indices: &[usize], captions: &[usize]| {
            assemble(&split(4), indices, captions, &options).unwrap_err().to_string()
        };
        assert_eq!(error(&[4], &[0]), "example: 4 is out of range, expected less than 4");
        assert_eq!(error(&[1], &[2]), "caption: 2 is out of range, expected less than 2");
        assert!(error(&[1], &[]).contains("1 examples with 0 captions"));
        assert!(BatchPlan::new(&split(0), 4, 0, "a").is_err());
        assert!(BatchPlan::new(&split(4), 0, 0, "a").is_err());
        let mut uneven = split(4);
        uneven.examples.pop();
        let error = BatchPlan::new(&uneven, 1, 0, "a").unwrap_err().to_string();
        assert_eq!(error, "split `train`: it has 3 examples and 4 pictures");
    }
}
