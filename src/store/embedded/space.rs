//! Keeps a reserve of free disk space: better to refuse a write than to let the engine fail in the middle of one.

use std::{io, path::PathBuf};

const MIB: u64 = 1024 * 1024;

/// Tells the free bytes of the disk.
pub(super) type FreeSpace = Box<dyn FnMut() -> io::Result<u64> + Send>;

/// Free bytes for unprivileged writers where `dir` lies.
pub(super) fn of(dir: PathBuf) -> FreeSpace {
    Box::new(move || {
        let disk = rustix::fs::statvfs(&dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    })
}

/// Decides before each batch whether it may be written; with a gap between "stop" and "go on", so that it does not
/// change its mind with every file the engine removes.
pub(super) struct Reserve {
    bytes: u64,
    free: FreeSpace,
    refusing: bool,
}

impl Reserve {
    pub(super) fn new(reserve_mb: u64, free: FreeSpace) -> Self {
        Self { bytes: reserve_mb.saturating_mul(MIB), free, refusing: false }
    }

    /// Whether a batch may be written now. Asks the system each time: a call of a microsecond before a sync of many.
    pub(super) fn allows(&mut self) -> bool {
        let free = match (self.free)() {
            Ok(free) => free,
            Err(error) => {
                // Not knowing is no reason to stop; a full disk then shows as an engine error.
                tracing::warn!(%error, "free disk space unknown");
                return !self.refusing;
            }
        };
        metrics::gauge!("tidings_store_disk_free_bytes").set(free as f64);
        let enough = if self.refusing { self.bytes.saturating_mul(2) } else { self.bytes };
        self.note(free < enough, free);
        !self.refusing
    }

    fn note(&mut self, refusing: bool, free_bytes: u64) {
        if refusing && !self.refusing {
            tracing::error!(free_bytes, reserve_bytes = self.bytes, "disk nearly full, writes are refused");
        } else if !refusing && self.refusing {
            tracing::info!(free_bytes, "disk has space again, writes are taken");
        }
        self.refusing = refusing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_stop_below_the_reserve_and_go_on_above_twice_as_much() {
        let mut readings = [20, 10, 9, 10, 19, 20, 10].map(|mb| mb * MIB).into_iter();
        let mut reserve = Reserve::new(10, Box::new(move || Ok(readings.next().unwrap())));
        let allowed: Vec<bool> = (0..7).map(|_| reserve.allows()).collect();
        assert_eq!(allowed, [true, true, false, false, false, true, true]);
    }

    #[test]
    fn not_knowing_changes_nothing() {
        let mut readings = vec![Err(io::Error::other("x")), Ok(5 * MIB), Err(io::Error::other("x"))].into_iter();
        let mut reserve = Reserve::new(10, Box::new(move || readings.next().unwrap()));
        assert_eq!([reserve.allows(), reserve.allows(), reserve.allows()], [true, false, false]);
    }

    #[test]
    fn a_real_directory_has_free_space() {
        let dir = tempfile::tempdir().unwrap();
        assert!(of(dir.path().to_owned())().unwrap() > 0);
    }
}
