//! `shapes`: small drawn pictures whose content is known, with captions from a small grammar.
//!
//! A picture shows one to three objects on a plain ground, in different places of a 3x3 grid. Eight of the
//! 48 (shape, colour) pairs never occur in `train`, `val` and `test`; every picture of `compositional` holds
//! one or more of them. All of it is a pure function of the seed, and example `i` of a split does not depend
//! on how many there are.

pub mod distractors;
pub mod draw;
pub mod grammar;
pub mod meaning;
pub mod scene;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cache::{PixelFile, PixelWriter};
use crate::threads::for_each;
use crate::{DataError, Dataset, Example, ImageStore, Progress, Scene, Split, Vocabulary, stream, words};

/// Raised when the same options would give other scenes, captions or pictures than before.
const VERSION: u32 = 1;
/// Captions of each picture.
const CAPTIONS: usize = 5;
/// The largest picture that is drawn, in pixels a side.
const MAX_SIZE: usize = 1024;

/// Settings of the format `shapes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Width and height in pixels; what is drawn grows with it.
    pub image_size: usize,
    /// Pictures in each split.
    pub counts: Counts,
}

impl Default for Options {
    fn default() -> Options {
        Options { seed: 0, image_size: 32, counts: Counts::default() }
    }
}

/// Pictures in each split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counts {
    /// For training.
    pub train: usize,
    /// For choosing.
    pub val: usize,
    /// For reporting.
    pub test: usize,
    /// Pictures with a (shape, colour) pair that training never shows.
    pub compositional: usize,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts { train: 4000, val: 500, test: 500, compositional: 500 }
    }
}

/// A split while it is being made.
struct Plan {
    name: &'static str,
    scenes: Vec<Scene>,
    captions: Vec<Vec<String>>,
}

/// Makes the data set, taking the pictures from the cache folder if they were drawn before.
pub fn open(options: &Options, cache: &Path, progress: Progress) -> Result<Dataset, DataError> {
    let size = options.image_size;
    if !(8..=MAX_SIZE).contains(&size) {
        let message = format!("expected 8 to {MAX_SIZE} pixels, found {size}");
        return Err(DataError::setting("image_size", message));
    }
    if options.counts.train == 0 {
        return Err(DataError::setting("counts.train", "expected 1 or more, found 0"));
    }
    let plans: Vec<Plan> = scenes(options);
    let key = key(options);
    let mut notes = Vec::new();
    let file = Arc::new(pictures(&plans, options, &key, cache, progress, &mut notes)?);

    let tokenised: Vec<Vec<String>> = plans
        .iter()
        .filter(|plan| plan.name == "train")
        .flat_map(|plan| &plan.captions)
        .flatten()
        .map(|c| words(c))
        .collect();
    let grammar = grammar::all_words();
    let always: Vec<&str> = grammar.iter().map(String::as_str).collect();
    let vocabulary = Vocabulary::build(&tokenised, 1, &always);

    let mut splits = BTreeMap::new();
    let mut row = 0;
    for plan in plans {
        let rows = (row..row + plan.scenes.len() as u32).collect();
        row += plan.scenes.len() as u32;
        let examples =
            plan.scenes.into_iter().zip(plan.captions).enumerate().map(|(index, (scene, captions))| {
                let tokens = captions.iter().map(|caption| vocabulary.encode(caption)).collect();
                Example { id: format!("{}/{index}", plan.name), captions, tokens, scene: Some(scene) }
            });
        let name = plan.name.to_owned();
        let split = Split {
            name: name.clone(),
            examples: examples.collect(),
            images: ImageStore::from_file(size, Arc::clone(&file), rows),
        };
        splits.insert(name, split);
    }
    Ok(Dataset { format: "shapes", splits, vocabulary, image_size: size, notes, fingerprint: key })
}

