//! Caption metrics, equal to the reference tools to within rounding, fast enough for a reward.
//!
//! Every metric works on token ids (`&[u32]`): what a vocabulary makes, or what [`Interner`] makes of
//! words. A *hypothesis* is a caption to be scored, its *references* are the captions people wrote for
//! the same image. Raw text is tokenised as the reference tools do it ([`tokenize_captions`]).
//!
//! From files to scores: [`files`] reads and pairs captions, a [`Suite`] scores them metric by metric, and
//! [`Resampling`] says how sure the scores are; `README.md` beside this crate is the guide.
//!
//! | Metric | Here | Equal to | Range |
//! |---|---|---|---|
//! | BLEU-1..4 | [`BleuReferences`], [`BleuStatistics`] | `pycocoevalcap` 1.2 | 0..1 |
//! | ROUGE-L | [`rouge_l`] | `pycocoevalcap` 1.2 | 0..1 |
//! | CIDEr-D, which coco-caption calls "CIDEr" | [`CiderD`] | `pycocoevalcap` 1.2, ruotianluo/cider | 0..10 |
//! | CIDEr as first published: no clipping, no length penalty | [`Cider`] | ruotianluo/cider | 0..10 |
//! | METEOR 1.5, English | [`Meteor`] | `pycocoevalcap` 1.2 (its data comes from there) | 0..1 |
//! | distinct-n, vocabulary, lengths | [`Diversity`], [`Lengths`] | | |
//! | captions that are no training caption | [`novel_share`] | | 0..1 |
//! | mBLEU-1..4 of an image's samples | [`mutual_bleu`] | qingzwang/DiversityMetrics | 0..1 |
//! | self-CIDEr of an image's samples | [`self_cider`] | the formula; [its docs](self_cider) say which CIDEr | 0..1 |
//! | stutter, missing and truncated ends | [`FlawFinder`] | | 0..1 |
//! | a reward that is being cheated | [`RewardWatch`] | | |
//! | CLIPScore, RefCLIPScore, with any encoder | [`clip_scores`], [`ref_clip_scores`] | Hessel et al. 2021 | 0..2.5, 0..1.43 |
//! | R-precision | [`r_precision`] | Xu et al. 2018 | 0..1 |
//! | retrieval: recall at 1, 5, 10, median rank | [`retrieval`] | Karpathy's protocol | 0..1 |
//! | Fréchet distance: FID, if the encoder is Inception's | [`FeatureStatistics`], [`frechet_distance`] | `pytorch-fid` | 0.. |
//! | kernel distance: KID, likewise | [`kernel_distance`], [`kernel_distance_of_subsets`] | `torchmetrics` | about 0.. |
//! | Inception Score, likewise | [`inception_score`] | Salimans et al. 2016 | 1..classes |
//! | truth of (colour, shape) pairs | [`PairWords`], [`Truth`] | | 0..1 |
//! | confidence intervals, significance of a difference | [`Resampling`] | | |
//!
//! # A whole split
//!
//! ```
//! use ekphrasis_metrics::evaluate_text;
//!
//! let scores = evaluate_text(
//!     &["a dog runs in the park", "two cats on a mat"],
//!     &[vec!["a dog is running in a park", "a dog runs"], vec!["two cats sit on a mat"]],
//! )?;
//! for (name, value) in scores.named() {
//!     println!("{name} {value:.3}");
//! }
//! # assert!(scores.cider_d > 0.0);
//! # Ok::<(), ekphrasis_metrics::MetricsError>(())
//! ```
//!
//! [`evaluate`] does the same on ids, with document frequencies that come from elsewhere (in training:
//! from the training references, so that reward and evaluation agree).
//!
//! # A reward
//!
//! CIDEr-D weighs an n-gram by how few images mention it. Those [`DocumentFrequencies`] are counted once;
//! the references of an image are prepared once and scored against many times.
//!
//! ```
//! use ekphrasis_metrics::{CiderD, DocumentFrequencies, until_eos, with_eos};
//! use std::sync::Arc;
//!
//! const EOS: u32 = 2;
//! let references: Vec<Vec<Vec<u32>>> = vec![vec![vec![5, 6, 7]], vec![vec![5, 8], vec![9, 8]]];
//! let ended: Vec<Vec<Vec<u32>>> =
//!     references.iter().map(|image| image.iter().map(|r| with_eos(r, EOS)).collect()).collect();
//! let cider = CiderD::new(Arc::new(DocumentFrequencies::from_references(&ended)));
//! let prepared = cider.prepare(&ended[0]);
//! let sampled = [5, 6, 7, EOS, 0, 0];
//! assert!((cider.score(until_eos(&sampled, EOS), &prepared) - 10.0).abs() < 1e-9);
//! ```
//!
//! # Pictures
//!
//! Metrics of pictures and of pictures with captions work on what an *encoder* makes of them: rows of
//! `f32`, one for each picture or caption, with their width. No encoder is part of this crate, so **the
//! name of the encoder belongs beside each number**: a Fréchet distance is an FID only over the Inception
//! network that FID is defined with. Rows with NaN, and embeddings of length zero, are errors that name the
//! row.
//!
//! ```
//! use ekphrasis_metrics::{FeatureStatistics, frechet_distance};
//!
//! let (mut real, mut painted) = (FeatureStatistics::new(2), FeatureStatistics::new(2));
//! real.add("real", &[0.0, 0.0, 2.0, 0.0, 0.0, 2.0])?; // batch by batch
//! painted.add("painted", &[1.0, 0.0, 3.0, 0.0, 1.0, 2.0])?;
//! // The same shape, moved by 1.
//! assert!((frechet_distance(&real, &painted)? - 1.0).abs() < 1e-9);
//! # Ok::<(), ekphrasis_metrics::MetricsError>(())
//! ```
//!
//! # The end of a caption counts
//!
//! Self-critical training as ImageCaptioning.pytorch does it keeps the end-of-sentence token: it is the
//! last token of every reference and of every *finished* sample. A sample cut off at its maximum length
//! has none and loses the n-grams that hold it, which is what teaches a captioner to stop. So for a
//! reward, pass references through [`with_eos`] and samples through [`until_eos`], and count the document
//! frequencies with the token too. For scores to be compared with published ones, leave it out everywhere.

