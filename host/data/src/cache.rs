//! A file of prepared pictures in the cache folder.
//!
//! Layout: the pictures, `3 * size * size` bytes each (channels, rows, columns); a footer in JSON with the
//! key, the shape, a checksum of every picture and the rows that hold none; then BLAKE3 of the footer, its
//! length, and a magic number. The footer is written last, to a temporary file that is then renamed: a file
//! that has its name is whole.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::DataError;

const MAGIC: &[u8; 8] = b"EKPIX\x00\x00\x01";
const TAIL: u64 = 32 + 8 + 8;
/// A footer larger than this is taken for damage.
const MAX_FOOTER: u64 = 1 << 30;
/// Files up to this size are checked in whole when opened, larger ones picture by picture when read.
const FULL_CHECK: u64 = 256 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Footer {
    key: String,
    size: usize,
    checksums: Vec<u64>,
    /// (row, reason) of pictures that could not be prepared.
    bad: Vec<(usize, String)>,
}

/// Prepared pictures in a file. Reads go by position and so may come from several threads.
#[derive(Debug)]
pub(crate) struct PixelFile {
    file: File,
    path: PathBuf,
    footer: Footer,
}

impl PixelFile {
    /// Where the pictures of `key` lie in the cache folder.
    pub(crate) fn path(cache: &Path, format: &str, key: &str) -> PathBuf {
        cache.join(format!("{format}-{}.pixels", key.get(..24).unwrap_or(key)))
    }

    /// Opens a finished file. `Ok(None)` if there is none; an error if there is one that cannot be trusted.
    pub(crate) fn open(path: &Path, key: &str) -> Result<Option<PixelFile>, DataError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(DataError::io("open", path))?,
        };
        let damaged = |message: String| DataError::DamagedCache { path: path.to_path_buf(), message };
        let length = file.metadata().map_err(DataError::io("read", path))?.len();
        let mut tail = [0; TAIL as usize];
        let tail_at = length.checked_sub(TAIL).ok_or_else(|| damaged(format!("only {length} bytes long")))?;
        file.read_exact_at(&mut tail, tail_at).map_err(DataError::io("read", path))?;
        let (digest, rest) = tail.split_at(32);
        let (footer_length, magic) = rest.split_at(8);
        if magic != MAGIC {
            return Err(damaged(
                "it does not end as such a file does; cut short, or of another version".into(),
            ));
        }
        let footer_length = u64::from_le_bytes(footer_length.try_into().unwrap_or_default());
        let pixels = tail_at
            .checked_sub(footer_length)
            .filter(|_| footer_length <= MAX_FOOTER)
            .ok_or_else(|| damaged(format!("it claims a footer of {footer_length} bytes")))?;
        let mut json = vec![0; footer_length as usize];
        file.read_exact_at(&mut json, pixels).map_err(DataError::io("read", path))?;
        if blake3::hash(&json).as_bytes() != digest {
            return Err(damaged("the checksum of its footer is wrong".into()));
        }
        let footer: Footer = serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
        if footer.key != key {
            return Err(damaged("it was made from other data".into()));
        }
        let opened = PixelFile { file, path: path.to_path_buf(), footer };
        let expected = (opened.footer.checksums.len() * opened.picture_bytes()) as u64;
        if pixels != expected {
            return Err(damaged(format!("expected {expected} bytes of pictures, found {pixels}")));
        }
        if pixels <= FULL_CHECK {
            let mut picture = vec![0; opened.picture_bytes()];
            for row in 0..opened.footer.checksums.len() {
                opened.read(row, &mut picture)?;
            }
        }
        Ok(Some(opened))
    }

    fn picture_bytes(&self) -> usize {
        3 * self.footer.size * self.footer.size
    }

    /// (row, reason) of the pictures that could not be prepared.
    pub(crate) fn bad(&self) -> &[(usize, String)] {
        &self.footer.bad
    }

    /// Fills `picture` with the bytes of `row` and checks them.
    pub(crate) fn read(&self, row: usize, picture: &mut [u8]) -> Result<(), DataError> {
        let limit = self.footer.checksums.len();
        let expected = self.footer.checksums.get(row);
        let expected = *expected.ok_or(DataError::OutOfRange { what: "picture", found: row, limit })?;
        let at = row as u64 * self.picture_bytes() as u64;
        self.file.read_exact_at(picture, at).map_err(DataError::io("read", &self.path))?;
        if checksum(picture) != expected {
            let message = format!("the checksum of picture {row} is wrong");
            return Err(DataError::DamagedCache { path: self.path.clone(), message });
        }
        Ok(())
    }
}

