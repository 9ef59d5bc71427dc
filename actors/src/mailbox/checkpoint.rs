//! Projections of the inbox: histories, message ids, conversations, cursors, and the checkpoint that says how far they
//! go. They are written from committed rows only, so losing the newest costs a replay, never data. A mailbox leaves
//! memory once everything is written and nothing is owed; its mark goes last.

use std::collections::BTreeSet;

use actix::{ActorContext as _, AsyncContext, Context};
use bytes::Bytes;
use metrics::{counter, histogram};
use prost::Message;
use tidings_schema::{
    id::{DeviceId, Millis, Seq, Uid},
    record,
    row::{InboxRow, RowBody, history_row},
};
use tidings_state::{conversation::history_bucket, retention::Kept};

use super::{Mailbox, Phase, devices::Known, peers::Peer};
use crate::{
    appender::{LaneState, PutNumber},
    port::store::{Change, Key},
    shard::{Quiet, QuietDevice},
};

/// Rows after which projections are written, so that a replay stays short.
pub const CHECKPOINT_ROWS: u64 = 64;
/// Bytes of rows in memory after which they are written, for the same reason and so that large messages do not stay.
pub const CHECKPOINT_BYTES: usize = 256 * 1024;
/// Time after which they are written although fewer rows came.
pub const CHECKPOINT_MS: u64 = 60_000;

/// Where a leaving mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// Its last records are being written.
    Writing(PutNumber),
    /// Its mark is being removed.
    Unmarking(PutNumber),
}

/// What is projected, and what is on its way.
pub(super) struct Checkpoint {
    /// All projections cover rows up to here, durably or on their way.
    upto: Seq,
    /// What is kept.
    pub(super) kept: Kept,
    /// The store has the mark, or gets it with the rows on their way.
    pub(super) marked: bool,
    /// Last put that is durable, as far as this actor has noticed.
    pub(super) flushed: PutNumber,
    /// The checkpoint on its way.
    writing: Option<(PutNumber, Seq)>,
    /// The newest checkpoint record.
    pub(super) record: record::MailboxCheckpoint,
    written_at: Millis,
    touched_at: Millis,
    /// When the oldest change of a device that no record shows was made.
    cursors_changed_at: Option<Millis>,
    leaving: Option<Leaving>,
}

impl Checkpoint {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            upto: Seq::ZERO,
            kept: Kept::default(),
            marked: false,
            flushed: PutNumber::default(),
            writing: None,
            record: record::MailboxCheckpoint::default(),
            written_at: now,
            touched_at: now,
            cursors_changed_at: None,
            leaving: None,
        }
    }

    /// Continues from what was read.
    pub(super) fn restore(&mut self, record: record::MailboxCheckpoint, flushed: PutNumber) {
        self.upto = Seq::new(record.upto);
        self.kept = Kept::restore(record.swept, record.floor, record.ids_floor);
        self.flushed = flushed;
        self.record = record;
    }

    /// Tokens issued before this let nobody in.
    pub(super) fn not_before(&self) -> Millis {
        Millis::new(self.record.not_before)
    }

    pub(super) fn set_not_before(&mut self, at: Millis) {
        self.record.not_before = at.get();
    }

    /// Whether a checkpoint is on its way.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// All projections cover rows up to here, durably or on their way.
    pub(super) fn upto(&self) -> Seq {
        self.upto
    }

    /// There was something to do.
    pub(super) fn touch(&mut self, now: Millis) {
        self.touched_at = now;
    }

    /// A device's cursor or other facts changed; they are written soon.
    pub(super) fn cursors_changed(&mut self, now: Millis) {
        self.cursors_changed_at.get_or_insert(now);
    }
}

impl Mailbox {
    /// The newest checkpoint with the devices as they are now; says nothing new about rows.
    pub(super) fn checkpoint_with_devices(&mut self) -> Change {
        self.checkpoint.record.devices = self.devices.list();
        self.checkpoint_change()
    }

    /// The newest checkpoint as it is.
    pub(super) fn checkpoint_change(&self) -> Change {
        Change { key: Key::Checkpoint(self.uid.clone()), value: Some(encode(&self.checkpoint.record)) }
    }

    /// Writes projections when enough rows came or enough time passed.
    pub(super) fn checkpoint_if_due(&mut self) {
        let now = self.parts.clock.uptime();
        let rows = self.timeline.committed().since(self.checkpoint.upto);
        let late = now.since(self.checkpoint.written_at) >= CHECKPOINT_MS;
        let many = rows >= CHECKPOINT_ROWS || self.rows.bytes() >= CHECKPOINT_BYTES;
        // A checkpoint says that nothing up to it is left to be done.
        let held = self.redactions.oldest().is_some_and(|oldest| oldest <= self.timeline.committed());
        if self.checkpoint.writing.is_none() && rows > 0 && (many || late) && !held {
            self.write_checkpoint();
        }
    }

