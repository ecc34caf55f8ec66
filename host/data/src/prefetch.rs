//! Batches made ahead of time on background threads.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::{AssembleOptions, Batch, BatchPlan, DataError, Length, Split, assemble};

/// Makes the batches of consecutive steps ahead, in order. Dropping it stops its threads.
#[derive(Debug)]
pub struct Prefetcher {
    /// Worker `w` of `n` makes the steps `first + w`, `first + w + n`, ...
    workers: Vec<Worker>,
    first: u64,
    step: u64,
}

#[derive(Debug)]
struct Worker {
    /// `None` once the worker is told to stop.
    batches: Option<Receiver<Result<Batch, DataError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetcher {
    /// Starts at `first_step` with `threads` threads, each up to `ahead` batches ahead (at least one of each).
    pub fn new(
        split: Arc<Split>,
        plan: BatchPlan,
        length: Length,
        first_step: u64,
        threads: usize,
        ahead: usize,
    ) -> Result<Prefetcher, DataError> {
        let plan = Arc::new(plan);
        let threads = threads.max(1);
        let mut workers = Vec::with_capacity(threads);
        for worker in 0..threads as u64 {
            let (sender, receiver) = sync_channel(ahead.max(1));
            let (split, plan) = (Arc::clone(&split), Arc::clone(&plan));
            let make = move || {
                for step in (first_step.saturating_add(worker)..).step_by(threads) {
                    let chosen = plan.select(step);
                    let options = AssembleOptions { length, offset: chosen.offset };
                    let batch = assemble(&split, &chosen.indices, &chosen.captions, &options);
                    let failed = batch.is_err();
                    if sender.send(batch).is_err() || failed {
                        return;
                    }
                }
            };
            let thread =
                std::thread::Builder::new().name("batches".into()).spawn(make).map_err(|source| {
                    DataError::Io { action: "start a thread for", path: "batches".into(), source }
                })?;
            workers.push(Worker { batches: Some(receiver), thread: Some(thread) });
        }
        Ok(Prefetcher { workers, first: first_step, step: first_step })
    }

    /// The step whose batch comes next.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The batch of the next step; waits only if it is not ready yet.
    #[expect(clippy::should_implement_trait, reason = "there is no end and every batch may fail")]
    pub fn next(&mut self) -> Result<Batch, DataError> {
        let worker = ((self.step - self.first) % self.workers.len() as u64) as usize;
        let batches = self.workers.get(worker).and_then(|worker| worker.batches.as_ref());
        // A closed channel: the worker ended with the error that was handed out before.
        let batch = batches.and_then(|batches| batches.recv().ok()).ok_or(DataError::Stopped)??;
        self.step += 1;
        Ok(batch)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // With the receiver gone, a worker that waits to send gives up.
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has nothing to hand over; `next` reports it as stopped.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::tests::split;

    fn prefetcher(split: &Arc<Split>, first: u64, threads: usize) -> Prefetcher {
        let plan = BatchPlan::new(split, 4, 3, "a").unwrap().with_shift(1);
        Prefetcher::new(Arc::clone(split), plan, Length::Longest(9), first, threads, 2).unwrap()
    }

    #[test]
    fn order_does_not_depend_on_threads_or_start() {
        let split = Arc::new(split(11));
        let plan = BatchPlan::new(&split, 4, 3, "a").unwrap().with_shift(1);
        for threads in [1, 3] {
            let mut batches = prefetcher(&split, 5, threads);
            for step in 5..25 {
                let chosen = plan.select(step);
                let options = AssembleOptions { length: Length::Longest(9), offset: chosen.offset };
                let expected = assemble(&split, &chosen.indices, &chosen.captions, &options).unwrap();
                assert_eq!(batches.step(), step);
                assert_eq!(batches.next().unwrap(), expected);
            }
        }
    }

    #[test]
    fn dropping_ends_the_threads() {
        let split = Arc::new(split(11));
        let mut batches = prefetcher(&split, 0, 2);
        batches.next().unwrap();
        drop(batches);
        assert_eq!(Arc::strong_count(&split), 1, "no thread holds the split any more");
    }

    #[test]
    fn an_error_arrives_and_then_stays() {
        let mut broken = split(11);
        let plan = BatchPlan::new(&broken, 4, 3, "a").unwrap();
        broken.images = crate::ImageStore::from_bytes(2, Vec::new());
        let mut batches = Prefetcher::new(Arc::new(broken), plan, Length::Longest(9), 0, 1, 2).unwrap();
        assert!(matches!(batches.next(), Err(DataError::OutOfRange { .. })));
        assert!(matches!(batches.next(), Err(DataError::Stopped)));
    }
}
