//! Captions by image.

use super::source::Source;
use crate::error::MetricsError;
use crate::texts::Texts;
use std::collections::HashMap;

/// Captions by image, in the order in which the file names the images.
///
/// An image may be known by several ids: Karpathy's JSON has file name, COCO id and running number. They are all
/// kept, each kind under its name.
#[derive(Debug, Clone)]
pub struct CaptionSet {
    file: String,
    form: &'static str,
    kinds: Vec<IdKind>,
    splits: Vec<Box<str>>,
    /// The images that are selected, in order.
    images: Vec<Image>,
    captions: Texts,
    /// Captions sorted by image.
    by_image: Vec<u32>,
    without_captions: usize,
}

/// One kind of ids, with that of each image of the file; empty where an image has none.
#[derive(Debug, Clone)]
pub(super) struct IdKind {
    pub(super) name: &'static str,
    pub(super) ids: Vec<Box<str>>,
}

#[derive(Debug, Clone)]
struct Image {
    /// Number of the image in the file.
    number: u32,
    split: Option<u16>,
    /// Where its captions end in `by_image`, and how many there are.
    end: u32,
    count: u32,
}

impl CaptionSet {
    /// The file's name, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The name of the file's form.
    pub fn form(&self) -> &'static str {
        self.form
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// How many images the file names without giving them a caption; they are not in the set.
    pub fn without_captions(&self) -> usize {
        self.without_captions
    }

    /// The captions of an image (0 to `len() - 1`), in the order of the file.
    pub fn captions(&self, image: usize) -> impl ExactSizeIterator<Item = &str> {
        let Image { end, count, .. } = self.images[image];
        let numbers = &self.by_image[(end - count) as usize..end as usize];
        numbers.iter().map(|number| self.captions.get(*number as usize))
    }

    /// The splits that the file names, each with the number of its images; none where it names none.
    pub fn splits(&self) -> Vec<(&str, usize)> {
        let of = |split| self.images.iter().filter(|image| image.split == Some(split)).count();
        (0..).zip(&self.splits).map(|(i, name)| (name.as_ref(), of(i))).collect()
    }

    /// Keeps the images of these splits only.
    ///
    /// # Errors
    /// If the file names no splits, or not these.
    pub fn select(&mut self, splits: &[&str]) -> Result<(), MetricsError> {
        let mut wanted = Vec::new();
        for name in splits {
            let Some(split) = self.splits.iter().position(|split| split.as_ref() == *name) else {
                let known = match self.splits.is_empty() {
                    true => format!("{}, a form without splits", self.form),
                    false => format!("the splits {}", self.splits.join(", ")),
                };
                let place = format!("{}: split", self.file);
                let expected = format!("images of a split `{name}`");
                return Err(MetricsError::CaptionFile {
                    place,
                    expected,
                    found: known,
                    hint: "name a split that is there, or none".into(),
                });
            };
            wanted.push(split as u16);
        }
        self.images.retain(|image| image.split.is_some_and(|split| wanted.contains(&split)));
        Ok(())
    }

    /// The kinds of ids, the one that names images best first.
    pub(super) fn id_kinds(&self) -> impl ExactSizeIterator<Item = &IdKind> {
        self.kinds.iter()
    }

    /// The id of an image in one kind; empty where it has none.
    pub(super) fn id<'s>(&self, kind: &'s IdKind, image: usize) -> &'s str {
        &kind.ids[self.images[image].number as usize]
    }
}

/// What readers fill.
#[derive(Default)]
pub(super) struct Builder {
    kinds: Vec<IdKind>,
    numbers: HashMap<Box<str>, u32>,
    splits: Vec<Box<str>>,
    split_of: Vec<Option<u16>>,
    captions: Texts,
    image_of: Vec<u32>,
    /// Images in the order of the set, where it is not that of their numbers.
    order: Option<Vec<u32>>,
}

