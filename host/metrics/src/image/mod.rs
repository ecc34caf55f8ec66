//! How near painted pictures are to real ones as sets, by what an encoder makes of them.

mod class_scores;
mod features;
mod frechet;
mod kernel;

pub use class_scores::{ClassScores, inception_score};
pub use features::FeatureStatistics;
pub use frechet::frechet_distance;
pub use kernel::{KernelDistance, kernel_distance, kernel_distance_of_subsets};
