//! CSV with a heading.

use super::Wording;
use super::set::Builder;
use super::sniff::shown;
use super::source::Source;
use crate::error::MetricsError;
use csv::{ErrorKind, ReaderBuilder, StringRecord};
use std::io::{Cursor, Read};

/// Names that the columns may have, in any case.
const IMAGE: [&str; 5] = ["image", "image_id", "image_name", "filename", "file_name"];
const CAPTION: [&str; 2] = ["caption", "comment"];

/// Put after the text: if it is not a record of its own in the end, a quote was left open.
const END: &str = "\n\u{4}";

fn column(names: &[&str], heading: &StringRecord) -> Option<usize> {
    heading.iter().position(|name| names.contains(&name.trim().to_lowercase().as_str()))
}

fn columns(heading: &StringRecord) -> Option<(usize, usize)> {
    Some((column(&IMAGE, heading)?, column(&CAPTION, heading)?))
}

/// Whether this is a first line that names the two columns.
pub(super) fn is_heading(line: &str) -> bool {
    let mut record = StringRecord::new();
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    reader.read_record(&mut record).is_ok_and(|some| some && columns(&record).is_some())
}

/// A caption in each record.
pub(super) fn read(source: &mut Source, _: Wording) -> Result<Builder, MetricsError> {
    let text = source.text().chain(Cursor::new(END));
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut builder = Builder::new(["image"]);
    let (mut record, mut width, mut places) = (StringRecord::new(), 0, None);
    let mut last = 0;
    loop {
        let some = reader.read_record(&mut record).map_err(|error| match error.into_kind() {
            ErrorKind::Io(error) => source.unreadable(&error),
            other => source.malformed("a record", "CSV", format!("{other:?}")),
        })?;
        if !some {
            let expected = "each quote to be closed";
            return Err(source.malformed(format!("line {last}"), expected, "one that is open to the end"));
        }
        if record.len() == 1 && &record[0] == "\u{4}" {
            return Ok(builder);
        }
        last = record.position().map_or(0, csv::Position::line);
        let Some((image, caption)) = places else {
            places = columns(&record);
            width = record.len();
            continue;
        };
        if record.len() != width {
            let found =
                format!("{} in `{}`", record.len(), shown(&record.iter().collect::<Vec<_>>().join(",")));
            let mut error = source.malformed(format!("line {last}"), format!("{width} fields"), found);
            if let MetricsError::CaptionFile { hint, .. } = &mut error {
                *hint = "put a caption with a comma in it between double quotes".into();
            }
            return Err(error);
        }
        if record[image].is_empty() {
            return Err(source.malformed(format!("line {last}"), "the name of an image", "none"));
        }
        let image = builder.image(&record[image]);
        builder.caption(image, &record[caption]);
    }
}
