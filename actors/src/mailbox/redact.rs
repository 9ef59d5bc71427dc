//! What follows a change of a message: its stored row and its history row are written anew, and edits that a later change
//! has replaced lose their content. Until that is durable no `ok` leaves, the peer's change is not accepted, no checkpoint
//! passes it; and from the change's commit on nobody reads the old content, because every page is looked through.

use std::{collections::BTreeMap, sync::Arc};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use metrics::{counter, gauge};
use prost::Message as _;
use tidings_schema::{
    change::{Change, Made, Stored, without_content},
    id::{LogId, Place, Seq, Uid},
    message::RawEntry,
    row::{InboxRow, RowBody, history_row},
    wire,
};
use tidings_state::conversation::{Conversation, made};
use tracing::warn;

use super::{
    Mailbox,
    checkpoint::{CHECKPOINT_BYTES, CHECKPOINT_ROWS, encode},
    push::decode_page,
    read::ok,
    targets::{history_key, read_history_row},
};
use crate::{
    appender::PutNumber,
    mutants::{self, Mutant},
    port::{
        link::{ConnectionRef, OpId},
        store::{Change as RecordChange, Key, PageLimit, Row, Store, StoreError, TimelineId},
    },
};

/// Changes whose messages are not written anew yet; further ones are refused (5003), between mailboxes repeated.
pub const REDACTIONS_MAX: usize = 64;
/// Rows without a checkpoint after which changes have to wait until there is one, so that a stream of them cannot keep it
/// from being written.
pub const CHECKPOINT_HELD_ROWS_MAX: u64 = 8 * CHECKPOINT_ROWS;
/// The same for bytes of rows in memory.
pub const CHECKPOINT_HELD_BYTES_MAX: usize = 8 * CHECKPOINT_BYTES;
/// Changes that are done but still looked for while pages are being read; the oldest go first.
pub const RECENT_MAX: usize = 256;

/// One change whose consequences are not durable yet.
pub(super) struct Redaction {
    peer: Uid,
    target: Seq,
    made: Made,
    /// Changes by the peer: the row's place in its log. It is not accepted before.
    place: Option<Place>,
    /// Who learns of it, with the seq that is answered. At most the unanswered ops of the user's connections.
    answers: Vec<(ConnectionRef, OpId, Seq)>,
}

/// Where the oldest of them are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Idle,
    Reading,
    /// The first so many are done when this put is durable.
    Writing(PutNumber, usize),
}

/// All changes whose consequences are not durable yet, in the order of their rows.
#[derive(Default)]
pub(super) struct Redactions {
    pending: Vec<Redaction>,
    step: Step,
    /// Done; but a page that is being read may still be older.
    recent: Vec<(Seq, Made)>,
    /// Pages that are being read.
    reads: usize,
}

impl Redactions {
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// A change has its row.
    pub(super) fn add(&mut self, row: &InboxRow, answer: Option<(ConnectionRef, OpId)>) {
        let (Some(made), Some(peer), RowBody::Change { target, .. }) = (made(row), row.with.clone(), &row.body) else {
            return;
        };
        let (target, place) = (*target, row.body.place());
        let answers = answer.into_iter().map(|(to, op_id)| (to, op_id, row.seq)).collect();
        self.pending.push(Redaction { peer, target, made, place, answers });
        gauge!("tidings_redactions_pending").increment(1);
    }

    /// Answers an op that changes nothing more once what it rests on is durable; `false` when nothing is pending.
    pub(super) fn answer_with(&mut self, target: Seq, to: ConnectionRef, op_id: OpId) -> bool {
        let Some(pending) = self.pending.iter_mut().rev().find(|pending| pending.target == target) else {
            return false;
        };
        if op_id > 0 {
            pending.answers.push((to, op_id, Seq::ZERO));
        }
        true
    }

    /// Nobody waits for these answers any more.
    pub(super) fn forget(&mut self, connection: ConnectionRef) {
        for pending in &mut self.pending {
            pending.answers.retain(|(to, ..)| *to != connection);
        }
    }

    /// The oldest row of a peer that is not durable with its consequences.
    pub(super) fn held(&self, peer: &Uid, log_id: LogId) -> Option<Seq> {
        let mut places =
            self.pending.iter().filter(|pending| pending.peer == *peer).filter_map(|pending| pending.place);
        places.find(|place| place.log_id == log_id).map(|place| place.seq)
    }

