//! Alarms: signs that a captioner cheats its reward, seen while it trains.

use crate::{Result, TrainError};
use ekphrasis_metrics::{Flaw, HeldOut, RewardWatch};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
};

/// When an alarm is raised: `[alarms]` of a config.
///
/// Most are shares of sampled captions that have a flaw, over the steps of one line of `metrics.jsonl`; 1 never
/// raises one.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alarms {
    /// A word stands twice in a row.
    pub repeated_words: f64,
    /// Some bigram occurs twice.
    pub repeated_bigrams: f64,
    /// Some trigram occurs twice.
    pub repeated_trigrams: f64,
    /// It was cut off at `max_length`.
    pub no_eos: f64,
    /// It ends in a function word.
    pub truncated: f64,
    /// It has no words.
    pub empty: f64,
    /// How many evaluations are looked back to for a reward that rises while CIDEr-D falls; 0 for never.
    pub evaluations: usize,
}

impl Default for Alarms {
    fn default() -> Self {
        Self {
            repeated_words: 0.1,
            repeated_bigrams: 0.5,
            repeated_trigrams: 0.2,
            no_eos: 0.2,
            truncated: 0.1,
            empty: 0.05,
            evaluations: 3,
        }
    }
}

impl Alarms {
    /// The share of captions with a flaw above which there is an alarm, where there is one for it.
    pub fn limit(&self, flaw: Flaw) -> Option<f64> {
        match flaw {
            Flaw::RepeatedWords => Some(self.repeated_words),
            Flaw::RepeatedBigrams => Some(self.repeated_bigrams),
            Flaw::RepeatedTrigrams => Some(self.repeated_trigrams),
            Flaw::NoEos => Some(self.no_eos),
            Flaw::Truncated => Some(self.truncated),
            Flaw::Empty => Some(self.empty),
            Flaw::Unknown => None,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        for flaw in Flaw::ALL {
            let name = flaw.name();
            match self.limit(flaw) {
                Some(limit) if !(0.0..=1.0).contains(&limit) => {
                    let message = format!("expected a share of captions from 0 to 1, found {limit}");
                    return Err(TrainError::config(format!("alarms.{name}"), message));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An alarm that is raised for the first time.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// What the user is told.
    pub text: String,
    /// Its line in `metrics.jsonl`.
    pub line: Value,
}

/// Watches a run. Each alarm is raised once for each phase.
#[derive(Debug, Default)]
pub struct Watch {
    limits: Alarms,
    /// Phase and name of an alarm, and the step of the run at which it was raised.
    raised: BTreeMap<(String, String), u64>,
    rewards: RewardWatch,
}

impl Watch {
    /// A watch that knows what is in `metrics.jsonl` so far, if there is any.
    pub fn open(limits: Alarms, metrics: &Path) -> Result<Self> {
        let mut watch = Self { limits, ..Self::default() };
        let file = match std::fs::File::open(metrics) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(watch),
            Err(error) => return Err(TrainError::io("read", metrics)(error)),
        };
        for line in BufReader::new(file).lines() {
            let line = line.map_err(TrainError::io("read", metrics))?;
            // What is no such line, a user has put there; it is not for the watch.
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            let (Some(phase), Some(step)) = (line["phase"].as_str(), line["global_step"].as_u64()) else {
                continue;
            };
            if let Some(reward) = line["reward"].as_f64() {
                watch.rewards.reward(phase, step, reward);
            }
            if let Some(name) = line["alarm"]["name"].as_str() {
                watch.raised.insert((phase.to_owned(), name.to_owned()), step);
            }
        }
        Ok(watch)
    }

    /// Alarms so far: phase, name, and the step of the run.
    pub fn raised(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.raised.iter().map(|((phase, name), step)| (phase.as_str(), name.as_str(), *step))
    }

    /// The means of a line of `metrics.jsonl`.
    pub fn line(&mut self, phase: &str, step: u64, global_step: u64, means: &[(String, f64)]) -> Vec<Alarm> {
        let mean = |name: &str| means.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        if let Some(reward) = mean("reward") {
            self.rewards.reward(phase, global_step, reward);
        }
        let mut alarms = vec![];
        for flaw in Flaw::ALL {
            let (Some(share), Some(limit)) =
                (mean(&format!("quality.{}", flaw.name())), self.limits.limit(flaw))
            else {
                continue;
            };
            if share > limit && self.is_new(phase, flaw.name(), global_step) {
                let (name, percent) = (flaw.name(), 100.0 * share);
                alarms.push(Alarm {
                    text: format!(
                        "alarm: {phase}, step {step}: {percent:.0} % of the sampled captions {}, more than \
                         alarms.{name} = {limit}\nhint: {}",
                        what(flaw),
                        remedy(flaw)
                    ),
                    line: json!({
                        "global_step": global_step, "phase": phase, "step": step,
                        "alarm": { "name": name, "share": share, "limit": limit },
                    }),
                });
            }
        }
        alarms
    }

    /// CIDEr-D of held-out captions at a step of the run.
    pub fn evaluated(&mut self, split: &str, held_out: HeldOut) -> Option<Alarm> {
        if self.limits.evaluations == 0 {
            return None;
        }
        let found = self.rewards.evaluated(held_out, self.limits.evaluations)?;
        let ([low, high], [best, last]) = (found.reward_from_to, found.held_out);
        self.is_new(&found.reward, "reward", last.step).then(|| Alarm {
            text: format!(
                "alarm: {}: since step {} of the run the reward has risen from {low:.3} to {high:.3}, while CIDEr-D of \
                 {split} has fallen from {:.3} to {:.3}, beyond its bootstrap spread\nhint: the captioner may be \
                 cheating the reward: read its captions, stop earlier, or mix the reward with one that it cannot cheat",
                found.reward, best.step, best.score, last.score
            ),
            line: json!({
                "global_step": last.step, "phase": found.reward, "step": last.step,
                "alarm": { "name": "reward", "reward": [low, high], "cider_d": [best.score, last.score] },
            }),
        })
    }

    fn is_new(&mut self, phase: &str, name: &str, global_step: u64) -> bool {
        let key = (phase.to_owned(), name.to_owned());
        let new = !self.raised.contains_key(&key);
        if new {
            self.raised.insert(key, global_step);
        }
        new
    }
}

/// What captions with a flaw do.
fn what(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::RepeatedWords => "repeat a word at once",
        Flaw::RepeatedBigrams => "repeat a bigram",
        Flaw::RepeatedTrigrams => "repeat a trigram",
        Flaw::NoEos => "have no end",
        Flaw::Truncated => "end in a word such as \"a\" or \"on\"",
        Flaw::Empty => "have no words",
        Flaw::Unknown => "hold unknown words",
    }
}

/// What to do against a flaw.
fn remedy(flaw: Flaw) -> String {
    let price = format!("take `batch:flaw(\"{}\")` off the reward", flaw.name());
    match flaw {
        Flaw::NoEos => {
            format!("reward the end (`batch:cider_d()` counts it as a word), {price}, or raise max_length")
        }
        Flaw::Truncated => format!("reward the end (`batch:cider_d()` counts it as a word), or {price}"),
        Flaw::Empty => format!("look at what the reward gives to no words at all, or {price}"),
        _ => format!("{price}, or train longer with cross entropy before"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(values: &[(&str, f64)]) -> Vec<(String, f64)> {
        values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    fn held_out(step: u64, score: f64) -> HeldOut {
        HeldOut { step, score, spread: 0.01 }
    }

    #[test]
    fn an_alarm_is_raised_once_and_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut watch = Watch::open(Alarms::default(), &path).unwrap();
        let harmless = means(&[("reward", 1.0), ("quality.no_eos", 0.2), ("quality.empty", 0.0)]);
        assert_eq!(watch.line("pg", 10, 110, &harmless), []);
        let bad = means(&[("reward", 2.0), ("quality.no_eos", 0.4), ("quality.empty", 0.0)]);
        let alarms = watch.line("pg", 20, 120, &bad);
        assert_eq!(alarms.len(), 1);
        let text = &alarms[0].text;
        assert!(text.starts_with("alarm: pg, step 20: 40 % of the sampled captions have no end"), "{text}");
        assert!(text.contains("more than alarms.no_eos = 0.2\nhint: "), "{text}");
        assert_eq!(watch.line("pg", 30, 130, &bad), []);
        assert_eq!(watch.line("other", 10, 140, &bad).len(), 1, "another phase has its own");
        assert_eq!(watch.raised().collect::<Vec<_>>(), [("other", "no_eos", 140), ("pg", "no_eos", 120)]);

        std::fs::write(&path, format!("{}\n", alarms[0].line)).unwrap();
        let mut again = Watch::open(Alarms::default(), &path).unwrap();
        assert_eq!(again.raised().collect::<Vec<_>>(), [("pg", "no_eos", 120)]);
        assert_eq!(again.line("pg", 30, 130, &bad), []);
    }

    #[test]
    fn a_cheated_reward_is_seen_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut watch = Watch::open(Alarms::default(), &path).unwrap();
        let mut log = String::new();
        assert_eq!(watch.evaluated("val", held_out(0, 1.0)), None);
        for step in 1..=9u64 {
            let reward = step as f64;
            watch.line("pg", step, step, &means(&[("reward", reward)]));
            log +=
                &format!("{{\"global_step\":{step},\"phase\":\"pg\",\"step\":{step},\"reward\":{reward}}}\n");
        }
        let alarm = watch.evaluated("val", held_out(9, 0.5)).unwrap();
        assert!(
            alarm.text.contains("from 2.000 to 8.000, while CIDEr-D of val has fallen from 1.000 to 0.500")
        );
        assert_eq!(watch.evaluated("val", held_out(9, 0.4)), None, "once");

        std::fs::write(&path, log).unwrap();
        let mut again = Watch::open(Alarms::default(), &path).unwrap();
        assert_eq!(again.evaluated("val", held_out(0, 1.0)), None);
        assert_eq!(again.evaluated("val", held_out(9, 0.5)), Some(alarm));
        let mut never = Watch::open(Alarms { evaluations: 0, ..Alarms::default() }, &path).unwrap();
        never.evaluated("val", held_out(0, 1.0));
        assert_eq!(never.evaluated("val", held_out(9, 0.5)), None);
    }

    #[test]
    fn limits_are_shares() {
        assert!(Alarms::default().check().is_ok());
        for wrong in [-0.1, 1.5, f64::NAN] {
            let error = Alarms { truncated: wrong, ..Alarms::default() }.check().unwrap_err().to_string();
            assert!(error.contains("alarms.truncated: expected a share of captions from 0 to 1"), "{error}");
        }
    }
}
