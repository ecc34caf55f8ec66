//! Files that are there in full or not at all.

use crate::error::{FetchError, io};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Writes a file of the cache beside its place, syncs it and moves it there; its folder is made.
///
/// # Errors
/// If the system refuses.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FetchError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(io(folder))?;
    let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder).map_err(io(folder))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(io(path))?;
    file.persist(path).map(|_| ()).map_err(|e| io(path)(e.error))
}