    /// The oldest change that no checkpoint may pass.
    pub(super) fn oldest(&self) -> Option<Seq> {
        self.pending.first().map(|pending| pending.made.seq)
    }

    /// A message with every change that has a row, committed or not; those that were done while it was read included.
    pub(super) fn with_all_changes(&self, entry: Bytes) -> Bytes {
        self.changes(Seq::new(u64::MAX)).fold(entry, |entry, (target, made)| shown_after(entry, target, made))
    }

    /// Changes up to a row, in order.
    fn changes(&self, upto: Seq) -> impl Iterator<Item = (Seq, &Made)> {
        let seen = |pending: &&Redaction| pending.place.is_none() || !mutants::active(Mutant::AcceptedBeforeRedacted);
        let pending = self.pending.iter().filter(seen).map(|pending| (pending.target, &pending.made));
        let recent = self.recent.iter().map(|(target, made)| (*target, made));
        recent.chain(pending.filter(move |(_, made)| made.seq <= upto))
    }

    /// An entry as it may be read: without what a committed change took from it.
    pub(super) fn shown(&self, entry: Bytes, committed: Seq) -> Bytes {
        if !self.are_looked_for() || mutants::active(Mutant::OkBeforeRedacted) {
            return entry;
        }
        self.changes(committed).fold(entry, |entry, (target, made)| shown_after(entry, target, made))
    }

    /// Whether [`Self::shown`] may change anything.
    pub(super) fn are_looked_for(&self) -> bool {
        !self.pending.is_empty() || !self.recent.is_empty()
    }

    fn read_ended(&mut self) {
        self.reads = self.reads.saturating_sub(1);
        if self.reads == 0 {
            self.recent.clear();
        }
    }

    fn done(&mut self, count: usize) -> Vec<Redaction> {
        let done: Vec<Redaction> = self.pending.drain(..count.min(self.pending.len())).collect();
        gauge!("tidings_redactions_pending").decrement(done.len() as f64);
        if self.reads > 0 {
            self.recent.extend(done.iter().map(|done| (done.target, done.made.clone())));
            let surplus = self.recent.len().saturating_sub(RECENT_MAX);
            self.recent.drain(..surplus);
        }
        self.step = Step::Idle;
        done
    }
}

impl Drop for Redactions {
    fn drop(&mut self) {
        gauge!("tidings_redactions_pending").decrement(self.pending.len() as f64);
    }
}

/// One entry as it may be read after one change.
fn shown_after(entry: Bytes, target: Seq, made: &Made) -> Bytes {
    let Ok(raw) = RawEntry::decode(entry.clone()) else { return entry };
    let seq = Seq::new(raw.seq);
    if raw.message.is_some() {
        if seq != target {
            return entry;
        }
        let stored = Stored { entry: entry.clone(), edited_by: Seq::ZERO };
        return stored.changed(made).map_or(entry, |(changed, _)| changed.entry);
    }
    let replaces = matches!(made.change, Change::Recall | Change::Edit { .. }) && seq < made.seq && seq > target;
    if replaces && is_edit_of(&entry, target) { without_content(&entry) } else { entry }
}

fn is_edit_of(entry: &Bytes, target: Seq) -> bool {
    let body = wire::Entry::decode(entry.clone()).ok().and_then(|entry| entry.body);
    matches!(body, Some(wire::entry::Body::Edited(edited)) if edited.seq == target.get())
}

impl Mailbox {
    /// Whether another change has to wait: too many are unfinished, or they have held a checkpoint up for too long.
    pub(super) fn changes_are_full(&self) -> bool {
        let behind = self.timeline.committed().since(self.checkpoint.upto()) >= CHECKPOINT_HELD_ROWS_MAX
            || self.rows.bytes() >= CHECKPOINT_HELD_BYTES_MAX;
        self.redactions.pending.len() >= REDACTIONS_MAX || (behind && !self.redactions.is_empty())
    }

