//! JSON, element by element, with the place of everything that is wrong.

use super::source::Source;
use crate::error::MetricsError;
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
    value::MapAccessDeserializer,
};
use serde_path_to_error::Track;
use std::fmt;
use std::marker::PhantomData;

/// Reads the whole text into `seed`.
pub(super) fn read<S>(source: &mut Source, seed: S) -> Result<(), MetricsError>
where
    S: for<'de> DeserializeSeed<'de, Value = ()>,
{
    let mut json = serde_json::Deserializer::from_reader(source.text());
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    if let Err(error) = seed.deserialize(tracked) {
        return Err(explained(source, error, &track.path().to_string()));
    }
    json.end().map_err(|error| explained(source, error, "."))
}

fn explained(source: &Source, error: serde_json::Error, path: &str) -> MetricsError {
    if error.is_io() {
        return source.unreadable(&error.into());
    }
    let at = format!("line {}, column {}", error.line(), error.column());
    // A part that could not be told.
    let path = path.strip_suffix(".?").unwrap_or(path);
    let place = if path == "." { at.clone() } else { format!("{path} ({at})") };
    let message = error.to_string();
    let message = message.strip_suffix(&format!(" at {}", at.replace(',', ""))).unwrap_or(&message);
    let (expected, found) = expected_found(message);
    let mut explained = source.malformed(place, expected, found);
    if let (true, MetricsError::CaptionFile { hint, .. }) = (error.is_eof(), &mut explained) {
        *hint = "the file ends too early: copy or fetch it again".into();
    }
    explained
}

/// What serde says, as what was expected and what was found, in the words of JSON.
fn expected_found(message: &str) -> (String, String) {
    let word = |text: &str| match text {
        "sequence" => "an array".to_owned(),
        "map" => "an object".to_owned(),
        "null" => "null".to_owned(),
        _ => text.to_owned(),
    };
    let typed = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    if let Some((found, expected)) = typed.and_then(|rest| rest.split_once(", expected ")) {
        return (word(expected), word(found));
    }
    if let Some(field) = message.strip_prefix("missing field ") {
        return (format!("a field {field}"), "none".to_owned());
    }
    if let Some(field) = message.strip_prefix("duplicate field ") {
        return (format!("one field {field}"), "two".to_owned());
    }
    if message.starts_with("EOF") {
        return ("the rest of the JSON".to_owned(), "the end of the file".to_owned());
    }
    if let Some(expected) = message.strip_prefix("expected ") {
        return (expected.to_owned(), "something else".to_owned());
    }
    ("JSON".to_owned(), message.to_owned())
}

/// An error in the words that [`expected_found`] takes apart.
pub(super) fn refusal<E: Error>(expected: impl fmt::Display, found: impl fmt::Display) -> E {
    E::custom(format!("invalid value: {found}, expected {expected}"))
}

/// The id of an image: a string, or an integer, which is the same as its digits.
pub(super) struct Id(pub(super) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id: an integer or a string")
            }
            fn visit_str<E: Error>(self, id: &str) -> Result<Id, E> {
                match id.is_empty() {
                    true => Err(refusal("an id", "an empty string")),
                    false => Ok(Id(id.to_owned())),
                }
            }
            fn visit_u64<E>(self, id: u64) -> Result<Id, E> {
                Ok(Id(id.to_string()))
            }
            fn visit_i64<E>(self, id: i64) -> Result<Id, E> {
                Ok(Id(id.to_string()))
            }
        }
        value.deserialize_any(Reader)
    }
}

/// Something that is read from an object only: serde would also take an array, for its fields in order.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        value.deserialize_map(Reader(PhantomData))
    }
}

/// What is wrong with an element: what was expected and what was found.
pub(super) type Refusal = (String, String);

/// An array of objects, each handed on as it comes.
pub(super) struct Each<T, F>(F, PhantomData<T>);

impl<T, F: FnMut(T) -> Result<(), Refusal>> Each<T, F> {
    pub(super) fn new(take: F) -> Self {
        Self(take, PhantomData)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(T) -> Result<(), Refusal>> DeserializeSeed<'de> for Each<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_seq(self)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(T) -> Result<(), Refusal>> Visitor<'de> for Each<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(One(&mut self.0, PhantomData))?.is_some() {}
        Ok(())
    }
}

/// One element. Refused in here, the error has its place.
struct One<'f, T, F>(&'f mut F, PhantomData<T>);

impl<'de, T: DeserializeOwned, F: FnMut(T) -> Result<(), Refusal>> DeserializeSeed<'de> for One<'_, T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        let Object(element) = Object::<T>::deserialize(value)?;
        (self.0)(element).map_err(|(expected, found)| refusal(expected, found))
    }
}
