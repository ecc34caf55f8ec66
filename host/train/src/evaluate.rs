//! Evaluation of the captioner, and of the generator through the scorer.

use crate::{Captions, Result, Role, TrainError, World, noise, rollout::Rollout};
use ekphrasis_data::{Split, Vocabulary, hard_distractors, stream};
use ekphrasis_runtime::DeviceTensor;
use rand::{RngExt, seq::index::sample};
use std::collections::{BTreeMap, HashMap};

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

/// Runs a graph with one input over rows in batches, and joins the rows of its output.
fn embed(world: &World, graph: &str, port: &str, parts: Vec<DeviceTensor>) -> Result<Vec<Vec<f32>>> {
    let mut rows = vec![];
    for part in parts {
        let out = world.forward(Role::Scorer, graph, &HashMap::from([(port.to_owned(), part)]))?;
        let out =
            out.into_iter().next().ok_or_else(|| TrainError::model("scorer", "it gave no embedding"))?;
        let width = out.dims().last().copied().unwrap_or(1).max(1);
        rows.extend(out.to_f32()?.chunks(width).map(<[f32]>::to_vec));
    }
    Ok(rows)
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

/// R-precision (Xu et al. 2018): how often the scorer picks a picture's own caption among ten.
///
/// For painted and for real pictures, with nine captions of other pictures, and with nine that differ
/// from it in one attribute where the data know such. Chance is 0.1.
pub fn r_precision(world: &World, split: &Split) -> Result<BTreeMap<String, f64>> {
    let captions: Vec<Vec<u32>> = (0..split.len()).map(|i| first_caption(split, i)).collect();
    let texts = embed(world, "text", "tokens", tokens(world, &captions)?)?;
    let all: Vec<usize> = (0..split.len()).collect();
    let real: Result<Vec<_>> =
        all.chunks(world.config.evaluation.batch).map(|c| pictures(split, c)).collect();
    let real = embed(world, "image", "image", real?)?;
    let painted = embed(world, "image", "image", paint_split(world, split)?)?;

    let mut out = BTreeMap::new();
    let mut rng = stream(world.config.seed, "evaluate/distractors", 0);
    let (mut hits, mut hits_real, mut asked) = (0u64, 0u64, 0u64);
    if split.len() > 9 {
        for _ in 0..world.config.evaluation.draws {
            for i in 0..split.len() {
                let others: Vec<usize> =
                    sample(&mut rng, split.len() - 1, 9).iter().map(|j| j + usize::from(j >= i)).collect();
                let wins = |image: &[f32]| {
                    let own = dot(image, &texts[i]);
                    u64::from(others.iter().all(|j| own > dot(image, &texts[*j])))
                };
                hits += wins(&painted[i]);
                hits_real += wins(&real[i]);
                asked += 1;
            }
        }
        out.insert("r_precision".into(), hits as f64 / asked.max(1) as f64);
        out.insert("r_precision_real".into(), hits_real as f64 / asked.max(1) as f64);
    }

    let mut flat = vec![];
    let mut which = vec![];
    for (i, example) in split.examples.iter().enumerate() {
        // Only where the scene is known can one tell what is not true of it.
        let (Some(caption), Some(scene)) = (example.captions.first(), &example.scene) else { continue };
        let mut rng = stream(world.config.seed, "evaluate/hard", rng.random::<u64>());
        let hard = hard_distractors(caption, Some(scene), 9, &mut rng);
        if hard.len() == 9 {
            flat.extend(hard.iter().map(|h| world.data.vocabulary.encode(h)));
            which.push(i);
        }
    }
    if !which.is_empty() {
        let hard = embed(world, "text", "tokens", tokens(world, &flat)?)?;
        let rate = |images: &[Vec<f32>]| {
            let wins = which.iter().zip(hard.chunks(9)).filter(|(i, others)| {
                let own = dot(&images[**i], &texts[**i]);
                others.iter().all(|t| own > dot(&images[**i], t))
            });
            wins.count() as f64 / which.len() as f64
        };
        out.insert("r_precision_hard".into(), rate(&painted));
        out.insert("r_precision_hard_real".into(), rate(&real));
    }
    Ok(out)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// A picture of a batch as RGB bytes, row by row.
pub fn to_rgb(pixels: &[f32], side: usize) -> Vec<u8> {
    let plane = side * side;
    let byte = |v: f32| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    (0..plane).flat_map(|i| [0, 1, 2].map(|c| pixels.get(c * plane + i).map_or(0, |v| byte(*v)))).collect()
}
