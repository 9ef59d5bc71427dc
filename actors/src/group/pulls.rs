//! Pages that are being read from the store: equal ones are read once, and answered to all who asked.

use std::collections::BTreeMap;

use tidings_schema::id::{Seq, Uid};

use crate::port::link::{ConnectionRef, OpId};

/// Reads under way at most; further ones are refused (5003). Who asks for the same page shares one.
pub const PULLS_MAX: usize = 64;
/// Who may share one read; more are refused (5003).
pub const PULL_SHARED_MAX: usize = 1_024;

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pull {
    /// Newest messages first, or oldest entries first.
    pub(super) way: Way,
    /// Rows above or below this one.
    pub(super) from: Seq,
    /// The first row that may be read.
    pub(super) first: Seq,
    /// Entries at most.
    pub(super) limit: usize,
}

/// In which direction a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Entries after `from`.
    Sync,
    /// Messages before `from`.
    History,
}

/// Who asked.
pub(super) struct Asked {
    pub(super) to: ConnectionRef,
    pub(super) op_id: OpId,
    pub(super) uid: Uid,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    /// The page has to be read.
    First,
    /// It is being read.
    Shared,
    /// There is no room.
    Full,
}

/// Reads under way.
#[derive(Default)]
pub(super) struct Pulls {
    pages: BTreeMap<Pull, Vec<Asked>>,
    /// Other reads.
    looks: usize,
}

impl Pulls {
    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty() && self.looks == 0
    }

    pub(super) fn ask(&mut self, pull: Pull, asked: Asked) -> Pulled {
        if let Some(all) = self.pages.get_mut(&pull) {
            if all.len() >= PULL_SHARED_MAX {
                return Pulled::Full;
            }
            all.push(asked);
            return Pulled::Shared;
        }
        if self.is_full() {
            return Pulled::Full;
        }
        self.pages.insert(pull, vec![asked]);
        Pulled::First
    }

    /// The page is there; gives who asked for it.
    pub(super) fn done(&mut self, pull: &Pull) -> Vec<Asked> {
        self.pages.remove(pull).unwrap_or_default()
    }

    /// Another read begins, if there is room.
    pub(super) fn look(&mut self) -> bool {
        let room = !self.is_full();
        self.looks += usize::from(room);
        room
    }

    pub(super) fn looked(&mut self) {
        self.looks -= 1;
    }

    fn is_full(&self) -> bool {
        self.pages.len() + self.looks >= PULLS_MAX
    }
}
