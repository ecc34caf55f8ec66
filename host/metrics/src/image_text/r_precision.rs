//! R-precision of pictures: Xu et al. 2018 (AttnGAN), <https://arxiv.org/abs/1711.10485>, section 4.

use crate::{Embeddings, MetricsError};

/// One question to the encoder: which of these captions is the picture's own?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Row of the picture.
    pub image: usize,
    /// Row of the caption that it was painted from.
    pub own: usize,
    /// Rows of captions of other pictures; the paper takes 99 at random.
    pub others: Vec<usize>,
}

/// The share of trials in which the own caption is nearer to the picture, by cosine, than all others; a tie
/// is a miss. R is 1, as each picture has one caption of its own. Chance is `1 / (others + 1)`.
///
/// # Errors
/// When widths differ, when a row is out of range, or when there is no trial.
pub fn r_precision(
    images: &Embeddings,
    captions: &Embeddings,
    trials: &[Trial],
) -> Result<f64, MetricsError> {
    captions.check_width(images)?;
    if trials.is_empty() {
        return Err(MetricsError::vectors("R-precision", "at least one trial", "none"));
    }
    let mut hits = 0usize;
    for (i, Trial { image, own, others }) in trials.iter().enumerate() {
        let place = || format!("R-precision, trial {i}");
        images.check_row(*image, place)?;
        for caption in others.iter().chain([own]) {
            captions.check_row(*caption, place)?;
        }
        let score = images.cosine(*image, captions, *own);
        hits += usize::from(others.iter().all(|other| score > images.cosine(*image, captions, *other)));
    }
    Ok(hits as f64 / trials.len() as f64)
}
