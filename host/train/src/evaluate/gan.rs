//! The generator, as the scorer sees what it paints.

use super::{embed, first_caption, paint_split};
use crate::{Result, Role, World};
use ekphrasis_data::{Split, hard_distractors, stream};
use ekphrasis_metrics::{
    FeatureStatistics, Trial, frechet_distance, kernel_distance, kernel_distance_of_subsets, r_precision,
};
use embed::Embedded;
use rand::{RngExt, seq::index::sample};
use std::collections::BTreeMap;

/// Captions of other pictures that a picture's own is to be told from.
const OTHERS: usize = 9;
/// With more pictures than this, the kernel distance is the mean over subsets.
const WHOLE: usize = 4000;
/// Number and size of those subsets, as KID is reported.
const SUBSETS: (usize, usize) = (100, 1000);

/// R-precision of painted and of real pictures, and distances between the two.
///
/// `r_precision` (Xu et al. 2018) says how often the scorer picks a picture's own caption among ten: with
/// nine captions of other pictures, and (`_hard`) with nine that differ from it in one attribute, where the
/// data know such. Chance is 0.1. `frechet(NAME)` and `kernel(NAME)` are the Fréchet and kernel distances
/// between painted and real pictures as the scorer NAME embeds them: computed as FID and KID are, but not
/// FID and KID, which are defined by another network.
pub fn gan(world: &World, split: &Split) -> Result<BTreeMap<String, f64>> {
    let captions: Vec<Vec<u32>> = (0..split.len()).map(|i| first_caption(split, i)).collect();
    let mut rng = stream(world.config.seed, "evaluate/distractors", 0);
    let mut random = vec![];
    if split.len() > OTHERS {
        for _ in 0..world.config.evaluation.draws {
            random.extend((0..split.len()).map(|i| {
                let others = sample(&mut rng, split.len() - 1, OTHERS);
                Trial { image: i, own: i, others: others.iter().map(|j| j + usize::from(j >= i)).collect() }
            }));
        }
    }
    // Distractors stand behind the captions, in one list.
    let (mut all, mut hard) = (captions, vec![]);
    for (i, example) in split.examples.iter().enumerate() {
        // Only where the scene is known can one tell what is not true of it.
        let (Some(caption), Some(scene)) = (example.captions.first(), &example.scene) else { continue };
        let mut rng = stream(world.config.seed, "evaluate/hard", rng.random::<u64>());
        let others = hard_distractors(caption, Some(scene), OTHERS, &mut rng);
        if others.len() == OTHERS {
            hard.push(Trial { image: i, own: i, others: (all.len()..all.len() + OTHERS).collect() });
            all.extend(others.iter().map(|h| world.data.vocabulary.encode(h)));
        }
    }

    let texts = embed::captions(world, &format!("captions of {}", split.name), &all)?;
    let real = embed::real(world, split)?;
    let painted = paint_split(world, split)?;
    let painted = embed::images(world, &format!("pictures painted for {}", split.name), painted)?;
    let mut scores = BTreeMap::new();
    for (trials, name) in [(random, "r_precision"), (hard, "r_precision_hard")] {
        if !trials.is_empty() {
            scores.insert(name.to_owned(), r_precision(&painted.rows()?, &texts.rows()?, &trials)?);
            scores.insert(format!("{name}_real"), r_precision(&real.rows()?, &texts.rows()?, &trials)?);
        }
    }
    if split.len() > 1 {
        distances(world, &real, &painted, &mut scores)?;
    }
    Ok(scores)
}

fn distances(
    world: &World,
    real: &Embedded,
    painted: &Embedded,
    scores: &mut BTreeMap<String, f64>,
) -> Result<()> {
    // Dots would nest the name in `summary.json`.
    let name = world.model(Role::Scorer)?.name.replace('.', "_");
    let statistics = |set: &Embedded, what| -> Result<FeatureStatistics> {
        let mut statistics = FeatureStatistics::new(set.width);
        statistics.add(what, &set.values)?;
        Ok(statistics)
    };
    let (a, b) = (statistics(real, "real pictures")?, statistics(painted, "painted pictures")?);
    if a.is_singular() {
        world.note(&format!(
            "frechet({name}): {} pictures are few for {} dimensions; it compares only at equal numbers of pictures",
            a.count(),
            a.width()
        ));
    }
    scores.insert(format!("frechet({name})"), frechet_distance(&a, &b)?);
    let (x, y) = (&real.values, &painted.values);
    let kernel = if a.count() as usize <= WHOLE {
        kernel_distance(x, y, real.width)?
    } else {
        kernel_distance_of_subsets(x, y, real.width, SUBSETS.0, SUBSETS.1, world.config.seed)?.mean
    };
    scores.insert(format!("kernel({name})"), kernel);
    Ok(())
}
