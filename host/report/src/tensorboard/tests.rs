//! What is written into event files and mended in them.

use super::*;

type Logged = (String, u64, String);

/// (tag, step, value) of each value in a file, all of whose records must be whole.
fn logged(path: &Path) -> Vec<Logged> {
    let bytes = std::fs::read(path).unwrap();
    let mut records = Records::new(bytes.as_slice(), bytes.len() as u64);
    let mut found = Vec::new();
    while let Some(record) = records.next().unwrap() {
        let event = Event::decode(record.as_slice()).unwrap();
        match event.what.unwrap() {
            What::FileVersion(version) => found.push((version, event.step as u64, String::new())),
            What::Summary(summary) => {
                for value in summary.value {
                    let shown = match value.value.unwrap() {
                        Value::SimpleValue(number) => number.to_string(),
                        Value::Image(image) => {
                            format!("{}x{} {:?}", image.width, image.height, image.encoded_image_string)
                        }
                        Value::Tensor(tensor) => {
                            assert_eq!(value.metadata.unwrap().plugin_data.unwrap().plugin_name, "text");
                            String::from_utf8(tensor.string_val[0].clone()).unwrap()
                        }
                    };
                    found.push((value.tag, event.step as u64, shown));
                }
            }
        }
    }
    assert_eq!(records.damaged(), 0);
    found
}

fn entry(tag: &str, step: u64, value: &str) -> Logged {
    (tag.to_owned(), step, value.to_owned())
}

fn all(_: &str, _: u64) -> bool {
    true
}

#[test]
fn what_is_written_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(&folder.path().join("run"), "7", 1.5).unwrap();
    writer.scalar("loss", 1, 2.0, 0.25).unwrap();
    writer.image_png("sample", 2, 3.0, &[1, 2], (4, 5)).unwrap();
    writer.text("caption", 3, 4.0, "a réd circle").unwrap();
    let path = writer.path().to_owned();
    assert_eq!(logged(&path).len(), 1, "records wait for a flush");
    drop(writer);
    assert_eq!(path, folder.path().join("run/events.out.tfevents.7"));
    let expected = [
        entry(VERSION, 0, ""),
        entry("loss", 1, "0.25"),
        entry("sample", 2, "4x5 [1, 2]"),
        entry("caption", 3, "a réd circle"),
    ];
    assert_eq!(logged(&path), expected);
}

#[test]
fn an_existing_file_is_not_touched_by_create() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path(), "7", 0.0).unwrap();
    writer.scalar("loss", 1, 0.0, 1.0).unwrap();
    let path = writer.path().to_owned();
    drop(writer);
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(EventWriter::create(folder.path(), "7", 0.0), Err(ReportError::Exists { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(matches!(EventWriter::create(folder.path(), "../7", 0.0), Err(ReportError::Invalid { .. })));
}

#[test]
fn a_run_cut_anywhere_and_resumed_has_the_bytes_of_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let log = |writer: &mut EventWriter, steps: std::ops::Range<u64>| {
        for step in steps {
            writer.scalar("loss", step, 9.0, 1.0 / step as f64).unwrap();
            writer.text("caption", step, 9.0, &"a dog ".repeat(step as usize)).unwrap();
        }
        writer.flush().unwrap();
    };
    let mut whole = EventWriter::create(folder.path(), "whole", 0.0).unwrap();
    log(&mut whole, 1..4);
    let checkpoint = std::fs::metadata(whole.path()).unwrap().len() as usize;
    log(&mut whole, 4..7);
    let bytes = std::fs::read(whole.path()).unwrap();
    for cut in checkpoint..=bytes.len() {
        let path = folder.path().join("events.out.tfevents.cut");
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (mut writer, found) = EventWriter::resume(folder.path(), "cut", 0.0, |_, step| step < 4).unwrap();
        assert_eq!(found.kept, 7);
        log(&mut writer, 4..7);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "cut at {cut}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
}

#[test]
fn a_failed_write_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path(), "7", 0.0).unwrap();
    let path = writer.path().to_owned();
    let writable = std::mem::replace(&mut writer.file, File::open(&path).unwrap());
    writer.scalar("a", 1, 0.0, 1.0).unwrap();
    let error = writer.flush().unwrap_err().to_string();
    assert!(error.contains("events.out.tfevents.7"), "{error}");
    // As after a full disk: part of the records is there.
    writable.write_all_at(&[7; 9], writer.length).unwrap();
    writer.file = writable;
    writer.scalar("a", 2, 0.0, 2.0).unwrap();
    drop(writer);
    assert_eq!(logged(&path), [entry(VERSION, 0, ""), entry("a", 1, "1"), entry("a", 2, "2")]);
}

#[test]
fn records_are_kept_by_tag_and_step_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path(), "7", 0.0).unwrap();
    for step in 0..3 {
        writer.scalar("a", step, 0.0, 1.0).unwrap();
        writer.scalar("b", step, 0.0, 2.0).unwrap();
    }
    let path = writer.path().to_owned();
    drop(writer);
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend_from_slice(&[7; 5]);
    std::fs::write(&path, torn).unwrap();
    let limit = |tag: &str, step| step < if tag == "a" { 2 } else { 1 };
    let (writer, found) = EventWriter::resume(folder.path(), "7", 0.0, limit).unwrap();
    assert_eq!(found, Resumption { kept: 4, dropped: 3, damaged_bytes: 5 });
    drop(writer);
    let expected = [entry(VERSION, 0, ""), entry("a", 0, "1"), entry("b", 0, "2"), entry("a", 1, "1")];
    assert_eq!(logged(&path), expected);
}

#[test]
fn a_missing_or_empty_file_becomes_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.out.tfevents.empty"), "").unwrap();
    for name in ["missing", "empty"] {
        let (writer, found) = EventWriter::resume(folder.path(), name, 0.0, all).unwrap();
        assert_eq!(found, Resumption::default());
        assert_eq!(logged(writer.path()), [entry(VERSION, 0, "")], "{name}");
    }
}

#[test]
fn a_lost_version_record_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path(), "7", 0.0).unwrap();
    writer.scalar("a", 1, 0.0, 1.0).unwrap();
    let path = writer.path().to_owned();
    drop(writer);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[14] ^= 1; // inside the first record's content
    std::fs::write(&path, bytes).unwrap();
    let (mut writer, found) = EventWriter::resume(folder.path(), "7", 0.0, all).unwrap();
    assert_eq!(found.kept, 1);
    writer.scalar("a", 2, 0.0, 2.0).unwrap();
    drop(writer);
    assert_eq!(logged(&path), [entry(VERSION, 0, ""), entry("a", 1, "1"), entry("a", 2, "2")]);
}
