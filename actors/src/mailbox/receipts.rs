//! Receipts: what the peer's devices have of this user's messages, as one cumulative entry, at most one per conversation
//! and second; and, the other way, what this user's devices have of the peer's.

use tidings_schema::id::{LogId, Place, Seq, Uid};

use super::{Mailbox, append::NewRow};
use crate::port::link::{Accepted, Say};

/// Shortest time between two receipts of one conversation.
pub const RECEIPT_INTERVAL_MS: u64 = 1_000;

impl Mailbox {
    /// The peer's devices have our rows up to a place. Best effort: a later one repairs a lost one.
    pub(super) fn on_delivered(&mut self, from: &Uid, place: Place) {
        if Some(place.log_id) != self.log_id() {
            return;
        }
        let upto = place.seq.min(self.timeline.committed());
        let peer = self.peers.entry(from);
        peer.receipts.delivered_upto = peer.receipts.delivered_upto.max(upto);
        self.write_receipt(from);
    }

    /// The peer has read our rows up to a place. It repeats this until it is accepted, which it is once our row about it
    /// is committed, or at once when no row will be.
    pub(super) fn on_read_by(&mut self, from: &Uid, marker: Place, peer_log: LogId) {
        let (log_id, committed) = (self.log_id(), self.timeline.committed());
        let peer = self.peers.entry(from);
        let known = Some(marker.log_id) == log_id;
        if !known || peer.live.blocked || marker.seq <= peer.settled.got_read_upto {
            let taken = peer.settled.peer.filter(|place| place.log_id == peer_log);
            let upto = taken.map_or(Seq::ZERO, |place| self.finished(from, place).seq);
            let accepted = Accepted { log_id: peer_log, upto, read: Some(marker) };
            self.say(from, Say::Accepted(accepted));
            return;
        }
        peer.receipts.read_upto = peer.receipts.read_upto.max(marker.seq.min(committed));
        self.write_receipt(from);
    }

    /// Appends the receipt when it says something new and the last one is old enough; else the tick comes back to it.
    pub(super) fn write_receipt(&mut self, uid: &Uid) {
        let now = self.parts.clock.uptime();
        let peer = self.peers.entry(uid);
        let due = peer.receipts;
        if due.last_row_at.is_some_and(|last| now.since(last) < RECEIPT_INTERVAL_MS) {
            self.peers.receipts_due.insert(uid.clone());
            return;
        }
        let Some((delivered_upto, read_upto)) = peer.live.receipt_news(due.delivered_upto, due.read_upto) else {
            self.peers.receipts_due.remove(uid);
            return;
        };
        if self.append(uid, &NewRow::Receipt { delivered_upto, read_upto }).is_ok() {
            self.peers.receipts_due.remove(uid);
            self.peers.entry(uid).receipts.last_row_at = Some(now);
        } else {
            self.peers.receipts_due.insert(uid.clone());
        }
    }

    /// Receipts that waited for their time.
    pub(super) fn write_due_receipts(&mut self) {
        let due: Vec<Uid> = self.peers.receipts_due.iter().cloned().collect();
        for uid in due {
            self.write_receipt(&uid);
        }
    }

    /// A device has everything up to `upto`: the senders of what was pushed to it learn that it arrived.
    pub(super) fn tell_delivered(&mut self, upto: Seq) {
        for (uid, place) in self.devices.delivered_upto(upto) {
            self.say(&uid, Say::Delivered(place));
        }
    }
}
