//! Captioned pictures: data sets, vocabularies, image decoding, batches.
//!
//! A data set is opened by the name of its format ([`formats::FORMATS`]) and is the same thing afterwards,
//! whatever it was made from: [`Dataset`], with splits of [`Example`]s and their pictures. Pictures are kept
//! as bytes in a file in the cache folder and become numbers in [-1, 1] when a batch is assembled, so memory
//! does not grow with the data set.
//!
//! Training reads batches through a [`Prefetcher`]. Which examples a step sees is a pure function of
//! (seed, stream name, step), see [`BatchPlan`]: a resumed run goes on with the same batches.

mod batches;
mod cache;
mod dataset;
mod error;
pub mod formats;
mod images;
mod prefetch;
mod random;
mod text;
mod threads;
mod vocabulary;

pub use batches::{AssembleOptions, Batch, BatchPlan, Length, Selection, assemble};
pub use dataset::{Dataset, Example, Split};
pub use error::DataError;
pub use formats::karpathy::{decode_picture, decode_pictures};
pub use formats::open;
pub use formats::shapes::{distractors::hard_distractors, meaning::stated_pairs, scene::Scene};
pub use images::ImageStore;
pub use prefetch::Prefetcher;
pub use random::stream;
pub use text::words;
pub use vocabulary::Vocabulary;

/// Called with (done, total) while something long is under way. May be called from several threads.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);