    /// Writes the messages of committed changes anew, one batch at a time.
    pub(super) fn redact(&mut self, ctx: &mut Context<Self>) {
        let committed = self.timeline.committed();
        if mutants::active(Mutant::OkBeforeRedacted) {
            self.answer_changes();
        }
        if self.redactions.step != Step::Idle {
            return;
        }
        let ready = self.redactions.pending.iter().take_while(|pending| pending.made.seq <= committed);
        let jobs: Vec<Job> = ready.take(REDACTIONS_MAX).map(Job::of).collect();
        if jobs.is_empty() {
            return;
        }
        self.redactions.step = Step::Reading;
        let (count, rewrite) = (jobs.len(), self.rewrite());
        let read = async move { rewrite.all(jobs).await };
        ctx.spawn(read.into_actor(self).map(move |rewrite, mailbox, ctx| match rewrite {
            Ok(rewrite) => mailbox.write_redactions(rewrite, count, ctx),
            Err(StoreError::Corrupt(why)) => mailbox.stop_corrupt(&why, ctx),
            Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => {
                // The tick tries again.
                warn!(uid = %mailbox.uid, %why, "messages that were changed cannot be read yet");
                mailbox.redactions.step = Step::Idle;
            }
        }));
    }

    /// What a mutant does too early.
    fn answer_changes(&mut self) {
        let committed = self.timeline.committed();
        let ready = self.redactions.pending.iter_mut().take_while(|pending| pending.made.seq <= committed);
        let answers: Vec<_> = ready.flat_map(|done| std::mem::take(&mut done.answers)).collect();
        for (to, op_id, seq) in answers {
            self.answer(to, op_id, ok(seq));
        }
    }

    fn rewrite(&self) -> Rewrite {
        let known = |pending: &Redaction| Some((pending.peer.clone(), self.peers.get(&pending.peer)?.settled.clone()));
        Rewrite {
            owner: self.uid.clone(),
            timeline: self.timeline_id.clone(),
            store: Arc::clone(&self.parts.store),
            floor: self.checkpoint.kept.floor,
            conversations: self.redactions.pending.iter().filter_map(known).collect(),
            rows: BTreeMap::new(),
            order: Vec::new(),
            history: BTreeMap::new(),
        }
    }

    fn write_redactions(&mut self, rewrite: Rewrite, count: usize, ctx: &mut Context<Self>) {
        let Rewrite { mut rows, order, history, .. } = rewrite;
        let mut changes: Vec<RecordChange> =
            history.into_iter().map(|(key, value)| record_change(key, value)).collect();
        let mut redacted = Vec::with_capacity(order.len());
        let mut written: Vec<InboxRow> = order.into_iter().filter_map(|seq| rows.remove(&seq)).collect();
        // The message says which edit it was that must be silent: it is written behind it.
        written.sort_by_key(|row| row.body.is_message());
        for row in written {
            let projected = row.seq <= self.checkpoint.upto() && row.body.is_message();
            if let (true, Some(peer), false) = (projected, &row.with, mutants::active(Mutant::HistoryForgetsRedaction))
            {
                changes.push(record_change(history_key(&self.uid, &row, peer), history_row(&row)));
            }
            redacted.push(Row { seq: row.seq, value: row.encode() });
            self.rows.replace(row);
        }
        self.last_frame = None;
        if redacted.is_empty() && changes.is_empty() {
            return self.redacted(count, ctx);
        }
        counter!("tidings_rows_redacted_total").increment(redacted.len() as u64);
        let put = self.parts.appender.redact(&self.timeline_id, redacted, changes);
        self.redactions.step = Step::Writing(put, count);
    }

    /// The batch that was being written may be durable now.
    pub(super) fn redactions_flushed(&mut self, ctx: &mut Context<Self>) {
        if let Step::Writing(put, count) = self.redactions.step
            && put <= self.checkpoint.flushed
        {
            self.redacted(count, ctx);
        }
    }

    fn redacted(&mut self, count: usize, ctx: &mut Context<Self>) {
        for done in self.redactions.done(count) {
            for (to, op_id, seq) in done.answers {
                self.answer(to, op_id, ok(seq));
            }
            if done.place.is_some() {
                self.accept(&done.peer);
            }
        }
        if self.phase == super::Phase::Serving {
            self.checkpoint_if_due();
        }
        self.redact(ctx);
        self.flush();
    }