impl Builder {
    /// With these kinds of ids. Images are told apart by the first.
    pub(super) fn new<const N: usize>(kinds: [&'static str; N]) -> Self {
        let kinds = kinds.into_iter().map(|name| IdKind { name, ids: Vec::new() }).collect();
        Self { kinds, ..Self::default() }
    }

    /// A new image, with its ids by kind; empty ones where it has none.
    pub(super) fn add(&mut self, ids: impl IntoIterator<Item = String>, split: Option<&str>) -> u32 {
        let number = self.split_of.len() as u32;
        for (kind, id) in self.kinds.iter_mut().zip(ids) {
            kind.ids.push(id.into());
        }
        let split = split.map(|name| {
            let known = self.splits.iter().position(|split| split.as_ref() == name);
            known.unwrap_or_else(|| {
                self.splits.push(name.into());
                self.splits.len() - 1
            }) as u16
        });
        self.split_of.push(split);
        number
    }

    /// The image with this id, of the first kind. If it is new, with it.
    pub(super) fn image(&mut self, id: &str) -> u32 {
        self.known(id).unwrap_or_else(|| self.add_known([id.to_owned(), String::new()]))
    }

    /// A new image that will be found by its first id.
    pub(super) fn add_known(&mut self, ids: [String; 2]) -> u32 {
        self.numbers.insert(ids[0].as_str().into(), self.split_of.len() as u32);
        self.add(ids, None)
    }

    pub(super) fn known(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// Gives an image an id of another kind than the first.
    pub(super) fn name(&mut self, image: u32, kind: usize, id: String) {
        self.kinds[kind].ids[image as usize] = id.into();
    }

    /// The id of the first kind.
    pub(super) fn id(&self, image: u32) -> &str {
        &self.kinds[0].ids[image as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.split_of.len()
    }

    pub(super) fn caption(&mut self, image: u32, caption: &str) {
        self.captions.push(caption);
        self.image_of.push(image);
    }

    /// Images are to stand in this order; each must be there once.
    pub(super) fn order(&mut self, order: Vec<u32>) {
        self.order = Some(order);
    }

    /// The set, without images that have no caption.
    pub(super) fn finish(self, source: &Source, form: &'static str) -> Result<CaptionSet, MetricsError> {
        let images = self.split_of.len();
        let limit = u32::MAX as usize;
        if self.image_of.len() > limit || images > limit || self.splits.len() > usize::from(u16::MAX) {
            let found = format!("{} captions of {images} images", self.image_of.len());
            return Err(source.malformed("the whole", format!("at most {limit} captions"), found));
        }
        let mut ends = vec![0u32; images + 1];
        for image in &self.image_of {
            ends[*image as usize + 1] += 1;
        }
        for image in 0..images {
            ends[image + 1] += ends[image];
        }
        let starts = ends[..images].to_vec();
        let mut next = starts.clone();
        let mut by_image = vec![0; self.image_of.len()];
        for (caption, image) in (0..).zip(&self.image_of) {
            let place = &mut next[*image as usize];
            by_image[*place as usize] = caption;
            *place += 1;
        }
        let order = self.order.unwrap_or_else(|| (0..images as u32).collect());
        let image = |number: u32| {
            let i = number as usize;
            let (end, count) = (ends[i + 1], ends[i + 1] - starts[i]);
            Image { number, split: self.split_of[i], end, count }
        };
        let all: Vec<Image> = order.into_iter().map(image).filter(|image| image.count > 0).collect();
        if all.is_empty() {
            return Err(source.malformed("the whole", "one caption or more", "none"));
        }
        let mut kinds = self.kinds;
        kinds.retain(|kind| kind.ids.iter().any(|id| !id.is_empty()));
        Ok(CaptionSet {
            file: source.file.clone(),
            form,
            kinds,
            splits: self.splits,
            without_captions: images - all.len(),
            images: all,
            captions: self.captions,
            by_image,
        })
    }
}

/// The first few of some ids.
pub(super) fn few(ids: &[&str]) -> String {
    const FEW: usize = 5;
    let more = if ids.len() > FEW { ", ..." } else { "" };
    ids[..ids.len().min(FEW)].join(", ") + more
}
