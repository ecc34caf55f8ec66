//! The C ABI between the host and a plugin library.
//!
//! A plugin is a shared library that exports one symbol, [`SYMBOL`]: a static [`PluginEntry`]. The host
//! reads the two version numbers there before it runs any of the library's code, and then asks for
//! factories by id ([`reward::FACTORY_ID`]). `include/ekphrasis.h` says the same in C.
//!
//! Three rules hold everywhere:
//!
//! * A published struct is frozen. A change is a new factory id with the next revision (`.../2`), which a
//!   host may offer beside the old one.
//! * Whoever allocates frees. The host allocates what a plugin writes to; a plugin frees its own instances
//!   in `destroy`. A pointer passed to a function is borrowed for that call, unless its comment says more.
//! * No panic and no exception leaves a function of this ABI.
//!
//! [`view`] reads a batch safely, and [`export`] turns safe Rust into the functions of a factory, so that
//! the code that both sides would otherwise repeat around raw pointers stands here once.

pub mod export;
pub mod reward;
pub mod view;

use std::ffi::{c_char, c_void};
use std::fmt;

/// Name of the one exported symbol, a static [`PluginEntry`].
pub const SYMBOL: &str = "ekphrasis_plugin";

/// The version of this ABI that the crate was built with.
pub const ABI: AbiVersion = AbiVersion { major: 1, minor: 0 };

/// A version of the ABI: `major` changes when a published meaning changes, `minor` when something is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbiVersion {
    /// Must be equal on both sides.
    pub major: u32,
    /// The host's must be at least the plugin's.
    pub minor: u32,
}

impl AbiVersion {
    /// Whether a host of this version may load a plugin of version `plugin`.
    pub const fn accepts(self, plugin: AbiVersion) -> bool {
        self.major == plugin.major && self.minor >= plugin.minor
    }
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What the exported symbol holds. It lives as long as the library, which is never unloaded.
///
/// The first two fields keep their place in every version of the ABI.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PluginEntry {
    /// ABI major version that the plugin was built for.
    pub abi_major: u32,
    /// ABI minor version that the plugin was built for.
    pub abi_minor: u32,
    /// Gives the factory with this id, or null when the plugin has none.
    ///
    /// Ownership: `id` is a zero-terminated string, borrowed for the call; the factory that comes back
    /// belongs to the library and lives as long as it. Thread: any, several at a time.
    pub get_factory: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
}

/// Borrowed UTF-8 text, not zero-terminated. `data` may be null only when `length` is 0.
///
/// Who owns the bytes, and for how long they live, is said where a `Str` is used.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    /// First byte.
    pub data: *const u8,
    /// Number of bytes.
    pub length: usize,
}

// SAFETY: a `Str` only names immutable bytes; whoever reads them must uphold `Str::get`.
unsafe impl Send for Str {}
// SAFETY: as above.
unsafe impl Sync for Str {}

impl Str {
    /// Names the bytes of `text`. The caller sees to it that `text` outlives every reader.
    pub const fn new(text: &str) -> Self {
        Str { data: text.as_ptr(), length: text.len() }
    }

    /// The text, or a message when the bytes are missing or not UTF-8.
    ///
    /// # Safety
    /// `data` is null, or points to `length` bytes that stay unchanged during `'a`.
    pub unsafe fn get<'a>(self) -> Result<&'a str, String> {
        // SAFETY: what `slice` asks for is what the caller promises.
        let bytes = unsafe { slice(self.data, self.length, "text")? };
        std::str::from_utf8(bytes).map_err(|e| format!("text is not UTF-8: {e}"))
    }
}

/// Result of a call. Any value other than [`Status::OK`] is an error.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// The call did what it says.
    pub const OK: Status = Status(0);
    /// The call failed; the [`ErrorBuffer`] says why.
    pub const ERROR: Status = Status(1);
    /// The plugin's code panicked, and the panic was caught.
    pub const PANIC: Status = Status(2);
}

/// Where a plugin writes the message of an error. The host allocates it; it is borrowed for the call.
#[repr(C)]
pub struct ErrorBuffer {
    /// `capacity` writable bytes for UTF-8 text, not zero-terminated.
    pub data: *mut u8,
    /// Size of `data` in bytes.
    pub capacity: usize,
    /// Bytes written, at most `capacity`. The host sets 0 before the call.
    pub length: usize,
}

impl ErrorBuffer {
    /// Writes as much of `message` as fits, ending at a character boundary.
    ///
    /// # Safety
    /// `data` is null, or points to `capacity` writable bytes.
    pub unsafe fn write(&mut self, message: &str) {
        let mut length = message.len().min(self.capacity);
        while !message.is_char_boundary(length) {
            length -= 1;
        }
        if self.data.is_null() {
            length = 0;
        } else {
            // SAFETY: `length <= capacity`, and a message never overlaps the host's buffer.
            unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), self.data, length) };
        }
        self.length = length;
    }
}

/// `length` elements from `data`, where null stands for none.
///
/// # Safety
/// `data` is null, or aligned and pointing to `length` elements that stay unchanged during `'a`.
pub(crate) unsafe fn slice<'a, T>(data: *const T, length: usize, field: &str) -> Result<&'a [T], String> {
    if length == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(format!("{field}: expected {length} elements, found a null pointer"));
    }
    if length.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(format!("{field}: {length} elements do not fit into memory"));
    }
    // SAFETY: not null, not too large; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data, length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majors_must_be_equal_and_the_host_not_older() {
        let version = |major, minor| AbiVersion { major, minor };
        assert!(version(1, 2).accepts(version(1, 2)));
        assert!(version(1, 2).accepts(version(1, 0)));
        assert!(!version(1, 2).accepts(version(1, 3)));
        assert!(!version(2, 2).accepts(version(1, 0)));
        assert!(!version(1, 2).accepts(version(2, 0)));
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let mut bytes = [0u8; 6];
        let mut buffer = ErrorBuffer { data: bytes.as_mut_ptr(), capacity: bytes.len(), length: 0 };
        // SAFETY: the buffer names `bytes`, which outlives it.
        unsafe { buffer.write("caf\u{e9}\u{e9}") };
        let length = buffer.length;
        assert_eq!(std::str::from_utf8(&bytes[..length]), Ok("caf\u{e9}"));
    }

    #[test]
    fn text_that_is_missing_or_not_utf8_is_an_error() {
        let broken = [0xffu8, 0xfe];
        // SAFETY: `broken` lives through the call.
        let message = unsafe { Str { data: broken.as_ptr(), length: 2 }.get() };
        assert!(message.is_err_and(|m| m.contains("UTF-8")));
        // SAFETY: null is allowed.
        let message = unsafe { Str { data: std::ptr::null(), length: 2 }.get() };
        assert!(message.is_err_and(|m| m.contains("null pointer")));
        // SAFETY: null is allowed.
        assert_eq!(unsafe { Str { data: std::ptr::null(), length: 0 }.get() }, Ok(""));
    }
}
