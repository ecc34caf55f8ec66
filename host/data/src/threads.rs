//! Work shared out to threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{DataError, Progress};

/// Calls `work` for 0 to `count` - 1 from `threads` threads (0: one for each core) and stops at the first
/// error. `progress` is told after each.
pub(crate) fn for_each(
    threads: usize,
    count: usize,
    progress: Progress,
    work: impl Fn(usize) -> Result<(), DataError> + Sync,
) -> Result<(), DataError> {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        _ => threads,
    };
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let run = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(());
            }
            if let Err(error) = work(index) {
                next.store(count, Ordering::Relaxed);
                return Err(error);
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(run)).collect();
        let mut result = run();
        for other in others {
            result = result.and(other.join().unwrap_or(Err(DataError::Stopped)));
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_index_comes_once() {
        let seen = Mutex::new(Vec::new());
        let last = AtomicUsize::new(0);
        let progress = |done: usize, _| {
            let _ = last.fetch_max(done, Ordering::Relaxed);
        };
        for_each(3, 100, &progress, |index| {
            seen.lock().unwrap().push(index);
            Ok(())
        })
        .unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert_eq!(last.into_inner(), 100);
    }

    #[test]
    fn an_error_stops_the_rest() {
        let calls = AtomicUsize::new(0);
        let result = for_each(2, 1_000_000, &|_, _| (), |index| {
            calls.fetch_add(1, Ordering::Relaxed);
            if index == 10 { Err(DataError::Stopped) } else { Ok(()) }
        });
        assert!(result.is_err() && calls.into_inner() < 1_000_000);
    }
}
