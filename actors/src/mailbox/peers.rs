//! The conversations of a mailbox that are in memory, each as of its newest row and as of its newest committed row.

use std::collections::BTreeMap;

use tidings_schema::{
    id::{Millis, Place, Seq, Uid},
    row::InboxRow,
};
use tidings_state::{conversation::Conversation, outbox::Outbox};

use crate::appender::PutNumber;

/// Rows not accepted by their peers that one mailbox may have; beyond it sends are refused (5003).
pub const UNACCEPTED_ROWS_MAX: u64 = 10_000;

/// One conversation.
#[derive(Default)]
pub(super) struct Peer {
    /// With every row that has a place: what the next row is counted from.
    pub(super) live: Conversation,
    /// With committed rows only: what is told, and written.
    pub(super) settled: Conversation,
    pub(super) outbox: Outbox,
    /// A place of the peer that no row of ours carries (it is blocked), on its way into the store.
    pub(super) noted: Option<NotedPlace>,
    pub(super) receipts: DueReceipts,
    /// The record does not show what `settled` is.
    pub(super) changed: bool,
}

/// A peer's place that becomes durable by a record, not by a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotedPlace {
    pub(super) place: Place,
    /// All rows that had a seq when it was noted; they are committed before the record is written.
    pub(super) after: Seq,
    pub(super) put: Option<PutNumber>,
}

/// What the peer's devices have, not yet in a row of ours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DueReceipts {
    pub(super) delivered_upto: Seq,
    pub(super) read_upto: Seq,
    pub(super) last_row_at: Option<Millis>,
}

/// All conversations in memory, by peer.
#[derive(Default)]
pub(super) struct Peers {
    pub(super) map: BTreeMap<Uid, Peer>,
    /// Every conversation of the user is in memory.
    pub(super) complete: bool,
}

impl Peers {
    pub(super) fn get(&self, peer: &Uid) -> Option<&Peer> {
        self.map.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &Uid) -> Option<&mut Peer> {
        self.map.get_mut(peer)
    }

    /// The conversation with `peer`, which a gate has loaded.
    pub(super) fn entry(&mut self, peer: &Uid) -> &mut Peer {
        self.map.entry(peer.clone()).or_default()
    }

    /// A committed row becomes visible.
    pub(super) fn settle(&mut self, row: &InboxRow) {
        let Some(peer) = row.with.as_ref().and_then(|uid| self.map.get_mut(uid)) else { return };
        peer.settled.apply(row);
        peer.changed = true;
    }

    /// Out rows that no peer has accepted yet.
    pub(super) fn unaccepted(&self) -> u64 {
        self.map.values().map(|peer| peer.outbox.unaccepted() as u64).sum()
    }

    /// All effects of rows up to here are accepted.
    pub(super) fn effects_upto(&self, committed: Seq) -> Seq {
        let oldest = self.map.values().filter_map(|peer| peer.outbox.oldest_unaccepted()).min();
        oldest.map_or(committed, |seq| seq.prev().min(committed))
    }
}
