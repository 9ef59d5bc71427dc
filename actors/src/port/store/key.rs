//! What stored things are named by: timelines, records, and whose they are.

use std::fmt;

use tidings_schema::id::{DeviceId, Gid, MessageId, Seq, ShardId, Uid};

/// Names a timeline. A uid and a gid may be the same text: their timelines are two all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimelineId {
    /// The inbox of a user.
    Inbox(Uid),
    /// The log of a group.
    Group(Gid),
}

impl TimelineId {
    /// Whose it is.
    #[must_use]
    pub const fn owner(&self) -> Owner<'_> {
        match self {
            Self::Inbox(uid) => Owner::User(uid),
            Self::Group(gid) => Owner::Group(gid),
        }
    }
}

impl fmt::Display for TimelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inbox(uid) => write!(f, "inbox {uid}"),
            Self::Group(gid) => write!(f, "group {gid}"),
        }
    }
}

/// Whose a timeline or a record is: that of one user, or of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner<'a> {
    /// The actor is a mailbox.
    User(&'a Uid),
    /// The actor is a group.
    Group(&'a Gid),
}

/// Names a small record.
///
/// All records have an owner that is a user or a group, but a mark: it lies with its shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Head of a timeline.
    Head(TimelineId),
    /// The actor of a timeline may owe something; it is of this shard.
    Mark(ShardId, TimelineId),
    /// Checkpoint of a mailbox.
    Checkpoint(Uid),
    /// One side of a DM: owner, peer.
    Conversation(Uid, Uid),
    /// The owner has a conversation with the peer; written once, with the conversation's first row.
    Peer(Uid, Uid),
    /// A group as it looks from one inbox: owner, group.
    GroupView(Uid, Gid),
    /// The owner has a view of the group; written once, with the first row that concerns the group.
    GroupPeer(Uid, Gid),
    /// A device of a user.
    Device(Uid, DeviceId),
    /// A message id in a timeline, by sender.
    MessageId(TimelineId, Uid, MessageId),
    /// Checkpoint of a group.
    GroupCheckpoint(Gid),
    /// A member of a group, or who was one.
    Member(Gid, Uid),
    /// Row `seq` of bucket `bucket` of the owner's history with a peer.
    History {
        /// Whose inbox the seq counts in.
        owner: Uid,
        /// The other side.
        peer: Uid,
        /// (h - 1) / [`super::BUCKET_ROWS`].
        bucket: u64,
        /// Place in the owner's inbox.
        seq: Seq,
    },
}

impl Key {
    /// Whose the record is; `None` for a mark.
    #[must_use]
    pub const fn owner(&self) -> Option<Owner<'_>> {
        match self {
            Self::Head(timeline) | Self::MessageId(timeline, _, _) => Some(timeline.owner()),
            Self::Checkpoint(owner)
            | Self::Conversation(owner, _)
            | Self::Peer(owner, _)
            | Self::GroupView(owner, _)
            | Self::GroupPeer(owner, _)
            | Self::Device(owner, _)
            | Self::History { owner, .. } => Some(Owner::User(owner)),
            Self::GroupCheckpoint(gid) | Self::Member(gid, _) => Some(Owner::Group(gid)),
            Self::Mark(_, _) => None,
        }
    }
}
