//! The domain form of an inbox row: what the server decides with, checked once when a stored row is read.
//!
//! Reading copies nothing: `entry` shares the bytes of the stored record. What the entry says already (seq, time,
//! message id, marker, receipt) is not stored a second time.

use bytes::Bytes;
use prost::Message as _;

use crate::{
    change::{self, Change, MessageName, Stored},
    id::{Epoch, IdError, LogId, MessageId, Millis, Place, Seq, Uid},
    message::{PayloadHash, RawEntry},
    record::{self, RowKind},
    wire,
};

/// One row of an inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxRow {
    /// Place in the inbox; also in `entry`.
    pub seq: Seq,
    /// Epoch that first appended the row.
    pub ep: Epoch,
    /// Epoch of the row before; zero for row 1.
    pub pe: Epoch,
    /// The writer's committed head when it appended.
    pub c: Seq,
    /// Milliseconds since the Unix epoch; also in `entry`.
    pub time: Millis,
    /// Counting messages of the conversation so far, this row included.
    pub n: u64,
    /// Messages of the conversation so far, this row included; 0: not a row of its history.
    pub h: u64,
    /// Unread total of the user after this row.
    pub t: u64,
    /// The peer whose conversation the row belongs to.
    pub with: Option<Uid>,
    /// The life of the log; row 1 only.
    pub log_id: Option<LogId>,
    /// Messages that answer one, and changes: that message's place in its author's log.
    pub refers: Option<Place>,
    /// Messages: the newest row that edited it; zero = none.
    pub edited_by: Seq,
    /// What happened.
    pub body: RowBody,
    /// The encoded `wire::Entry`, exactly as clients get it.
    pub entry: Bytes,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq)]
pub enum RowBody {
    /// A message of the owner.
    Out {
        /// The client's id for it.
        message_id: MessageId,
        /// Identity of the payload.
        hash: PayloadHash,
        /// The row before it in the chain towards the same peer; zero = none.
        prev_out: Seq,
        /// Whether it will count as unread for the recipient.
        counting: bool,
    },
    /// A message of the peer.
    In {
        /// The sender's id for it.
        message_id: MessageId,
        /// Identity of the payload.
        hash: PayloadHash,
        /// Place in the sender's inbox.
        peer: Place,
        /// Whether it counts as unread.
        counting: bool,
    },
    /// The owner's read marker moved.
    Read {
        /// Last message that is read, in this inbox.
        upto: Seq,
        /// `n` of the conversation at that message.
        read_n: u64,
        /// What the peer is told: the newest of its messages that is read, in its log.
        place: Option<Place>,
    },
    /// What the peer has of the owner's messages, cumulative, in seqs of this inbox.
    Receipt {
        /// Delivered up to here.
        delivered_upto: Seq,
        /// Read up to here.
        read_upto: Seq,
    },
    /// The owner blocked the peer.
    Blocked,
    /// The owner takes messages of the peer again.
    Unblocked,
    /// A message was recalled, edited or reacted to.
    Change {
        /// By whom.
        way: Way,
        /// The message in this inbox; zero: it is not known here.
        target: Seq,
        /// The message.
        name: MessageName,
        /// What becomes of it.
        change: Change,
    },
    /// The owner deleted messages on its own side.
    Deleted {
        /// These.
        seqs: Vec<Seq>,
        /// All up to here; zero: only `seqs`.
        upto: Seq,
        /// The conversation leaves the list until the next message.
        whole: bool,
        /// `n` of the conversation at `upto`, where the read marker moves.
        read_n: u64,
        /// What the peer is told of the marker: the newest of its messages up to `upto`, in its log.
        place: Option<Place>,
        /// When the newest message shown was deleted: the one that is newest now, as its encoded entry; empty: none.
        left: Option<Bytes>,
    },
    /// How the owner wants the conversation shown.
    ConversationSet {
        /// Above the others.
        pinned: bool,
        /// Its unread messages are not in the total.
        muted: bool,
    },
}

/// Whose row of a chain it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The owner's.
    Out {
        /// The row before it in the chain towards the same peer; zero = none.
        prev_out: Seq,
    },
    /// The peer's.
    In {
        /// Place in the peer's inbox.
        peer: Place,
    },
}

impl RowBody {
    /// Whether the row is a message, and so part of the conversation's history.
    #[must_use]
    pub fn is_message(&self) -> bool {
        match self {
            Self::Out { .. } | Self::In { .. } => true,
            Self::Read { .. }
            | Self::Receipt { .. }
            | Self::Blocked
            | Self::Unblocked
            | Self::Change { .. }
            | Self::Deleted { .. }
            | Self::ConversationSet { .. } => false,
        }
    }

