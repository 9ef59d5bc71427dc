//! One log, row by row, whosever it is: is every row in its place, and chained to the one before. Pure; the rows come in.

use bytes::Bytes;
use tidings_schema::{
    id::{Epoch, LogId, Millis, Seq},
    row::{GroupRow, InboxRow, RowError},
};

/// Faults of one log that are named.
const FAULTS_MAX: usize = 10;

/// What is wrong with one log and what is said about it; the first faults by name, the rest by number.
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

/// What a row says of itself and of the row before.
pub(super) struct Link {
    ep: Epoch,
    pe: Epoch,
    time: Millis,
    log_id: Option<LogId>,
}

impl From<InboxRow> for Link {
    fn from(row: InboxRow) -> Self {
        Self { ep: row.ep, pe: row.pe, time: row.time, log_id: row.log_id }
    }
}

impl From<GroupRow> for Link {
    fn from(row: GroupRow) -> Self {
        Self { ep: row.ep, pe: row.pe, time: row.time, log_id: row.log_id }
    }
}

/// Looks at the rows of one log, oldest first, then at what records say about them.
#[derive(Default)]
pub(super) struct Log {
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

impl Log {
    /// The row at `seq`, decoded; `None`: its checksum is wrong.
    pub(super) fn row(&mut self, seq: Seq, row: Option<Result<Link, RowError>>) {
        if let Some(last) = self.last.filter(|last| last.next() != seq) {
            self.faults.add(format!("rows {} to {} are missing", last.next(), seq.get() - 1));
            self.ep = None;
        }
        self.first.get_or_insert(seq);
        self.last = Some(seq);
        match row {
            Some(Ok(link)) => self.whole(seq, &link),
            Some(Err(why)) => self.damaged(format!("row {seq}: {why}")),
            None => self.damaged(format!("row {seq}: its checksum is wrong")),
        }
    }

    fn damaged(&mut self, fault: String) {
        self.faults.add(fault);
        self.ep = None;
    }

    fn whole(&mut self, seq: Seq, link: &Link) {
        if self.ep.is_some_and(|before| before != link.pe) || link.ep < link.pe {
            self.faults.add(format!("row {seq}: it is not chained to the row before"));
        }
        if (seq.get() == 1) != link.log_id.is_some() {
            self.faults.add(format!("row {seq}: only row 1 names the log"));
        }
        self.log_id = self.log_id.or(link.log_id);
        self.ep = Some(link.ep);
        self.newest = self.newest.max(link.time);
    }

    /// The rest of a list cannot be read.
    pub(super) fn unreadable(&mut self, list: &str, why: &str) {
        self.faults
            .add(format!("{list} cannot be read to the end (last row {}): {why}", self.last.unwrap_or_default()));
        self.cut = true;
    }

    /// Rows from `floor` on are there.
    pub(super) fn begins_at(&mut self, floor: u64) {
        if let Some(first) = self.first.filter(|first| first.get() > floor) {
            self.faults.add(format!("rows {floor} to {} are missing", first.get() - 1));
        }
    }

    /// A record, if its checksum is right and it can be decoded.
    pub(super) fn decoded<T, E>(
        &mut self,
        what: &str,
        value: Option<Bytes>,
        decode: impl FnOnce(Bytes) -> Result<T, E>,
    ) -> Option<T> {
        let decoded = match value {
            Some(value) => decode(value).map_err(|_| "cannot be decoded"),
            None => Err("has a wrong checksum"),
        };
        decoded.map_err(|why| self.faults.add(format!("{what} {why}"))).ok()
    }

    pub(super) fn names_the_log(&mut self, what: &str, log_id: &[u8]) {
        let other = self.log_id.is_some_and(|known| known.as_bytes() != log_id);
        if other && !log_id.is_empty() {
            self.faults.add(format!("{what} is of another log"));
        }
    }

    /// What is said to be in the log is there.
    pub(super) fn reaches(&mut self, what: &str, seq: u64) {
        let last = self.last.unwrap_or_default();
        if self.first.is_some() && !self.cut && seq > last.get() {
            self.faults.add(format!("{what} says row {seq}, the last row is {last}"));
        }
    }
}
