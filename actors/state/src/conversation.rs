//! One DM seen from one side: counters, read marker, receipts, the chain to the peer and what was taken of the peer.
//!
//! It is a fold of the rows of the conversation, by one function ([`Conversation::apply`]) that is used live and in
//! recovery alike; and of the few facts that have no row: places taken of the peer (blocked messages), what the peer
//! accepted, and which receipts it was sent.

use bytes::Bytes;
use tidings_schema::{
    change::{Made, Stored},
    id::{IdError, LogId, Millis, Place, Seq},
    message::entry_seq,
    record,
    row::{InboxRow, RowBody, Way, place_from_record, place_to_record},
};

use crate::deletions::Deletions;

/// Messages of one bucket of a conversation's history.
pub const HISTORY_BUCKET_ROWS: u64 = 10_000;
/// Blocks that are over and may still concern messages on their way. Of more the oldest is forgotten: better that a
/// message shows which was sent eight blocks ago than that one is hidden which was sent between two of them.
pub const PAST_BLOCKS_MAX: usize = 8;

/// A block that is over: `from <= time < until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpan {
    /// When it began.
    pub from: Millis,
    /// When it ended.
    pub until: Millis,
}

/// State of one DM. True for the owner's log up to `upto`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Last row of the log that is reflected.
    pub upto: Seq,
    /// Encoded entry of the newest message that is not deleted; empty = none.
    pub last: Bytes,
    /// Seq of the newest message, deleted or not; zero = none.
    pub last_seq: Seq,
    /// Counting messages so far.
    pub n: u64,
    /// Messages so far.
    pub h: u64,
    /// First seq of each history bucket, oldest first.
    pub bucket_first_seqs: Vec<Seq>,
    /// Newest row of the chain to the peer; zero = none.
    pub last_out: Seq,
    /// What was taken of the peer's log, blocked messages included.
    pub peer: Option<Place>,
    /// Read marker; zero = nothing read.
    pub last_read: Seq,
    /// `n` at the marker.
    pub last_read_n: u64,
    /// Receipts the peer was sent, in the seqs of its log that `peer` names.
    pub sent_delivered_upto: Seq,
    /// Read up to here was told to the peer, in the same seqs.
    pub sent_read_upto: Seq,
    /// Receipts got from the peer, in own seqs.
    pub got_delivered_upto: Seq,
    /// The peer read up to here, in own seqs.
    pub got_read_upto: Seq,
    /// Nothing of the peer is taken.
    pub blocked: bool,
    /// The peer accepted the chain up to here.
    pub accepted_upto: Seq,
    /// Newest message of the peer, in own seqs; zero = none.
    pub last_in: Seq,
    /// The same message's place in the peer's log.
    pub last_in_place: Option<Place>,
    /// Begin of the newest block.
    pub blocked_at: Millis,
    /// Blocks that are over, oldest first, at most [`PAST_BLOCKS_MAX`].
    pub past_blocks: Vec<BlockSpan>,
    /// The owner wants it above the others.
    pub pinned: bool,
    /// Its unread messages do not count in the total.
    pub muted: bool,
    /// Messages the owner deleted for itself.
    pub deleted: Deletions,
    /// Not listed as long as this is its newest message; zero = listed.
    pub hidden_upto: Seq,
}

/// Counters of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// `InboxRow::n`.
    pub n: u64,
    /// `InboxRow::h`.
    pub h: u64,
}

/// A move of the read marker that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadMove {
    /// The new marker.
    pub upto: Seq,
    /// `n` there.
    pub read_n: u64,
    /// What the peer is told.
    pub place: Option<Place>,
    /// By how much the unread count of the conversation (and the user's total) falls.
    pub cleared: u64,
}

