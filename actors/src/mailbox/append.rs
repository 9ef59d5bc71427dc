//! The one way a row comes into being: it gets its place, is counted, and is handed to the Appender.

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    error_code::ErrorCode,
    id::{Millis, Place, Seq, Uid},
    message::{self, MessageParts},
    record,
    row::{InboxRow, RowBody},
    wire,
};
use tidings_state::{
    conversation::{Conversation, Counters},
    timeline::Slot,
};

use super::Mailbox;
use crate::{
    appender::Append,
    mutants::{self, Mutant},
    port::{
        link::{ConnectionRef, DeliverEntry, OpId},
        store::{Change, Key, Row},
    },
};

/// Why no row came into being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many rows wait for the store.
    Busy,
    /// The store cannot be written now.
    Unavailable,
    /// The timeline is stopped.
    Stopped,
}

impl Refusal {
    fn answer(self) -> (ErrorCode, &'static str, u64) {
        match self {
            Self::Busy => (ErrorCode::Busy, "too many messages wait for the store", 200),
            Self::Unavailable => (ErrorCode::Unavailable, "the store cannot be written now", 1_000),
            Self::Stopped => (ErrorCode::Corrupt, "the inbox is stopped, an operator has to look", 0),
        }
    }
}

/// What a new row says.
pub(super) enum NewRow<'a> {
    /// A message of this user.
    Out(&'a message::Draft),
    /// A message to this user: the entry, and its place in the sender's inbox.
    In(&'a DeliverEntry, Place),
    /// The read marker moves: to where, how many counted messages that covers, how far that is in the peer's inbox.
    Read { upto: Seq, read_n: u64, place: Option<Place> },
    /// What the peer's devices have of this user's messages.
    Receipt { delivered_upto: Seq, read_upto: Seq },
    /// Nothing is taken from the peer any more.
    Blocked,
    /// The peer is welcome again.
    Unblocked,
}

impl Mailbox {
    /// Gives a row its place. `peer` is in memory. The row is committed later, or never seen by anyone.
    pub(super) fn append(&mut self, peer: &Uid, new: &NewRow<'_>) -> Result<Seq, Refusal> {
        match self.parts.appender.room(&self.timeline_id, 1) {
            Append::Taken => {}
            Append::Full => return Err(Refusal::Busy),
            Append::Unavailable => return Err(Refusal::Unavailable),
            Append::Stopped => return Err(Refusal::Stopped),
        }
        let now = match new {
            // An answer is never shown before what it answers, also when the two clocks differ.
            NewRow::In(entry, _) => self.parts.clock.now().max(entry.time),
            NewRow::Out(_) | NewRow::Read { .. } | NewRow::Receipt { .. } | NewRow::Blocked | NewRow::Unblocked => {
                self.parts.clock.now()
            }
        };
        let slot = self.timeline.append(now, self.fresh_log_id).map_err(|_| Refusal::Busy)?;
        let row = self.row(peer, new, &slot);
        let value = row.encode();
        let with = self.records_with(peer, &slot);
        self.unread_total = row.t;
        self.peers.entry(peer).live.apply(&row);
        let seq = row.seq;
        self.rows.push(row);
        counter!("tidings_rows_appended_total").increment(1);
        match self.parts.appender.append(&self.timeline_id, vec![Row { seq, value }], with) {
            Append::Taken => Ok(seq),
            // Impossible after `room`, and the row would never be committed: the actor starts again from the store.
            Append::Full | Append::Unavailable | Append::Stopped => Err(Refusal::Stopped),
        }
    }

    fn row(&self, peer: &Uid, new: &NewRow<'_>, slot: &Slot) -> InboxRow {
        let live = self.peers.get(peer).map(|peer| &peer.live);
        let (body, entry, time) = self.body(peer, new, slot);
        let Counters { n, h } =
            live.map_or_else(|| Conversation::default().next_counters(&body), |live| live.next_counters(&body));
        let counts = matches!(&body, RowBody::In { counting: true, .. });
        let read = match (&body, live) {
            (RowBody::Read { read_n, .. }, Some(live)) => read_n.saturating_sub(live.last_read_n),
            _ => 0,
        };
        InboxRow {
            seq: slot.seq,
            ep: slot.ep,
            pe: slot.pe,
            c: slot.c,
            time,
            n,
            h,
            t: (self.unread_total + u64::from(counts)).saturating_sub(read),
            with: Some(peer.clone()),
            log_id: slot.log_id,
            refers: None,
            edited_by: Seq::ZERO,
            body,
            entry,
        }
    }

    fn body(&self, peer: &Uid, new: &NewRow<'_>, slot: &Slot) -> (RowBody, Bytes, Millis) {
        let conversation = Some(message::conversation_with(peer));
        match new {
            NewRow::Out(draft) => {
                let prev_out = self.peers.get(peer).map_or(Seq::ZERO, |peer| peer.live.last_out);
                let (message_id, hash, counting) = (draft.message_id, draft.hash, draft.counting);
                let parts = MessageParts {
                    message_id: &draft.message_id,
                    conversation: peer,
                    from: &self.uid,
                    content: &draft.content,
                    reply_to: None,
                    push: &draft.push,
                    edited: Millis::default(),
                };
                let entry = message::encode_message_entry(slot.seq, slot.time, parts);
                (RowBody::Out { message_id, hash, prev_out, counting }, entry, slot.time)
            }
            NewRow::In(entry, place) => {
                let (message_id, hash, counting) = (entry.message_id, entry.hash, entry.counting);
                let parts = MessageParts {
                    message_id: &entry.message_id,
                    conversation: peer,
                    from: peer,
                    content: &entry.content,
                    reply_to: None,
                    push: &entry.push,
                    edited: Millis::default(),
                };
                let bytes = message::encode_message_entry(slot.seq, entry.time, parts);
                (RowBody::In { message_id, hash, peer: *place, counting }, bytes, entry.time)
            }
            NewRow::Read { upto, read_n, place } => {
                let marker = wire::ReadMarker { conversation, upto: upto.get() };
                let body = RowBody::Read { upto: *upto, read_n: *read_n, place: *place };
                (body, entry(slot, wire::entry::Body::Read(marker)), slot.time)
            }
            NewRow::Receipt { delivered_upto, read_upto } => {
                let (delivered, read) = (delivered_upto.get(), read_upto.get());
                let receipt = wire::Receipt { conversation, delivered_upto: delivered, read_upto: read };
                let body = RowBody::Receipt { delivered_upto: *delivered_upto, read_upto: *read_upto };
                (body, entry(slot, wire::entry::Body::Receipt(receipt)), slot.time)
            }
            NewRow::Blocked => {
                let blocked = wire::Blocked { uid: peer.to_string() };
                (RowBody::Blocked, entry(slot, wire::entry::Body::Blocked(blocked)), slot.time)
            }
            NewRow::Unblocked => {
                let unblocked = wire::Unblocked { uid: peer.to_string() };
                (RowBody::Unblocked, entry(slot, wire::entry::Body::Unblocked(unblocked)), slot.time)
            }
        }
    }

    /// Records that are durable no later than the row: the mark of this activation, the log's head with its first row,
    /// and the peer's place in the list of peers.
    fn records_with(&mut self, peer: &Uid, slot: &Slot) -> Vec<Change> {
        let mut with = Vec::new();
        let mut put = |key, value: Vec<u8>| with.push(Change { key, value: Some(value.into()) });
        if !self.checkpoint.marked {
            self.checkpoint.marked = true;
            self.parts.directory.borrow_mut().mark(&self.uid);
            if !mutants::active(Mutant::MarkRemovedTooEarly) {
                put(Key::Mark(self.parts.id, self.uid.clone()), record::Mark {}.encode_to_vec());
            }
        }
        if let Some(log_id) = slot.log_id {
            let head = record::Head { log_id: Bytes::copy_from_slice(log_id.as_bytes()), ..Default::default() };
            put(Key::Head(self.timeline_id.clone()), head.encode_to_vec());
        }
        let known = self.peers.entry(peer);
        if !std::mem::replace(&mut known.listed, true) {
            put(Key::Peer(self.uid.clone(), peer.clone()), record::Peer {}.encode_to_vec());
        }
        with
    }

    pub(super) fn refuse_row(&mut self, to: ConnectionRef, op_id: OpId, refusal: Refusal) {
        let (code, text, retry_after_ms) = refusal.answer();
        self.refuse(to, op_id, code, text, retry_after_ms);
    }
}

fn entry(slot: &Slot, body: wire::entry::Body) -> Bytes {
    wire::Entry { seq: slot.seq.get(), time: slot.time.get(), body: Some(body) }.encode_to_vec().into()
}
