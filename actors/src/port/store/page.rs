//! What is read in pages: rows, lists of keys, members.

use bytes::Bytes;
use tidings_schema::id::{Gid, Seq, ShardId, Uid};

use super::Row;

/// How much of a page is wanted: ends at whichever comes first, and has at least one row if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Rows at most.
    pub rows: usize,
    /// Bytes of values at most.
    pub bytes: usize,
}

/// A page of rows, in the order that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether the limit ended the page (there may be more).
    pub more: bool,
}

/// Lists of users that can be walked. Only keys that are written once or seldom are ever walked; the list of inboxes is
/// the exception, and is walked slowly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// Users that a shard has marks of.
    Marks(ShardId),
    /// Peers of a user.
    Peers(Uid),
    /// Owners of inboxes, of all shards: everyone with a head record.
    Inboxes,
}

/// Lists of groups that can be walked, like those of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupScan {
    /// Groups that a shard has marks of.
    Marks(ShardId),
    /// Groups that a user has a view of.
    Peers(Uid),
    /// Groups of all shards that have a head record.
    Logs,
}

/// A page of a scan: the uids named by the keys, ascending. Of [`Scan::Inboxes`] in an order that is the store's own, but
/// always the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// The uids.
    pub uids: Vec<Uid>,
    /// Whether more follow after the last one.
    pub more: bool,
}

/// A page of a scan of groups: the gids named by the keys, ascending. Of [`GroupScan::Logs`] in an order that is the
/// store's own, but always the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupScanPage {
    /// The gids.
    pub gids: Vec<Gid>,
    /// Whether more follow after the last one.
    pub more: bool,
}

/// A page of the records under [`super::Key::Member`] of one group, by uid, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersPage {
    /// Whom each is of, and its value.
    pub members: Vec<(Uid, Bytes)>,
    /// Whether the limit ended the page (there may be more).
    pub more: bool,
}

/// Which part of a conversation's history to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRange {
    /// Whose inbox the seqs count in.
    pub owner: Uid,
    /// The other side.
    pub peer: Uid,
    /// The bucket to look in. A store without buckets also returns rows of older ones.
    pub bucket: u64,
    /// Rows below this seq.
    pub before: Seq,
}
