//! `karpathy`: pictures in a folder, captions and splits in Karpathy's JSON.
//!
//! The form of `dataset.json` is that of <https://cs.stanford.edu/people/karpathy/deepimagesent/>. Pictures
//! are prepared once (decoded, resized, cropped) and then read from a file in the cache folder, which is made
//! anew when the annotations, the settings, or size or time of a picture's file change.

mod annotations;
mod prepare;

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::cache::{PixelFile, PixelWriter};
use crate::threads::for_each;
use crate::{DataError, Dataset, Example, ImageStore, Progress, Split, Vocabulary};
use annotations::Picture;

/// Raised when the same files and options would give other pixels than before.
const VERSION: u32 = 1;
/// How many bad pictures a message lists.
const LISTED: usize = 5;

/// Settings of the format `karpathy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The JSON file.
    pub annotations: PathBuf,
    /// The folder of pictures.
    pub images: PathBuf,
    /// Width and height of the prepared pictures in pixels.
    pub image_size: usize,
    /// Words seen less often in the training captions become `<unk>`.
    pub min_count: usize,
    /// The share of pictures, 0 to 1, that may be missing or damaged; they are left out.
    pub max_bad: f64,
    /// Pictures with more pixels than this, in millions, count as damaged and are not decoded.
    pub max_megapixels: f64,
    /// Picture files larger than this, in MiB, count as damaged and are not read.
    pub max_file_mib: u64,
    /// Threads that prepare pictures; 0: one for each core.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            annotations: PathBuf::new(),
            images: PathBuf::new(),
            image_size: 64,
            min_count: 5,
            max_bad: 0.01,
            max_megapixels: 64.0,
            max_file_mib: 64,
            threads: 0,
        }
    }
}

/// Reads the annotations and prepares the pictures, or finds them in the cache folder.
pub fn open(options: &Options, cache: &Path, progress: Progress) -> Result<Dataset, DataError> {
    check(options)?;
    let bytes = std::fs::read(&options.annotations).map_err(DataError::io("read", &options.annotations))?;
    let annotations = annotations::read(&options.annotations, &bytes)?;
    std::fs::read_dir(&options.images).map_err(DataError::io("read the folder", &options.images))?;
    let mut notes = annotations.notes;
    let pictures = annotations.pictures;
    let files: Vec<(PathBuf, Option<Metadata>)> = pictures.iter().map(|p| find(&options.images, p)).collect();
    let key = key(options, &bytes, &files);
    drop(bytes);

    let file = Arc::new(prepared(options, &files, &key, cache, progress, &mut notes)?);
    let first: Vec<String> = file
        .bad()
        .iter()
        .take(LISTED)
        .filter_map(|(row, reason)| Some(format!("{}: {reason}", pictures.get(*row)?.path.display())))
        .collect();
    let (bad, total) = (file.bad().len(), pictures.len());
    if bad as f64 > options.max_bad * total as f64 {
        let (folder, max_bad) = (options.images.clone(), options.max_bad);
        return Err(DataError::BadPictures { folder, bad, total, max_bad, first });
    }
    if bad > 0 {
        let more = if bad > LISTED { ", ..." } else { "" };
        notes.push(format!("{bad} of {total} pictures were left out: {}{more}", first.join(", ")));
    }
    let mut rows: Vec<(u32, Picture)> = (0..).zip(pictures).collect();
    rows.retain(|(row, _)| file.bad().binary_search_by_key(&(*row as usize), |(bad, _)| *bad).is_err());

    let training = rows.iter().filter(|(_, picture)| picture.split == "train");
    let captions = training.flat_map(|(_, picture)| picture.captions.iter().map(|caption| &caption.words));
    let vocabulary = Vocabulary::build(captions, options.min_count, &[]);
    let splits = splits(rows, &vocabulary, &file, options.image_size);
    if !splits.contains_key("train") {
        let message = format!("{} has no picture for it that can be used", options.annotations.display());
        return Err(DataError::Split { split: "train".into(), message });
    }
    let image_size = options.image_size;
    Ok(Dataset { format: "karpathy", splits, vocabulary, image_size, notes, fingerprint: key })
}

/// Decodes and resizes one picture file exactly as those of a data set are, within the default limits.
///
/// Gives `3 * size * size` bytes: channels, rows, columns.
pub fn decode_picture(path: &Path, size: usize) -> Result<Vec<u8>, DataError> {
    decode(path, size, &limits(&Options::default()))
}

/// [`decode_picture`] of many files, on all cores; one after the other in memory.
///
/// # Errors
/// Names one of the files that cannot be used.
pub fn decode_pictures(paths: &[PathBuf], size: usize) -> Result<Vec<u8>, DataError> {
    let limits = limits(&Options::default());
    let decoded: Vec<OnceLock<Vec<u8>>> = paths.iter().map(|_| OnceLock::new()).collect();
    for_each(0, paths.len(), &|_, _| (), |i| {
        // Each index comes once, so the place is empty.
        let _ = decoded[i].set(decode(&paths[i], size, &limits)?);
        Ok(())
    })?;
    Ok(decoded.into_iter().filter_map(OnceLock::into_inner).flatten().collect())
}