impl Conversation {
    /// The one fold: rows of this conversation in the order of the log. Rows that are reflected already change nothing.
    pub fn apply(&mut self, row: &InboxRow) {
        if row.seq <= self.upto {
            return;
        }
        self.upto = row.seq;
        self.n = self.n.max(row.n);
        match &row.body {
            RowBody::Out { .. } => {
                self.last_out = row.seq;
                self.apply_message(row);
            }
            RowBody::In { peer, .. } => {
                self.last_in = row.seq;
                self.last_in_place = Some(*peer);
                self.took(*peer, row.time);
                self.apply_message(row);
            }
            RowBody::Change { way, .. } => {
                match way {
                    Way::Out { .. } => self.last_out = row.seq,
                    Way::In { peer } => self.took(*peer, row.time),
                }
                self.apply_change(row);
            }
            RowBody::Deleted { seqs, upto, whole, read_n, left, .. } => {
                self.mark(*upto, *read_n);
                seqs.iter().for_each(|seq| self.deleted.add(*seq));
                self.deleted.add_upto(*upto);
                // A message may have come between the decision and the row.
                if let Some(left) = left.as_ref().filter(|_| self.deleted.contains(self.shown_seq())) {
                    self.last.clone_from(left);
                }
                if *whole {
                    self.hidden_upto = *upto;
                }
            }
            RowBody::ConversationSet { pinned, muted } => (self.pinned, self.muted) = (*pinned, *muted),
            // No row of a conversation with a peer.
            RowBody::Group { .. } => {}
            RowBody::Read { upto, read_n, .. } => self.mark(*upto, *read_n),
            RowBody::Receipt { delivered_upto, read_upto } => {
                self.got_delivered_upto = self.got_delivered_upto.max(*delivered_upto);
                self.got_read_upto = self.got_read_upto.max(*read_upto);
            }
            RowBody::Blocked if !self.blocked => {
                self.blocked = true;
                self.blocked_at = row.time;
            }
            RowBody::Unblocked if self.blocked => {
                self.blocked = false;
                self.past_blocks.push(BlockSpan { from: self.blocked_at, until: row.time });
                if self.past_blocks.len() > PAST_BLOCKS_MAX {
                    self.past_blocks.remove(0);
                }
            }
            RowBody::Blocked | RowBody::Unblocked => {}
        }
    }

    fn apply_message(&mut self, row: &InboxRow) {
        self.last = row.entry.clone();
        self.last_seq = row.seq;
        self.h = self.h.max(row.h);
        if history_bucket(row.h) >= self.bucket_first_seqs.len() as u64 {
            self.bucket_first_seqs.push(row.seq);
        }
    }

    /// A row of the peer was taken. It has its sender's time, which never falls: nothing older comes any more.
    fn took(&mut self, place: Place, time: Millis) {
        self.note_place(place);
        self.past_blocks.retain(|block| time < block.until);
    }

    fn mark(&mut self, upto: Seq, read_n: u64) {
        self.last_read = self.last_read.max(upto);
        self.last_read_n = self.last_read_n.max(read_n);
    }

    /// The message shown as the newest may be the one that is changed.
    fn apply_change(&mut self, row: &InboxRow) {
        let RowBody::Change { target, .. } = row.body else { return };
        if target == Seq::ZERO || target != self.shown_seq() {
            return;
        }
        let shown = Stored { entry: self.last.clone(), edited_by: Seq::ZERO };
        if let Some((changed, _)) = made(row).and_then(|made| shown.changed(&made)) {
            self.last = changed.entry;
        }
    }

    /// Seq of the newest message that is not deleted; zero = none.
    #[must_use]
    pub fn shown_seq(&self) -> Seq {
        entry_seq(&self.last)
    }

    /// Rows up to `place` of the peer were taken, also without a row here (blocked). Within one log it only grows;
    /// another log replaces it, and receipts start again.
    pub fn note_place(&mut self, place: Place) {
        match &mut self.peer {
            Some(have) if have.log_id == place.log_id => have.seq = have.seq.max(place.seq),
            peer => {
                *peer = Some(place);
                self.sent_delivered_upto = Seq::ZERO;
                self.sent_read_upto = Seq::ZERO;
            }
        }
    }

    /// Whether this row of the peer's log was taken, with a row here or without.
    #[must_use]
    pub fn has_taken(&self, log_id: LogId, seq: Seq) -> bool {
        self.peer.is_some_and(|place| place.log_id == log_id && seq <= place.seq)
    }

    /// The peer accepted the chain up to `upto`.
    pub fn set_accepted(&mut self, upto: Seq) {
        self.accepted_upto = self.accepted_upto.max(upto);
    }

