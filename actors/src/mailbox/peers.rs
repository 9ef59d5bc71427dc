//! The conversations of a mailbox that are in memory, each as of its newest row and as of its newest committed row.

use std::collections::{BTreeMap, BTreeSet};

use tidings_schema::{
    id::{Millis, Place, Seq, Uid},
    row::InboxRow,
};
use tidings_state::{conversation::Conversation, outbox::Outbox};

use crate::appender::PutNumber;

/// Conversations kept in memory beyond those in use; the rest is read again when needed.
pub const PEERS_KEPT: usize = 1_024;

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
    /// The store lists the peer, or will with the rows on their way.
    pub(super) listed: bool,
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
    /// Out rows that no peer has accepted yet.
    pub(super) unaccepted: usize,
    /// Peers with a noted place on its way.
    pub(super) noting: BTreeSet<Uid>,
    /// Peers with a receipt that waits for its time.
    pub(super) receipts_due: BTreeSet<Uid>,
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

    /// A conversation as stored, unless it is in memory already.
    pub(super) fn load(&mut self, uid: Uid, conversation: Conversation) {
        self.map.entry(uid).or_insert_with(|| Peer {
            listed: conversation.upto > Seq::ZERO,
            outbox: Outbox::restore(conversation.last_out, []),
            live: conversation.clone(),
            settled: conversation,
            ..Peer::default()
        });
    }

    /// Whether no peer is owed anything.
    pub(super) fn owe_nothing(&self) -> bool {
        self.noting.is_empty() && self.receipts_due.is_empty() && self.map.values().all(|peer| peer.outbox.is_idle())
    }

    /// A committed row becomes visible.
    pub(super) fn settle(&mut self, row: &InboxRow) {
        let Some(peer) = row.with.as_ref().and_then(|uid| self.map.get_mut(uid)) else { return };
        peer.settled.apply(row);
        peer.changed = true;
    }

    /// A row towards a peer has its place.
    pub(super) fn push_out(&mut self, peer: &Uid, seq: Seq) {
        self.entry(peer).outbox.push(seq);
        self.unaccepted += 1;
    }

    /// The peer has rows up to `upto`, and the marker.
    pub(super) fn accepted(&mut self, peer: &Uid, upto: Seq, read: Option<Place>, now: Millis) {
        let Some(peer) = self.map.get_mut(peer) else { return };
        let before = peer.outbox.unaccepted();
        peer.outbox.accepted(upto, read, now);
        peer.live.set_accepted(upto);
        peer.settled.set_accepted(upto);
        peer.changed = true;
        self.unaccepted = self.unaccepted.saturating_sub(before - peer.outbox.unaccepted());
    }

    /// The chain towards a peer starts again after `have`.
    pub(super) fn go_back(&mut self, peer: &Uid, have: Seq, chain: Vec<Seq>) {
        if let Some(peer) = self.map.get_mut(peer) {
            peer.outbox.go_back(have, chain);
        }
        self.unaccepted = self.map.values().map(|peer| peer.outbox.unaccepted()).sum();
    }

    /// The same with what is kept of the chain, whose first row follows `base`.
    pub(super) fn go_back_to_kept(&mut self, peer: &Uid, have: Seq, base: Seq, chain: Vec<Seq>) {
        if let Some(peer) = self.map.get_mut(peer) {
            peer.outbox.go_back_to_kept(have, base, chain);
        }
        self.unaccepted = self.map.values().map(|peer| peer.outbox.unaccepted()).sum();
    }

    /// Conversations that nothing is known of beyond their records leave memory when there are very many.
    pub(super) fn release(&mut self) {
        if self.map.len() <= PEERS_KEPT {
            return;
        }
        let due = &self.receipts_due;
        self.map.retain(|uid, peer| {
            peer.changed
                || !peer.outbox.is_idle()
                || peer.noted.is_some()
                || due.contains(uid)
                || peer.live.upto != peer.settled.upto
        });
        self.complete = false;
    }

    /// All effects of rows up to here are accepted.
    pub(super) fn effects_upto(&self, committed: Seq) -> Seq {
        let oldest = self.map.values().filter_map(|peer| peer.outbox.oldest_unaccepted()).min();
        oldest.map_or(committed, |seq| seq.prev().min(committed))
    }
}
