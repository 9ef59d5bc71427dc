//! What an inbox row says of a group: a membership, a read marker, deletions and how it is shown. All places in it are of
//! the group's log.

use super::RowError;
use crate::{
    group::Departure,
    id::{Gid, Seq, Uid},
    message::conversation_of,
    record::RowKind,
    wire::{self, entry::Body},
};

/// A change of what the owner of an inbox has of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewChange {
    /// The owner became a member.
    Joined {
        /// The row of the group's log that made it one.
        seq: Seq,
        /// Who added it; `None`: it joined by itself.
        by: Option<Uid>,
    },
    /// The owner is no member any more.
    Left {
        /// The row of the group's log that ended it.
        seq: Seq,
        /// How.
        how: Departure,
    },
    /// The owner's read marker moved.
    Read {
        /// Last message that is read.
        upto: Seq,
    },
    /// The owner deleted messages on its own side.
    Deleted {
        /// These.
        seqs: Vec<Seq>,
        /// All up to here; zero: only `seqs`.
        upto: Seq,
        /// The conversation leaves the list until the next message.
        whole: bool,
    },
    /// How the owner wants the group shown.
    Set {
        /// Above the others.
        pinned: bool,
        /// Its unread messages are not in the total.
        muted: bool,
    },
}

impl ViewChange {
    pub(super) fn kind(&self) -> RowKind {
        match self {
            Self::Joined { .. } => RowKind::GroupJoined,
            Self::Left { .. } => RowKind::GroupLeft,
            Self::Read { .. } => RowKind::GroupRead,
            Self::Deleted { .. } => RowKind::GroupDeleted,
            Self::Set { .. } => RowKind::GroupSet,
        }
    }

    /// The body of the entry in the inbox.
    #[must_use]
    pub fn entry_body(&self, gid: &Gid) -> Body {
        let conversation = Some(conversation_of(gid));
        let gid = gid.to_string();
        match self {
            Self::Joined { seq, by } => {
                let by = by.as_ref().map_or_else(String::new, Uid::to_string);
                Body::GroupJoined(wire::GroupJoined { gid, group_seq: seq.get(), by })
            }
            Self::Left { seq, how } => {
                let (reason, by) = (how.number(), how.by().to_owned());
                Body::GroupLeft(wire::GroupLeft { gid, group_seq: seq.get(), reason, by })
            }
            Self::Read { upto } => Body::Read(wire::ReadMarker { conversation, upto: upto.get() }),
            Self::Deleted { seqs, upto, whole } => {
                let (seqs, upto, whole) = (seqs.iter().map(|seq| seq.get()).collect(), upto.get(), *whole);
                Body::Deleted(wire::Deleted { conversation, seqs, upto, whole })
            }
            Self::Set { pinned, muted } => {
                Body::ConversationSet(wire::ConversationSet { conversation, pinned: *pinned, muted: *muted })
            }
        }
    }

    /// Reads what [`Self::entry_body`] made for a row of this kind.
    pub(super) fn from_entry_body(kind: RowKind, body: Body) -> Result<(Gid, Self), RowError> {
        match (kind, body) {
            (RowKind::GroupJoined, Body::GroupJoined(it)) => {
                let by = match it.by.as_str() {
                    "" => None,
                    by => Some(by.parse().map_err(|_| RowError::Field("entry.by"))?),
                };
                Ok((gid(&it.gid)?, Self::Joined { seq: Seq::new(it.group_seq), by }))
            }
            (RowKind::GroupLeft, Body::GroupLeft(it)) => {
                let how = Departure::from_parts(it.reason, &it.by).ok_or(RowError::Field("entry.reason"))?;
                Ok((gid(&it.gid)?, Self::Left { seq: Seq::new(it.group_seq), how }))
            }
            (RowKind::GroupRead, Body::Read(it)) => {
                Ok((gid_of(it.conversation)?, Self::Read { upto: Seq::new(it.upto) }))
            }
            (RowKind::GroupDeleted, Body::Deleted(it)) => {
                let seqs = it.seqs.into_iter().map(Seq::new).collect();
                Ok((gid_of(it.conversation)?, Self::Deleted { seqs, upto: Seq::new(it.upto), whole: it.whole }))
            }
            (RowKind::GroupSet, Body::ConversationSet(it)) => {
                Ok((gid_of(it.conversation)?, Self::Set { pinned: it.pinned, muted: it.muted }))
            }
            _ => Err(RowError::Field("entry.body")),
        }
    }
}

fn gid(text: &str) -> Result<Gid, RowError> {
    text.parse().map_err(|_| RowError::Field("entry.gid"))
}

fn gid_of(conversation: Option<wire::Conversation>) -> Result<Gid, RowError> {
    match conversation.and_then(|conversation| conversation.conversation) {
        Some(wire::conversation::Conversation::Gid(text)) => gid(&text),
        Some(wire::conversation::Conversation::Uid(_)) | None => Err(RowError::Field("entry.conversation")),
    }
}
