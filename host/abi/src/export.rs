//! The plugin's side in Rust: safe code goes in, the functions of a factory come out. The SDK's
//! `export_plugin!` is built on it; a panic of the safe code becomes [`Status::PANIC`] with its message.

use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::reward::{FACTORY_ID, ParameterValue, RewardBatch, RewardDescription, RewardFactory};
use crate::view::Batch;
use crate::{ABI, ErrorBuffer, PluginEntry, Status, slice};

/// An instance of a reward.
pub trait Score: Send {
    /// One finite score for each caption; an error is shown to the user as it is.
    fn score(&mut self, batch: &Batch<'_>) -> Result<Vec<f64>, String>;
}

/// The values of an instance's parameters, defaults filled in.
pub struct Params<'a>(Vec<(&'a str, f64)>);

impl Params<'_> {
    /// Value of parameter `name`.
    ///
    /// # Panics
    /// When the reward does not declare such a parameter.
    pub fn get(&self, name: &str) -> f64 {
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => *value,
            None => panic!("the reward reads parameter `{name}`, which it does not declare"),
        }
    }
}

/// Makes an instance.
pub type Create = fn(&Params<'_>) -> Result<Box<dyn Score>, String>;

/// The rewards of a plugin: entry i of `CREATE` makes what entry i of `DESCRIPTIONS` describes.
pub trait RewardTable: 'static {
    /// What each reward is.
    const DESCRIPTIONS: &'static [RewardDescription];
    /// How each reward is made.
    const CREATE: &'static [Create];
}

/// The entry of a plugin whose rewards are those of `T`.
pub const fn plugin_entry<T: RewardTable>() -> PluginEntry {
    PluginEntry { abi_major: ABI.major, abi_minor: ABI.minor, get_factory: Some(get_factory::<T>) }
}

/// Gives each table a factory of static lifetime.
struct Exported<T>(PhantomData<T>);

impl<T: RewardTable> Exported<T> {
    const REWARDS: &'static RewardFactory = &RewardFactory {
        count: Some(count::<T>),
        describe: Some(describe::<T>),
        create: Some(create::<T>),
        score: Some(score),
        destroy: Some(destroy),
    };
}

unsafe extern "C" fn get_factory<T: RewardTable>(id: *const c_char) -> *const c_void {
    // SAFETY: the ABI says that `id` is a zero-terminated string, borrowed for the call.
    let known = !id.is_null() && unsafe { CStr::from_ptr(id) } == FACTORY_ID;
    if known { std::ptr::from_ref(Exported::<T>::REWARDS).cast() } else { std::ptr::null() }
}

unsafe extern "C" fn count<T: RewardTable>() -> usize {
    T::DESCRIPTIONS.len()
}

unsafe extern "C" fn describe<T: RewardTable>(index: usize) -> *const RewardDescription {
    T::DESCRIPTIONS.get(index).map_or(std::ptr::null(), std::ptr::from_ref)
}

unsafe extern "C" fn create<T: RewardTable>(
    index: usize,
    values: *const ParameterValue,
    value_count: usize,
    instance: *mut *mut c_void,
    error: *mut ErrorBuffer,
) -> Status {
    let body = || {
        let create =
            T::CREATE.get(index).ok_or_else(|| format!("there is no reward {index} in this plugin"))?;
        if instance.is_null() {
            return Err("instance: expected a place to write to, found a null pointer".to_owned());
        }
        // SAFETY: the ABI says that `values` has `value_count` entries, borrowed for the call.
        let values = unsafe { slice(values, value_count, "values")? };
        let mut params = Vec::with_capacity(values.len());
        for entry in values {
            // SAFETY: the name is borrowed for the call as well.
            params.push((unsafe { entry.name.get() }?, entry.value));
        }
        let made: Box<Box<dyn Score>> = Box::new(create(&Params(params))?);
        // SAFETY: not null, and the ABI says that it may be written to.
        unsafe { *instance = Box::into_raw(made).cast() };
        Ok(())
    };
    // SAFETY: the ABI says that `error` is null or a buffer of the host's.
    unsafe { guard(error, body) }
}

unsafe extern "C" fn score(
    instance: *mut c_void,
    batch: *const RewardBatch,
    scores: *mut f64,
    error: *mut ErrorBuffer,
) -> Status {
    let body = || {
        // SAFETY: the instance came from `create`, and no other call on it runs now.
        let reward = unsafe { instance.cast::<Box<dyn Score>>().as_mut() };
        let reward = reward.ok_or("instance: found a null pointer")?;
        // SAFETY: the ABI says that the batch is borrowed for the call.
        let raw = unsafe { batch.as_ref() }.ok_or("batch: found a null pointer")?;
        // SAFETY: and so is all that it points to.
        let batch = unsafe { Batch::from_raw(raw) }.map_err(|e| format!("batch: {e}"))?;
        let found = reward.score(&batch)?;
        if found.len() != batch.len() {
            return Err(format!("expected {} scores (one a caption), found {}", batch.len(), found.len()));
        }
        if scores.is_null() && !found.is_empty() {
            return Err("scores: expected a place to write to, found a null pointer".to_owned());
        }
        if !found.is_empty() {
            // SAFETY: `scores` has room for one number a caption, and is not part of `found`.
            unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), scores, found.len()) };
        }
        Ok(())
    };
    // SAFETY: the ABI says that `error` is null or a buffer of the host's.
    unsafe { guard(error, body) }
}

unsafe extern "C" fn destroy(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the instance came from `create`, is destroyed once, and no other call on it runs now.
    let reward = unsafe { Box::from_raw(instance.cast::<Box<dyn Score>>()) };
    // There is nobody to tell about a panic in a destructor; the panic hook has printed it.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(reward)));
}

/// Runs `body`; an error or a panic becomes a status and a message.
///
/// # Safety
/// `error` is null, or a buffer that fulfils [`ErrorBuffer::write`].
unsafe fn guard(error: *mut ErrorBuffer, body: impl FnOnce() -> Result<(), String>) -> Status {
    let (status, message) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Status::OK,
        Ok(Err(message)) => (Status::ERROR, message),
        Err(payload) => (Status::PANIC, format!("panicked: {}", panic_message(payload.as_ref()))),
    };
    // SAFETY: null or valid, as the caller promises.
    if let Some(buffer) = unsafe { error.as_mut() } {
        // SAFETY: as the caller promises.
        unsafe { buffer.write(&message) };
    }
    status
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
