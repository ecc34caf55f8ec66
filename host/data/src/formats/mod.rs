//! The table of data set formats.

pub mod karpathy;
pub mod shapes;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{DataError, Dataset, Progress};

/// Makes a data set from settings, a cache folder and a progress callback.
pub type Open = fn(&Map<String, Value>, &Path, Progress) -> Result<Dataset, DataError>;

/// A kind of data set.
pub struct Format {
    /// The name by which `data.format` selects it.
    pub name: &'static str,
    /// What it is, in a line.
    pub doc: &'static str,
    /// Opens it: settings (without `format`), cache folder, progress.
    pub open: Open,
    /// Its settings with their default values.
    pub defaults: fn() -> Value,
}

/// All formats. To add one: a file beside this one, and a row here.
pub const FORMATS: &[Format] = &[
    Format {
        name: "shapes",
        doc: "Drawn pictures of one to three coloured shapes with captions from a small grammar.",
        open: |settings, cache, progress| shapes::open(&parse(settings)?, cache, progress),
        defaults: defaults::<shapes::Options>,
    },
    Format {
        name: "karpathy",
        doc: "Karpathy's JSON (COCO, Flickr8k, Flickr30k) with a folder of JPEG or PNG pictures.",
        open: |settings, cache, progress| karpathy::open(&parse(settings)?, cache, progress),
        defaults: defaults::<karpathy::Options>,
    },
];

/// Opens the data set that `settings` describes: `format`, and the settings of that format.
///
/// Prepared pictures are kept in the folder `cache` and found there the next time. Unknown settings are
/// refused with the nearest known name.
pub fn open(settings: &Map<String, Value>, cache: &Path, progress: Progress) -> Result<Dataset, DataError> {
    let mut settings = settings.clone();
    let name = match settings.shift_remove("format") {
        Some(Value::String(name)) => name,
        Some(other) => return Err(DataError::setting("format", format!("expected a name, found {other}"))),
        None => return Err(DataError::setting("format", "is missing; it names the kind of data set")),
    };
    let format = FORMATS.iter().find(|format| format.name == name).ok_or_else(|| DataError::Unknown {
        what: "data.format",
        found: name,
        known: FORMATS.iter().map(|format| format.name.to_owned()).collect(),
    })?;
    (format.open)(&settings, cache, progress)
}

fn defaults<T: Default + Serialize>() -> Value {
    serde_json::to_value(T::default()).unwrap_or_default()
}

/// Reads the options of a format. The fields of its default value are the known keys.
fn parse<T: Default + Serialize + DeserializeOwned>(settings: &Map<String, Value>) -> Result<T, DataError> {
    let known = defaults::<T>();
    let known = || known.as_object().into_iter().flat_map(Map::keys).cloned();
    if let Some(key) = settings.keys().find(|key| !known().any(|name| name == **key)) {
        return Err(DataError::Unknown { what: "key in data", found: key.clone(), known: known().collect() });
    }
    serde_path_to_error::deserialize(Value::Object(settings.clone())).map_err(|error| {
        let place = error.path().to_string();
        DataError::setting(&place, expected_found(&error.into_inner().to_string()))
    })
}

/// Turns serde's "invalid type: A, expected B" into "expected B, found A", in the words of JSON.
pub(crate) fn expected_found(message: &str) -> String {
    let plain = message.split(" at line ").next().unwrap_or(message);
    let Some((found, expected)) = plain
        .strip_prefix("invalid type: ")
        .or_else(|| plain.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "))
    else {
        return plain.to_owned();
    };
    let word = |text: &str| match text {
        "sequence" | "a sequence" => "an array".to_owned(),
        "map" | "a map" => "an object".to_owned(),
        _ if text.starts_with("struct ") => "an object".to_owned(),
        _ => text.to_owned(),
    };
    format!("expected {}, found {}", word(expected), word(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(settings: Value) -> String {
        let folder = tempfile::tempdir().unwrap();
        open(settings.as_object().unwrap(), folder.path(), &|_, _| ()).unwrap_err().to_string()
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(error(json!({})), "data.format: is missing; it names the kind of data set");
        let unknown = error(json!({"format": "shape"}));
        assert_eq!(unknown, "unknown data.format `shape`\nhint: did you mean `shapes`?");
        let unknown = error(json!({"format": "shapes", "image_siz": 3}));
        assert_eq!(unknown, "unknown key in data `image_siz`\nhint: did you mean `image_size`?");
        let wrong = error(json!({"format": "shapes", "image_size": "big"}));
        assert_eq!(wrong, "data.image_size: expected usize, found string \"big\"");
        let wrong = error(json!({"format": "shapes", "counts": {"trian": 3}}));
        assert!(wrong.starts_with("data.counts.trian: unknown field `trian`"), "{wrong}");
    }

    #[test]
    fn the_table_opens_what_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let counts = json!({"train": 3, "val": 1, "test": 1, "compositional": 1});
        let settings = json!({"format": "shapes", "counts": counts});
        let data = open(settings.as_object().unwrap(), folder.path(), &|_, _| ()).unwrap();
        assert_eq!((data.format, data.split("train").unwrap().len()), ("shapes", 3));
    }
}