    /// The counters that a new row with this body gets.
    #[must_use]
    pub fn next_counters(&self, body: &RowBody) -> Counters {
        match body {
            RowBody::In { counting: true, .. } => Counters { n: self.n + 1, h: self.h + 1 },
            RowBody::In { counting: false, .. } | RowBody::Out { .. } => Counters { n: self.n, h: self.h + 1 },
            RowBody::Read { .. }
            | RowBody::Receipt { .. }
            | RowBody::Blocked
            | RowBody::Unblocked
            | RowBody::Change { .. }
            | RowBody::Deleted { .. }
            | RowBody::ConversationSet { .. }
            | RowBody::Group { .. } => Counters { n: self.n, h: 0 },
        }
    }

    /// Counting messages after the read marker.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.n.saturating_sub(self.last_read_n)
    }

    /// What the conversation adds to the user's unread total.
    #[must_use]
    pub fn unread_in_total(&self) -> u64 {
        if self.muted { 0 } else { self.unread() }
    }

    /// The user's unread total after a row with this body, when it is `total` before.
    #[must_use]
    pub fn total_after(&self, total: u64, body: &RowBody) -> u64 {
        let marked = |read_n: u64| if self.muted { 0 } else { read_n.saturating_sub(self.last_read_n) };
        match body {
            RowBody::In { counting: true, .. } => total + u64::from(!self.muted),
            RowBody::Read { read_n, .. } | RowBody::Deleted { read_n, .. } => total.saturating_sub(marked(*read_n)),
            RowBody::ConversationSet { muted, .. } => {
                total.saturating_sub(self.unread_in_total()) + if *muted { 0 } else { self.unread() }
            }
            _ => total,
        }
    }

    /// Whether the list of conversations shows it.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.blocked || (self.h > 0 && self.last_seq > self.hidden_upto)
    }

    /// Messages below this seq are deleted or never were.
    #[must_use]
    pub fn first_shown(&self) -> Seq {
        let first = self.bucket_first_seqs.first().copied().unwrap_or_default();
        if self.deleted.upto() > Seq::ZERO { first.max(self.deleted.upto().next()) } else { first }
    }

    /// What moving the marker to the message at `upto` does, with `read_n` the counter of that row and `place` the newest
    /// message of the peer up to it. At or above the newest message it means the newest. `None`: nothing changes.
    #[must_use]
    pub fn mark_read(&self, upto: Seq, read_n: u64, place: Option<Place>) -> Option<ReadMove> {
        if upto >= self.last_seq {
            return self.mark_head();
        }
        let read_n = read_n.min(self.n);
        self.moved(ReadMove { upto, read_n, place, cleared: read_n.saturating_sub(self.last_read_n) })
    }

    /// What moving the marker to the newest message does. `None`: it is there already.
    #[must_use]
    pub fn mark_head(&self) -> Option<ReadMove> {
        self.moved(ReadMove { upto: self.last_seq, read_n: self.n, place: self.last_in_place, cleared: self.unread() })
    }

    fn moved(&self, to: ReadMove) -> Option<ReadMove> {
        (to.upto > self.last_read).then_some(to)
    }

    /// Whether a message that the peer sent at `time` must never show: it is blocked, or was when it was sent.
    #[must_use]
    pub fn was_blocked_at(&self, time: Millis) -> bool {
        self.blocked || self.past_blocks.iter().any(|block| block.from <= time && time < block.until)
    }

    /// What a receipt of the peer (own seqs, zero = not said) adds: the new cumulative values, or `None` if nothing. What
    /// is read is delivered too.
    #[must_use]
    pub fn receipt_news(&self, delivered: Seq, read: Seq) -> Option<(Seq, Seq)> {
        let read = read.max(self.got_read_upto);
        let delivered = delivered.max(self.got_delivered_upto).max(read);
        let news = delivered > self.got_delivered_upto || read > self.got_read_upto;
        news.then_some((delivered, read))
    }

    /// Number of the history bucket that holds the newest message.
    #[must_use]
    pub fn newest_bucket(&self) -> u64 {
        history_bucket(self.h)
    }

    /// Number of the history bucket that holds the messages right below `before`; zero = the newest.
    #[must_use]
    pub fn bucket_before(&self, before: Seq) -> u64 {
        if before == Seq::ZERO {
            return self.newest_bucket();
        }
        (self.bucket_first_seqs.partition_point(|first| *first < before) as u64).saturating_sub(1)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`IdError::NotLogId`] when a place names no log: the record is corrupt.
    pub fn from_record(record: record::Conversation) -> Result<Self, IdError> {
        Ok(Self {
            upto: Seq::new(record.upto),
            last: record.last,
            last_seq: Seq::new(record.last_seq),
            n: record.n,
            h: record.h,
            bucket_first_seqs: record.bucket_first_seqs.into_iter().map(Seq::new).collect(),
            last_out: Seq::new(record.last_out),
            peer: record.peer.as_ref().map(place_from_record).transpose()?,
            last_read: Seq::new(record.last_read),
            last_read_n: record.last_read_n,
            sent_delivered_upto: Seq::new(record.sent_delivered_upto),
            sent_read_upto: Seq::new(record.sent_read_upto),
            got_delivered_upto: Seq::new(record.got_delivered_upto),
            got_read_upto: Seq::new(record.got_read_upto),
            blocked: record.blocked,
            accepted_upto: Seq::new(record.accepted_upto),
            last_in: Seq::new(record.last_in),
            last_in_place: record.last_in_place.as_ref().map(place_from_record).transpose()?,
            blocked_at: Millis::new(record.blocked_at),
            past_blocks: record.past_blocks.iter().map(BlockSpan::from_record).collect(),
            pinned: record.pinned,
            muted: record.muted,
            deleted: Deletions::from_record(&record.deleted),
            hidden_upto: Seq::new(record.hidden_upto),
        })
    }

    /// The stored form. The owner's log is committed up to `upto`, no row of this conversation that is not committed is
    /// applied, and none up to `upto` is missing; so the record is true up to there, and recovery never replays older
    /// rows onto newer places.
    #[must_use]
    pub fn to_record(&self, upto: Seq) -> record::Conversation {
        record::Conversation {
            upto: self.upto.max(upto).get(),
            last: self.last.clone(),
            last_seq: self.last_seq.get(),
            n: self.n,
            h: self.h,
            bucket_first_seqs: self.bucket_first_seqs.iter().map(|seq| seq.get()).collect(),
            last_out: self.last_out.get(),
            peer: self.peer.as_ref().map(place_to_record),
            last_read: self.last_read.get(),
            last_read_n: self.last_read_n,
            sent_delivered_upto: self.sent_delivered_upto.get(),
            sent_read_upto: self.sent_read_upto.get(),
            got_delivered_upto: self.got_delivered_upto.get(),
            got_read_upto: self.got_read_upto.get(),
            blocked: self.blocked,
            accepted_upto: self.accepted_upto.get(),
            last_in: self.last_in.get(),
            last_in_place: self.last_in_place.as_ref().map(place_to_record),
            blocked_at: self.blocked_at.get(),
            past_blocks: self.past_blocks.iter().map(|block| block.to_record()).collect(),
            pinned: self.pinned,
            muted: self.muted,
            deleted: self.deleted.to_record(),
            hidden_upto: self.hidden_upto.get(),
        }
    }
}

