//! Files that are either whole or not there.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::ReportError;

/// Writes `bytes` to a temporary file beside `path`, syncs it, renames it and syncs the folder, which is
/// made if there is none. At any instant `path` holds all of its old content or all of the new.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes).map_err(ReportError::io("write", path))?;
    persist(file, path)?;
    Ok(())
}

/// An unnamed start of the file `path`. Its name does not resemble that of an event file.
pub(crate) fn temporary_beside(path: &Path) -> Result<NamedTempFile, ReportError> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(ReportError::io("create folder", folder))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".unfinished-");
    // What a plain `File::create` would ask for; temporary files are otherwise their owner's alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).map_err(ReportError::io("create a file in", folder))
}

/// Gives a temporary file its name, durably. The handle stays open at the end of what was written.
pub(crate) fn persist(file: NamedTempFile, path: &Path) -> Result<File, ReportError> {
    file.as_file().sync_all().map_err(ReportError::io("write", path))?;
    let file = file.persist(path).map_err(|error| ReportError::io("rename to", path)(error.error))?;
    sync_folder(path)?;
    Ok(file)
}

/// Syncs the folder that holds `path`, so that the file's name outlives a power cut.
pub(crate) fn sync_folder(path: &Path) -> Result<(), ReportError> {
    let folder = folder_of(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(ReportError::io("sync folder", folder))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.txt");
        write_atomically(&path, b"first").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_refusal_names_the_path_and_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("inside"), "kept").unwrap();
        let error = write_atomically(&path, b"x").unwrap_err().to_string();
        assert!(error.contains("taken"), "{error}");
        assert_eq!(std::fs::read(path.join("inside")).unwrap(), b"kept");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }
}