mod alarms;
mod bleu;
mod cider;
mod corpus;
mod diversity;
mod document_frequencies;
mod eos;
mod error;
pub mod files;
mod gram_table;
mod image;
mod image_text;
mod interner;
mod meteor;
mod ngrams;
mod overlap;
mod parallel;
mod resampling;
mod rouge;
mod rows;
mod suite;
mod texts;
mod token_lists;
mod tokenizer;
mod truth;
mod vectors;
mod word_lists;

pub use alarms::{Divergence, Flaw, FlawFinder, HeldOut, RewardWatch, UNFINISHED_ENDS};
pub use bleu::{BleuReferences, BleuStatistics};
pub use cider::{Cider, CiderD, PreparedReferences};
pub use corpus::{PerImage, Scores, evaluate, evaluate_text};
pub use diversity::{Diversity, Lengths, distinct_n, mutual_bleu, novel_share, self_cider};
pub use document_frequencies::DocumentFrequencies;
pub use eos::{until_eos, with_eos};
pub use error::MetricsError;
pub use image::{
    ClassScores, FeatureStatistics, KernelDistance, frechet_distance, inception_score, kernel_distance,
    kernel_distance_of_subsets,
};
pub use image_text::{
    Embeddings, Ranking, Retrieval, Trial, clip_scores, r_precision, ref_clip_scores, retrieval,
};
pub use interner::Interner;
pub use meteor::{
    Meteor, MeteorData, MeteorFiles, MeteorLexicon, MeteorModules, MeteorReferences, MeteorScores,
    MeteorStatistics, ParaphraseTable,
};
pub use ngrams::MAX_ORDER;
pub use resampling::{Comparison, Interval, PerImageScores, Resampling};
pub use rouge::rouge_l;
pub use suite::{Groups, Metric, Suite, SystemScores, TextFrequencies};
pub use texts::Texts;
pub use tokenizer::{ptb_lines, tokenize_captions};
pub use truth::{PairWords, Truth};
