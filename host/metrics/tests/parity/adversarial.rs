//! Tokens of strings written to be hard, against the reference's Java program.

use crate::reference::{difference, json};
use crate::table::Table;
use ekphrasis_metrics::{ptb_lines, tokenize_captions};
use serde_json::Value;
use std::path::Path;

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}

pub fn compare(folder: &Path, table: &mut Table) {
    let all = json(folder.join("tokenizer/adversarial.json"));
    let items = all["items"].as_array().unwrap();
    let texts: Vec<&str> = items.iter().map(|item| text(item, "text")).collect();
    let together = ptb_lines(&texts.join("\n"));
    let in_file: Vec<String> = together.split('\n').map(str::to_owned).collect();
    assert_eq!(in_file.len(), items.len());
    let alone = texts.iter().map(|text| ptb_lines(text)).collect();
    let ended =
        texts.iter().map(|text| ptb_lines(&format!("{text}\n")).trim_end_matches('\n').to_owned()).collect();
    for (what, key, found) in [
        ("tokens in file", "ptb_in_file", in_file),
        ("tokens as a caption", "caption_tokens", tokenize_captions(&texts)),
        ("tokens alone", "ptb_alone", alone),
        ("tokens alone, ended", "ptb_alone_newline", ended),
    ] {
        let pairs = items.iter().zip(&found);
        let differences: Vec<String> = pairs
            .filter_map(|(item, found)| difference(what, text(item, "text"), found, text(item, key)))
            .collect();
        table.tokens(what, "adversarial", found.len(), &differences);
    }
    let breaks = all["linebreak"].as_array().unwrap();
    let differences: Vec<String> = breaks
        .iter()
        .filter_map(|item| {
            // The wrapper has no line feed left in a caption.
            let own = text(item, "text").replace('\n', " ");
            difference("line break", &own, &ptb_lines(&own), text(item, "raw_stdout"))
        })
        .collect();
    table.tokens("tokens at line breaks", "adversarial", breaks.len(), &differences);
}
