//! The progress of a run for somebody at a terminal, or for a log.

use crate::{screen::Screen, shown};
use ekphrasis_train::{Observer, SampleSheet};
use indicatif::ProgressBar;
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Between lines, where there is no terminal.
const LINES: Duration = Duration::from_secs(10);
/// Between changes of the numbers beside a bar.
const NUMBERS: Duration = Duration::from_millis(100);
/// Weight of a step in the numbers, which otherwise would flicker.
const SMOOTHING: f64 = 0.05;

/// Shows a bar for each phase with steps a second, losses and rewards; lines where there is no terminal.
pub struct Terminal {
    screen: Screen,
    phase: Option<View>,
}

/// The phase that is running.
struct View {
    bar: Option<ProgressBar>,
    begun: Instant,
    first: u64,
    done: u64,
    steps: u64,
    said: Instant,
    numbers: Vec<(String, f64)>,
}

impl Terminal {
    /// Shows on `screen`.
    pub fn new(screen: &Screen) -> Self {
        Self { screen: screen.clone(), phase: None }
    }
}

impl View {
    fn add(&mut self, values: &[(String, f64)]) {
        for (name, value) in values.iter().filter(|(name, _)| is_shown(name)) {
            match self.numbers.iter_mut().find(|(known, _)| known == name) {
                Some((_, mean)) => *mean += SMOOTHING * (value - *mean),
                None => self.numbers.push((name.clone(), *value)),
            }
        }
    }

    fn numbers(&self) -> String {
        let shown = self.numbers.iter().map(|(name, value)| format!("{} {value:.3}", name.replace('_', " ")));
        shown.collect::<Vec<_>>().join(", ")
    }

    fn line(&self, name: &str) -> String {
        let rate = (self.done - self.first) as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        let left = (self.steps - self.done.min(self.steps)) as f64 / rate.max(1e-9);
        let (done, steps, numbers) = (self.done, self.steps, self.numbers());
        format!("{name}: step {done} of {steps}, {rate:.1}/s, {} left, {numbers}", shown::seconds(left))
    }
}

/// Losses and rewards of several updates are told apart by a prefix, as `generator.loss`.
fn is_shown(name: &str) -> bool {
    !name.starts_with("milliseconds.") && matches!(name.rsplit('.').next(), Some("loss" | "reward"))
}

impl Observer for Terminal {
    fn note(&mut self, text: &str) {
        self.screen.say(text);
    }

    fn phase(&mut self, name: &str, done: u64, steps: u64) {
        let bar = self.screen.is_live().then(|| {
            let bar = self.screen.bar(steps, name).with_position(done);
            bar.reset_eta();
            bar
        });
        if bar.is_none() {
            let on = if done > 0 { format!(", from step {done} on") } else { String::new() };
            self.screen.say(&format!("{name}: {steps} steps{on}"));
        }
        let now = Instant::now();
        self.phase = Some(View { bar, begun: now, first: done, done, steps, said: now, numbers: vec![] });
    }

    fn step(&mut self, name: &str, step: u64, values: &[(String, f64)]) {
        let Some(view) = &mut self.phase else { return };
        view.done = step;
        view.add(values);
        let interval = if view.bar.is_some() { NUMBERS } else { LINES };
        if let Some(bar) = &view.bar {
            bar.set_position(step);
        }
        if view.said.elapsed() < interval {
            return;
        }
        view.said = Instant::now();
        match &view.bar {
            Some(bar) => bar.set_message(view.numbers()),
            None => self.screen.say(&view.line(name)),
        }
    }

    fn phase_end(&mut self, name: &str, seconds: f64) {
        let Some(view) = self.phase.take() else { return };
        if let Some(bar) = &view.bar {
            bar.finish_and_clear();
        }
        let mut line = format!("{name}: {} steps in {}", view.steps, shown::seconds(seconds));
        if !view.numbers.is_empty() {
            line = format!("{line}, {}", view.numbers());
        }
        self.screen.say(&line);
    }

    fn scalars(&mut self, _: u64, _: &[(String, f64)]) {}

    fn sheet(&mut self, _: u64, _: &SampleSheet, _: &Path) -> Result<(), String> {
        Ok(())
    }

    fn resumed(&mut self, global_step: u64) {
        self.screen.say(&format!("going on after step {global_step} of the run"));
    }

    fn flush(&mut self) {}
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A run that ends in an error leaves a bar.
        if let Some(View { bar: Some(bar), .. }) = &self.phase {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_matters() {
        let begun = Instant::now() - Duration::from_secs(10);
        let mut view =
            View { bar: None, begun, first: 100, done: 300, steps: 1300, said: begun, numbers: vec![] };
        let value = |name: &str, v: f64| (name.to_owned(), v);
        view.add(&[value("loss", 2.0), value("milliseconds.reward", 3.0), value("reward.cider_d", 1.0)]);
        view.add(&[value("loss", 1.0), value("reward", 0.5)]);
        let line = view.line("gan");
        assert!(line.starts_with("gan: step 300 of 1300, 20.0/s, 50 s left"), "{line}");
        assert!(line.ends_with("loss 1.950, reward 0.500"), "{line}");
    }
}
