//! What a study tells whoever watches it.

use crate::{Failure, Trial};

/// How many of the trials of one call are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: usize,
    /// Done, now or before.
    pub done: usize,
    /// Running now.
    pub running: usize,
    /// Failed.
    pub failed: usize,
}

/// Somebody who watches a study.
pub trait Observer {
    /// A line for the user, from the script or about the study.
    fn note(&mut self, text: &str);
    /// A call for trials begins; `counts.done` were done before.
    fn launch(&mut self, counts: Counts);
    /// A trial was started, or resumed from its checkpoint.
    fn started(&mut self, trial: &Trial, resumed: bool, counts: Counts);
    /// A trial is done, after so many seconds of this attempt.
    fn finished(&mut self, trial: &Trial, seconds: f64, counts: Counts);
    /// A trial failed; the others go on.
    fn failed(&mut self, trial: &Trial, failure: &Failure, counts: Counts);
    /// A table, as text.
    fn table(&mut self, text: &str);
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {
    fn note(&mut self, _: &str) {}
    fn launch(&mut self, _: Counts) {}
    fn started(&mut self, _: &Trial, _: bool, _: Counts) {}
    fn finished(&mut self, _: &Trial, _: f64, _: Counts) {}
    fn failed(&mut self, _: &Trial, _: &Failure, _: Counts) {}
    fn table(&mut self, _: &str) {}
}