    /// For rows that the peer gets: the row before it in the chain towards that peer.
    #[must_use]
    pub fn prev_out(&self) -> Option<Seq> {
        match self {
            Self::Out { prev_out, .. } | Self::Change { way: Way::Out { prev_out }, .. } => Some(*prev_out),
            _ => None,
        }
    }

    /// For rows that came from the peer: the place in its log.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::In { peer, .. } | Self::Change { way: Way::In { peer }, .. } => Some(*peer),
            _ => None,
        }
    }

    /// For rows that move the read marker: what the peer is told of it.
    #[must_use]
    pub fn marker(&self) -> Option<Place> {
        match self {
            Self::Read { place, .. } | Self::Deleted { place, .. } => *place,
            _ => None,
        }
    }

    fn kind(&self) -> RowKind {
        match self {
            Self::Out { .. } => RowKind::Out,
            Self::In { .. } => RowKind::In,
            Self::Read { .. } => RowKind::Read,
            Self::Receipt { .. } => RowKind::Receipt,
            Self::Blocked => RowKind::Blocked,
            Self::Unblocked => RowKind::Unblocked,
            Self::Change { way: Way::Out { .. }, .. } => RowKind::ChangeOut,
            Self::Change { way: Way::In { .. }, .. } => RowKind::ChangeIn,
            Self::Deleted { .. } => RowKind::Deleted,
            Self::ConversationSet { .. } => RowKind::ConversationSet,
        }
    }
}

/// Why stored bytes are no row. The timeline is corrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Not the Protobuf message it should be.
    #[error("row cannot be decoded")]
    Malformed,
    /// The row says it stands elsewhere than its key.
    #[error("row of key {key} says it is {entry}")]
    WrongSeq {
        /// From the key.
        key: Seq,
        /// From the entry.
        entry: Seq,
    },
    /// A kind this version does not know.
    #[error("row has an unknown kind")]
    Kind,
    /// A field that rows of this kind have is missing or not valid; names it.
    #[error("row field {0} is missing or not valid")]
    Field(&'static str),
}

impl InboxRow {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut stored = record::InboxRow {
            ep: self.ep.get(),
            pe: self.pe.get(),
            c: self.c.get(),
            n: self.n,
            h: self.h,
            t: self.t,
            with: self.with.as_ref().map_or_else(String::new, |with| with.as_str().to_owned()),
            kind: self.body.kind().into(),
            refers: self.refers.as_ref().map(place_to_record),
            edited_by: self.edited_by.get(),
            entry: self.entry.clone(),
            log_id: self.log_id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
            ..Default::default()
        };
        match &self.body {
            RowBody::Out { hash, prev_out, counting, .. } => {
                stored.payload_hash = Bytes::copy_from_slice(hash.as_bytes());
                stored.prev_out = prev_out.get();
                stored.counting = *counting;
            }
            RowBody::In { hash, peer, counting, .. } => {
                stored.payload_hash = Bytes::copy_from_slice(hash.as_bytes());
                stored.peer = Some(place_to_record(peer));
                stored.counting = *counting;
            }
            RowBody::Read { read_n, place, .. } => {
                stored.read_n = *read_n;
                stored.peer = place.as_ref().map(place_to_record);
            }
            RowBody::Change { way: Way::Out { prev_out }, .. } => stored.prev_out = prev_out.get(),
            RowBody::Change { way: Way::In { peer }, .. } => stored.peer = Some(place_to_record(peer)),
            RowBody::Deleted { read_n, place, left, .. } => {
                stored.read_n = *read_n;
                stored.peer = place.as_ref().map(place_to_record);
                stored.left.clone_from(left);
            }
            RowBody::Receipt { .. } | RowBody::Blocked | RowBody::Unblocked | RowBody::ConversationSet { .. } => {}
        }
        stored.encode_to_vec().into()
    }

    /// What a change needs to know of this row, if it is a message.
    #[must_use]
    pub fn stored(&self) -> Stored {
        Stored { entry: self.entry.clone(), edited_by: self.edited_by }
    }

    /// Reads the stored form of the row whose key says `seq`.
    ///
    /// # Errors
    /// [`RowError`]: the bytes were not written by [`InboxRow::encode`] for this seq.
    pub fn decode(seq: Seq, value: Bytes) -> Result<Self, RowError> {
        let stored = record::InboxRow::decode(value).map_err(|_| RowError::Malformed)?;
        let kind = RowKind::try_from(stored.kind).map_err(|_| RowError::Kind)?;
        let (said, time, body) = match kind {
            RowKind::Out | RowKind::In => message_body(kind, &stored)?,
            RowKind::Read
            | RowKind::Receipt
            | RowKind::Blocked
            | RowKind::Unblocked
            | RowKind::ChangeOut
            | RowKind::ChangeIn
            | RowKind::Deleted
            | RowKind::ConversationSet => state_body(kind, &stored)?,
            RowKind::Unspecified => return Err(RowError::Kind),
        };
        if said != seq {
            return Err(RowError::WrongSeq { key: seq, entry: said });
        }
        let with = match stored.with.as_str() {
            "" => None,
            uid => Some(uid.parse().map_err(|_| RowError::Field("with"))?),
        };
        Ok(Self {
            seq,
            ep: Epoch::new(stored.ep),
            pe: Epoch::new(stored.pe),
            c: Seq::new(stored.c),
            time,
            n: stored.n,
            h: stored.h,
            t: stored.t,
            with,
            log_id: LogId::from_wire(&stored.log_id).map_err(|_| RowError::Field("log_id"))?,
            refers: stored.refers.as_ref().map(place_from_record).transpose().map_err(|_| RowError::Field("refers"))?,
            edited_by: Seq::new(stored.edited_by),
            body,
            entry: stored.entry,
        })
    }
}

