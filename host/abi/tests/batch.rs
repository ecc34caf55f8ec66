//! A batch with a wrong number is refused with the field, what was expected and what was found.

use ekphrasis_abi::Str;
use ekphrasis_abi::reward::{RewardBatch, SpecialTokens};
use ekphrasis_abi::view::Batch;

struct Owned {
    tokens: Vec<i64>,
    lengths: Vec<usize>,
    images: Vec<usize>,
    image_offsets: Vec<usize>,
    reference_offsets: Vec<usize>,
    reference_tokens: Vec<i64>,
    vocabulary: Vec<Str>,
}

/// Two captions of the second of two images; the first image has no reference, the second has two.
fn owned() -> Owned {
    Owned {
        tokens: vec![4, 5, 2, 5, 4, 4],
        lengths: vec![3, 2],
        images: vec![1, 1],
        image_offsets: vec![0, 0, 2],
        reference_offsets: vec![0, 2, 3],
        reference_tokens: vec![5, 2, 2],
        vocabulary: ["<pad>", "<bos>", "<eos>", "<unk>", "red", "circle"].map(Str::new).to_vec(),
    }
}

impl Owned {
    fn raw(&self) -> RewardBatch {
        RewardBatch {
            captions: self.lengths.len(),
            columns: 3,
            tokens: self.tokens.as_ptr(),
            lengths: self.lengths.as_ptr(),
            images: self.images.as_ptr(),
            image_count: self.image_offsets.len() - 1,
            image_offsets: self.image_offsets.as_ptr(),
            reference_count: self.reference_offsets.len() - 1,
            reference_offsets: self.reference_offsets.as_ptr(),
            reference_tokens: self.reference_tokens.as_ptr(),
            vocabulary_size: self.vocabulary.len(),
            vocabulary: self.vocabulary.as_ptr(),
            special: SpecialTokens { pad: 0, bos: 1, eos: 2, unk: 3 },
            step: 7,
        }
    }
}

#[test]
fn a_right_batch_reads_back() {
    let owned = owned();
    let raw = owned.raw();
    // SAFETY: `raw` names the vectors of `owned`, with their lengths.
    let batch = unsafe { Batch::from_raw(&raw) }.unwrap();
    assert_eq!(batch.len(), 2);
    assert_eq!(batch.tokens(0), [4, 5, 2]);
    assert_eq!(batch.words(0), ["red", "circle"]);
    assert_eq!(batch.words(1), ["circle", "red"], "the padding of a cut caption is not a word");
    assert_eq!(batch.image(1), 1);
    assert_eq!(batch.references(0).collect::<Vec<_>>(), [&[5, 2][..], &[2][..]]);
    assert_eq!(batch.spell(&[1, 4, 0, 5, 2, 4]), ["red", "circle"]);
    assert_eq!((batch.step(), batch.vocabulary_size()), (7, 6));
    assert_eq!((batch.word(5), batch.word(6), batch.word(-1)), (Some("circle"), None, None));
}

#[test]
fn an_empty_batch_is_fine() {
    let mut raw = owned().raw();
    raw.captions = 0;
    raw.image_count = 0;
    raw.reference_count = 0;
    let zero = [0usize];
    raw.image_offsets = zero.as_ptr();
    raw.reference_offsets = zero.as_ptr();
    raw.vocabulary_size = 0;
    // SAFETY: nothing is left to read but the two offsets.
    assert!(unsafe { Batch::from_raw(&raw) }.unwrap().is_empty());
}

#[test]
fn a_wrong_number_is_located() {
    type Break = fn(&mut Owned);
    let broken: [(Break, &str); 8] = [
        (|o| o.lengths[1] = 4, "lengths[1]: expected at most 3 (columns), found 4"),
        (|o| o.tokens[1] = 6, "tokens[0, 1]: expected a token in 0..6 (vocabulary_size), found 6"),
        (|o| o.tokens[0] = -1, "tokens[0, 0]: expected a token in 0..6 (vocabulary_size), found -1"),
        (|o| o.images[0] = 2, "images[0]: expected below 2 (image_count), found 2"),
        (|o| o.image_offsets = vec![0, 3, 2], "image_offsets[2]: expected at least 3, found 2"),
        (|o| o.image_offsets = vec![0, 0, 1], "image_offsets[2]: expected 2, found 1"),
        (|o| o.reference_offsets = vec![1, 2, 3], "reference_offsets[0]: expected 0, found 1"),
        (
            |o| o.reference_tokens[2] = 9,
            "reference_tokens[2]: expected a token in 0..6 (vocabulary_size), found 9",
        ),
    ];
    for (break_it, expected) in broken {
        let mut owned = owned();
        break_it(&mut owned);
        let raw = owned.raw();
        // SAFETY: `raw` names the vectors of `owned`, with their lengths.
        let message = unsafe { Batch::from_raw(&raw) }.err();
        assert_eq!(message.as_deref(), Some(expected));
    }
    let owned = owned();
    let mut raw = owned.raw();
    raw.images = std::ptr::null();
    // SAFETY: as above; null is allowed.
    let message = unsafe { Batch::from_raw(&raw) }.err();
    assert_eq!(message.as_deref(), Some("images: expected 2 elements, found a null pointer"));
}