fn scenes(options: &Options) -> Vec<Plan> {
    let counts = &options.counts;
    [
        ("train", counts.train),
        ("val", counts.val),
        ("test", counts.test),
        ("compositional", counts.compositional),
    ]
    .into_iter()
    .map(|(name, count)| {
        let made = (0..count as u64).map(|index| {
            let mut rng = stream(options.seed, &format!("shapes/{name}/scene"), index);
            let scene = Scene::random(&mut rng, name == "compositional");
            let captions = grammar::captions(&scene, CAPTIONS, &mut rng);
            (scene, captions)
        });
        let (scenes, captions) = made.unzip();
        Plan { name, scenes, captions }
    })
    .collect()
}

fn key(options: &Options) -> String {
    blake3::hash(format!("shapes {VERSION} {options:?}").as_bytes()).to_hex().to_string()
}

/// Finds the pictures in the cache folder, or draws them.
fn pictures(
    plans: &[Plan],
    options: &Options,
    key: &str,
    cache: &Path,
    progress: Progress,
    notes: &mut Vec<String>,
) -> Result<PixelFile, DataError> {
    let path = PixelFile::path(cache, "shapes", key);
    match PixelFile::open(&path, key) {
        Ok(Some(file)) => return Ok(file),
        Ok(None) => {}
        Err(DataError::DamagedCache { path, message }) => {
            notes.push(format!("{} was damaged ({message}) and was drawn again", path.display()));
        }
        Err(other) => return Err(other),
    }
    let jobs: Vec<(&str, usize, &Scene)> = plans
        .iter()
        .flat_map(|plan| plan.scenes.iter().enumerate().map(|(index, scene)| (plan.name, index, scene)))
        .collect();
    let writer = PixelWriter::create(&path, key, jobs.len(), options.image_size)?;
    for_each(0, jobs.len(), progress, |row| {
        let Some((name, index, scene)) = jobs.get(row) else { return Ok(()) };
        let mut rng = stream(options.seed, &format!("shapes/{name}/picture"), *index as u64);
        writer.put(row, Ok(&draw::draw(scene, options.image_size, &mut rng)))
    })?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn small() -> Options {
        let counts = Counts { train: 120, val: 30, test: 20, compositional: 40 };
        Options { seed: 5, image_size: 32, counts }
    }

    fn open_in(folder: &Path, options: &Options) -> Dataset {
        open(options, folder, &|_, _| ()).unwrap()
    }

    #[test]
    fn held_out_pairs_are_where_they_belong() {
        let folder = tempfile::tempdir().unwrap();
        let data = open_in(folder.path(), &small());
        for (name, split) in &data.splits {
            for example in &split.examples {
                let scene = example.scene.as_ref().unwrap();
                let held = scene.pairs().iter().any(|(shape, colour)| scene::held_out(*shape, *colour));
                assert_eq!(held, name == "compositional", "{}", example.id);
            }
        }
    }

    #[test]
    fn captions_are_known_words_of_five_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let data = open_in(folder.path(), &small());
        let mut distinct = 0;
        for example in data.splits.values().flat_map(|split| &split.examples) {
            assert_eq!((example.captions.len(), example.tokens.len()), (CAPTIONS, CAPTIONS));
            for (caption, ids) in example.captions.iter().zip(&example.tokens) {
                assert_eq!(&data.vocabulary.decode(ids), caption);
                assert!(!ids.contains(&Vocabulary::UNK) && ids.len() < 20, "{caption}");
            }
            let set: std::collections::BTreeSet<_> = example.captions.iter().collect();
            distinct += usize::from(set.len() == CAPTIONS);
        }
        assert_eq!(distinct, 210, "five different captions for every picture");
        assert!(data.vocabulary.words().contains(&"crosses".to_owned()));
    }

    #[test]
    fn the_cache_gives_the_same_and_a_damaged_one_is_drawn_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = small();
        let bytes = |data: &Dataset| -> Vec<u8> {
            data.splits.values().flat_map(|s| (0..s.len()).flat_map(|i| s.images.bytes(i).unwrap())).collect()
        };
        let calls = AtomicUsize::new(0);
        let count = |_, _| {
            let _ = calls.fetch_add(1, Ordering::Relaxed);
        };
        let first = open(&options, folder.path(), &count).unwrap();
        let drawn = bytes(&first);
        assert_eq!(calls.load(Ordering::Relaxed), 210);
        let again = open(&options, folder.path(), &count).unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 210, "the second time nothing is drawn");
        assert_eq!(drawn, bytes(&again));
        assert!(again.notes.is_empty());

        let path = PixelFile::path(folder.path(), "shapes", &first.fingerprint);
        let mut broken = std::fs::read(&path).unwrap();
        broken[1000] ^= 1;
        std::fs::write(&path, broken).unwrap();
        let redrawn = open(&options, folder.path(), &count).unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 420);
        assert!(redrawn.notes[0].contains("drawn again"), "{:?}", redrawn.notes);
        assert_eq!(drawn, bytes(&redrawn));
    }

    #[test]
    fn the_seed_decides_and_the_count_does_not_disturb() {
        let folder = tempfile::tempdir().unwrap();
        let base = open_in(folder.path(), &small());
        let mut more = small();
        more.counts.train = 125;
        let more = open_in(folder.path(), &more);
        // Ids may differ: they go by how often a word comes.
        let content = |data: &Dataset, name: &str| -> Vec<_> {
            let examples = data.splits[name].examples.iter().take(120);
            examples.map(|example| (example.captions.clone(), example.scene.clone())).collect()
        };
        assert_eq!(content(&base, "train"), content(&more, "train"));
        assert_eq!(content(&base, "val"), content(&more, "val"));
        let at = |data: &Dataset| data.splits["train"].images.bytes(119).unwrap();
        assert_eq!(at(&base), at(&more));
        let other = open_in(folder.path(), &Options { seed: 6, ..small() });
        assert_ne!(base.splits["train"].examples[0].scene, other.splits["train"].examples[0].scene);
    }

    /// Changes when pictures or captions do; then `VERSION` must rise, or old cache files would be mistaken.
    #[test]
    fn pictures_and_captions_are_those_of_this_version() {
        let folder = tempfile::tempdir().unwrap();
        let data = open_in(folder.path(), &small());
        let mut hasher = blake3::Hasher::new();
        for split in data.splits.values() {
            for (index, example) in split.examples.iter().enumerate() {
                hasher.update(example.captions.join("\n").as_bytes());
                hasher.update(&split.images.bytes(index).unwrap());
            }
        }
        assert_eq!((VERSION, &hasher.finalize().to_hex()[..16]), (1, "912e040cce38e9fd"));
    }

    #[test]
    fn other_sizes_show_the_same_scene() {
        let folder = tempfile::tempdir().unwrap();
        let small_pictures = open_in(folder.path(), &small());
        let large = open_in(folder.path(), &Options { image_size: 64, ..small() });
        let (a, b) = (&small_pictures.splits["train"], &large.splits["train"]);
        assert_eq!(a.examples, b.examples);
        // Halving the large picture gives nearly the small one.
        let (a, b) = (a.images.bytes(0).unwrap(), b.images.bytes(0).unwrap());
        let at = |plane, y, x| f32::from(b[plane * 4096 + y * 64 + x]);
        let mut difference = 0.0;
        for (index, value) in a.iter().enumerate() {
            let (plane, y, x) = (index / 1024, index / 32 % 32 * 2, index % 32 * 2);
            let mean =
                (at(plane, y, x) + at(plane, y + 1, x) + at(plane, y, x + 1) + at(plane, y + 1, x + 1)) / 4.0;
            difference += (f32::from(*value) - mean).abs();
        }
        assert!(difference / (a.len() as f32) < 1.0, "mean difference {}", difference / a.len() as f32);
    }
}
