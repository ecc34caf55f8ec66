//! How far the preparation of data is.

use crate::screen::Screen;
use indicatif::ProgressBar;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Nothing is shown of what takes less time than this.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between lines, where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows a bar, or a line from time to time. May be told from any thread.
pub struct Preparation {
    screen: Screen,
    state: Mutex<State>,
}

struct State {
    begun: Instant,
    said: Instant,
    bar: Option<ProgressBar>,
}

impl Preparation {
    /// Begins now.
    pub fn new(screen: &Screen) -> Self {
        let now = Instant::now();
        let state = Mutex::new(State { begun: now, said: now, bar: None });
        Self { screen: screen.clone(), state }
    }

    /// `done` pictures of `total` are ready.
    pub fn tell(&self, done: usize, total: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.screen.is_live() {
            if state.said.elapsed() >= INTERVAL {
                state.said = Instant::now();
                self.screen.say(&format!("preparing pictures: {done} of {total}"));
            }
            return;
        }
        if done >= total {
            if let Some(bar) = state.bar.take() {
                bar.finish_and_clear();
            }
        } else if state.bar.is_some() || state.begun.elapsed() >= PATIENCE {
            let bar = state.bar.get_or_insert_with(|| self.screen.bar(total as u64, "pictures"));
            bar.set_position(done as u64);
        }
    }
}
