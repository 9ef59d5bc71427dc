//! One inbox, row by row: is every row whole, in its place, and chained to the one before. Pure; the rows come in.

use bytes::Bytes;
use prost::Message as _;
use tidings_schema::{
    id::{Epoch, LogId, Millis, Seq},
    record,
    row::InboxRow,
    wire,
};

/// Faults of one inbox that are named.
const FAULTS_MAX: usize = 10;

/// What is wrong with one inbox; the first faults by name, the rest by number.
#[derive(Default)]
pub(super) struct Faults {
    named: Vec<String>,
    more: u64,
}

impl Faults {
    pub(super) fn add(&mut self, fault: String) {
        if self.named.len() < FAULTS_MAX {
            self.named.push(fault);
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_named(mut self) -> Vec<String> {
        if self.more > 0 {
            self.named.push(format!("and {} more", self.more));
        }
        self.named
    }
}

/// Looks at the rows of one inbox, oldest first, then at what is said about them.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) faults: Faults,
    /// The newest time that stands in a row.
    pub(super) newest: Millis,
    first: Option<Seq>,
    last: Option<Seq>,
    /// Epoch of the last row, unless that one is damaged.
    ep: Option<Epoch>,
    log_id: Option<LogId>,
    /// Not all rows could be read: which one is last is not known.
    cut: bool,
}

impl Inbox {
    /// The row at `seq`; `None`: its checksum is wrong.
    pub(super) fn row(&mut self, seq: Seq, value: Option<Bytes>) {
        if let Some(last) = self.last.filter(|last| last.next() != seq) {
            self.faults.add(format!("rows {} to {} are missing", last.next(), seq.get() - 1));
            self.ep = None;
        }
        self.first.get_or_insert(seq);
        self.last = Some(seq);
        match value.map(|value| InboxRow::decode(seq, value)) {
            Some(Ok(row)) => self.whole(&row),
            Some(Err(why)) => self.damaged(format!("row {seq}: {why}")),
            None => self.damaged(format!("row {seq}: its checksum is wrong")),
        }
    }

    fn damaged(&mut self, fault: String) {
        self.faults.add(fault);
        self.ep = None;
    }

    fn whole(&mut self, row: &InboxRow) {
        if self.ep.is_some_and(|before| before != row.pe) || row.ep < row.pe {
            self.faults.add(format!("row {}: it is not chained to the row before", row.seq));
        }
        if (row.seq.get() == 1) != row.log_id.is_some() {
            self.faults.add(format!("row {}: only row 1 names the log", row.seq));
        }
        self.log_id = self.log_id.or(row.log_id);
        self.ep = Some(row.ep);
        self.newest = self.newest.max(row.time);
    }

    /// The rest of a list cannot be read.
    pub(super) fn unreadable(&mut self, list: &str, why: &str) {
        self.faults
            .add(format!("{list} cannot be read to the end (last row {}): {why}", self.last.unwrap_or_default()));
        self.cut = true;
    }

    pub(super) fn head(&mut self, value: Option<Bytes>) {
        let Some(head) = self.decoded::<record::Head>("the head", value) else { return };
        self.names_the_log("the head", &head.log_id);
        self.reaches("the head", head.seq);
        self.newest = self.newest.max(Millis::new(head.time));
    }

    pub(super) fn checkpoint(&mut self, value: Option<Bytes>) {
        let Some(checkpoint) = self.decoded::<record::MailboxCheckpoint>("the checkpoint", value) else { return };
        self.names_the_log("the checkpoint", &checkpoint.log_id);
        self.reaches("the checkpoint", checkpoint.upto);
        let floor = checkpoint.floor.max(1);
        if let Some(first) = self.first.filter(|first| first.get() > floor) {
            self.faults.add(format!("rows {floor} to {} are missing", first.get() - 1));
        }
    }

    pub(super) fn conversation(&mut self, value: Option<Bytes>) {
        let Some(conversation) = self.decoded::<record::Conversation>("a conversation", value) else { return };
        if wire::Entry::decode(conversation.last).is_err() {
            self.faults.add("the newest message of a conversation cannot be decoded".to_owned());
        }
    }

    pub(super) fn device(&mut self, value: Option<Bytes>) {
        self.decoded::<record::Device>("a device", value);
    }

    pub(super) fn id(&mut self, value: Option<Bytes>) {
        if let Some(id) = self.decoded::<record::MessageId>("a message id", value) {
            self.reaches("a message id", id.seq);
        }
    }

    pub(super) fn history(&mut self, seq: Seq, value: Option<Bytes>) {
        let Some(row) = self.decoded::<record::HistoryRow>("a row of the history", value) else { return };
        match wire::Entry::decode(row.entry) {
            Ok(entry) if entry.seq == seq.get() => {}
            Ok(_) | Err(_) => self.faults.add(format!("the history has another row in the place of {seq}")),
        }
    }

    fn decoded<M: prost::Message + Default>(&mut self, what: &str, value: Option<Bytes>) -> Option<M> {
        let decoded = match value {
            Some(value) => M::decode(value).map_err(|_| "cannot be decoded"),
            None => Err("has a wrong checksum"),
        };
        decoded.map_err(|why| self.faults.add(format!("{what} {why}"))).ok()
    }

    fn names_the_log(&mut self, what: &str, log_id: &[u8]) {
        let other = self.log_id.is_some_and(|known| known.as_bytes() != log_id);
        if other && !log_id.is_empty() {
            self.faults.add(format!("{what} is of another log"));
        }
    }

    /// What is said to be in the log is there.
    fn reaches(&mut self, what: &str, seq: u64) {
        let last = self.last.unwrap_or_default();
        if self.first.is_some() && !self.cut && seq > last.get() {
            self.faults.add(format!("{what} says row {seq}, the last row is {last}"));
        }
    }
}
