//! Memory that tensors share, and who is using it.

use crate::{Result, RuntimeError};
use ort::value::DynTensor;
use std::sync::{
    Arc,
    atomic::{AtomicIsize, AtomicU64, Ordering},
};

/// An allocation that one or more tensors look into. It knows whether it is being read (by any number
/// of users) or written (by one), so that safe code never races on it.
pub(crate) struct Memory {
    /// The value that owns the allocation.
    pub value: DynTensor,
    /// Whether the processor can read and write it directly.
    pub host: bool,
    /// Number of readers, or -1 while it is written.
    users: AtomicIsize,
    /// Grows with each write, so that copies on a device can be renewed.
    version: AtomicU64,
}

impl Memory {
    pub fn new(value: DynTensor) -> Arc<Self> {
        let host = value.memory_info().is_cpu_accessible();
        Arc::new(Self { value, host, users: AtomicIsize::new(0), version: AtomicU64::new(0) })
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn acquire(&self, write: bool) -> bool {
        let claim = |users: isize| match (write, users) {
            (true, 0) => Some(-1),
            (false, 0..) => Some(users + 1),
            _ => None,
        };
        self.users.fetch_update(Ordering::Acquire, Ordering::Relaxed, claim).is_ok()
    }

    fn release(&self, write: bool) {
        if write {
            self.version.fetch_add(1, Ordering::Release);
            self.users.store(0, Ordering::Release);
        } else {
            self.users.fetch_sub(1, Ordering::Release);
        }
    }
}

/// The right to read or write some memories; given back when dropped.
pub(crate) struct Claim<'a> {
    memories: &'a [(Arc<Memory>, bool)],
}

impl<'a> Claim<'a> {
    /// Claims all (`true` to write) or none.
    pub fn new(memories: &'a [(Arc<Memory>, bool)], context: impl Fn() -> String) -> Result<Self> {
        for (i, (memory, write)) in memories.iter().enumerate() {
            if !memory.acquire(*write) {
                drop(Claim { memories: &memories[..i] });
                return Err(RuntimeError::Busy { context: context() });
            }
        }
        Ok(Self { memories })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        for (memory, write) in self.memories {
            memory.release(*write);
        }
    }
}
