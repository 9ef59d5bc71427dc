//! What is kept: timelines of rows, and small records beside them. One conformance suite runs against every store.
//!
//! A store keeps bytes and never looks inside them. It reads no clock, and it never retries a write with another stamp.
//! All futures are `'static`: they own what they need, so a caller may drop them (the write may still happen).

mod key;
mod page;

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use tidings_schema::id::{Gid, Seq, Uid};

pub use self::{
    key::{Key, Owner, TimelineId},
    page::{GroupScan, GroupScanPage, HistoryRange, MembersPage, Page, PageLimit, Scan, ScanPage},
};
use super::ownership::Stamp;

/// Rows of one append at most.
pub const APPEND_ROWS_MAX: usize = 64;
/// Bytes of the rows of one append at most, unless it is a single row.
pub const APPEND_BYTES_MAX: usize = 16 * 1024;
/// Rows of one bucket: an append never crosses a bucket's border, seq 1 to 10 000 being the first bucket.
pub const BUCKET_ROWS: u64 = 10_000;

/// Rows that one call of [`Store::sweep`] removes at most.
pub const SWEEP_ROWS_MAX: u64 = 256;

/// One row of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub seq: Seq,
    /// The encoded record.
    pub value: Bytes,
}

/// A change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which record.
    pub key: Key,
    /// Its new value; `None` removes it.
    pub value: Option<Bytes>,
}

/// Rows to be appended to one timeline: contiguous, within [`APPEND_ROWS_MAX`] and [`APPEND_BYTES_MAX`], one bucket.
#[derive(Clone, Debug)]
pub struct Append {
    /// Where to.
    pub timeline: TimelineId,
    /// Oldest first.
    pub rows: Vec<Row>,
    /// Records that become durable no later than the rows.
    pub with: Vec<Change>,
    /// Orders this write among the owner's.
    pub stamp: Stamp,
}

impl Append {
    /// Checks what every store asks of an append.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] when there are no rows, too many or too large ones, when their seqs are not contiguous
    /// from 1 on, or when they cross the border of a bucket.
    pub fn check(&self) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) else {
            return Err(StoreError::Rejected("append of no rows"));
        };
        if self.rows.len() > APPEND_ROWS_MAX {
            return Err(StoreError::Rejected("append of too many rows"));
        }
        if self.rows.len() > 1 && self.rows.iter().map(|row| row.value.len()).sum::<usize>() > APPEND_BYTES_MAX {
            return Err(StoreError::Rejected("append of too many bytes"));
        }
        if first.seq == Seq::ZERO || self.rows.windows(2).any(|pair| pair[1].seq.get() != pair[0].seq.next().get()) {
            return Err(StoreError::Rejected("rows are not contiguous"));
        }
        let bucket = |seq: Seq| (seq.get() - 1) / BUCKET_ROWS;
        if bucket(first.seq) != bucket(last.seq) {
            return Err(StoreError::Rejected("append crosses a bucket"));
        }
        Ok(())
    }
}

/// Checks that all records of a put have one owner; marks go with any.
///
/// # Errors
/// [`StoreError::Rejected`] when they have not.
pub fn check_put(changes: &[Change]) -> Result<(), StoreError> {
    let mut owners = changes.iter().filter_map(|change| change.key.owner());
    let Some(first) = owners.next() else { return Ok(()) };
    if owners.all(|owner| owner == first) { Ok(()) } else { Err(StoreError::Rejected("records of several owners")) }
}

/// Checks what every store asks of a sweep.
///
/// # Errors
/// [`StoreError::Rejected`] when the range is turned round, or has more than [`SWEEP_ROWS_MAX`] places.
pub fn check_sweep(from: Seq, below: Seq) -> Result<(), StoreError> {
    if from > below {
        return Err(StoreError::Rejected("sweep of a range that is turned round"));
    }
    if below.since(from) > SWEEP_ROWS_MAX {
        return Err(StoreError::Rejected("sweep of too many rows"));
    }
    Ok(())
}

/// Why a store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Try later with the same arguments; a write may or may not have happened.
    #[error("store unavailable: {0}")]
    Unavailable(Unavailable),
    /// Never retry: the arguments break the contract.
    #[error("store rejected the call: {0}")]
    Rejected(&'static str),
    /// Stored bytes are damaged: stop that timeline and tell an operator.
    #[error("stored data is corrupt: {0}")]
    Corrupt(String),
}

/// Why a store cannot be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Less free space than the reserve; reads go on.
    #[error("disk full")]
    DiskFull,
    /// More writes wait than the store's queue holds.
    #[error("too many writes waiting")]
    Overloaded,
    /// The store does not answer, or answered with a failure of its own.
    #[error("no answer")]
    Down,
}

/// What a call resolves to.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// A durable store.
pub trait Store: Send + Sync + 'static {
    /// Makes rows durable, atomically together and no earlier than `with`. The same append again (same seqs, same values)
    /// is fine. Appends of one timeline must be awaited one after the other.
    fn append(&self, append: Append) -> Reply<()>;

    /// Makes changes of records durable, atomically together. All keys have the same owner.
    fn put(&self, changes: Vec<Change>, stamp: Stamp) -> Reply<()>;

    /// Values of records, in the order of the keys; `None` where there is no record.
    fn get(&self, keys: Vec<Key>) -> Reply<Vec<Option<Bytes>>>;

    /// The next uids of a list after `after`, at most `limit`.
    fn scan(&self, scan: Scan, after: Option<Uid>, limit: usize) -> Reply<ScanPage>;

    /// The next gids of a list after `after`, at most `limit`.
    fn scan_groups(&self, scan: GroupScan, after: Option<Gid>, limit: usize) -> Reply<GroupScanPage>;

    /// The next member records of a group after that of `after`: all of them are read when the group becomes active, so
    /// they come with their values.
    fn members(&self, gid: Gid, after: Option<Uid>, limit: PageLimit) -> Reply<MembersPage>;

    /// Rows with `after < seq <= ceiling`, oldest first. Stops before a gap.
    fn read(&self, timeline: TimelineId, after: Seq, ceiling: Seq, limit: PageLimit) -> Reply<Page>;

    /// Rows with `seq < before`, newest first.
    fn read_back(&self, timeline: TimelineId, before: Seq, limit: PageLimit) -> Reply<Page>;

    /// Rows of one conversation's history, newest first (values as put under [`Key::History`]).
    fn read_history(&self, range: HistoryRange, limit: PageLimit) -> Reply<Page>;

    /// Overwrites one row by what is left of it after a change; the only way a stored row ever changes. `Rejected` if there
    /// is no such row. Those of one timeline become durable in the order of the calls.
    fn redact(&self, timeline: TimelineId, row: Row, stamp: Stamp) -> Reply<()>;

    /// Removes the rows with `from <= seq < below`, at most [`SWEEP_ROWS_MAX`] places; those that are not there are no
    /// error. Durable when it resolves. The caller knows where it left off, so a store need not look for rows: what was
    /// removed before would only be in the way.
    fn sweep(&self, timeline: TimelineId, from: Seq, below: Seq) -> Reply<()>;
}
