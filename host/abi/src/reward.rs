//! The factory `ekphrasis.reward/1`: scores for sampled captions. Every struct here is frozen.

use std::ffi::{CStr, c_void};

use crate::{ErrorBuffer, Status, Str};

/// Id of [`RewardFactory`].
pub const FACTORY_ID: &CStr = c"ekphrasis.reward/1";

/// A number that a config sets when it chooses the reward.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Parameter {
    /// Name by which a config sets it. Lives as long as the library.
    pub name: Str,
    /// Value when the config does not set it; finite.
    pub default_value: f64,
    /// One line about it, for listings. Lives as long as the library.
    pub doc: Str,
}

impl Parameter {
    /// Describes a parameter.
    pub const fn new(name: &'static str, default_value: f64, doc: &'static str) -> Self {
        Parameter { name: Str::new(name), default_value, doc: Str::new(doc) }
    }
}

/// What one reward of a factory is. It and all that it points to live as long as the library.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RewardDescription {
    /// Name by which a config chooses it.
    pub name: Str,
    /// What it rewards, for listings.
    pub doc: Str,
    /// `[parameter_count]` parameters; null when there are none.
    pub parameters: *const Parameter,
    /// Number of `parameters`.
    pub parameter_count: usize,
}

// SAFETY: it only names immutable data that lives as long as the library.
unsafe impl Send for RewardDescription {}
// SAFETY: as above.
unsafe impl Sync for RewardDescription {}

impl RewardDescription {
    /// Describes a reward.
    pub const fn new(name: &'static str, doc: &'static str, parameters: &'static [Parameter]) -> Self {
        RewardDescription {
            name: Str::new(name),
            doc: Str::new(doc),
            parameters: parameters.as_ptr(),
            parameter_count: parameters.len(),
        }
    }
}

/// The value of one parameter of an instance. `name` is borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ParameterValue {
    /// Name, as in [`Parameter::name`].
    pub name: Str,
    /// Value; finite.
    pub value: f64,
}

/// Token ids with a meaning of their own.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Fills a caption up to the width of the batch.
    pub pad: i64,
    /// Begins a caption; never in a batch.
    pub bos: i64,
    /// Ends a caption.
    pub eos: i64,
    /// Stands for a word outside the vocabulary.
    pub unk: i64,
}

/// Captions to score, with the references of their images. Everything in it belongs to the host, is borrowed
/// for one call of `score`, and must be neither written to nor kept.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RewardBatch {
    /// N, the number of captions.
    pub captions: usize,
    /// T, the width of `tokens`.
    pub columns: usize,
    /// [captions, columns], row-major: without `bos`, with `eos` unless the caption was cut, then `pad`.
    pub tokens: *const i64,
    /// `[captions]`: tokens of each caption before the padding, `eos` included; at most `columns`.
    pub lengths: *const usize,
    /// `[captions]`: which image of this batch each caption is about, in 0..image_count.
    pub images: *const usize,
    /// Number of images in this batch.
    pub image_count: usize,
    /// `[image_count + 1]`: image i has the references `image_offsets[i]..image_offsets[i + 1]`; from 0 to
    /// `reference_count`, never falling.
    pub image_offsets: *const usize,
    /// R, the number of references of all images together.
    pub reference_count: usize,
    /// `[reference_count + 1]`: reference r has the tokens `reference_offsets[r]..reference_offsets[r + 1]` of
    /// `reference_tokens`; from 0, never falling.
    pub reference_offsets: *const usize,
    /// `[reference_offsets[reference_count]]`: tokens of the references end to end; without `bos` and `pad`,
    /// with `eos`.
    pub reference_tokens: *const i64,
    /// Number of words in `vocabulary`; every token of captions and references is in 0..vocabulary_size.
    pub vocabulary_size: usize,
    /// `[vocabulary_size]`: the word of each token id.
    pub vocabulary: *const Str,
    /// Token ids with a meaning of their own.
    pub special: SpecialTokens,
    /// Training step that asks, counted from 0.
    pub step: u64,
}

/// Makes rewards. It belongs to the library and lives as long as it; every function must be given.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RewardFactory {
    /// Number of rewards that `describe` and `create` know. Thread: any, several at a time.
    pub count: Option<unsafe extern "C" fn() -> usize>,
    /// Describes reward `index`, or gives null when there is none.
    ///
    /// Ownership: the description belongs to the library and lives as long as it. Thread: any, several at a
    /// time.
    pub describe: Option<unsafe extern "C" fn(index: usize) -> *const RewardDescription>,
    /// Makes an instance of reward `index` and writes it to `instance`.
    ///
    /// `values` has `[value_count]` entries: one for each described parameter, in that order, with
    /// defaults filled in.
    /// Ownership: `values` is borrowed for the call; the instance belongs to the plugin and is freed by
    /// `destroy`; on error nothing is written to `instance`. Thread: any, several at a time.
    pub create: Option<
        unsafe extern "C" fn(
            index: usize,
            values: *const ParameterValue,
            value_count: usize,
            instance: *mut *mut c_void,
            error: *mut ErrorBuffer,
        ) -> Status,
    >,
    /// Writes one finite score for each caption of `batch` to `scores`; higher is better.
    ///
    /// Ownership: `batch` is borrowed for the call; `scores` has `[captions]` elements, allocated by the
    /// host.
    /// Thread: any, but one call at a time on one instance; several instances may score at once.
    pub score: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            batch: *const RewardBatch,
            scores: *mut f64,
            error: *mut ErrorBuffer,
        ) -> Status,
    >,
    /// Frees an instance, once; no other call on it runs then or later. Thread: any.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
}
