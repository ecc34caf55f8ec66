//! How well captions fit pictures, by an encoder that embeds both in one space.

mod clip_score;
mod embeddings;
mod r_precision;
mod retrieval;

pub use clip_score::{clip_scores, ref_clip_scores};
pub use embeddings::Embeddings;
pub use r_precision::{Trial, r_precision};
pub use retrieval::{Ranking, Retrieval, retrieval};
