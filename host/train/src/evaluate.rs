//! Evaluation of the captioner, and of captioner and generator through the scorer.

mod embed;
mod gan;
mod scorer;

pub use gan::gan;
pub use scorer::scorer;

use crate::{Captions, Result, Role, World, noise, rollout::Rollout};
use ekphrasis_data::{Split, Vocabulary};
use ekphrasis_runtime::DeviceTensor;
use std::collections::HashMap;

/// Captions for every picture of a split, by the policy of the config's `evaluation`.
pub fn caption_split(world: &World, rollout: &mut Rollout, split: &Split) -> Result<Captions> {
    let mut rows = vec![];
    let all: Vec<usize> = (0..split.len()).collect();
    for (i, indices) in all.chunks(world.config.evaluation.batch).enumerate() {
        let seed = world.config.seed;
        let captions = rollout.run(world, &pictures(split, indices)?, |t, n| {
            noise::uniform(seed, &format!("evaluate/{}/{t}", split.name), i as u64, n)
        })?;
        rows.extend(captions.rows().to_vec());
    }
    Ok(Captions::new(rows))
}

/// Pictures of a split, f32[n, 3, S, S].
pub fn pictures(split: &Split, indices: &[usize]) -> Result<DeviceTensor> {
    let image = split.images.batch(indices)?;
    let dims = image.shape().to_vec();
    Ok(DeviceTensor::from_f32(&dims, image.into_raw_vec_and_offset().0)?)
}

fn tokens(world: &World, captions: &[Vec<u32>]) -> Result<Vec<DeviceTensor>> {
    let length = world.sizes.max_length;
    captions
        .chunks(world.config.evaluation.batch)
        .map(|chunk| {
            let flat: Vec<i64> = chunk.iter().flat_map(|c| Vocabulary::pad(c, length)).collect();
            Ok(DeviceTensor::from_i64(&[chunk.len(), length], flat)?)
        })
        .collect()
}

/// Pictures painted from the first caption of each example, f32[n, 3, S, S] in parts.
pub fn paint_split(world: &World, split: &Split) -> Result<Vec<DeviceTensor>> {
    let first: Vec<Vec<u32>> = (0..split.len()).map(|i| first_caption(split, i)).collect();
    let z = world.noise_size()?;
    let mut painted = vec![];
    for (i, part) in tokens(world, &first)?.into_iter().enumerate() {
        let n = part.dims()[0];
        let values =
            noise::normal(world.config.seed, &format!("evaluate/paint/{}", split.name), i as u64, n * z);
        let feed = HashMap::from([
            ("noise".to_owned(), DeviceTensor::from_f32(&[n, z], values)?),
            ("tokens".to_owned(), part),
        ]);
        painted.extend(world.forward(Role::Generator, "generate", &feed)?);
    }
    Ok(painted)
}

fn first_caption(split: &Split, i: usize) -> Vec<u32> {
    split.references(i).first().cloned().unwrap_or_default()
}

/// A picture of a batch as RGB bytes, row by row.
pub fn to_rgb(pixels: &[f32], side: usize) -> Vec<u8> {
    let plane = side * side;
    let byte = |v: f32| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    (0..plane).flat_map(|i| [0, 1, 2].map(|c| pixels.get(c * plane + i).map_or(0, |v| byte(*v)))).collect()
}
