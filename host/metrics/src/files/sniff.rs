//! What a file looks like from its beginning.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Entries that are captions after which an object needs no further look: no head of another form has so many.
const ENOUGH: usize = 16;
/// How much of a line a message shows, in characters.
const SHOWN: usize = 60;

/// How a file begins.
#[derive(Debug, PartialEq)]
pub(super) enum Look {
    /// Nothing but white space.
    Empty,
    /// A JSON array.
    Array(Kind),
    /// A JSON object with its first entries.
    Object(Vec<(String, Kind)>),
    /// No JSON: its first line that is not empty.
    Line(String),
}

/// What a JSON value is.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    Text,
    /// An array, with its first element if it has one.
    List(Option<Box<Kind>>),
    /// An object with its keys.
    Object(Vec<String>),
    Other,
}

impl Kind {
    /// The keys of the first object, where this is an array of objects.
    pub(super) fn objects(&self) -> Option<&[String]> {
        match self {
            Self::List(Some(first)) => match first.as_ref() {
                Self::Object(keys) => Some(keys),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether this may be what stands for an image in a file of captions by image.
    pub(super) fn is_captions(&self) -> bool {
        match self {
            Self::Text => true,
            Self::List(Some(first)) if **first == Self::Text => true,
            _ => self.objects().is_some_and(|keys| keys.iter().any(|key| key == "caption")),
        }
    }
}

impl Look {
    /// The value of a key, where this is an object that has it.
    pub(super) fn value(&self, key: &str) -> Option<&Kind> {
        let Self::Object(entries) = self else { return None };
        entries.iter().find_map(|(name, kind)| (name == key).then_some(kind))
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing"),
            Self::Array(kind) => match kind.objects() {
                Some(keys) => write!(f, "a JSON array of objects with the keys {}", keys.join(", ")),
                None => f.write_str("a JSON array of other things than objects"),
            },
            Self::Object(entries) if entries.is_empty() => f.write_str("a JSON object without a whole entry"),
            Self::Object(entries) => {
                let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).take(ENOUGH).collect();
                write!(f, "a JSON object with the keys {}", keys.join(", "))
            }
            Self::Line(line) => write!(f, "the line `{}`", shown(line)),
        }
    }
}

/// The beginning of a text, for a message.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Looks at the beginning of a file, which may be cut off anywhere.
pub(super) fn look(beginning: &[u8]) -> Look {
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        // A character cut in two.
        Err(error) => std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default(),
    };
    let text = text.trim_start();
    let mut json = serde_json::Deserializer::from_str(text);
    // Errors end the look: what there is up to them tells the form, and its reader says what is wrong.
    match text.chars().next() {
        None => Look::Empty,
        Some('[') => {
            let mut kind = Kind::Other;
            let _ = Peek(&mut kind).deserialize(&mut json);
            Look::Array(kind)
        }
        Some('{') => {
            let mut entries = Vec::new();
            let _ = json.deserialize_map(Entries(&mut entries));
            Look::Object(entries)
        }
        Some(_) => Look::Line(text.lines().next().unwrap_or_default().trim_end().to_owned()),
    }
}

/// Collects the entries of an object, until it has seen enough.
struct Entries<'a>(&'a mut Vec<(String, Kind)>);

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut captions = 0;
        while let Some(key) = map.next_key::<String>()? {
            let mut kind = Kind::Other;
            let read = map.next_value_seed(Peek(&mut kind));
            captions += usize::from(kind.is_captions());
            let tells = matches!(key.as_str(), "images" | "annotations") && kind.objects().is_some();
            self.0.push((key, kind));
            read?;
            if tells || captions >= ENOUGH {
                return Err(A::Error::custom("seen enough"));
            }
        }
        Ok(())
    }
}

/// Tells what a value is. Of arrays it looks at the first element, and passes over the others.
struct Peek<'a>(&'a mut Kind);

impl<'de> DeserializeSeed<'de> for Peek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Peek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        *self.0 = Kind::Text;
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut first = Kind::Other;
        let read = elements.next_element_seed(Peek(&mut first));
        *self.0 = Kind::List((!matches!(read, Ok(None))).then(|| Box::new(first)));
        read?;
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Key by key, as the text may be cut off in the middle.
        *self.0 = Kind::Object(Vec::new());
        while let Some(key) = map.next_key::<String>()? {
            if let Kind::Object(keys) = self.0 {
                keys.push(key);
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_survives_what_is_cut_off_or_damaged() {
        let whole =
            r#"{"info": {"year": 1}, "version": [1, 2], "images": [{"id": 1, "sentences": [{"raw": "x"}]}]}"#;
        let Look::Object(entries) = look(whole.as_bytes()) else { panic!() };
        let kinds: Vec<String> = entries.iter().map(|(key, kind)| format!("{key} {kind:?}")).collect();
        assert_eq!(kinds[1], "version List(Some(Other))");
        assert_eq!(kinds[2], r#"images List(Some(Object(["id", "sentences"])))"#);
        let from = whole.find("[{\"raw").unwrap();
        for end in from..whole.len() {
            let found = look(&whole.as_bytes()[..end]);
            let keys = found.value("images").and_then(Kind::objects);
            assert!(keys.is_some_and(|keys| keys.contains(&"sentences".into())), "{end}: {found:?}");
        }
        assert_eq!(look(b" \n "), Look::Empty);
        assert_eq!(look(b"\n\xc3\xa9t\xc3\xa9 \r\nx"), Look::Line("\u{e9}t\u{e9}".into()));
        assert_eq!(look(b"{\"a\": [], ,"), Look::Object(vec![("a".into(), Kind::List(None))]));
    }
}
