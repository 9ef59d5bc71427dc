//! The one way a row comes into being: it gets its place, is counted, and is handed to the Appender.

use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    change::{self, Change, MessageName},
    error_code::ErrorCode,
    id::{Millis, Place, Seq, Uid},
    message::{self, MessageParts},
    record,
    row::{InboxRow, RowBody, Way},
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
        link::{ConnectionRef, DeliverEntry, DeliverMessage, OpId, Reference},
        store::{self, Key, Row},
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
    /// A message of this user, and the place of the one it answers in its author's log.
    Out(&'a message::Draft, Option<Place>),
    /// A message to this user.
    In(Incoming<'a>, &'a DeliverMessage),
    /// A change by this user of the message at `target`, whose place in its author's log is `refers`.
    ChangeOut { target: Seq, refers: Option<Place>, name: &'a MessageName, change: &'a Change },
    /// A change by the peer of a message.
    ChangeIn(Incoming<'a>, &'a Reference, &'a Change),
    /// The read marker moves: to where, how many counted messages that covers, how far that is in the peer's inbox.
    Read { upto: Seq, read_n: u64, place: Option<Place> },
    /// What the peer's devices have of this user's messages.
    Receipt { delivered_upto: Seq, read_upto: Seq },
    /// Nothing is taken from the peer any more.
    Blocked,
    /// The peer is welcome again.
    Unblocked,
    /// What only says something to the user's own devices: the row as it is, and what clients see of it.
    Own(&'a RowBody, &'a wire::entry::Body),
}

/// A row of the peer's inbox for this one.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'a> {
    /// As it came.
    pub(super) entry: &'a DeliverEntry,
    /// Its place in the peer's inbox.
    pub(super) place: Place,
    /// The message it refers to, in this inbox; zero = none, or not known here.
    pub(super) target: Seq,
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
            NewRow::In(from, _) | NewRow::ChangeIn(from, ..) => self.parts.clock.now().max(from.entry.time),
            _ => self.parts.clock.now(),
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
        let Said { body, entry, time, refers } = self.said(peer, new, slot);
        let unknown = Conversation::default();
        let live = self.peers.get(peer).map_or(&unknown, |peer| &peer.live);
        let Counters { n, h } = live.next_counters(&body);
        InboxRow {
            seq: slot.seq,
            ep: slot.ep,
            pe: slot.pe,
            c: slot.c,
            time,
            n,
            h,
            t: live.total_after(self.unread_total, &body),
            with: Some(peer.clone()),
            log_id: slot.log_id,
            refers,
            edited_by: Seq::ZERO,
            body,
            entry,
        }
    }

    fn said(&self, peer: &Uid, new: &NewRow<'_>, slot: &Slot) -> Said {
        let conversation = Some(message::conversation_with(peer));
        let own = |body, said| Said { body, entry: entry(slot.seq, slot.time, said), time: slot.time, refers: None };
        match new {
            NewRow::Out(draft, refers) => self.said_out(peer, draft, *refers, slot),
            NewRow::In(from, message) => said_in(peer, *from, message, slot.seq),
            NewRow::ChangeOut { target, refers, name, change } => {
                let said = change::entry_body(peer, *target, name, change);
                let way = Way::Out { prev_out: self.last_out(peer) };
                let (name, change) = ((*name).clone(), (*change).clone());
                Said { refers: *refers, ..own(RowBody::Change { way, target: *target, name, change }, said) }
            }
            NewRow::ChangeIn(from, of, change) => said_change(peer, *from, of, change, slot.seq),
            NewRow::Read { upto, read_n, place } => {
                let marker = wire::ReadMarker { conversation, upto: upto.get() };
                let body = RowBody::Read { upto: *upto, read_n: *read_n, place: *place };
                own(body, wire::entry::Body::Read(marker))
            }
            NewRow::Receipt { delivered_upto, read_upto } => {
                let (delivered, read) = (delivered_upto.get(), read_upto.get());
                let receipt = wire::Receipt { conversation, delivered_upto: delivered, read_upto: read };
                let body = RowBody::Receipt { delivered_upto: *delivered_upto, read_upto: *read_upto };
                own(body, wire::entry::Body::Receipt(receipt))
            }
            NewRow::Blocked => {
                own(RowBody::Blocked, wire::entry::Body::Blocked(wire::Blocked { uid: peer.to_string() }))
            }
            NewRow::Unblocked => {
                own(RowBody::Unblocked, wire::entry::Body::Unblocked(wire::Unblocked { uid: peer.to_string() }))
            }
            NewRow::Own(body, said) => own((*body).clone(), (*said).clone()),
        }
    }

    /// The newest row of the chain towards a peer.
    fn last_out(&self, peer: &Uid) -> Seq {
        self.peers.get(peer).map_or(Seq::ZERO, |peer| peer.live.last_out)
    }

    fn said_out(&self, peer: &Uid, draft: &message::Draft, refers: Option<Place>, slot: &Slot) -> Said {
        let prev_out = self.last_out(peer);
        let (message_id, hash, counting) = (draft.message_id, draft.hash, draft.counting);
        let parts = MessageParts {
            message_id: &draft.message_id,
            conversation: peer,
            from: &self.uid,
            content: &draft.content,
            reply_to: draft.reply_to.as_ref().map(|reply_to| reply_to.at(reply_to.seq)),
            push: &draft.push,
            edited: Millis::default(),
        };
        let entry = message::encode_message_entry(slot.seq, slot.time, parts);
        Said { body: RowBody::Out { message_id, hash, prev_out, counting }, entry, time: slot.time, refers }
    }

    /// Records that are durable no later than the row: the mark of this activation, the log's head with its first row,
    /// and the peer's place in the list of peers.
    fn records_with(&mut self, peer: &Uid, slot: &Slot) -> Vec<store::Change> {
        let mut with = Vec::new();
        let mut put = |key, value: Vec<u8>| with.push(store::Change { key, value: Some(value.into()) });
        if !self.checkpoint.marked {
            self.checkpoint.marked = true;
            self.parts.directory.borrow_mut().mark(&self.uid);
            if !mutants::active(Mutant::MarkRemovedTooEarly) {
                put(Key::Mark(self.parts.id, self.timeline_id.clone()), record::Mark {}.encode_to_vec());
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

/// A row but for its counters.
struct Said {
    body: RowBody,
    entry: Bytes,
    time: Millis,
    refers: Option<Place>,
}

fn said_in(peer: &Uid, from: Incoming<'_>, message: &DeliverMessage, seq: Seq) -> Said {
    let Incoming { entry, place, target } = from;
    let (message_id, hash, counting) = (message.message_id, message.hash, message.counting);
    let parts = MessageParts {
        message_id: &message.message_id,
        conversation: peer,
        from: peer,
        content: &message.content,
        reply_to: message.reply_to.as_ref().map(|reply_to| message::reference(target, &reply_to.name)),
        push: &message.push,
        edited: message.edited,
    };
    let bytes = message::encode_message_entry(seq, entry.time, parts);
    let refers = message.reply_to.as_ref().map(|reply_to| reply_to.place);
    Said { body: RowBody::In { message_id, hash, peer: place, counting }, entry: bytes, time: entry.time, refers }
}

fn said_change(peer: &Uid, from: Incoming<'_>, of: &Reference, change: &Change, seq: Seq) -> Said {
    let Incoming { entry: came, place, target } = from;
    let entry = entry(seq, came.time, change::entry_body(peer, target, &of.name, change));
    let body = RowBody::Change { way: Way::In { peer: place }, target, name: of.name.clone(), change: change.clone() };
    Said { body, entry, time: came.time, refers: Some(of.place) }
}

fn entry(seq: Seq, time: Millis, body: wire::entry::Body) -> Bytes {
    wire::Entry { seq: seq.get(), time: time.get(), body: Some(body) }.encode_to_vec().into()
}