fn limits(options: &Options) -> prepare::Limits {
    prepare::Limits::new(options.max_megapixels, options.max_file_mib)
}

fn decode(path: &Path, size: usize, limits: &prepare::Limits) -> Result<Vec<u8>, DataError> {
    let metadata = std::fs::metadata(path).map_err(DataError::io("read", path))?;
    prepare::prepare(path, &metadata, size, limits)
        .map_err(|reason| DataError::malformed(path, "picture", reason))
}

fn check(options: &Options) -> Result<(), DataError> {
    for (key, path) in [("annotations", &options.annotations), ("images", &options.images)] {
        if path.as_os_str().is_empty() {
            return Err(DataError::setting(key, "is missing; it names a path"));
        }
    }
    if !(1..=2048).contains(&options.image_size) {
        let message = format!("expected 1 to 2048 pixels, found {}", options.image_size);
        return Err(DataError::setting("image_size", message));
    }
    if !(0.0..=1.0).contains(&options.max_bad) {
        let message = format!("expected a share from 0 to 1, found {}", options.max_bad);
        return Err(DataError::setting("max_bad", message));
    }
    if !(options.max_megapixels > 0.0 && options.max_megapixels <= 4096.0) {
        let message = format!("expected more than 0 and at most 4096, found {}", options.max_megapixels);
        return Err(DataError::setting("max_megapixels", message));
    }
    Ok(())
}

/// The picture's file: in its subfolder, or straight in the folder, as people unpack archives both ways.
fn find(folder: &Path, picture: &Picture) -> (PathBuf, Option<Metadata>) {
    let path = folder.join(&picture.path);
    let metadata = std::fs::metadata(&path);
    if let (Err(_), Some(name)) = (&metadata, picture.path.file_name()) {
        let flat = folder.join(name);
        if let Ok(metadata) = std::fs::metadata(&flat) {
            return (flat, Some(metadata));
        }
    }
    (path, metadata.ok())
}

/// Names the prepared pictures by all that they depend on.
fn key(options: &Options, annotations: &[u8], files: &[(PathBuf, Option<Metadata>)]) -> String {
    let mut hasher = blake3::Hasher::new();
    let Options { image_size, max_megapixels, max_file_mib, .. } = options;
    hasher.update(format!("karpathy {VERSION} {image_size} {max_megapixels} {max_file_mib}\n").as_bytes());
    hasher.update(blake3::hash(annotations).as_bytes());
    for (path, metadata) in files {
        hasher.update(path.as_os_str().as_encoded_bytes());
        let about = metadata.as_ref().map(|metadata| (metadata.len(), metadata.modified().ok()));
        hasher.update(format!("{about:?}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn prepared(
    options: &Options,
    files: &[(PathBuf, Option<Metadata>)],
    key: &str,
    cache: &Path,
    progress: Progress,
    notes: &mut Vec<String>,
) -> Result<PixelFile, DataError> {
    let path = PixelFile::path(cache, "karpathy", key);
    match PixelFile::open(&path, key) {
        Ok(Some(file)) => return Ok(file),
        Ok(None) => {}
        Err(DataError::DamagedCache { path, message }) => {
            notes.push(format!("{} was damaged ({message}) and was made again", path.display()));
        }
        Err(other) => return Err(other),
    }
    let limits = limits(options);
    let writer = PixelWriter::create(&path, key, files.len(), options.image_size)?;
    for_each(options.threads, files.len(), progress, |row| {
        let Some((path, metadata)) = files.get(row) else { return Ok(()) };
        let picture = match metadata {
            Some(metadata) => prepare::prepare(path, metadata, options.image_size, &limits),
            None => Err("missing".to_owned()),
        };
        writer.put(row, picture.as_deref().map_err(Clone::clone))
    })?;
    writer.finish()
}

fn splits(
    rows: Vec<(u32, Picture)>,
    vocabulary: &Vocabulary,
    file: &Arc<PixelFile>,
    image_size: usize,
) -> BTreeMap<String, Split> {
    let mut parts: BTreeMap<&'static str, (Vec<u32>, Vec<Example>)> = BTreeMap::new();
    for (row, picture) in rows {
        let (part_rows, examples) = parts.entry(picture.split).or_default();
        part_rows.push(row);
        let tokens = picture.captions.iter().map(|caption| vocabulary.encode_words(&caption.words)).collect();
        let captions = picture.captions.into_iter().map(|caption| caption.raw).collect();
        let id = picture.path.to_string_lossy().into_owned();
        examples.push(Example { id, captions, tokens, scene: None });
    }
    parts
        .into_iter()
        .map(|(name, (rows, examples))| {
            let images = ImageStore::from_file(image_size, Arc::clone(file), rows);
            (name.to_owned(), Split { name: name.to_owned(), examples, images })
        })
        .collect()
}

#[cfg(test)]
mod tests;
