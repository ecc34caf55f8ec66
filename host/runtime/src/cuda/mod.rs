//! NVIDIA's libraries beside ONNX Runtime's provider: [found](packages) where Python packages install them, [copies](copy)
//! between host and device, and [kernels](kernels) of our own.

mod copy;
pub(crate) mod kernels;
mod packages;

pub(crate) use copy::copy;
pub(crate) use packages::preload;

use libloading::os::unix::{Library, RTLD_LAZY};

/// A library of CUDA by the first of its names that is there; `flags` beside lazy binding.
fn library(names: &[&str], flags: std::ffi::c_int) -> Option<Library> {
    // SAFETY: NVIDIA's libraries have no demands on who loads them.
    names.iter().find_map(|name| unsafe { Library::open(Some(*name), RTLD_LAZY | flags) }.ok())
}
