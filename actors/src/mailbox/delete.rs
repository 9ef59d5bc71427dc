//! What a user does to its own side of a conversation only: deleting messages or all of it, pinning, muting. Entries of
//! the inbox, so that every device knows; the peer learns at most that messages which were deleted count as read.

use bytes::Bytes;
use tidings_schema::{
    error_code::ErrorCode,
    id::{Seq, Uid},
    message::conversation_with,
    row::RowBody,
    wire,
};
use tidings_state::{conversation::Conversation, deletions::Deletions};

use super::{Mailbox, append::NewRow, gate::MarkerRow, targets::Target};
use crate::port::link::{ConnectionRef, DeleteOp, Deletion, OpId};

/// Messages deleted by one op at most.
pub const DELETE_SEQS_MAX: usize = 100;

impl Mailbox {
    pub(super) fn delete(&mut self, from: ConnectionRef, op_id: OpId, op: &DeleteOp) {
        if let Err(retry_after_ms) = self.limiter.allows(self.parts.clock.uptime()) {
            return self.refuse(from, op_id, ErrorCode::RateLimited, "too many operations per second", retry_after_ms);
        }
        let Some(settled) = self.peers.get(&op.peer).map(|peer| peer.settled.clone()).filter(|settled| settled.h > 0)
        else {
            let text = "there is no conversation with this user";
            return self.refuse(from, op_id, ErrorCode::NoSuchConversation, text, 0);
        };
        match &op.what {
            Deletion::Seqs(seqs) => self.delete_seqs(from, op_id, &op.peer, seqs),
            Deletion::Upto(upto) => {
                let upto = (*upto).min(settled.last_seq);
                if upto <= self.peers.get(&op.peer).map_or(Seq::ZERO, |peer| peer.live.deleted.upto()) {
                    return self.answer_unchanged(from, op_id, &op.peer);
                }
                self.delete_upto(from, op_id, &op.peer, upto, false, &settled);
            }
            Deletion::Whole if self.is_hidden(&op.peer, settled.last_seq) => {
                self.answer_unchanged(from, op_id, &op.peer);
            }
            Deletion::Whole => self.delete_upto(from, op_id, &op.peer, settled.last_seq, true, &settled),
        }
    }

    /// Whether the conversation is deleted already, with nothing new since.
    fn is_hidden(&self, peer: &Uid, last: Seq) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.live.hidden_upto == last)
    }

    fn delete_seqs(&mut self, from: ConnectionRef, op_id: OpId, peer: &Uid, seqs: &[Seq]) {
        let committed = self.timeline.committed();
        let known = |seq: &Seq| *seq <= committed && self.target(peer, Target::Own(*seq)).flatten().is_some();
        if !seqs.iter().all(known) {
            let text = "a seq is no message of this conversation";
            return self.refuse(from, op_id, ErrorCode::NoSuchSeq, text, 0);
        }
        // What is decided but not committed yet counts: the row comes behind it.
        let live = self.peers.entry(peer).live.clone();
        let deleted = &live.deleted;
        let mut seqs: Vec<Seq> = seqs.iter().copied().filter(|seq| !deleted.contains(*seq)).collect();
        seqs.sort_unstable();
        seqs.dedup();
        if seqs.is_empty() {
            return self.answer_unchanged(from, op_id, peer);
        }
        if !deleted.have_room(seqs.len()) {
            let text = "too many single deletions, delete up to a message";
            return self.refuse(from, op_id, ErrorCode::TooManyDeletions, text, 0);
        }
        let left = seqs.contains(&live.shown_seq()).then(|| self.gate.left().unwrap_or_default());
        let body = RowBody::Deleted { seqs, upto: Seq::ZERO, whole: false, read_n: 0, place: None, left };
        self.append_deleted(from, op_id, peer, body);
    }

    fn delete_upto(
        &mut self,
        from: ConnectionRef,
        op_id: OpId,
        peer: &Uid,
        upto: Seq,
        whole: bool,
        settled: &Conversation,
    ) {
        let marker = match self.marker_at(upto, settled) {
            // The marker stands there or beyond already.
            _ if upto <= settled.last_read => MarkerRow { n: 0, place: None },
            Some(marker) => marker,
            None => {
                let text = "no message of this conversation has that seq";
                return self.refuse(from, op_id, ErrorCode::NoSuchSeq, text, 0);
            }
        };
        let MarkerRow { n: read_n, place } = marker;
        let left = (upto >= self.peers.entry(peer).live.shown_seq()).then(Bytes::new);
        let body = RowBody::Deleted { seqs: Vec::new(), upto, whole, read_n, place, left };
        self.append_deleted(from, op_id, peer, body);
    }

    /// What the read marker of the conversation says at a message; `None` when there is no message.
    pub(super) fn marker_at(&self, seq: Seq, settled: &Conversation) -> Option<MarkerRow> {
        if seq >= settled.last_seq {
            return Some(MarkerRow { n: settled.n, place: settled.last_in_place });
        }
        self.gate.marker(seq).flatten()
    }

    fn append_deleted(&mut self, from: ConnectionRef, op_id: OpId, peer: &Uid, body: RowBody) {
        let RowBody::Deleted { seqs, upto, whole, .. } = &body else { return };
        let said = wire::entry::Body::Deleted(wire::Deleted {
            conversation: Some(conversation_with(peer)),
            seqs: seqs.iter().map(|seq| seq.get()).collect(),
            upto: upto.get(),
            whole: *whole,
        });
        self.append_own(from, op_id, peer, &body, &said);
    }

    fn append_own(&mut self, from: ConnectionRef, op_id: OpId, peer: &Uid, body: &RowBody, said: &wire::entry::Body) {
        match self.append(peer, &NewRow::Own(body, said)) {
            Ok(seq) => self.answer_when_committed(seq, from, op_id, super::read::ok(seq)),
            Err(refusal) => self.refuse_row(from, op_id, refusal),
        }
    }

    pub(super) fn set_conversation(
        &mut self,
        from: ConnectionRef,
        op_id: OpId,
        peer: &Uid,
        pinned: Option<bool>,
        muted: Option<bool>,
    ) {
        if let Err(retry_after_ms) = self.limiter.allows(self.parts.clock.uptime()) {
            return self.refuse(from, op_id, ErrorCode::RateLimited, "too many operations per second", retry_after_ms);
        }
        let Some(live) = self.peers.get(peer).map(|peer| &peer.live).filter(|live| live.h > 0) else {
            let text = "there is no conversation with this user";
            return self.refuse(from, op_id, ErrorCode::NoSuchConversation, text, 0);
        };
        let now = (live.pinned, live.muted);
        let (pinned, muted) = (pinned.unwrap_or(now.0), muted.unwrap_or(now.1));
        if (pinned, muted) == now {
            return self.answer_unchanged(from, op_id, peer);
        }
        let conversation = Some(conversation_with(peer));
        let said = wire::entry::Body::ConversationSet(wire::ConversationSet { conversation, pinned, muted });
        self.append_own(from, op_id, peer, &RowBody::ConversationSet { pinned, muted }, &said);
    }

    /// The deletions that a conversation will have after an op, and whether the message shown as its newest is among them.
    pub(super) fn deletions_after(&self, op: &DeleteOp) -> Option<(Deletions, Seq)> {
        let live = &self.peers.get(&op.peer)?.live;
        let Deletion::Seqs(seqs) = &op.what else { return None };
        let mut deletions = live.deleted.clone();
        seqs.iter().for_each(|seq| deletions.add(*seq));
        let shown = live.shown_seq();
        (shown > Seq::ZERO && seqs.contains(&shown)).then_some((deletions, shown))
    }
}
