//! Which shards of a process serve, and which inboxes and groups they stopped: told by the shards themselves, watched by whoever
//! says that the process is ready.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tidings_schema::id::{Gid, Uid};
use tokio::sync::watch;

/// Stopped inboxes, and stopped groups, that are named; the metric `tidings_timelines_corrupt` counts all.
pub const STOPPED_NAMED_MAX: usize = 1_000;

/// How the shards of one process stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Serve, and know who may be owed something.
    pub ready: u16,
    /// Ended. Nothing starts a shard again: its users are served by the next process.
    pub gone: u16,
    /// Were told to retire, and had no mailbox in memory since.
    pub empty: u16,
}

/// Where shards report; clones share it.
#[derive(Clone, Default)]
pub struct Roll {
    standing: watch::Sender<Standing>,
    stopped: Arc<Mutex<BTreeSet<Uid>>>,
    stopped_groups: Arc<Mutex<BTreeSet<Gid>>>,
}

impl Roll {
    /// The standing from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Users whose inbox is damaged and stopped, the first [`STOPPED_NAMED_MAX`].
    #[must_use]
    pub fn stopped(&self) -> Vec<Uid> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Groups whose log is damaged and stopped, the first [`STOPPED_NAMED_MAX`].
    #[must_use]
    pub fn stopped_groups(&self) -> Vec<Gid> {
        self.stopped_groups.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// A group's log is stopped for the rest of this process.
    pub(super) fn stop_group(&self, gid: &Gid) {
        let mut stopped = self.stopped_groups.lock().unwrap_or_else(PoisonError::into_inner);
        if stopped.len() < STOPPED_NAMED_MAX {
            stopped.insert(gid.clone());
        }
    }

    /// A user's inbox is stopped for the rest of this process.
    pub(super) fn stop(&self, uid: &Uid) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if stopped.len() < STOPPED_NAMED_MAX {
            stopped.insert(uid.clone());
        }
    }

    /// One shard's line on the roll, for as long as the shard lives.
    pub(super) fn enter(&self) -> Entry {
        Entry { roll: self.clone(), ready: false, empty: false }
    }
}

/// The line of one shard; dropped with it, also when it panics.
pub(super) struct Entry {
    roll: Roll,
    ready: bool,
    empty: bool,
}

impl Entry {
    /// The shard has read its marks.
    pub(super) fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            self.roll.standing.send_modify(|standing| standing.ready += 1);
        }
    }

    /// The shard has been told to retire, and no mailbox is left.
    pub(super) fn empty(&mut self) {
        if !std::mem::replace(&mut self.empty, true) {
            self.roll.standing.send_modify(|standing| standing.empty += 1);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.roll.standing.send_modify(|standing| {
            standing.ready -= u16::from(self.ready);
            standing.empty -= u16::from(self.empty);
            standing.gone += 1;
        });
    }
}
