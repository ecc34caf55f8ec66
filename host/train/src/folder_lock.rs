//! The lock of a folder that one process at a time works in.

use crate::{Result, TrainError};
use std::{
    fs::{File, TryLockError},
    path::Path,
};

/// Holds a folder by an advisory lock on a file in it, until it is dropped or the process ends.
pub struct FolderLock(File);

impl FolderLock {
    /// Takes the lock; `doing` says what the one who holds it does ("running this study").
    ///
    /// # Errors
    /// When another holds it.
    pub fn take(folder: &Path, name: &str, doing: &str) -> Result<Self> {
        let path = folder.join(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(TrainError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                let hint = "hint: wait until it ends, or choose another folder with `--out`";
                Err(TrainError::folder(folder, format!("another process is {doing}\n{hint}")))
            }
            Err(TryLockError::Error(e)) => Err(TrainError::io("lock", &path)(e)),
        }
    }
}

impl Drop for FolderLock {
    /// Unlocks by name: closing the file would not be enough, since a child process that another thread is just
    /// starting has a copy of every open file until it executes its program.
    fn drop(&mut self) {
        // It can fail only on a file that is closed already.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::FolderLock;

    #[test]
    fn it_is_free_once_dropped_though_a_child_may_have_a_copy_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let take = || FolderLock::take(folder.path(), "a.lock", "reading this");
        let lock = take().unwrap();
        let copy = lock.0.try_clone().unwrap();
        let error = take().err().unwrap().to_string();
        assert!(error.contains("another process is reading this\nhint: wait"), "{error}");
        drop(lock);
        take().unwrap();
        drop(copy);
    }
}
