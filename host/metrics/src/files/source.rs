//! The text of a file: unpacked, checked to be UTF-8, with its beginning to look at.

use crate::error::MetricsError;
use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

/// How much of a file is looked at to tell its form, in bytes.
const BEGINNING: u64 = 1 << 20;
/// Size of the pieces in which files are read, in bytes.
const PIECE: usize = 1 << 16;

/// A file that is being read. Its errors name it.
pub(super) struct Source {
    /// The file's name, for messages.
    pub(super) file: String,
    /// The first bytes of the text.
    pub(super) beginning: Vec<u8>,
    rest: Box<dyn Read>,
}

impl Source {
    /// Opens a file, be it packed by gzip or not. It is read once, from front to back, so it may be a pipe.
    pub(super) fn open(path: &Path) -> Result<Self, MetricsError> {
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Self::new(file, name.clone()));
        opened.map_err(|error| unreadable(&name, &error))
    }

    fn new(raw: impl Read + 'static, file: String) -> io::Result<Self> {
        let (head, raw) = beginning(raw, 2)?;
        let raw = BufReader::with_capacity(PIECE, Cursor::new(head.clone()).chain(raw));
        let unpacked: Box<dyn Read> = match head == [0x1f, 0x8b] {
            true => Box::new(MultiGzDecoder::new(raw)),
            false => Box::new(raw),
        };
        let (mut beginning, rest) = beginning(Utf8::new(unpacked), BEGINNING)?;
        if beginning.starts_with("\u{feff}".as_bytes()) {
            beginning.drain(..3);
        }
        Ok(Self { file, beginning, rest: Box::new(rest) })
    }

    /// The whole text, buffered.
    pub(super) fn text(&mut self) -> impl BufRead + use<> {
        let beginning = std::mem::take(&mut self.beginning);
        let rest = std::mem::replace(&mut self.rest, Box::new(io::empty()));
        BufReader::with_capacity(PIECE, Cursor::new(beginning).chain(rest))
    }

    /// An error of reading it.
    pub(super) fn unreadable(&self, error: &io::Error) -> MetricsError {
        unreadable(&self.file, error)
    }

    /// Something in it that is not as it should be.
    pub(super) fn malformed(
        &self,
        place: impl fmt::Display,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> MetricsError {
        malformed(&self.file, place, expected, found)
    }
}

pub(super) fn malformed(
    file: &str,
    place: impl fmt::Display,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> MetricsError {
    let place = format!("{file}: {place}");
    MetricsError::CaptionFile { place, expected: expected.into(), found: found.into(), hint: String::new() }
}

/// Reads up to `limit` bytes ahead.
fn beginning<R: Read>(mut reader: R, limit: u64) -> io::Result<(Vec<u8>, R)> {
    let mut bytes = Vec::new();
    reader.by_ref().take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, reader))
}

fn unreadable(file: &str, error: &io::Error) -> MetricsError {
    if let Some(not_utf8) = error.get_ref().and_then(|inner| inner.downcast_ref::<NotUtf8>()) {
        return MetricsError::CaptionFile {
            place: format!("{file}: line {}, byte {} of the line", not_utf8.line, not_utf8.byte),
            expected: "text in UTF-8".into(),
            found: not_utf8.found.clone(),
            hint: "convert the file, for example with `iconv -f latin1 -t utf-8`".into(),
        };
    }
    let hint = match error.kind() {
        ErrorKind::NotFound => "check the path; a relative path starts at the working folder",
        ErrorKind::UnexpectedEof => "the file ends too early: copy or fetch it again",
        ErrorKind::InvalidData | ErrorKind::InvalidInput => "the file is damaged: copy or fetch it again",
        _ => "check that it is a file that you may read",
    };
    MetricsError::Unreadable { file: file.into(), message: error.to_string(), hint }
}

/// Passes bytes on if they are UTF-8, and says where they are not.
struct Utf8<R> {
    inner: R,
    /// The beginning of a character whose end has not been read yet.
    begun: Vec<u8>,
    /// Counted from 1.
    line: u64,
    /// Bytes of the line that are passed on.
    byte: u64,
}

#[derive(Debug)]
struct NotUtf8 {
    line: u64,
    byte: u64,
    found: String,
}

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, byte {}: {} is not UTF-8", self.line, self.byte, self.found)
    }
}

impl std::error::Error for NotUtf8 {}

impl<R: Read> Utf8<R> {
    fn new(inner: R) -> Self {
        Self { inner, begun: Vec::new(), line: 1, byte: 0 }
    }

    fn count(&mut self, valid: &[u8]) {
        self.line += valid.iter().filter(|byte| **byte == b'\n').count() as u64;
        match valid.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => self.byte = (valid.len() - end - 1) as u64,
            None => self.byte += valid.len() as u64,
        }
    }

    fn refusal(&self, bad: &[u8]) -> io::Error {
        let bytes: Vec<String> = bad.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let found = format!("the byte{} {}", if bad.len() == 1 { "" } else { "s" }, bytes.join(" "));
        io::Error::new(ErrorKind::InvalidData, NotUtf8 { line: self.line, byte: self.byte + 1, found })
    }

    fn check(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !self.begun.is_empty() {
            let [next, rest @ ..] = bytes else { return Ok(()) };
            self.begun.push(*next);
            bytes = rest;
            let begun = std::mem::take(&mut self.begun);
            match std::str::from_utf8(&begun) {
                Ok(_) => self.count(&begun),
                Err(error) if error.error_len().is_none() => self.begun = begun,
                Err(_) => return Err(self.refusal(&begun[..begun.len() - 1])),
            }
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => self.count(bytes),
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                self.count(valid);
                match error.error_len() {
                    Some(length) => return Err(self.refusal(&rest[..length])),
                    None => self.begun = rest.to_vec(),
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.begun.is_empty() {
            return Err(self.refusal(&self.begun));
        }
        self.check(&buffer[..count])?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Slowly<'b>(&'b [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn what_is_no_utf8_is_placed_however_it_arrives() {
        for (bytes, expected) in [
            (&b"ab\nc\xffd"[..], Some("line 2, byte 2: the byte 0xff")),
            (b"\xc3\xa9\n\n\xc3(", Some("line 3, byte 1: the byte 0xc3")),
            (b"a\xe2\x82", Some("line 1, byte 2: the bytes 0xe2 0x82")),
            (b"\xe2\x82\xac\xf0\x9f\x98\x80x\x80", Some("line 1, byte 9: the byte 0x80")),
            ("é€😀\nß".as_bytes(), None),
            (b"", None),
        ] {
            for step in 1..=7 {
                let mut text = Vec::new();
                let read = Utf8::new(Slowly(bytes, step)).read_to_end(&mut text);
                let found = read.err().map(|error| error.to_string());
                let expected = expected.map(|expected| format!("{expected} is not UTF-8"));
                assert_eq!(found, expected, "{bytes:?} by {step}");
                assert!(expected.is_some() || text == bytes);
            }
        }
    }
}
