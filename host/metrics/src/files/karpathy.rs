//! Karpathy's JSON: <https://cs.stanford.edu/people/karpathy/deepimagesent/>.

use super::Wording;
use super::json::{self, Each, Id, Refusal};
use super::set::Builder;
use super::source::Source;
use crate::error::MetricsError;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Best first: `imgid` is a running number that other files may use for something else.
const KINDS: [&str; 3] = ["filename", "cocoid", "imgid"];

#[derive(Deserialize)]
struct Picture {
    filename: Option<String>,
    cocoid: Option<Id>,
    imgid: Option<Id>,
    split: Option<String>,
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: Option<String>,
    tokens: Option<Vec<String>>,
}

/// An object with `images`.
pub(super) fn read(source: &mut Source, wording: Wording) -> Result<Builder, MetricsError> {
    let mut pictures = Pictures { builder: Builder::new(KINDS), names: HashSet::new(), wording };
    json::read(source, &mut pictures)?;
    Ok(pictures.builder)
}

struct Pictures {
    builder: Builder,
    names: HashSet<String>,
    wording: Wording,
}

impl Pictures {
    fn add(&mut self, picture: Picture) -> Result<(), Refusal> {
        let text = |id: Option<Id>| id.map(|id| id.0).unwrap_or_default();
        let ids = [picture.filename.unwrap_or_default(), text(picture.cocoid), text(picture.imgid)];
        let Some(id) = ids.iter().find(|id| !id.is_empty()) else {
            return Err((format!("one of {}", KINDS.join(", ")), "none".into()));
        };
        if !self.names.insert(id.clone()) {
            return Err(("each image once".into(), format!("{id} again")));
        }
        let image = self.builder.add(ids, picture.split.as_deref());
        for (number, sentence) in picture.sentences.into_iter().enumerate() {
            let tokens = sentence.tokens.map(|tokens| tokens.join(" "));
            let text = match self.wording {
                Wording::Raw => sentence.raw.or(tokens),
                Wording::Tokens => tokens.or(sentence.raw),
            };
            let missing = || (format!("`raw` or `tokens` in sentences[{number}]"), "neither".to_owned());
            self.builder.caption(image, &text.ok_or_else(missing)?);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Pictures {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Pictures {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "images" {
                map.next_value_seed(Each::new(|picture: Picture| self.add(picture)))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}
