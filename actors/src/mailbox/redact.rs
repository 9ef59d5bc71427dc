//! What follows a change of a message: its stored row and its history row are written anew, and edits that a later change
//! has replaced lose their content. Until that is durable no `ok` leaves, the peer's change is not accepted, no checkpoint
//! passes it; and from the change's commit on nobody reads the old content, because every page is looked through.

use std::{collections::BTreeMap, sync::Arc};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    change::{Made, Stored, without_content},
    id::{LogId, Place, Seq, Uid},
    row::{InboxRow, RowBody, history_row},
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
    mutants::{self, Mutant},
    port::{
        link::{ConnectionRef, OpId},
        store::{Change as RecordChange, Key, PageLimit, Row, Store, StoreError, TimelineId},
    },
    redactions::{self, Origin, REDACTIONS_MAX, Step},
};

/// Rows without a checkpoint after which changes have to wait until there is one, so that a stream of them cannot keep it
/// from being written.
pub const CHECKPOINT_HELD_ROWS_MAX: u64 = 8 * CHECKPOINT_ROWS;
/// The same for bytes of rows in memory.
pub const CHECKPOINT_HELD_BYTES_MAX: usize = 8 * CHECKPOINT_BYTES;
/// The changes of one inbox.
pub(super) type Redactions = redactions::Redactions<Of>;
type Redaction = redactions::Redaction<Of>;

/// Where a change came from.
pub(super) struct Of {
    peer: Uid,
    /// Changes by the peer: the row's place in its log. It is not accepted before.
    place: Option<Place>,
}

impl Origin for Of {
    fn is_looked_for(&self) -> bool {
        self.place.is_none() || !mutants::active(Mutant::AcceptedBeforeRedacted)
    }
}

impl Redactions {
    /// A change has its row.
    pub(super) fn add_row(&mut self, row: &InboxRow, answer: Option<(ConnectionRef, OpId)>) {
        let (Some(made), Some(peer), RowBody::Change { target, .. }) = (made(row), row.with.clone(), &row.body) else {
            return;
        };
        self.add(*target, made, Of { peer, place: row.body.place() }, answer);
    }

    /// The oldest row of a peer that is not durable with its consequences.
    pub(super) fn held(&self, peer: &Uid, log_id: LogId) -> Option<Seq> {
        let of_peer = self.pending.iter().map(|pending| &pending.origin).filter(|origin| origin.peer == *peer);
        let mut places = of_peer.filter_map(|origin| origin.place);
        places.find(|place| place.log_id == log_id).map(|place| place.seq)
    }
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
        let known = |pending: &Redaction| {
            Some((pending.origin.peer.clone(), self.peers.get(&pending.origin.peer)?.settled.clone()))
        };
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
            if done.origin.place.is_some() {
                self.accept(&done.origin.peer);
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
        self.redactions.read_began();
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
        Self { peer: pending.origin.peer.clone(), target: pending.target, made: pending.made.clone() }
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
