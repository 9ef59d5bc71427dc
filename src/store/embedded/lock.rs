//! One process per data directory: an advisory lock on a file in it, held until the engine is closed.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use super::OpenError;

/// Holds the directory while it lives. The system gives it free when the process ends in any way.
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Makes the directory if need be, and locks it.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let not_usable = |source| OpenError::NotUsable { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(not_usable)?;
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(dir.join("lock")).map_err(not_usable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(not_usable(source)),
        }
    }
}
