//! CLIPScore and RefCLIPScore: Hessel et al. 2021, <https://arxiv.org/abs/2104.08718>, equations 1 and 2.

use crate::{Embeddings, MetricsError};

/// The weight that spreads CLIP's cosines over about 0 to 1.
const WEIGHT: f64 = 2.5;

/// CLIPScore of each caption for the picture of the same row: `2.5 max(cos, 0)`. The metric is the mean.
///
/// With CLIP, the paper's captions begin with "A photo depicts". Other encoders give numbers that compare
/// with each other alone.
///
/// # Errors
/// When widths or numbers of rows differ.
pub fn clip_scores(images: &Embeddings, captions: &Embeddings) -> Result<Vec<f64>, MetricsError> {
    captions.check_pairs(images)?;
    Ok((0..images.len()).map(|i| WEIGHT * images.cosine(i, captions, i).max(0.0)).collect())
}

/// RefCLIPScore of each caption: the harmonic mean of its CLIPScore and of its best cosine, at least 0, with
/// a reference. `image_of[j]` is the picture that reference `j` describes. 0 where one of the two is.
///
/// # Errors
/// When widths differ, when there is not one caption for each picture, or when a picture has no reference.
pub fn ref_clip_scores(
    images: &Embeddings,
    captions: &Embeddings,
    references: &Embeddings,
    image_of: &[usize],
) -> Result<Vec<f64>, MetricsError> {
    references.check_width(captions)?;
    let scores = clip_scores(images, captions)?;
    let groups = captions.groups(references, image_of)?;
    let mean = |(i, (score, group)): (usize, (f64, Vec<usize>))| {
        let best = group.iter().map(|j| captions.cosine(i, references, *j)).fold(0.0, f64::max);
        if score > 0.0 && best > 0.0 { 2.0 * score * best / (score + best) } else { 0.0 }
    };
    Ok(scores.into_iter().zip(groups).enumerate().map(mean).collect())
}
