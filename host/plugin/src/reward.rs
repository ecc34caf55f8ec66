//! Calling a reward of a loaded library.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::PathBuf;

use ekphrasis_abi::reward::{self, ParameterValue, RewardBatch, SpecialTokens};
use ekphrasis_abi::view::Batch;
use ekphrasis_abi::{ErrorBuffer, Status, Str};

use crate::{Library, PluginError};

/// Room for a plugin's message, in bytes.
const MESSAGE_CAPACITY: usize = 4096;

/// A reward that a library offers.
#[derive(Clone, Debug, PartialEq)]
pub struct RewardDescription {
    /// Name by which a config chooses it.
    pub name: String,
    /// What it rewards.
    pub doc: String,
    /// What a config may set.
    pub parameters: Vec<ParameterDescription>,
}

/// A number that a config may set.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterDescription {
    /// Name by which a config sets it.
    pub name: String,
    /// Value when it does not.
    pub default: f64,
    /// One line about it.
    pub doc: String,
}

/// The functions of a factory, each one there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RewardCalls {
    pub count: unsafe extern "C" fn() -> usize,
    pub describe: unsafe extern "C" fn(usize) -> *const reward::RewardDescription,
    pub create: unsafe extern "C" fn(
        usize,
        *const ParameterValue,
        usize,
        *mut *mut c_void,
        *mut ErrorBuffer,
    ) -> Status,
    pub score: unsafe extern "C" fn(*mut c_void, *const RewardBatch, *mut f64, *mut ErrorBuffer) -> Status,
    pub destroy: unsafe extern "C" fn(*mut c_void),
}

/// Captions to score, as slices of the host's own memory.
///
/// N captions of at most T tokens, about the images 0..I of this batch, which have R references together.
#[derive(Clone, Copy, Debug)]
pub struct RewardBatchView<'a> {
    /// T, the width of `tokens`.
    pub columns: usize,
    /// [N, T], row-major: without `bos`, with `eos` unless the caption was cut, then `pad`.
    pub tokens: &'a [i64],
    /// `[N]`: tokens of each caption before the padding, `eos` included.
    pub lengths: &'a [usize],
    /// `[N]`: image of each caption, in 0..I.
    pub images: &'a [usize],
    /// `[I + 1]`: image i has the references `image_offsets[i]..image_offsets[i + 1]`.
    pub image_offsets: &'a [usize],
    /// `[R + 1]`: reference r has the tokens `reference_offsets[r]..reference_offsets[r + 1]`.
    pub reference_offsets: &'a [usize],
    /// Tokens of the references end to end: without `bos` and `pad`, with `eos`.
    pub reference_tokens: &'a [i64],
    /// Word of each token id.
    pub vocabulary: &'a [String],
    /// Token ids with a meaning of their own.
    pub special: SpecialTokens,
    /// Training step that asks, counted from 0.
    pub step: u64,
}

impl RewardBatchView<'_> {
    /// The struct that crosses the boundary. It borrows from `self` and `vocabulary`; the slices have the
    /// lengths that it names.
    fn raw(&self, vocabulary: &[Str]) -> Result<RewardBatch, String> {
        let captions = self.lengths.len();
        let expect = |field: &str, expected: usize, found: usize| match expected == found {
            true => Ok(()),
            false => Err(format!("{field}: expected {expected} elements, found {found}")),
        };
        expect("tokens", captions.saturating_mul(self.columns), self.tokens.len())?;
        expect("images", captions, self.images.len())?;
        let below = |field: &str, offsets: &[usize]| {
            offsets
                .len()
                .checked_sub(1)
                .ok_or_else(|| format!("{field}: expected at least 1 element, found none"))
        };
        let image_count = below("image_offsets", self.image_offsets)?;
        let reference_count = below("reference_offsets", self.reference_offsets)?;
        expect("reference_tokens", self.reference_offsets[reference_count], self.reference_tokens.len())?;
        Ok(RewardBatch {
            captions,
            columns: self.columns,
            tokens: self.tokens.as_ptr(),
            lengths: self.lengths.as_ptr(),
            images: self.images.as_ptr(),
            image_count,
            image_offsets: self.image_offsets.as_ptr(),
            reference_count,
            reference_offsets: self.reference_offsets.as_ptr(),
            reference_tokens: self.reference_tokens.as_ptr(),
            vocabulary_size: vocabulary.len(),
            vocabulary: vocabulary.as_ptr(),
            special: self.special,
            step: self.step,
        })
    }
}

/// One configured reward of a library.
#[derive(Debug)]
pub struct RewardPlugin {
    path: PathBuf,
    name: String,
    calls: RewardCalls,
    instance: *mut c_void,
    parameters: BTreeMap<String, f64>,
}

// SAFETY: the ABI says that an instance may be called from any thread, one call at a time; every call here takes
// `&mut self`.
unsafe impl Send for RewardPlugin {}

