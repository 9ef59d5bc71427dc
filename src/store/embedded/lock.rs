//! One process per data directory: an advisory lock on a file in it, held until the engine is closed.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
};

use super::OpenError;

/// The file that is locked, in the data directory.
pub(super) const LOCK_FILE: &str = "lock";
/// What others say is in there: nobody else may look.
const DIR_MODE: u32 = 0o700;

/// Holds the directory while it lives. The system gives it free when the process ends in any way.
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Makes the directory if need be, and locks it.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let not_usable = |source| OpenError::NotUsable { dir: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(not_usable)?;
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(dir.join(LOCK_FILE)).map_err(not_usable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(not_usable(source)),
        }
    }
}

/// Whether a process has the lock of a directory. It must be there, and be writable.
pub(super) fn is_taken(dir: &Path) -> std::io::Result<bool> {
    match File::options().write(true).open(dir.join(LOCK_FILE))?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(why)) => Err(why),
    }
}

/// The process that holds the lock of a directory, where the system lists locks (Linux).
pub(super) fn owner(dir: &Path) -> Option<u32> {
    let inode = fs::metadata(dir.join(LOCK_FILE)).ok()?.ino();
    holder(&fs::read_to_string("/proc/locks").ok()?, inode)
}

/// `1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF` is a lock of process 4711 on inode 1234. Another disk may have the
/// same inode: the answer is for people.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(4);
        let (pid, file) = (words.next()?, words.next()?);
        (file.rsplit(':').next()?.parse() == Ok(inode)).then(|| pid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock_is_found_in_the_list_of_locks() {
        let locks = "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF\n2: POSIX  ADVISORY  WRITE 12 08:01:77 0 EOF\n";
        assert_eq!((holder(locks, 1234), holder(locks, 77), holder(locks, 5)), (Some(4711), Some(12), None));
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(&dir.path().join("data")).unwrap();
        let mode = fs::metadata(dir.path().join("data")).unwrap().mode() & 0o777;
        assert_eq!((owner(&dir.path().join("data")), mode), (Some(std::process::id()), 0o700));
        drop(lock);
    }
}
