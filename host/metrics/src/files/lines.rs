//! Token files as Flickr8k and Flickr30k have them: `name.jpg#0<TAB>caption`.

use super::Wording;
use super::set::Builder;
use super::sniff::shown;
use super::source::Source;
use crate::error::MetricsError;
use std::io::BufRead;

/// The name of the image and the caption.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let (name, caption) = line.split_once('\t')?;
    let (name, number) = name.rsplit_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !name.is_empty()).then_some((name, caption))
}

/// A caption on each line; empty lines are passed over.
pub(super) fn read(source: &mut Source, _: Wording) -> Result<Builder, MetricsError> {
    let mut builder = Builder::new(["image"]);
    let mut text = source.text();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        if text.read_line(&mut line).map_err(|error| source.unreadable(&error))? == 0 {
            break;
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            continue;
        }
        let Some((name, caption)) = split(line) else {
            let expected = "the name of an image, `#`, a number, a tab, and a caption";
            return Err(source.malformed(format!("line {number}"), expected, format!("`{}`", shown(line))));
        };
        let image = builder.image(name);
        builder.caption(image, caption);
    }
    Ok(builder)
}
