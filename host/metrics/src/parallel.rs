//! Work shared out to all cores.

use std::num::NonZero;
use std::thread;

/// Sets each value to `of` its place, on all cores.
pub(crate) fn fill<T: Send>(values: &mut [T], of: impl Fn(usize) -> T + Sync) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let size = values.len().div_ceil(threads).max(1);
    let of = &of;
    thread::scope(|scope| {
        for (part, values) in values.chunks_mut(size).enumerate() {
            scope.spawn(move || {
                for (i, value) in values.iter_mut().enumerate() {
                    *value = of(part * size + i);
                }
            });
        }
    });
}
