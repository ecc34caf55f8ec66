//! TensorBoard event files: scalars, pictures and texts under a tag and a step.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use prost::Message;

use crate::atomic::{persist, sync_folder, temporary_beside};
use crate::tfrecord::{self, Records};
use crate::{Picture, ReportError};

#[allow(unused_qualifications, clippy::enum_variant_names, reason = "generated code")]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/tensorboard.rs"));
}

use proto::summary::value::Value;
use proto::summary_metadata::PluginData;
use proto::{Event, Summary, SummaryMetadata, TensorProto, TensorShapeProto, event::What};

/// What a reader expects in the first record.
const VERSION: &str = "brain.Event:2";
/// TensorFlow's number of the type of strings.
const DT_STRING: i32 = 7;
/// Waiting records are written out when they take more than this.
const BUFFER: usize = 1 << 16;

/// Writes one event file.
///
/// Records wait in memory until [`flush`](Self::flush), 64 KiB, or the end of the writer. A write that
/// fails (a full disk) loses nothing: the same records go to the same place at the next attempt.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
    /// Records not yet in the file.
    waiting: Vec<u8>,
    /// Length of the file's whole records, where `waiting` goes.
    length: u64,
}

/// What [`EventWriter::resume`] found in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resumption {
    /// Records that stay.
    pub kept: usize,
    /// Whole records that `keep` refused.
    pub dropped: usize,
    /// Bytes that were part of no whole record.
    pub damaged_bytes: u64,
}