    fn write_checkpoint(&mut self) -> PutNumber {
        let committed = self.timeline.committed();
        let mut changes = Vec::new();
        let rows = self.rows.after(self.checkpoint.upto).into_iter().flatten();
        let rows = rows.take_while(|row| row.seq <= committed);
        let last = rows.inspect(|row| self.project(row, &mut changes)).last();
        let (ep, t, time) = last.map_or_else(
            || (self.checkpoint.record.ep, self.checkpoint.record.t, self.checkpoint.record.time),
            |row| (row.ep.get(), row.t, row.time.get()),
        );
        histogram!("tidings_checkpoint_rows").record(committed.since(self.checkpoint.upto) as f64);
        for (uid, peer) in self.peers.map.iter_mut().filter(|(_, peer)| peer.changed) {
            peer.changed = false;
            changes.push(conversation_change(&self.uid, uid, peer, committed));
        }
        let log_id = self.log_id().map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes()));
        let (new_peers_left, new_peers_at) = self.new_peers.left();
        let head = record::Head { log_id: log_id.clone(), seq: committed.get(), ep, t, time, n: 0 };
        changes.push(Change { key: Key::Head(self.timeline_id.clone()), value: Some(encode(&head)) });
        self.checkpoint.record = record::MailboxCheckpoint {
            upto: committed.get(),
            ep,
            t,
            time,
            log_id,
            effects_upto: self.peers.effects_upto(committed).get(),
            newest: self.window.newest(committed),
            devices: self.devices.list(),
            floor: self.checkpoint.kept.floor.get(),
            not_before: self.checkpoint.record.not_before,
            ids_floor: self.checkpoint.kept.ids.get(),
            swept: self.checkpoint.kept.swept.get(),
            new_peers_left,
            new_peers_at: new_peers_at.get(),
        };
        changes.push(self.checkpoint_change());
        counter!("tidings_checkpoints_total").increment(1);
        let put = self.parts.appender.put(&self.timeline_id, changes);
        self.checkpoint.upto = committed;
        self.checkpoint.written_at = self.parts.clock.uptime();
        self.checkpoint.writing = Some((put, committed));
        put
    }

    /// The projections of one row.
    fn project(&self, row: &InboxRow, changes: &mut Vec<Change>) {
        let (Some(peer), true) = (&row.with, row.body.is_message()) else { return };
        let (owner, peer, bucket) = (self.uid.clone(), peer.clone(), history_bucket(row.h));
        let key = Key::History { owner: owner.clone(), peer, bucket, seq: row.seq };
        changes.push(Change { key, value: Some(history_row(row)) });
        if let RowBody::Out { message_id, hash, .. } = &row.body {
            let stored = record::MessageId {
                seq: row.seq.get(),
                payload_hash: Bytes::copy_from_slice(hash.as_bytes()),
                time: row.time.get(),
            };
            let key = Key::MessageId(self.timeline_id.clone(), owner, *message_id);
            changes.push(Change { key, value: Some(encode(&stored)) });
        }
    }

    /// A checkpoint is durable: what only served its replay may go.
    pub(super) fn checkpoint_flushed(&mut self) {
        let Some((_, upto)) = self.checkpoint.writing.take_if(|(put, _)| *put <= self.checkpoint.flushed) else {
            return;
        };
        self.window.release(upto);
        self.rows.release(upto);
        self.release_peers();
    }

    /// Writes cursors that have waited long enough.
    pub(super) fn write_cursors_if_due(&mut self, now: Millis) {
        let wait = self.parts.limits.cursor_flush_ms;
        if self.checkpoint.cursors_changed_at.is_some_and(|since| now.since(since) >= wait) {
            self.write_cursors();
        }
    }

    fn write_cursors(&mut self) -> Option<PutNumber> {
        self.checkpoint.cursors_changed_at = None;
        let changed = self.devices.known.iter_mut().filter(|(_, known)| known.changed);
        let devices: BTreeSet<_> = changed
            .map(|(device, known)| {
                known.changed = false;
                device.clone()
            })
            .collect();
        let changes: Vec<Change> = devices.iter().filter_map(|device| self.device_record(device)).collect();
        (!changes.is_empty()).then(|| self.parts.appender.put(&self.timeline_id, changes))
    }

    /// Leaves memory when nothing has been asked for a while and nothing is owed to anyone.
    pub(super) fn leave_if_idle(&mut self, now: Millis, ctx: &mut Context<Self>) {
        let idle = now.since(self.checkpoint.touched_at) >= self.parts.limits.mailbox_idle_ms;
        let due = idle || self.parts.directory.borrow().is_retiring();
        if !due || !self.owes_nothing() {
            return;
        }
        self.phase = Phase::Stopping;
        self.parts.directory.borrow_mut().stopping(&self.uid);
        let cursors = self.write_cursors();
        let committed = self.timeline.committed();
        let stale = self.checkpoint.upto < committed
            || self.checkpoint.record.effects_upto < self.peers.effects_upto(committed).get()
            || self.peers.map.values().any(|peer| peer.changed);
        let last = if stale { Some(self.write_checkpoint()) } else { cursors };
        match last {
            Some(put) => self.checkpoint.leaving = Some(Leaving::Writing(put)),
            None => self.unmark(ctx),
        }
    }

    fn owes_nothing(&self) -> bool {
        self.work.is_empty()
            && self.gate.is_open()
            && self.answers.is_empty()
            && self.told_again.is_empty()
            && self.redactions.is_empty()
            && self.checkpoint.writing.is_none()
            && self.sweeping.is_none()
            && self.progress.state() == LaneState::Open
            && !self.parts.appender.in_flight(&self.timeline_id)
            && self.peers.owe_nothing()
            && self.devices.owe_nothing(self.timeline.committed())
    }

    /// Something this mailbox waits for before it leaves has become durable.
    pub(super) fn go_on_leaving(&mut self, ctx: &mut Context<Self>) {
        let flushed = self.checkpoint.flushed;
        match self.checkpoint.leaving {
            Some(Leaving::Writing(put)) if put <= flushed => self.unmark(ctx),
            Some(Leaving::Unmarking(put)) if put <= flushed => {
                self.checkpoint.marked = false;
                self.parts.directory.borrow_mut().unmark(&self.uid);
                self.leave(ctx);
            }
            Some(Leaving::Writing(_) | Leaving::Unmarking(_)) | None => {}
        }
    }

    /// The last records are not written yet (the store may be down or full) and somebody wants something: reads go on.
    pub(super) fn stay_if_wanted(&mut self, ctx: &mut Context<Self>) {
        let writing = matches!(self.checkpoint.leaving, Some(Leaving::Writing(_)));
        let wanted = !self.work.is_empty() || self.parts.directory.borrow().is_wanted(&self.uid);
        if writing && wanted {
            self.checkpoint.leaving = None;
            self.stay(ctx);
        }
    }

    /// Conversations that are not in use leave memory, but never while one is being read: what was read would be older
    /// than what left.
    pub(super) fn release_peers(&mut self) {
        if self.checkpoint.writing.is_none() && self.gate.is_open() {
            self.peers.release();
        }
    }

    /// Everything is written: the mark may go, unless work came meanwhile.
    fn unmark(&mut self, ctx: &mut Context<Self>) {
        if !self.checkpoint.marked || !self.work.is_empty() {
            return self.leave(ctx);
        }
        let mark = Change { key: Key::Mark(self.parts.id, self.timeline_id.clone()), value: None };
        let put = self.parts.appender.put(&self.timeline_id, vec![mark]);
        self.checkpoint.leaving = Some(Leaving::Unmarking(put));
    }

    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.checkpoint.leaving = None;
        if !self.work.is_empty() {
            return self.stay(ctx);
        }
        let mut directory = self.parts.directory.borrow_mut();
        for (connection, online) in &self.devices.online {
            directory.remember(&self.uid, *connection, online.queue.sent(), online.queue.acked());
            self.parts.link.forget(*connection);
        }
        directory.know(&self.uid, self.quiet());
        directory.stopped(&self.uid);
        drop(directory);
        self.parts.appender.forget(&self.timeline_id);
        self.phase = Phase::Left;
        counter!("tidings_mailbox_passivations_total").increment(1);
        ctx.stop();
    }

    /// What was written, for whoever comes back before anything changes.
    fn quiet(&self) -> Quiet {
        let device = |(device, known): (&DeviceId, &Known)| QuietDevice {
            device: device.clone(),
            cursor: known.cursor,
            not_before: known.not_before.max(self.checkpoint.not_before()),
        };
        Quiet {
            log_id: self.log_id(),
            head: self.timeline.committed(),
            unread_total: self.committed_unread,
            devices: self.devices.known.iter().map(device).collect(),
        }
    }

    /// Work came while the last records were written.
    fn stay(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Serving;
        let waiting = self.parts.directory.borrow_mut().resumed(&self.uid, ctx.address());
        self.work.extend(waiting);
        self.run(ctx);
    }
}

/// The record of one conversation as of `committed`, with a place that is being noted.
pub(super) fn conversation_change(owner: &Uid, uid: &Uid, peer: &Peer, committed: Seq) -> Change {
    let mut snapshot = peer.settled.clone();
    // A noted place that is on its way must not be overwritten by a record without it.
    if let Some(noted) = peer.noted.filter(|noted| noted.after <= committed) {
        snapshot.note_place(noted.place);
    }
    let key = Key::Conversation(owner.clone(), uid.clone());
    Change { key, value: Some(encode(&snapshot.to_record(committed))) }
}

/// The stored form of a record.
pub(super) fn encode(record: &impl Message) -> Bytes {
    record.encode_to_vec().into()
}
