//! From rewards to advantages.

use crate::Baseline;
use serde::{Deserialize, Serialize};

/// How fast the moving average forgets.
const DECAY: f64 = 0.95;

/// A moving average of rewards, kept between steps and in checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct MovingAverage {
    value: Option<f64>,
}

/// Advantages of N = B * K captions, picture by picture, from their rewards.
///
/// `greedy` holds the rewards of the B greedy captions where the baseline uses them. The moving average
/// is the one before this batch.
pub fn advantages(
    baseline: Baseline,
    rewards: &[f32],
    samples: usize,
    greedy: &[f32],
    average: &mut MovingAverage,
) -> Vec<f32> {
    match baseline {
        Baseline::None => rewards.to_vec(),
        Baseline::MovingAverage => {
            let mean = rewards.iter().map(|r| f64::from(*r)).sum::<f64>() / rewards.len().max(1) as f64;
            let before = average.value.unwrap_or(mean);
            average.value = Some(DECAY * before + (1.0 - DECAY) * mean);
            rewards.iter().map(|r| r - before as f32).collect()
        }
        Baseline::Greedy => {
            let of = |i: usize| greedy.get(i / samples.max(1)).copied().unwrap_or(0.0);
            rewards.iter().enumerate().map(|(i, r)| r - of(i)).collect()
        }
        Baseline::LeaveOneOut => rewards
            .chunks(samples.max(1))
            .flat_map(|group| {
                let sum: f32 = group.iter().sum();
                let others = (group.len().max(2) - 1) as f32;
                group.iter().map(move |r| r - (sum - r) / others)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_baseline_by_hand() {
        let mut average = MovingAverage::default();
        let rewards = [1.0, 2.0, 3.0, 6.0];
        let mut with = |b| advantages(b, &rewards, 2, &[1.5, 4.0], &mut average);
        assert_eq!(with(Baseline::None), rewards);
        assert_eq!(with(Baseline::Greedy), [-0.5, 0.5, -1.0, 2.0]);
        assert_eq!(with(Baseline::LeaveOneOut), [-1.0, 1.0, -3.0, 3.0]);
        assert_eq!(with(Baseline::MovingAverage), [-2.0, -1.0, 0.0, 3.0]);
        let next = advantages(Baseline::MovingAverage, &[4.0; 2], 2, &[], &mut average);
        assert_eq!(next, [1.0, 1.0]);
        let after = advantages(Baseline::MovingAverage, &[4.0; 2], 2, &[], &mut average);
        assert!((after[0] - 0.95).abs() < 1e-6);
    }
}
