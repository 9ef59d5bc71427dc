//! Projections of the log: members with their cursors, message ids, and the checkpoint that says how far they go. They are
//! written from committed rows only, so losing the newest costs a replay, never data.

use bytes::Bytes;
use metrics::{counter, histogram};
use prost::Message as _;
use std::collections::VecDeque;
use tidings_schema::{
    group::{Event, GroupCheckpoint, MemberRecord},
    id::{Epoch, Millis, Seq, Uid},
    record,
    row::GroupRow,
};

use super::{Group, leave::Leaving};
use crate::{
    appender::PutNumber,
    port::store::{Change, Key},
};

/// Rows after which projections are written, so that a replay stays short.
pub const CHECKPOINT_ROWS: u64 = 256;
/// Time after which they are written although fewer rows came.
pub const CHECKPOINT_MS: u64 = 60_000;
/// Rows without a checkpoint after which changes have to wait until there is one, so that a stream of them cannot keep it
/// from being written.
pub const CHECKPOINT_HELD_ROWS_MAX: u64 = 4 * CHECKPOINT_ROWS;
/// The same after which every row has to wait (5003).
pub const CHECKPOINT_ROWS_MAX: u64 = 16 * CHECKPOINT_ROWS;

/// What is projected, and what is on its way.
pub(super) struct Checkpoint {
    /// All projections cover rows up to here, durably or on their way.
    upto: Seq,
    /// Of the last committed row.
    ep: Epoch,
    time: Millis,
    created: Millis,
    /// The inboxes of all who joined in rows up to here know of it.
    effects_upto: Seq,
    ids_floor: Seq,
    /// The store has the mark, or gets it with the rows on their way.
    pub(super) marked: bool,
    /// Last put that is durable, as far as this actor has noticed.
    pub(super) flushed: PutNumber,
    /// The checkpoint on its way.
    writing: Option<(PutNumber, Seq)>,
    /// Records of members on their way, with the row they are true for; at most one a tick and checkpoint.
    members_writing: VecDeque<(PutNumber, Seq)>,
    /// When the oldest change of a member that no record shows was made.
    members_changed_at: Option<Millis>,
    /// Id records of messages above `upto`.
    ids: Vec<Change>,
    written_at: Millis,
    pub(super) touched_at: Millis,
    pub(super) leaving: Option<Leaving>,
}

impl Checkpoint {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            upto: Seq::ZERO,
            ep: Epoch::default(),
            time: Millis::default(),
            created: Millis::default(),
            effects_upto: Seq::ZERO,
            ids_floor: Seq::ZERO,
            marked: false,
            flushed: PutNumber::default(),
            writing: None,
            members_writing: VecDeque::new(),
            members_changed_at: None,
            ids: Vec::new(),
            written_at: now,
            touched_at: now,
            leaving: None,
        }
    }

    /// Continues from what was read.
    pub(super) fn restore(&mut self, stored: &GroupCheckpoint) {
        (self.upto, self.ep, self.time) = (stored.upto, stored.ep, stored.time);
        (self.created, self.effects_upto, self.ids_floor) = (stored.created, stored.effects_upto, stored.ids_floor);
    }

    /// All projections cover rows up to here, durably or on their way.
    pub(super) fn upto(&self) -> Seq {
        self.upto
    }

    /// Time of row 1.
    pub(super) fn created(&self) -> Millis {
        self.created
    }

    /// Whether a checkpoint is on its way.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// There was something to do.
    pub(super) fn touch(&mut self, now: Millis) {
        self.touched_at = now;
    }

    /// A member's cursor or rights changed; they are written soon.
    pub(super) fn members_changed(&mut self, now: Millis) {
        self.members_changed_at.get_or_insert(now);
    }
}

impl Group {
    /// Takes note of a committed row for the next checkpoint.
    pub(super) fn settle_projections(&mut self, row: &GroupRow) {
        let checkpoint = &mut self.checkpoint;
        (checkpoint.ep, checkpoint.time) = (row.ep, row.time);
        if row.seq == Seq::new(1) {
            checkpoint.created = row.time;
        }
        if let Event::Message { from, message_id, hash, .. } = &row.event {
            let stored = record::MessageId {
                seq: row.seq.get(),
                payload_hash: Bytes::copy_from_slice(hash.as_bytes()),
                time: row.time.get(),
            };
            let key = Key::MessageId(self.timeline_id.clone(), from.clone(), *message_id);
            checkpoint.ids.push(Change { key, value: Some(stored.encode_to_vec().into()) });
        }
    }

    /// Whether rows have to wait for a checkpoint.
    pub(super) fn checkpoint_is_far(&self) -> bool {
        self.timeline.head().since(self.checkpoint.upto) >= CHECKPOINT_ROWS_MAX
    }

