//! Tokens against the reference's Java program.

use crate::reference::{coco_parity, json, strings};
use ekphrasis_metrics::{ptb_lines, tokenize_captions};
use serde_json::Value;

fn compare(what: &str, text: &str, found: &str, expected: &str, differences: &mut Vec<String>) {
    if found != expected {
        differences.push(format!("{what} {text:?}\n  expected {expected:?}\n  found    {found:?}"));
    }
}

fn report(name: &str, compared: usize, differences: &[String]) {
    println!("{name} tokens: {} of {compared} differ", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}

#[test]
fn adversarial_strings() {
    let Some(folder) = coco_parity() else { return };
    let all = json(folder.join("tokenizer/adversarial.json"));
    let items = all["items"].as_array().unwrap();
    let mut differences = vec![];
    let texts: Vec<&str> = items.iter().map(|item| text(item, "text")).collect();
    let together = ptb_lines(&texts.join("\n"));
    assert_eq!(together.lines().count(), items.len());
    let captions = tokenize_captions(&texts);
    for ((item, in_file), caption) in items.iter().zip(together.split('\n')).zip(&captions) {
        let own = text(item, "text");
        compare("in file", own, in_file, text(item, "ptb_in_file"), &mut differences);
        compare("as a caption", own, caption, text(item, "caption_tokens"), &mut differences);
        compare("alone", own, &ptb_lines(own), text(item, "ptb_alone"), &mut differences);
        let ended = ptb_lines(&format!("{own}\n"));
        compare(
            "alone, ended",
            own,
            ended.trim_end_matches('\n'),
            text(item, "ptb_alone_newline"),
            &mut differences,
        );
    }
    for item in all["linebreak"].as_array().unwrap() {
        // The wrapper has no line feed left in a caption.
        let own = text(item, "text").replace('\n', " ");
        compare("line break", &own, &ptb_lines(&own), text(item, "raw_stdout"), &mut differences);
    }
    report("adversarial", 4 * items.len(), &differences);
}

#[test]
fn captions_of_every_set() {
    let Some(folder) = coco_parity() else { return };
    for set in ["fakecap", "mismatch", "human"] {
        for (part, of) in [("cands", set), ("refs", if set == "mismatch" { "fakecap" } else { set })] {
            let raw = json(folder.join(of).join(format!("{part}.json.gz")));
            let expected = json(folder.join(of).join(format!("{part}_tokenized.json.gz")));
            let captions = |value: &Value| -> Vec<String> {
                let of_image = |value: &Value| match value {
                    Value::String(caption) => vec![caption.clone()],
                    list => strings(list),
                };
                value.as_object().unwrap().values().flat_map(of_image).collect()
            };
            let (raw, expected) = (captions(&raw), captions(&expected));
            assert_eq!(raw.len(), expected.len());
            let mut differences = vec![];
            for ((raw, found), expected) in raw.iter().zip(tokenize_captions(&raw)).zip(&expected) {
                compare(set, raw, &found, expected, &mut differences);
            }
            report(&format!("{set} {part}"), raw.len(), &differences);
        }
    }
}