fn message_body(kind: RowKind, stored: &record::InboxRow) -> Result<(Seq, Millis, RowBody), RowError> {
    let entry = RawEntry::decode(stored.entry.clone()).map_err(|_| RowError::Malformed)?;
    let message = entry.message.ok_or(RowError::Field("entry.message"))?;
    let message_id = message.message_id.parse().map_err(|_| RowError::Field("entry.message_id"))?;
    let hash = PayloadHash::from_slice(&stored.payload_hash).ok_or(RowError::Field("payload_hash"))?;
    let counting = stored.counting;
    let body = if kind == RowKind::Out {
        RowBody::Out { message_id, hash, prev_out: Seq::new(stored.prev_out), counting }
    } else {
        let peer = stored_place(stored)?.ok_or(RowError::Field("peer"))?;
        RowBody::In { message_id, hash, peer, counting }
    };
    Ok((Seq::new(entry.seq), Millis::new(entry.time), body))
}

fn state_body(kind: RowKind, stored: &record::InboxRow) -> Result<(Seq, Millis, RowBody), RowError> {
    use wire::entry::Body;
    let entry = wire::Entry::decode(stored.entry.clone()).map_err(|_| RowError::Malformed)?;
    let body = match (kind, entry.body) {
        (RowKind::Read, Some(Body::Read(marker))) => {
            RowBody::Read { upto: Seq::new(marker.upto), read_n: stored.read_n, place: stored_place(stored)? }
        }
        (RowKind::Receipt, Some(Body::Receipt(receipt))) => RowBody::Receipt {
            delivered_upto: Seq::new(receipt.delivered_upto),
            read_upto: Seq::new(receipt.read_upto),
        },
        (RowKind::Blocked, Some(Body::Blocked(_))) => RowBody::Blocked,
        (RowKind::Unblocked, Some(Body::Unblocked(_))) => RowBody::Unblocked,
        (RowKind::ChangeOut | RowKind::ChangeIn, Some(body)) => change_body(kind, stored, body)?,
        (RowKind::Deleted, Some(Body::Deleted(deleted))) => RowBody::Deleted {
            seqs: deleted.seqs.into_iter().map(Seq::new).collect(),
            upto: Seq::new(deleted.upto),
            whole: deleted.whole,
            read_n: stored.read_n,
            place: stored_place(stored)?,
            left: stored.left.clone(),
        },
        (RowKind::ConversationSet, Some(Body::ConversationSet(set))) => {
            RowBody::ConversationSet { pinned: set.pinned, muted: set.muted }
        }
        _ => return Err(RowError::Field("entry.body")),
    };
    Ok((Seq::new(entry.seq), Millis::new(entry.time), body))
}

fn change_body(kind: RowKind, stored: &record::InboxRow, body: wire::entry::Body) -> Result<RowBody, RowError> {
    let (target, name, change) = change::from_entry_body(body).ok_or(RowError::Field("entry.body"))?;
    let way = match kind {
        RowKind::ChangeOut => Way::Out { prev_out: Seq::new(stored.prev_out) },
        _ => Way::In { peer: stored_place(stored)?.ok_or(RowError::Field("peer"))? },
    };
    Ok(RowBody::Change { way, target, name, change })
}