/// Writes pictures in any order, from any thread, to a file that gets its name when all are there.
pub(crate) struct PixelWriter {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    footer: Mutex<Footer>,
    picture_bytes: usize,
}

impl PixelWriter {
    /// Starts a file of `count` pictures of `size` by `size`.
    pub(crate) fn create(
        path: &Path,
        key: &str,
        count: usize,
        size: usize,
    ) -> Result<PixelWriter, DataError> {
        let file = temporary_beside(path)?;
        let picture_bytes = 3 * size * size;
        file.as_file().set_len(count as u64 * picture_bytes as u64).map_err(DataError::io("write", path))?;
        let footer = Footer { key: key.to_owned(), size, checksums: vec![0; count], bad: Vec::new() };
        Ok(PixelWriter { file, path: path.to_path_buf(), footer: Mutex::new(footer), picture_bytes })
    }

    /// Stores the picture of `row`, or why there is none.
    pub(crate) fn put(&self, row: usize, picture: Result<&[u8], String>) -> Result<(), DataError> {
        let blank;
        let (bytes, reason) = match picture {
            Ok(bytes) => (bytes, None),
            Err(reason) => {
                blank = vec![0; self.picture_bytes];
                (blank.as_slice(), Some(reason))
            }
        };
        let at = row as u64 * self.picture_bytes as u64;
        self.file.as_file().write_all_at(bytes, at).map_err(DataError::io("write", &self.path))?;
        let mut footer = self.footer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let limit = footer.checksums.len();
        *footer.checksums.get_mut(row).ok_or(DataError::OutOfRange {
            what: "picture",
            found: row,
            limit,
        })? = checksum(bytes);
        footer.bad.extend(reason.map(|reason| (row, reason)));
        Ok(())
    }

    /// Writes the footer, syncs, gives the file its name and opens it.
    pub(crate) fn finish(self) -> Result<PixelFile, DataError> {
        let mut footer = self.footer.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        footer.bad.sort();
        let json = serde_json::to_vec(&footer)
            .map_err(|error| DataError::io("write", &self.path)(std::io::Error::other(error)))?;
        let mut end = json.clone();
        end.extend_from_slice(blake3::hash(&json).as_bytes());
        end.extend_from_slice(&(json.len() as u64).to_le_bytes());
        end.extend_from_slice(MAGIC);
        let at = footer.checksums.len() as u64 * self.picture_bytes as u64;
        self.file.as_file().write_all_at(&end, at).map_err(DataError::io("write", &self.path))?;
        persist(self.file, &self.path)?;
        PixelFile::open(&self.path, &footer.key)?.ok_or_else(|| DataError::DamagedCache {
            path: self.path.clone(),
            message: "it vanished while it was being written".into(),
        })
    }
}

fn checksum(picture: &[u8]) -> u64 {
    let digest = blake3::hash(picture);
    digest.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn temporary_beside(path: &Path) -> Result<tempfile::NamedTempFile, DataError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(DataError::io("create folder", folder))?;
    tempfile::Builder::new()
        .prefix(".unfinished-")
        .tempfile_in(folder)
        .map_err(DataError::io("create a file in", folder))
}

fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<(), DataError> {
    file.as_file().sync_all().map_err(DataError::io("write", path))?;
    file.persist(path).map_err(|error| DataError::io("rename to", path)(error.error))?;
    Ok(())
}

/// Writes `bytes` to a temporary file beside `path` and renames it, so that `path` is never half written.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes).map_err(DataError::io("write", path))?;
    persist(file, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path) -> PixelFile {
        let writer = PixelWriter::create(path, "key", 3, 2).unwrap();
        writer.put(2, Ok(&[7; 12])).unwrap();
        writer.put(0, Ok(&[9; 12])).unwrap();
        writer.put(1, Err("gone".into())).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn pictures_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.pixels");
        let file = written(&path);
        let mut picture = [0; 12];
        file.read(2, &mut picture).unwrap();
        assert_eq!(picture, [7; 12]);
        assert_eq!(file.bad(), [(1, "gone".to_owned())]);
        assert!(matches!(file.read(3, &mut picture), Err(DataError::OutOfRange { found: 3, .. })));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn no_file_is_not_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(PixelFile::open(&folder.path().join("none"), "key").unwrap().is_none());
    }

    #[test]
    fn any_changed_byte_or_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pixels");
        written(&path);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            assert!(
                matches!(PixelFile::open(&path, "key"), Err(DataError::DamagedCache { .. })),
                "byte {at}"
            );
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(PixelFile::open(&path, "key"), Err(DataError::DamagedCache { .. })), "cut {at}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert!(matches!(PixelFile::open(&path, "other"), Err(DataError::DamagedCache { .. })));
    }
}
