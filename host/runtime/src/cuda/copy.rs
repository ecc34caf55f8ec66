//! Copies between the host and a device, by CUDA's own runtime.

use super::library;
use crate::{Result, RuntimeError};
use libloading::os::unix::Library;
use std::{
    ffi::{c_int, c_void},
    ptr,
    sync::OnceLock,
};

type Memcpy = unsafe extern "C" fn(*mut c_void, *const c_void, usize, c_int) -> c_int;
type StreamSynchronize = unsafe extern "C" fn(*mut c_void) -> c_int;

/// What copies take of CUDA's runtime.
struct Cudart {
    memcpy: Memcpy,
    synchronize: StreamSynchronize,
    /// Keeps both functions loaded.
    _library: Library,
}

/// `cudaMemcpyDefault`: the addresses tell which way.
const DEFAULT: c_int = 4;

/// `RTLD_NOLOAD` of Linux: a library only if it is loaded already.
const LOADED: c_int = 4;

/// CUDA's runtime as the provider has loaded it.
fn cudart() -> Option<&'static Cudart> {
    static CUDART: OnceLock<Option<Cudart>> = OnceLock::new();
    let load = || {
        let library = library(&["libcudart.so.13", "libcudart.so.12"], LOADED)?;
        // SAFETY: the signatures are those of CUDA's documentation, the same in both versions.
        unsafe {
            let memcpy = *library.get::<Memcpy>(b"cudaMemcpy").ok()?;
            let synchronize = *library.get::<StreamSynchronize>(b"cudaStreamSynchronize").ok()?;
            Some(Cudart { memcpy, synchronize, _library: library })
        }
    };
    CUDART.get_or_init(load).as_ref()
}

/// Copies between the host and a device, or within one, and waits until all has arrived. A session that copies for
/// us, as `ort` offers it, takes several times as long for a few numbers.
///
/// # Errors
/// [`RuntimeError::Ort`] when CUDA's runtime is not there, or refuses.
///
/// # Safety
/// `bytes` must be readable from `source` and writable to `target`, and nobody else may use them meanwhile.
pub(crate) unsafe fn copy(target: *mut u8, source: *const u8, bytes: usize) -> Result<()> {
    let failed = |message: String| RuntimeError::Ort { action: "copying between devices", message };
    let cudart = cudart().ok_or_else(|| failed("CUDA's runtime (libcudart) is not loaded".into()))?;
    // SAFETY: as the caller promises. A copy from the host returns when its bytes are under way; sessions compute
    // on streams that do not wait for it, hence the second call, about the stream that copies use.
    let code = unsafe {
        match (cudart.memcpy)(target.cast(), source.cast(), bytes, DEFAULT) {
            0 => (cudart.synchronize)(ptr::null_mut()),
            code => code,
        }
    };
    match code {
        0 => Ok(()),
        code => Err(failed(format!("CUDA's error {code} for {bytes} bytes"))),
    }
}