impl BlockSpan {
    fn from_record(record: &record::BlockSpan) -> Self {
        Self { from: Millis::new(record.from), until: Millis::new(record.until) }
    }

    fn to_record(self) -> record::BlockSpan {
        record::BlockSpan { from: self.from.get(), until: self.until.get() }
    }
}

/// The change that a row makes; `None` for other rows.
#[must_use]
pub fn made(row: &InboxRow) -> Option<Made> {
    let RowBody::Change { change, .. } = &row.body else { return None };
    Some(Made { seq: row.seq, time: row.time, change: change.clone() })
}

/// Bucket of the history row with counter `h` (from 1).
#[must_use]
pub fn history_bucket(h: u64) -> u64 {
    h.saturating_sub(1) / HISTORY_BUCKET_ROWS
}

/// Unread of one conversation from its rows alone, by counting. What [`Conversation::unread`] must equal; for tests and
/// checkers.
#[must_use]
pub fn recount(rows: &[InboxRow]) -> u64 {
    let marker = |row: &InboxRow| match row.body {
        RowBody::Read { upto, .. } => Some(upto),
        _ => None,
    };
    let read = rows.iter().filter_map(marker).max().unwrap_or(Seq::ZERO);
    let unread = |row: &&InboxRow| row.seq > read && matches!(row.body, RowBody::In { counting: true, .. });
    rows.iter().filter(unread).count() as u64
}
