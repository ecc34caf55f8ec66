//! Retrieval of captions by pictures and of pictures by captions.
//!
//! The protocol of Karpathy and Fei-Fei 2015, <https://arxiv.org/abs/1412.2306>: a picture has several
//! captions; it has found them when it has found the best of them; each caption looks for its one picture.

use crate::{Embeddings, MetricsError, parallel};
use nalgebra::{DMatrix, DMatrixView};

/// Queries that are compared with all items at a time: a block of similarities stays small.
const BLOCK: usize = 128;

/// How high the right items stand when all are sorted by similarity.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Share of queries, 0 to 1, with a right item first.
    pub recall_at_1: f64,
    /// Share of queries with a right item among the first five.
    pub recall_at_5: f64,
    /// Share of queries with a right item among the first ten.
    pub recall_at_10: f64,
    /// Median of the ranks, from 1. Rounded down between two, as the reference code does.
    pub median_rank: f64,
    /// Mean of the ranks.
    pub mean_rank: f64,
}

impl Ranking {
    fn of(mut ranks: Vec<usize>) -> Self {
        ranks.sort_unstable();
        let n = ranks.len().max(1) as f64;
        let within = |k: usize| ranks.partition_point(|r| *r <= k) as f64 / n;
        let middle = |i: usize| ranks.get(i).copied().unwrap_or(0);
        let median = (middle(ranks.len().saturating_sub(1) / 2) + middle(ranks.len() / 2)) / 2;
        Self {
            recall_at_1: within(1),
            recall_at_5: within(5),
            recall_at_10: within(10),
            median_rank: median as f64,
            mean_rank: ranks.iter().sum::<usize>() as f64 / n,
        }
    }
}

/// Retrieval in both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrieval {
    /// Pictures look for one of their captions among all captions.
    pub image_to_text: Ranking,
    /// Captions look for their picture among all pictures.
    pub text_to_image: Ranking,
}

/// Retrieval by cosine, in which `image_of[j]` is the picture that caption `j` describes.
///
/// Ties are taken pessimistically: whatever is as near as the right item stands before it, so an encoder
/// that maps all to one point finds nothing. Similarities are computed in blocks, on all cores, in `f32`;
/// memory is that of the embeddings and of one block for each core.
///
/// # Errors
/// When widths differ, when there is no picture, or when a picture has no caption.
pub fn retrieval(
    images: &Embeddings,
    captions: &Embeddings,
    image_of: &[usize],
) -> Result<Retrieval, MetricsError> {
    captions.check_width(images)?;
    if images.is_empty() {
        return Err(MetricsError::vectors("retrieval", "at least one picture", "none"));
    }
    let captions_of = images.groups(captions, image_of)?;
    let image_of: Vec<[usize; 1]> = image_of.iter().map(|i| [*i]).collect();
    let (rows, texts, width) = (images.normalised(), captions.normalised(), images.width());
    Ok(Retrieval {
        image_to_text: Ranking::of(ranks(&rows, &texts, width, |i| &captions_of[i])),
        text_to_image: Ranking::of(ranks(&texts, &rows, width, |j| &image_of[j])),
    })
}

/// For each query the rank, from 1, of the best of its right items: one more than there are other items at
/// least as near.
fn ranks<'a>(
    queries: &[f32],
    items: &[f32],
    width: usize,
    right: impl Fn(usize) -> &'a [usize] + Sync,
) -> Vec<usize> {
    // Rows as they lie in memory are the columns of nalgebra's matrices.
    let items = DMatrixView::from_slice(items, width, items.len() / width);
    let items_transposed = items.transpose();
    let blocks: Vec<&[f32]> = queries.chunks(BLOCK * width).collect();
    let of_block = |b: usize| {
        let block = DMatrixView::from_slice(blocks[b], width, blocks[b].len() / width);
        let similarities: DMatrix<f32> = &items_transposed * block;
        let rank = |(i, column): (usize, &[f32])| {
            let right = right(b * BLOCK + i);
            let best = right.iter().map(|j| column[*j]).fold(f32::NEG_INFINITY, f32::max);
            let nearer = column.iter().filter(|s| **s >= best).count();
            1 + nearer - right.iter().filter(|j| column[**j] >= best).count()
        };
        similarities
            .as_slice()
            .chunks_exact(items_transposed.nrows())
            .enumerate()
            .map(rank)
            .collect::<Vec<_>>()
    };
    parallel::each(blocks.len(), 1, |(), block| of_block(block)).concat()
}
