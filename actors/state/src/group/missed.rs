//! Frames that a worker's queue did not take: what a relay keeps of them until it does, so that neither the last head nor the end
//! of a membership is lost in silence.

use std::collections::BTreeMap;

use tidings_schema::id::{Gid, Seq};

use super::audience::Revoked;

/// Ends of memberships that are kept for one group; of more only the fact, and the worker asks for the group again.
pub const REVOKED_KEPT_MAX: usize = 1_024;

/// What a worker missed of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The last row.
    pub head: Seq,
    /// Memberships that ended, oldest first; `None`: too many to know, [`ask_again`].
    ///
    /// [`ask_again`]: super::subscriptions::Subscriptions::ask_again
    pub revoked: Option<Vec<(Seq, Revoked)>>,
}

/// What one worker missed. At most one note for each group it wants.
#[derive(Clone, Debug, Default)]
pub struct MissedFrames {
    groups: BTreeMap<Gid, Missed>,
}

impl MissedFrames {
    /// The worker did not take a frame up to `upto`.
    pub fn note(&mut self, gid: &Gid, upto: Seq, revoked: Revoked) {
        let new = || Missed { head: Seq::ZERO, revoked: Some(Vec::new()) };
        let missed = self.groups.entry(gid.clone()).or_insert_with(new);
        missed.head = missed.head.max(upto);
        if revoked == Revoked::Nobody {
            return;
        }
        missed.revoked.take_if(|known| known.len() >= REVOKED_KEPT_MAX);
        if let Some(known) = &mut missed.revoked {
            known.push((upto, revoked));
        }
    }

    /// What to tell the worker now; given back by [`MissedFrames::put_back`] when it does not take that either.
    #[must_use]
    pub fn take(&mut self) -> Option<(Gid, Missed)> {
        self.groups.pop_first()
    }

    /// The worker did not take it; nothing was noted since.
    pub fn put_back(&mut self, gid: Gid, missed: Missed) {
        self.groups.insert(gid, missed);
    }

    /// Whether a group must be told before its next frame.
    #[must_use]
    pub fn has(&self, gid: &Gid) -> bool {
        self.groups.contains_key(gid)
    }

    /// Whether nothing is missed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}
