//! Writing files so that a kill at any moment leaves either the old or the new one.

use crate::{Result, TrainError};
use std::{fs::File, io::Write, path::Path};

/// Writes a file beside its place, syncs it, moves it there, and syncs the folder.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Like [`write`], for content that is produced piece by piece.
pub fn write_with(path: &Path, produce: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(TrainError::io("create folder", folder))?;
    let mut file = tempfile::Builder::new()
        .prefix(".writing-")
        .tempfile_in(folder)
        .map_err(TrainError::io("create a file in", folder))?;
    let failed = |e| TrainError::io("write", path)(e);
    produce(file.as_file_mut()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(folder)
}

/// Makes a folder's entries durable.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(TrainError::io("sync", folder))
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).map_err(TrainError::io("create folder", to))?;
    for entry in std::fs::read_dir(from).map_err(TrainError::io("read", from))? {
        let entry = entry.map_err(TrainError::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).map_err(TrainError::io("copy", &source))?;
        }
    }
    Ok(())
}