impl RewardPlugin {
    /// Makes an instance of reward `name`. Parameters that `parameters` leaves out have their defaults.
    pub fn create(
        library: &Library,
        name: &str,
        parameters: &BTreeMap<String, f64>,
    ) -> Result<Self, PluginError> {
        let path = library.path();
        let found = library.rewards().iter().enumerate().find(|(_, reward)| reward.name == name);
        let (Some(calls), Some((index, description))) = (library.reward_calls, found) else {
            let known = library.rewards().iter().map(|reward| reward.name.clone()).collect();
            return Err(PluginError::UnknownReward { path: path.to_owned(), name: name.to_owned(), known });
        };
        let parameters = complete(library, description, parameters)?;
        let values: Vec<ParameterValue> = description
            .parameters
            .iter()
            .map(|p| ParameterValue { name: Str::new(&p.name), value: parameters[&p.name] })
            .collect();
        let mut instance = std::ptr::null_mut();
        // SAFETY: `index` is below `count`; `values` and the names in it outlive the call; the other two pointers
        // are valid for it.
        let outcome = with_message(|error| unsafe {
            (calls.create)(index, values.as_ptr(), values.len(), &mut instance, error)
        });
        outcome.map_err(|message| PluginError::Failed {
            path: path.to_owned(),
            reward: name.to_owned(),
            step: None,
            message,
        })?;
        if instance.is_null() {
            return Err(PluginError::broken(path, "`create`: expected an instance, found NULL and no error"));
        }
        Ok(RewardPlugin { path: path.to_owned(), name: name.to_owned(), calls, instance, parameters })
    }

    /// Name of the reward.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its parameters, defaults filled in.
    pub fn parameters(&self) -> &BTreeMap<String, f64> {
        &self.parameters
    }

    /// One finite score for each caption of `batch`.
    pub fn score(&mut self, batch: &RewardBatchView<'_>) -> Result<Vec<f64>, PluginError> {
        let vocabulary: Vec<Str> = batch.vocabulary.iter().map(|word| Str::new(word)).collect();
        let wrong = |message| PluginError::Batch { reward: self.name.clone(), step: batch.step, message };
        let raw = batch.raw(&vocabulary).map_err(wrong)?;
        // SAFETY: `raw` borrows from `batch` and `vocabulary`, with the lengths of their slices.
        let checked = unsafe { Batch::from_raw(&raw) }.map_err(wrong)?;
        // NaN, so that a score that is never written is found below.
        let mut scores = vec![f64::NAN; checked.len()];
        let instance = self.instance;
        // SAFETY: the instance is alive and, by `&mut self`, not in another call; `raw` was checked; `scores` has
        // one element a caption.
        let outcome =
            with_message(|error| unsafe { (self.calls.score)(instance, &raw, scores.as_mut_ptr(), error) });
        outcome.map_err(|message| PluginError::Failed {
            path: self.path.clone(),
            reward: self.name.clone(),
            step: Some(batch.step),
            message,
        })?;
        match scores.iter().position(|score| !score.is_finite()) {
            None => Ok(scores),
            Some(caption) => Err(PluginError::Score {
                path: self.path.clone(),
                reward: self.name.clone(),
                step: batch.step,
                caption,
                image: checked.image(caption),
                words: checked.words(caption).join(" "),
                value: scores[caption],
            }),
        }
    }
}

impl Drop for RewardPlugin {
    fn drop(&mut self) {
        // SAFETY: the instance came from `create`, and this is its only end.
        unsafe { (self.calls.destroy)(self.instance) };
    }
}

/// The declared parameters with the given values or their defaults.
fn complete(
    library: &Library,
    description: &RewardDescription,
    given: &BTreeMap<String, f64>,
) -> Result<BTreeMap<String, f64>, PluginError> {
    let reward = || description.name.clone();
    let mut all: BTreeMap<String, f64> =
        description.parameters.iter().map(|p| (p.name.clone(), p.default)).collect();
    for (name, &value) in given {
        let Some(slot) = all.get_mut(name) else {
            return Err(PluginError::UnknownParameter {
                path: library.path().to_owned(),
                reward: reward(),
                name: name.clone(),
                known: description.parameters.iter().map(|p| p.name.clone()).collect(),
            });
        };
        if !value.is_finite() {
            return Err(PluginError::ParameterValue { reward: reward(), name: name.clone(), value });
        }
        *slot = value;
    }
    Ok(all)
}

/// Calls the plugin with a buffer for its message; a status other than OK becomes that message.
fn with_message(call: impl FnOnce(*mut ErrorBuffer) -> Status) -> Result<(), String> {
    let mut bytes = vec![0u8; MESSAGE_CAPACITY];
    let mut buffer = ErrorBuffer { data: bytes.as_mut_ptr(), capacity: bytes.len(), length: 0 };
    let status = call(&mut buffer);
    if status == Status::OK {
        return Ok(());
    }
    // The plugin's length may be wrong, but `truncate` never reaches beyond the buffer.
    bytes.truncate(buffer.length);
    match String::from_utf8_lossy(&bytes).trim_end_matches('\0') {
        "" => Err(format!("failed with status {} and no message", status.0)),
        message => Err(message.to_owned()),
    }
}
