//! The domain form of an inbox row: what the server decides with, checked once when a stored row is read.
//!
//! Reading copies nothing: `entry` shares the bytes of the stored record. What the entry says already (seq, time,
//! message id, marker, receipt) is not stored a second time.

use bytes::Bytes;
use prost::Message as _;

use super::{ViewChange, place_to_record};
use crate::{
    change::{Change, MessageName, Stored},
    id::{Epoch, Gid, LogId, MessageId, Millis, Place, Seq, Uid},
    message::PayloadHash,
    record::{self, RowKind},
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
    /// What the owner has of a group changed. The row belongs to no peer.
    Group {
        /// Which group.
        gid: Gid,
        /// What changed.
        change: ViewChange,
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
            | Self::ConversationSet { .. }
            | Self::Group { .. } => false,
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

    pub(super) fn kind(&self) -> RowKind {
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
            Self::Group { change, .. } => change.kind(),
        }
    }
}

impl InboxRow {
    /// What a change needs to know of this row, if it is a message.
    #[must_use]
    pub fn stored(&self) -> Stored {
        Stored { entry: self.entry.clone(), edited_by: self.edited_by }
    }
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
