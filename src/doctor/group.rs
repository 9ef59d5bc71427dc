//! One group: the rows of its log, and what its records and members' cursors say of them. Pure; the values come in.

use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    group::{GroupCheckpoint, MemberRecord, Standing},
    id::{Millis, Seq},
    record,
    row::GroupRow,
};

use super::log::{Link, Log};
use crate::store::embedded::inspect::List;

/// Looks at the rows of one group, oldest first, then at what is said about them.
#[derive(Default)]
pub(super) struct Group {
    pub(super) log: Log,
}

impl Group {
    /// The rows first: records are held against them.
    pub(super) const LISTS: [List; 5] =
        [List::GroupRows, List::GroupHead, List::GroupCheckpoint, List::Members, List::GroupIds];

    /// One value; `None`: its checksum is wrong.
    pub(super) fn take(&mut self, list: List, seq: Seq, value: Option<Bytes>) {
        match list {
            List::GroupRows => self.row(seq, value),
            List::GroupIds => self.id(value),
            List::GroupHead => self.head(value),
            List::GroupCheckpoint => self.checkpoint(value),
            List::Members => self.member(value),
            List::Rows
            | List::History
            | List::Ids
            | List::Head
            | List::Checkpoint
            | List::Conversations
            | List::GroupViews
            | List::Devices => {}
        }
    }

    fn row(&mut self, seq: Seq, value: Option<Bytes>) {
        self.log.row(seq, value.map(|value| GroupRow::decode(seq, value).map(Link::from)));
    }

    fn head(&mut self, value: Option<Bytes>) {
        let Some(head) = self.log.decoded("the head", value, record::Head::decode) else { return };
        self.log.names_the_log("the head", &head.log_id);
        self.log.reaches("the head", head.seq);
        self.log.newest = self.log.newest.max(Millis::new(head.time));
    }

    fn checkpoint(&mut self, value: Option<Bytes>) {
        let decoded = self.log.decoded("the checkpoint", value, GroupCheckpoint::decode);
        let Some(checkpoint) = decoded else { return };
        self.log.names_the_log("the checkpoint", checkpoint.log_id.as_bytes());
        self.log.reaches("the checkpoint", checkpoint.upto.get());
        // No row of a group grows too old.
        self.log.begins_at(1);
    }

    fn member(&mut self, value: Option<Bytes>) {
        let Some(member) = self.log.decoded("a member", value, MemberRecord::decode) else { return };
        self.log.reaches("a member", member.upto.get());
        if let Standing::Member(seat) = member.standing {
            self.log.reaches("a member's cursor", seat.last_ack.max(seat.last_read).get());
        }
    }

    fn id(&mut self, value: Option<Bytes>) {
        if let Some(id) = self.log.decoded("a message id", value, record::MessageId::decode) {
            self.log.reaches("a message id", id.seq);
        }
    }
}
