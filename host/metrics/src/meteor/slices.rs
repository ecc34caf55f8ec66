//! A file of byte sections, read once and looked into in place.

use crate::error::MetricsError;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// What a file begins with: its kind and the version of its layout.
const MAGIC: &[u8; 8] = b"EKPHMET1";

/// A section of a file that is held in memory.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl Slice {
    /// The i-th little-endian u32; 0 beyond the end, which only a damaged file has.
    #[inline]
    pub(super) fn u32(&self, i: usize) -> u32 {
        let bytes = self.get(4 * i..4 * i + 4).and_then(|b| b.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    }

    /// Elements `range`, cut off at the end, of values of `size` bytes.
    #[inline]
    pub(super) fn elements(&self, range: Range<usize>, size: usize) -> &[u8] {
        self.get(range.start.saturating_mul(size)..range.end.saturating_mul(size)).unwrap_or(&[])
    }
}

/// The u16 values of a section.
#[inline]
pub(super) fn u16s(bytes: &[u8]) -> impl ExactSizeIterator<Item = u16> + Clone {
    bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b))
}

/// Bytes of u32 values.
pub(super) fn bytes_of(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Joins sections into a file: magic, number of sections, their lengths as u64, their bytes.
pub(super) fn join(sections: &[Vec<u8>]) -> Vec<u8> {
    let total: usize = sections.iter().map(Vec::len).sum();
    let mut file = Vec::with_capacity(MAGIC.len() + 4 + 8 * sections.len() + total);
    file.extend(MAGIC);
    file.extend((sections.len() as u32).to_le_bytes());
    for section in sections {
        file.extend((section.len() as u64).to_le_bytes());
    }
    for section in sections {
        file.extend(section);
    }
    file
}

/// The sections of a file.
///
/// # Errors
/// If it is not such a file, has not `count` sections, or is cut short.
pub(super) fn split(bytes: Vec<u8>, count: usize) -> Result<Vec<Slice>, MetricsError> {
    let damaged =
        |expected: String, found: String| MetricsError::MeteorData { place: "index".into(), expected, found };
    if !bytes.starts_with(MAGIC) {
        let text = || String::from_utf8_lossy(MAGIC).into_owned();
        return Err(damaged(format!("a file that begins with {}", text()), "another file".into()));
    }
    let header = MAGIC.len() + 4 + 8 * count;
    let found = bytes.get(8..12).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    if found != Some(count as u32) || bytes.len() < header {
        return Err(damaged(format!("{count} sections"), format!("{}", found.unwrap_or(0))));
    }
    let lengths: Vec<u64> =
        bytes[12..header].as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
    let total = lengths.iter().fold(header as u64, |sum, &l| sum.saturating_add(l));
    if total != bytes.len() as u64 {
        return Err(damaged(format!("{total} bytes"), format!("{} bytes", bytes.len())));
    }
    let bytes = Arc::new(bytes);
    let mut start = header;
    let slice = |&length: &u64| {
        let range = start..start + length as usize;
        start = range.end;
        Slice { bytes: Arc::clone(&bytes), range }
    };
    Ok(lengths.iter().map(slice).collect())
}