    /// Runs a read of the log or of a history; what changes meanwhile is looked for in what it brings.
    pub(super) fn read_then<T: 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        read: impl Future<Output = T> + 'static,
        then: impl FnOnce(T, &mut Self, &mut Context<Self>) + 'static,
    ) {
        self.redactions.reads += 1;
        ctx.spawn(read.into_actor(self).map(move |page, mailbox, ctx| {
            then(page, mailbox, ctx);
            mailbox.redactions.read_ended();
        }));
    }

    /// An entry as it may be read now.
    pub(super) fn shown(&self, entry: Bytes) -> Bytes {
        self.redactions.shown(entry, self.timeline.committed())
    }
}

fn record_change(key: Key, value: Bytes) -> RecordChange {
    RecordChange { key, value: Some(value) }
}

/// One change to carry out.
struct Job {
    peer: Uid,
    target: Seq,
    made: Made,
}

impl Job {
    fn of(pending: &Redaction) -> Self {
        Self { peer: pending.peer.clone(), target: pending.target, made: pending.made.clone() }
    }
}

/// Rows as they will be.
struct Rewrite {
    owner: Uid,
    timeline: TimelineId,
    store: Arc<dyn Store>,
    /// Rows below are not kept; their history is.
    floor: Seq,
    conversations: BTreeMap<Uid, Conversation>,
    /// Rows of the log that were read, as they will be.
    rows: BTreeMap<Seq, InboxRow>,
    /// Those that are to be written.
    order: Vec<Seq>,
    /// History of messages whose rows are not kept.
    history: BTreeMap<Key, Bytes>,
}

impl Rewrite {
    async fn all(mut self, jobs: Vec<Job>) -> Result<Self, StoreError> {
        for job in jobs {
            if job.target >= self.floor {
                self.in_log(&job).await?;
            } else {
                self.in_history(&job).await?;
            }
        }
        Ok(self)
    }

    async fn in_log(&mut self, job: &Job) -> Result<(), StoreError> {
        let row = self.row(job.target).await?;
        let stored = row.stored();
        self.strip(stored.stale_edit(&job.made)).await?;
        if let Some((changed, strip)) = stored.changed(&job.made) {
            self.strip(strip).await?;
            self.write(InboxRow { entry: changed.entry, edited_by: changed.edited_by, ..row });
        }
        Ok(())
    }

    async fn in_history(&mut self, job: &Job) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get(&job.peer) else { return Ok(()) };
        let bucket = conversation.bucket_before(job.target.next());
        let (owner, peer) = (self.owner.clone(), job.peer.clone());
        let key = Key::History { owner, peer, bucket, seq: job.target };
        let known = self.history.get(&key).cloned();
        let row = match known {
            Some(value) => tidings_schema::record::HistoryRow::decode(value).ok(),
            None => read_history_row(&self.store, key.clone()).await?,
        };
        let Some(mut row) = row else { return Ok(()) };
        let stored = Stored { entry: row.entry.clone(), edited_by: Seq::new(row.edited_by) };
        self.strip(stored.stale_edit(&job.made)).await?;
        if let Some((changed, strip)) = stored.changed(&job.made) {
            self.strip(strip).await?;
            (row.entry, row.edited_by) = (changed.entry, changed.edited_by.get());
            self.history.insert(key, encode(&row));
        }
        Ok(())
    }

    /// An edit that was replaced says nothing any more.
    async fn strip(&mut self, edit: Seq) -> Result<(), StoreError> {
        if edit < self.floor || edit == Seq::ZERO {
            return Ok(());
        }
        let mut row = self.row(edit).await?;
        let entry = without_content(&row.entry);
        if entry != row.entry {
            row.entry = entry;
            self.write(row);
        }
        Ok(())
    }

    fn write(&mut self, row: InboxRow) {
        if !self.order.contains(&row.seq) {
            self.order.push(row.seq);
        }
        self.rows.insert(row.seq, row);
    }

    async fn row(&mut self, seq: Seq) -> Result<InboxRow, StoreError> {
        if let Some(row) = self.rows.get(&seq) {
            return Ok(row.clone());
        }
        let limit = PageLimit { rows: 1, bytes: 1 };
        let rows = decode_page(self.store.read(self.timeline.clone(), seq.prev(), seq, limit).await?)?;
        rows.into_iter().next().ok_or_else(|| StoreError::Corrupt(format!("row {seq} is not in the log")))
    }
}
