//! COCO's annotations and results.

use super::Wording;
use super::json::{self, Each, Id, Refusal};
use super::set::{Builder, few};
use super::source::Source;
use crate::error::MetricsError;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;

const KINDS: [&str; 2] = ["image_id", "file_name"];
const FILE_NAME: usize = 1;

#[derive(Deserialize)]
struct Annotation {
    image_id: Id,
    caption: String,
}

#[derive(Deserialize)]
struct ListedImage {
    id: Id,
    file_name: Option<String>,
}

/// An array of annotations.
pub(super) fn results(source: &mut Source, _: Wording) -> Result<Builder, MetricsError> {
    let mut builder = Builder::new(KINDS);
    json::read(source, Each::new(|annotation: Annotation| add(&mut builder, &annotation)))?;
    Ok(builder)
}

fn add(builder: &mut Builder, annotation: &Annotation) -> Result<(), Refusal> {
    let image = builder.image(&annotation.image_id.0);
    builder.caption(image, &annotation.caption);
    Ok(())
}

/// An object with `annotations` and, in most files, `images`, whose order is that of the set.
pub(super) fn annotations(source: &mut Source, _: Wording) -> Result<Builder, MetricsError> {
    let mut annotations = Annotations { builder: Builder::new(KINDS), listed: None, some: false };
    json::read(source, &mut annotations)?;
    let Annotations { mut builder, listed, some } = annotations;
    if !some {
        return Err(source.malformed("annotations", "an array of captions", "none"));
    }
    let Some(listed) = listed else { return Ok(builder) };
    let mut is_listed = vec![false; builder.len()];
    listed.iter().for_each(|image| is_listed[*image as usize] = true);
    let others = (0..builder.len()).filter(|i| !is_listed[*i]).map(|i| builder.id(i as u32));
    let others: Vec<&str> = others.collect();
    if !others.is_empty() {
        let found = format!("annotations of {} images that are not listed: {}", others.len(), few(&others));
        return Err(source.malformed("images", "every image that has a caption", found));
    }
    builder.order(listed);
    Ok(builder)
}

struct Annotations {
    builder: Builder,
    /// The images in the order of `images`.
    listed: Option<Vec<u32>>,
    /// Whether there are `annotations`.
    some: bool,
}

impl<'de> DeserializeSeed<'de> for &mut Annotations {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Annotations {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "annotations" => {
                    self.some = true;
                    map.next_value_seed(Each::new(|annotation: Annotation| {
                        add(&mut self.builder, &annotation)
                    }))?;
                }
                "images" => {
                    let mut listing = Listing { seen: Vec::new(), order: Vec::new() };
                    map.next_value_seed(Each::new(|image: ListedImage| {
                        listing.add(&mut self.builder, image)
                    }))?;
                    self.listed = Some(listing.order);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Listing {
    /// Whether an image has been listed, by number.
    seen: Vec<bool>,
    order: Vec<u32>,
}

impl Listing {
    fn add(&mut self, builder: &mut Builder, listed: ListedImage) -> Result<(), Refusal> {
        let image = builder.image(&listed.id.0);
        self.seen.resize(self.seen.len().max(builder.len()), false);
        if std::mem::replace(&mut self.seen[image as usize], true) {
            return Err(("each image once".into(), format!("the id {} again", listed.id.0)));
        }
        if let Some(name) = listed.file_name {
            builder.name(image, FILE_NAME, name);
        }
        self.order.push(image);
        Ok(())
    }
}