fn stored_place(stored: &record::InboxRow) -> Result<Option<Place>, RowError> {
    stored.peer.as_ref().map(place_from_record).transpose().map_err(|_| RowError::Field("peer"))
}

/// The stored form of a place.
#[must_use]
pub fn place_to_record(place: &Place) -> record::Place {
    record::Place { log_id: Bytes::copy_from_slice(place.log_id.as_bytes()), seq: place.seq.get() }
}

/// Reads the stored form of a place.
///
/// # Errors
/// [`IdError::NotLogId`] unless it names a log.
pub fn place_from_record(place: &record::Place) -> Result<Place, IdError> {
    let log_id = LogId::from_wire(&place.log_id)?.ok_or(IdError::NotLogId)?;
    Ok(Place { log_id, seq: Seq::new(place.seq) })
}

/// The row's projection into the history of its conversation. Only messages are history ([`RowBody::is_message`]).
#[must_use]
pub fn history_row(row: &InboxRow) -> Bytes {
    let (payload_hash, peer) = match &row.body {
        RowBody::Out { hash, .. } => (Bytes::copy_from_slice(hash.as_bytes()), None),
        RowBody::In { hash, peer, .. } => (Bytes::copy_from_slice(hash.as_bytes()), Some(place_to_record(peer))),
        _ => (Bytes::new(), None),
    };
    let edited_by = row.edited_by.get();
    record::HistoryRow { entry: row.entry.clone(), payload_hash, peer, n: row.n, edited_by }.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Draft, MessageParts, conversation_with, encode_message_entry};

    const LOG: LogId = LogId::new([3; 16]);

    fn draft() -> Draft {
        let text = wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: "hi".into() })) };
        let send = wire::Send {
            message_id: "0198e0c2-0000-7000-8000-000000000001".into(),
            to: Some(wire::Target { target: Some(wire::target::Target::Uid("bob".into())) }),
            content: Some(text),
            ..Default::default()
        };
        Draft::new(&send, 1000).unwrap()
    }

    fn message_entry(seq: u64) -> Bytes {
        let draft = draft();
        let (alice, bob): (Uid, Uid) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let parts = MessageParts {
            message_id: &draft.message_id,
            conversation: &bob,
            from: &alice,
            content: &draft.content,
            reply_to: None,
            push: &draft.push,
            edited: Millis::default(),
        };
        encode_message_entry(Seq::new(seq), Millis::new(77), parts)
    }

    fn state_entry(seq: u64, body: wire::entry::Body) -> Bytes {
        wire::Entry { seq, time: 77, body: Some(body) }.encode_to_vec().into()
    }

    fn row(seq: u64, body: RowBody, entry: Bytes) -> InboxRow {
        InboxRow {
            seq: Seq::new(seq),
            ep: Epoch::new(4),
            pe: Epoch::new(3),
            c: Seq::new(1),
            time: Millis::new(77),
            n: 5,
            h: 6,
            t: 7,
            with: Some("bob".parse().unwrap()),
            log_id: (seq == 1).then_some(LOG),
            refers: (seq == 2).then_some(Place { log_id: LOG, seq: Seq::new(4) }),
            edited_by: Seq::new(seq / 2),
            body,
            entry,
        }
    }

    fn out(seq: u64) -> InboxRow {
        let draft = draft();
        let body = RowBody::Out {
            message_id: draft.message_id,
            hash: draft.hash,
            prev_out: Seq::new(seq - 1),
            counting: draft.counting,
        };
        row(seq, body, message_entry(seq))
    }

    fn changed(seq: u64, way: Way, change: Change) -> InboxRow {
        let (bob, target): (Uid, Seq) = ("bob".parse().unwrap(), Seq::new(2));
        let name = MessageName { author: bob.clone(), message_id: draft().message_id };
        let entry = state_entry(seq, change::entry_body(&bob, target, &name, &change));
        row(seq, RowBody::Change { way, target, name, change }, entry)
    }

    fn all_kinds() -> Vec<InboxRow> {
        use wire::entry::Body;
        let draft = draft();
        let bob: Uid = "bob".parse().unwrap();
        let conversation = Some(conversation_with(&bob));
        let place = Place { log_id: LOG, seq: Seq::new(9) };
        let incoming = RowBody::In { message_id: draft.message_id, hash: draft.hash, peer: place, counting: true };
        let read = RowBody::Read { upto: Seq::new(2), read_n: 1, place: Some(place) };
        let unplaced = RowBody::Read { upto: Seq::new(2), read_n: 1, place: None };
        let marker = || Body::Read(wire::ReadMarker { conversation: conversation.clone(), upto: 2 });
        let receipt =
            Body::Receipt(wire::Receipt { conversation: conversation.clone(), delivered_upto: 2, read_upto: 1 });
        let receipt_body = RowBody::Receipt { delivered_upto: Seq::new(2), read_upto: Seq::new(1) };
        vec![
            out(1),
            row(2, incoming, message_entry(2)),
            row(3, read, state_entry(3, marker())),
            row(4, unplaced, state_entry(4, marker())),
            row(5, receipt_body, state_entry(5, receipt)),
            row(6, RowBody::Blocked, state_entry(6, Body::Blocked(wire::Blocked { uid: "bob".into() }))),
            row(7, RowBody::Unblocked, state_entry(7, Body::Unblocked(wire::Unblocked { uid: "bob".into() }))),
            changed(8, Way::Out { prev_out: Seq::new(1) }, Change::Recall),
            changed(9, Way::In { peer: place }, Change::Edit { content: draft.content }),
            changed(
                10,
                Way::In { peer: place },
                Change::React { from: "bob".parse().unwrap(), reaction: "+1".into(), removed: true },
            ),
            row(
                11,
                RowBody::Deleted {
                    seqs: vec![Seq::new(2), Seq::new(5)],
                    upto: Seq::new(1),
                    whole: true,
                    read_n: 3,
                    place: Some(place),
                    left: Some(Bytes::new()),
                },
                state_entry(
                    11,
                    Body::Deleted(wire::Deleted {
                        conversation: conversation.clone(),
                        seqs: vec![2, 5],
                        upto: 1,
                        whole: true,
                    }),
                ),
            ),
            row(
                12,
                RowBody::ConversationSet { pinned: true, muted: false },
                state_entry(
                    12,
                    Body::ConversationSet(wire::ConversationSet { conversation, pinned: true, muted: false }),
                ),
            ),
        ]
    }

    #[test]
    fn every_kind_of_row_reads_back_as_it_was_written() {
        for row in all_kinds() {
            assert_eq!(InboxRow::decode(row.seq, row.encode()), Ok(row));
        }
    }

    #[test]
    fn a_row_that_is_read_shares_the_stored_bytes() {
        let stored = out(1).encode();
        let range = stored.as_ptr_range();
        let read = InboxRow::decode(Seq::new(1), stored.clone()).unwrap();
        assert!(range.contains(&read.entry.as_ptr()));
    }

    #[test]
    fn a_row_under_another_key_is_refused() {
        let wrong = RowError::WrongSeq { key: Seq::new(2), entry: Seq::new(1) };
        assert_eq!(InboxRow::decode(Seq::new(2), out(1).encode()), Err(wrong));
    }

    fn damaged(damage: impl FnOnce(&mut record::InboxRow)) -> RowError {
        let mut stored = record::InboxRow::decode(all_kinds()[1].encode()).unwrap();
        damage(&mut stored);
        InboxRow::decode(Seq::new(2), stored.encode_to_vec().into()).unwrap_err()
    }

    #[test]
    fn a_damaged_row_says_what_is_wrong_with_it() {
        assert_eq!(InboxRow::decode(Seq::new(1), Bytes::from_static(&[0xff])), Err(RowError::Malformed));
        assert_eq!(damaged(|row| row.kind = 99), RowError::Kind);
        assert_eq!(damaged(|row| row.kind = 0), RowError::Kind);
        assert_eq!(damaged(|row| row.kind = RowKind::Read.into()), RowError::Field("entry.body"));
        assert_eq!(damaged(|row| row.payload_hash = Bytes::new()), RowError::Field("payload_hash"));
        assert_eq!(damaged(|row| row.peer = None), RowError::Field("peer"));
        assert_eq!(damaged(|row| row.peer = Some(record::Place::default())), RowError::Field("peer"));
        assert_eq!(damaged(|row| row.with = "b b".into()), RowError::Field("with"));
        assert_eq!(damaged(|row| row.log_id = Bytes::from_static(b"x")), RowError::Field("log_id"));
        assert_eq!(damaged(|row| row.entry = Bytes::new()), RowError::Field("entry.message"));
        let nameless = RawEntry { seq: 2, time: 77, message: Some(Default::default()) };
        assert_eq!(damaged(|row| row.entry = nameless.encode_to_vec().into()), RowError::Field("entry.message_id"));
    }

    #[test]
    fn a_history_row_gives_back_the_entry() {
        let row = &all_kinds()[1];
        let stored = record::HistoryRow::decode(history_row(row)).unwrap();
        assert_eq!((stored.entry, stored.n), (row.entry.clone(), row.n));
    }
}
