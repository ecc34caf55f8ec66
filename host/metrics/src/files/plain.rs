//! Captions by image: an object from ids to captions.

use super::Wording;
use super::json::{self, refusal};
use super::set::Builder;
use super::source::Source;
use crate::error::MetricsError;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// An object with a caption, an array of captions, or one of objects with a `caption` for each image.
pub(super) fn read(source: &mut Source, _: Wording) -> Result<Builder, MetricsError> {
    let mut builder = Builder::new(["image"]);
    json::read(source, Images(&mut builder))?;
    Ok(builder)
}

struct Images<'b>(&'b mut Builder);

impl<'de> DeserializeSeed<'de> for Images<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Images<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(id) = map.next_key::<String>()? {
            if id.is_empty() {
                return Err(refusal("the id of an image", "an empty one"));
            }
            if self.0.known(&id).is_some() {
                return Err(refusal("each image once", format!("{id} again")));
            }
            let image = self.0.image(&id);
            map.next_value_seed(Captions { builder: self.0, image, many: true })?;
        }
        Ok(())
    }
}

/// What stands for an image, or (not `many`) for one of its captions.
struct Captions<'b> {
    builder: &'b mut Builder,
    image: u32,
    many: bool,
}

impl<'de> DeserializeSeed<'de> for Captions<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Captions<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.many { "a caption or an array of captions" } else { "a caption" })
    }

    fn visit_str<E>(self, caption: &str) -> Result<(), E> {
        self.builder.caption(self.image, caption);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut captions: A) -> Result<(), A::Error> {
        let Self { builder, image, many } = self;
        if !many {
            return Err(refusal("a caption", "an array"));
        }
        while captions.next_element_seed(Captions { builder, image, many: false })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.many {
            return Err(refusal("a caption or an array of captions", "an object"));
        }
        let mut caption = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "caption" => caption = Some(map.next_value::<String>()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let caption = caption.ok_or_else(|| A::Error::missing_field("caption"))?;
        self.builder.caption(self.image, &caption);
        Ok(())
    }
}
