//! One inbox: its rows, and what the records of its user say of them. Pure; the values come in.

use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    group::GroupView,
    id::{Millis, Seq},
    record,
    row::InboxRow,
    wire,
};

use super::log::{Link, Log};
use crate::store::embedded::inspect::List;

/// Looks at the rows of one inbox, oldest first, then at what is said about them.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) log: Log,
}

impl Inbox {
    /// The rows first: records are held against them.
    pub(super) const LISTS: [List; 8] = [
        List::Rows,
        List::Head,
        List::Checkpoint,
        List::Conversations,
        List::GroupViews,
        List::Devices,
        List::Ids,
        List::History,
    ];

    /// One value; `None`: its checksum is wrong.
    pub(super) fn take(&mut self, list: List, seq: Seq, value: Option<Bytes>) {
        match list {
            List::Rows => self.row(seq, value),
            List::History => self.history(seq, value),
            List::Ids => self.id(value),
            List::Head => self.head(value),
            List::Checkpoint => self.checkpoint(value),
            List::Conversations => self.conversation(value),
            List::GroupViews => self.group_view(value),
            List::Devices => self.device(value),
            List::GroupRows | List::GroupIds | List::GroupHead | List::GroupCheckpoint | List::Members => {}
        }
    }

    fn row(&mut self, seq: Seq, value: Option<Bytes>) {
        self.log.row(seq, value.map(|value| InboxRow::decode(seq, value).map(Link::from)));
    }

    fn head(&mut self, value: Option<Bytes>) {
        let Some(head) = self.log.decoded("the head", value, record::Head::decode) else { return };
        self.log.names_the_log("the head", &head.log_id);
        self.log.reaches("the head", head.seq);
        self.log.newest = self.log.newest.max(Millis::new(head.time));
    }

    fn checkpoint(&mut self, value: Option<Bytes>) {
        let decoded = self.log.decoded("the checkpoint", value, record::MailboxCheckpoint::decode);
        let Some(checkpoint) = decoded else { return };
        self.log.names_the_log("the checkpoint", &checkpoint.log_id);
        self.log.reaches("the checkpoint", checkpoint.upto);
        self.log.begins_at(checkpoint.floor.max(1));
    }

    fn conversation(&mut self, value: Option<Bytes>) {
        let decoded = self.log.decoded("a conversation", value, record::Conversation::decode);
        let Some(conversation) = decoded else { return };
        if wire::Entry::decode(conversation.last).is_err() {
            self.log.faults.add("the newest message of a conversation cannot be decoded".to_owned());
        }
    }

    fn group_view(&mut self, value: Option<Bytes>) {
        let Some(view) = self.log.decoded("a view of a group", value, GroupView::decode) else { return };
        self.log.reaches("a view of a group", view.place.get());
    }

    fn device(&mut self, value: Option<Bytes>) {
        self.log.decoded("a device", value, record::Device::decode);
    }

    fn id(&mut self, value: Option<Bytes>) {
        if let Some(id) = self.log.decoded("a message id", value, record::MessageId::decode) {
            self.log.reaches("a message id", id.seq);
        }
    }

    fn history(&mut self, seq: Seq, value: Option<Bytes>) {
        let decoded = self.log.decoded("a row of the history", value, record::HistoryRow::decode);
        let Some(row) = decoded else { return };
        match wire::Entry::decode(row.entry) {
            Ok(entry) if entry.seq == seq.get() => {}
            Ok(_) | Err(_) => self.log.faults.add(format!("the history has another row in the place of {seq}")),
        }
    }
}
