//! Corpus scores with their intervals, and the comparison of two systems.

use super::chosen::Chosen;
use crate::error::Result;
use ekphrasis_metrics::{Comparison, Diversity, Interval, Metric, Resampling, SystemScores};

/// The scores of one system, image by image.
pub struct System {
    /// The metrics that were computed, each with its name in files.
    pub metrics: Vec<(Metric, String)>,
    /// The scores.
    pub scores: SystemScores,
    /// Share of captions that are not among the training captions, where these are known.
    pub novel: Option<f64>,
}

impl System {
    /// Names what was computed.
    pub fn new(scores: SystemScores, chosen: &Chosen, novel: Option<f64>) -> Self {
        let key = |metric: &Metric| match (metric, &scores.meteor) {
            // With fewer matchers it is another metric.
            (Metric::Meteor, meteor) => Some((*metric, meteor.as_ref()?.name.to_lowercase())),
            _ => Some((*metric, metric.key().to_owned())),
        };
        Self { metrics: chosen.metrics.iter().filter_map(key).collect(), scores, novel }
    }
}

/// What is printed.
pub struct Measured {
    /// A row for each metric.
    pub rows: Vec<Row>,
    /// The diversity of each system's captions, with the share of novel ones.
    pub diversity: Vec<(Diversity, Option<f64>)>,
    /// Number of systems.
    pub systems: usize,
}

/// One metric.
pub struct Row {
    /// Its name in files.
    pub key: String,
    /// What it is.
    pub metric: Metric,
    /// The corpus score of each system with its confidence interval.
    pub scores: Vec<(f64, Interval)>,
    /// Of two systems.
    pub comparison: Option<Comparison>,
}

impl Measured {
    /// Resamples each metric.
    pub fn new(systems: Vec<System>, resampling: &Resampling, diversity: bool) -> Result<Self> {
        let mut rows = Vec::new();
        for (metric, key) in systems.first().map_or(&[][..], |system| &system.metrics) {
            let pooled: Vec<_> =
                systems.iter().filter_map(|system| system.scores.resampled(*metric)).collect();
            let comparison = match &pooled[..] {
                [first, second] => Some(resampling.compare(first, second)?),
                _ => None,
            };
            let scores = pooled.iter().map(|scores| (scores.corpus(), resampling.interval(scores))).collect();
            rows.push(Row { key: key.clone(), metric: *metric, scores, comparison });
        }
        let of = |system: &System| {
            let words: Vec<&[u32]> = system.scores.words().collect();
            (Diversity::of(&words), system.novel)
        };
        let measured = if diversity { systems.iter().map(of).collect() } else { vec![] };
        Ok(Self { rows, diversity: measured, systems: systems.len() })
    }
}
