//! Work shared out to all cores.

use std::num::NonZero;
use std::ops::Range;
use std::panic;
use std::thread;

/// `of` each number below `count`, in order, in contiguous parts of at least `grain` on all cores. Each part has a
/// `scratch` of its own.
pub(crate) fn each<S: Default, T: Send>(
    count: usize,
    grain: usize,
    of: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let part = |range: Range<usize>| {
        let mut scratch = S::default();
        range.map(|i| of(&mut scratch, i)).collect::<Vec<T>>()
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let size = count.div_ceil(cores).max(grain).max(1);
    if count <= size {
        return part(0..count);
    }
    thread::scope(|scope| {
        let part = &part;
        let start = |first: usize| scope.spawn(move || part(first..count.min(first + size)));
        let others: Vec<_> = (size..count).step_by(size).map(start).collect();
        let mut all = part(0..size);
        for other in others {
            match other.join() {
                Ok(values) => all.extend(values),
                Err(cause) => panic::resume_unwind(cause),
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_comes_once_and_in_order() {
        for count in [0, 1, 2, 15, 16, 17, 1000] {
            for grain in [0, 1, 16, 5000] {
                let all = super::each(count, grain, |(), i| i);
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
    }
}