impl EventWriter {
    /// Starts `events.out.tfevents.<name>` in `folder`, which is made if there is none. It is an error if
    /// the file is there already. `wall_time`, here and below, is in seconds since 1970.
    pub fn create(folder: &Path, name: &str, wall_time: f64) -> Result<EventWriter, ReportError> {
        let path = event_path(folder, name)?;
        std::fs::create_dir_all(folder).map_err(ReportError::io("create folder", folder))?;
        let file =
            OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| {
                match error.kind() {
                    ErrorKind::AlreadyExists => ReportError::Exists { path: path.clone() },
                    _ => ReportError::io("create", &path)(error),
                }
            })?;
        let mut writer = EventWriter { file, path, waiting: version_record(wall_time), length: 0 };
        writer.sync()?;
        sync_folder(&writer.path)?;
        Ok(writer)
    }

    /// Goes on with the event file of a run that was stopped at any instant.
    ///
    /// The file is written anew (temporary file, rename) with only its whole records whose tag and step
    /// satisfy `keep`, byte for byte and in order; so a torn last record goes, and so do records from after
    /// the checkpoint from which the run continues. Where there is no file, one is started.
    pub fn resume(
        folder: &Path,
        name: &str,
        wall_time: f64,
        keep: impl Fn(&str, u64) -> bool,
    ) -> Result<(EventWriter, Resumption), ReportError> {
        let path = event_path(folder, name)?;
        let old = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok((EventWriter::create(folder, name, wall_time)?, Resumption::default()));
            }
            other => other.map_err(ReportError::io("open", &path))?,
        };
        let length = old.metadata().map_err(ReportError::io("read", &path))?.len();
        let mut records = Records::new(BufReader::new(old), length);
        let mut found = Resumption::default();

        let mut temporary = temporary_beside(&path)?;
        let mut output = BufWriter::new(temporary.as_file_mut());
        let mut framed = version_record(wall_time);
        let mut length = 0;
        let mut first = true;
        while let Some(record) = records.next().map_err(ReportError::io("read", &path))? {
            match Event::decode(record.as_slice()) {
                Ok(event) if kept(&event, &keep) => {
                    // The first record tells the version; where that one was lost, a new one goes before.
                    if first && matches!(event.what, Some(What::FileVersion(_))) {
                        framed.clear();
                    }
                    first = false;
                    found.kept += 1;
                    tfrecord::append(&mut framed, &record);
                    output.write_all(&framed).map_err(ReportError::io("write", &path))?;
                    length += framed.len() as u64;
                    framed.clear();
                }
                Ok(_) => found.dropped += 1,
                Err(_) => found.damaged_bytes += record.len() as u64 + tfrecord::FRAME,
            }
        }
        output.write_all(&framed).map_err(ReportError::io("write", &path))?;
        length += framed.len() as u64;
        output.flush().map_err(ReportError::io("write", &path))?;
        drop(output);
        found.damaged_bytes += records.damaged();
        let file = persist(temporary, &path)?;
        Ok((EventWriter { file, path, waiting: Vec::new(), length }, found))
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records a number, in single precision.
    pub fn scalar(&mut self, tag: &str, step: u64, wall_time: f64, value: f64) -> Result<(), ReportError> {
        self.put(tag, step, wall_time, None, Value::SimpleValue(value as f32))
    }

    /// Records an RGB picture that is already encoded as PNG, `width` by `height` pixels.
    pub fn image_png(
        &mut self,
        tag: &str,
        step: u64,
        wall_time: f64,
        png: &[u8],
        (width, height): (u32, u32),
    ) -> Result<(), ReportError> {
        let side = |side: u32| {
            i32::try_from(side).map_err(|_| {
                ReportError::invalid(
                    format!("picture `{tag}`"),
                    format!("{side} pixels on a side are too many"),
                )
            })
        };
        let image = proto::summary::Image {
            height: side(height)?,
            width: side(width)?,
            colorspace: 3,
            encoded_image_string: png.to_vec(),
        };
        self.put(tag, step, wall_time, None, Value::Image(image))
    }

    /// Records a picture.
    pub fn picture(
        &mut self,
        tag: &str,
        step: u64,
        wall_time: f64,
        picture: &Picture,
    ) -> Result<(), ReportError> {
        let png = picture.to_png()?;
        self.image_png(tag, step, wall_time, &png, (picture.width(), picture.height()))
    }

    /// Records a text, which TensorBoard shows as Markdown.
    pub fn text(&mut self, tag: &str, step: u64, wall_time: f64, text: &str) -> Result<(), ReportError> {
        let plugin = PluginData { plugin_name: "text".to_owned(), content: Vec::new() };
        let tensor = TensorProto {
            dtype: DT_STRING,
            tensor_shape: Some(TensorShapeProto { dim: Vec::new() }),
            string_val: vec![text.as_bytes().to_vec()],
        };
        let metadata = SummaryMetadata { plugin_data: Some(plugin) };
        self.put(tag, step, wall_time, Some(metadata), Value::Tensor(tensor))
    }

    /// Hands all records to the operating system: they survive the end of this process, however it ends.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.file.write_all_at(&self.waiting, self.length).map_err(ReportError::io("write", &self.path))?;
        self.length += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Flushes and waits until the records are on the disk: they survive a power cut. To be called before a
    /// checkpoint that counts on them.
    pub fn sync(&mut self) -> Result<(), ReportError> {
        self.flush()?;
        self.file.sync_data().map_err(ReportError::io("sync", &self.path))
    }

    fn put(
        &mut self,
        tag: &str,
        step: u64,
        wall_time: f64,
        metadata: Option<SummaryMetadata>,
        value: Value,
    ) -> Result<(), ReportError> {
        let value = proto::summary::Value { tag: tag.to_owned(), metadata, value: Some(value) };
        let event = Event {
            wall_time,
            step: i64::try_from(step).unwrap_or(i64::MAX),
            what: Some(What::Summary(Summary { value: vec![value] })),
        };
        tfrecord::append(&mut self.waiting, &event.encode_to_vec());
        if self.waiting.len() > BUFFER { self.flush() } else { Ok(()) }
    }
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        // Nobody is left to tell; whoever must know calls `flush`.
        let _ = self.flush();
    }
}

/// Whether `keep` wants every value of an event; an event without values stays.
fn kept(event: &Event, keep: impl Fn(&str, u64) -> bool) -> bool {
    let step = u64::try_from(event.step).unwrap_or(0);
    match &event.what {
        Some(What::Summary(summary)) => summary.value.iter().all(|value| keep(&value.tag, step)),
        _ => true,
    }
}

fn version_record(wall_time: f64) -> Vec<u8> {
    let event = Event { wall_time, step: 0, what: Some(What::FileVersion(VERSION.to_owned())) };
    let mut record = Vec::new();
    tfrecord::append(&mut record, &event.encode_to_vec());
    record
}

fn event_path(folder: &Path, name: &str) -> Result<PathBuf, ReportError> {
    if name.is_empty() || name.contains(['/', '\\', '\0']) {
        let message = "expected a part of a file name, neither empty nor with a slash";
        return Err(ReportError::invalid(format!("event file name `{}`", name.escape_debug()), message));
    }
    Ok(folder.join(format!("events.out.tfevents.{name}")))
}

#[cfg(test)]
mod tests;