    /// Writes projections when enough rows came or enough time passed.
    pub(super) fn checkpoint_if_due(&mut self) {
        let now = self.parts.clock.uptime();
        let rows = self.timeline.committed().since(self.checkpoint.upto);
        let late = now.since(self.checkpoint.written_at) >= CHECKPOINT_MS;
        // A checkpoint says that nothing up to it is left to be done.
        let held = self.redactions.oldest().is_some_and(|oldest| oldest <= self.timeline.committed());
        if !self.checkpoint.is_writing() && rows > 0 && (rows >= CHECKPOINT_ROWS || late) && !held {
            self.write_checkpoint();
        }
    }

    /// Members first, and what says that they are written behind them.
    pub(super) fn write_checkpoint(&mut self) -> Option<PutNumber> {
        self.write_all_members();
        let committed = self.timeline.committed();
        let (Some(log_id), Some(stored)) = (self.log_id(), self.checkpoint_record()) else { return None };
        let mut changes = std::mem::take(&mut self.checkpoint.ids);
        let log_id = Bytes::copy_from_slice(log_id.as_bytes());
        let (ep, time) = (stored.ep.get(), stored.time.get());
        let head = record::Head { log_id, seq: committed.get(), ep, t: 0, time, n: stored.n };
        let head = Change { key: Key::Head(self.timeline_id.clone()), value: Some(head.encode_to_vec().into()) };
        changes.push(head);
        changes.push(Change { key: Key::GroupCheckpoint(self.gid.clone()), value: Some(stored.encode()) });
        histogram!("tidings_checkpoint_rows").record(committed.since(self.checkpoint.upto) as f64);
        counter!("tidings_checkpoints_total").increment(1);
        let put = self.parts.appender.put(&self.timeline_id, changes);
        self.checkpoint.upto = committed;
        self.checkpoint.written_at = self.parts.clock.uptime();
        self.checkpoint.writing = Some((put, committed));
        Some(put)
    }

    /// `None`: there is no group yet.
    fn checkpoint_record(&self) -> Option<GroupCheckpoint> {
        let (charter, checkpoint) = (self.state.charter(), &self.checkpoint);
        Some(GroupCheckpoint {
            upto: charter.upto,
            ep: checkpoint.ep,
            n: charter.n,
            time: checkpoint.time,
            log_id: self.log_id()?,
            effects_upto: checkpoint.effects_upto,
            newest: self.window.newest(charter.upto),
            settings: charter.settings.clone(),
            created: checkpoint.created,
            creator: charter.creator.clone()?,
            owner: charter.owner.clone(),
            dismissed: charter.tombstone.as_ref().map(|tombstone| (tombstone.seq, tombstone.by.clone())),
            ids_floor: checkpoint.ids_floor,
        })
    }

    /// Writes a page of the members that changed; `None`: there are none.
    fn write_members(&mut self) -> Option<PutNumber> {
        let page = self.state.take_changed();
        if page.is_empty() {
            return None;
        }
        let change = |(uid, record): (Uid, MemberRecord)| Change {
            key: Key::Member(self.gid.clone(), uid),
            value: Some(record.encode()),
        };
        let changes = page.into_iter().map(change).collect();
        let put = self.parts.appender.put(&self.timeline_id, changes);
        self.checkpoint.members_writing.push_back((put, self.timeline.committed()));
        Some(put)
    }

    /// Writes cursors that have waited long enough, a page at a time.
    pub(super) fn write_members_if_due(&mut self, now: Millis) {
        let wait = self.parts.limits.cursor_flush_ms;
        let due = self.checkpoint.members_changed_at.is_some_and(|since| now.since(since) >= wait);
        if due && self.checkpoint.members_writing.is_empty() {
            self.write_members();
            self.checkpoint.members_changed_at.take_if(|_| !self.state.have_changed());
        }
    }

    /// Everything that changed of members is on its way after this.
    pub(super) fn write_all_members(&mut self) -> Option<PutNumber> {
        let mut last = None;
        while let Some(put) = self.write_members() {
            last = Some(put);
        }
        self.checkpoint.members_changed_at = None;
        last
    }

    /// Records are durable: what only served a replay may go.
    pub(super) fn checkpoint_flushed(&mut self) {
        let flushed = self.checkpoint.flushed;
        while let Some((_, upto)) = self.checkpoint.members_writing.pop_front_if(|(put, _)| *put <= flushed) {
            self.state.changed_durable(upto);
        }
        if let Some((_, upto)) = self.checkpoint.writing.take_if(|(put, _)| *put <= flushed) {
            self.window.release(upto);
        }
    }

    /// Whether the store does not show all that is committed.
    pub(super) fn is_stale(&self) -> bool {
        self.checkpoint.upto < self.timeline.committed()
    }
}
