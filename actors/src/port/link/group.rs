//! What connections ask of groups, and what groups tell the connections of their members.

use std::sync::Arc;

use tidings_schema::{
    change::{Change, MessageName},
    id::{Gid, Seq, Uid},
    message::GroupDraft,
};
use tidings_state::group::audience::Revoked;

use super::{ConnectionRef, EntryFrame, OpId};

/// What one connection asks of a group.
#[derive(Debug)]
pub struct GroupCommand {
    /// Who asks; answers go there.
    pub from: ConnectionRef,
    /// Id of the frame.
    pub op_id: OpId,
    /// The authenticated user, or the system sender in whose name the app's own server asks.
    pub uid: Uid,
    /// Of which group.
    pub gid: Gid,
    /// What is asked.
    pub op: GroupOp,
}

/// The operations of a group. Everything in them is validated.
#[derive(Debug)]
pub enum GroupOp {
    /// A message.
    Send(GroupSend),
    /// Create, join, leave, add, remove, roles, mutes, settings, dismiss.
    Do(tidings_state::group::Op),
    /// Recall, edit or react to a message.
    Change(GroupChange),
    /// Entries after a seq, at most so many.
    Sync(Seq, usize),
    /// Entries before a seq (zero: the newest), at most so many.
    History(Seq, usize),
    /// How the group is shown, and the caller's own cursors.
    Info,
    /// Members after one, at most so many.
    Members(Option<Uid>, usize),
    /// Who has read a message.
    ReadBy {
        /// The message.
        seq: Seq,
        /// Who comes after this one.
        after: Option<Uid>,
        /// At most so many.
        limit: usize,
    },
    /// Cumulative: a client of the caller has everything up to here.
    Ack(Seq),
    /// Move the caller's read marker.
    Read(Seq),
}

/// One message to be sent to a group.
#[derive(Debug)]
pub struct GroupSend {
    /// What to send and to which group.
    pub draft: GroupDraft,
    /// The client says it may have sent this id before.
    pub retry: bool,
    /// Id of this connection's previous unanswered send to the same group; 0 = none. A send whose predecessor was not
    /// taken is refused, so that order is kept.
    pub after: OpId,
}

/// A change of one message of a group.
#[derive(Debug)]
pub struct GroupChange {
    /// The message's place in the group's log.
    pub seq: Seq,
    /// Which message the caller means to be there.
    pub name: MessageName,
    /// What becomes of it.
    pub change: Change,
}

/// One frame of contiguous rows of a group, for every connection of a member on a node.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// Which group.
    pub gid: Gid,
    /// The row before the first one.
    pub prev: Seq,
    /// The last row.
    pub upto: Seq,
    /// The rows, shared by all connections.
    pub frame: Arc<EntryFrame>,
    /// Who gets nothing after this frame.
    pub revoked: Revoked,
}
