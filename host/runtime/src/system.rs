//! What the machine and ONNX Runtime offer, for reports.

use crate::{Runtime, config::cores, error::checked};
use std::{ffi::CStr, fs, path::PathBuf, ptr, slice};

/// What a user needs to know when something does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doctor {
    /// Version of ONNX Runtime.
    pub version: String,
    /// The library that was loaded.
    pub library: PathBuf,
    /// How it was found.
    pub source: String,
    /// Providers that this build of ONNX Runtime holds, by its own names.
    pub built_in: Vec<String>,
    /// Which providers took, and why an earlier one did not.
    pub report: String,
    /// Devices that ONNX Runtime sees.
    pub devices: Vec<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Threads that work on one operator.
    pub threads: usize,
}

impl Runtime {
    /// What a user needs to know when something does not work.
    pub fn doctor(&self) -> Doctor {
        Doctor {
            version: self.version(),
            library: self.library().to_owned(),
            source: self.source().to_owned(),
            built_in: built_in(),
            report: self.report().to_owned(),
            devices: self.devices(),
            cores: cores(),
            threads: self.threads(),
        }
    }
}

/// The providers that the loaded ONNX Runtime was built with.
fn built_in() -> Vec<String> {
    let (mut names, mut count) = (ptr::null_mut(), 0);
    // SAFETY: ONNX Runtime is loaded (a `Runtime` exists); it writes a list and its length.
    let asked = unsafe { checked((ort::api().GetAvailableProviders)(&mut names, &mut count)) };
    if asked.is_err() || names.is_null() {
        return vec![];
    }
    // SAFETY: the list holds `count` texts that end with a zero.
    let list = unsafe { slice::from_raw_parts(names, usize::try_from(count).unwrap_or(0)) }
        .iter()
        .map(|name| unsafe { CStr::from_ptr(*name) }.to_string_lossy().into_owned())
        .collect();
    // SAFETY: the list of above, given back once. It cannot fail in a way that we could mend.
    let _ = unsafe { checked((ort::api().ReleaseAvailableProviders)(names, count)) };
    list
}

/// The most memory that this process has held so far, in bytes, where the system tells (Linux).
pub fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_grows_with_what_is_held() {
        let before = peak_memory_bytes().unwrap();
        let held = vec![1u8; 300 << 20];
        assert!(held.iter().step_by(4096).all(|b| *b == 1));
        assert!(peak_memory_bytes().unwrap() >= before.max(300 << 20));
    }
}
