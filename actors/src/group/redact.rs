//! What follows a change of a message: its stored row is written anew, and edits that a later change has replaced lose their
//! content. Until that is durable no `ok` leaves and no checkpoint passes it; and from the change's commit on nobody reads the
//! old content, because every page and every frame is looked through.

use std::{collections::BTreeMap, sync::Arc};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use bytes::Bytes;
use metrics::counter;
use tidings_schema::{change::Made, group::Event, id::Seq, row::GroupRow};
use tracing::warn;

use super::{Group, Phase, checkpoint::CHECKPOINT_HELD_ROWS_MAX, gate::read_row, ok};
use crate::{
    port::store::{Row, Store, StoreError, TimelineId},
    redactions::{self, Origin, REDACTIONS_MAX, Step},
};

/// The changes of one group.
pub(super) type Redactions = redactions::Redactions<Here>;

/// All changes of a group are made in its own log.
pub(super) struct Here;

impl Origin for Here {}

impl Group {
    /// Whether another change has to wait: too many are unfinished, or they have held a checkpoint up for too long.
    pub(super) fn changes_are_full(&self) -> bool {
        let behind = self.timeline.committed().since(self.checkpoint.upto()) >= CHECKPOINT_HELD_ROWS_MAX;
        self.redactions.pending.len() >= REDACTIONS_MAX || (behind && !self.redactions.is_empty())
    }

    /// Writes the messages of committed changes anew, one batch at a time.
    pub(super) fn redact(&mut self, ctx: &mut Context<Self>) {
        let committed = self.timeline.committed();
        if self.redactions.step != Step::Idle {
            return;
        }
        let ready = self.redactions.pending.iter().take_while(|pending| pending.made.seq <= committed);
        let jobs: Vec<(Seq, Made)> =
            ready.take(REDACTIONS_MAX).map(|pending| (pending.target, pending.made.clone())).collect();
        if jobs.is_empty() {
            return;
        }
        self.redactions.step = Step::Reading;
        let count = jobs.len();
        let rewrite = Rewrite {
            timeline: self.timeline_id.clone(),
            store: Arc::clone(&self.parts.store),
            committed,
            rows: BTreeMap::new(),
            changed: Vec::new(),
        };
        let read = async move { rewrite.all(jobs).await };
        ctx.spawn(read.into_actor(self).map(move |rewrite, group, ctx| match rewrite {
            Ok(rewrite) => group.write_redactions(rewrite, count, ctx),
            Err(StoreError::Corrupt(why)) => group.stop_corrupt(&why, ctx),
            Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => {
                // The tick tries again.
                warn!(gid = %group.gid, %why, "messages that were changed cannot be read yet");
                group.redactions.step = Step::Idle;
            }
        }));
    }

    fn write_redactions(&mut self, rewrite: Rewrite, count: usize, ctx: &mut Context<Self>) {
        let Rewrite { mut rows, changed, .. } = rewrite;
        let mut written: Vec<GroupRow> = changed.into_iter().filter_map(|seq| rows.remove(&seq)).collect();
        // The message says which edit it was that must be silent: it is written behind it.
        written.sort_by_key(|row| matches!(row.event, Event::Message { .. }));
        let stored = written.iter().map(|row| Row { seq: row.seq, value: row.encode() }).collect::<Vec<_>>();
        written.into_iter().for_each(|row| self.rows.replace(row));
        if stored.is_empty() {
            return self.redacted(count, ctx);
        }
        counter!("tidings_rows_redacted_total").increment(stored.len() as u64);
        let put = self.parts.appender.redact(&self.timeline_id, stored, Vec::new());
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
        }
        if self.phase == Phase::Serving {
            self.checkpoint_if_due();
        }
        self.redact(ctx);
        self.flush();
    }

    /// Runs a read of the log; what changes meanwhile is looked for in what it brings.
    pub(super) fn read_then<T: 'static>(
        &mut self,
        ctx: &mut Context<Self>,
        read: impl Future<Output = T> + 'static,
        then: impl FnOnce(T, &mut Self, &mut Context<Self>) + 'static,
    ) {
        self.redactions.read_began();
        ctx.spawn(read.into_actor(self).map(move |page, group, ctx| {
            then(page, group, ctx);
            group.redactions.read_ended();
        }));
    }

    /// An entry as it may be read now.
    pub(super) fn shown(&self, entry: Bytes) -> Bytes {
        self.redactions.shown(entry, self.timeline.committed())
    }
}

/// Rows as they will be.
struct Rewrite {
    timeline: TimelineId,
    store: Arc<dyn Store>,
    committed: Seq,
    /// Rows that were read, as they will be.
    rows: BTreeMap<Seq, GroupRow>,
    /// Those that are to be written.
    changed: Vec<Seq>,
}

impl Rewrite {
    async fn all(mut self, jobs: Vec<(Seq, Made)>) -> Result<Self, StoreError> {
        for (target, made) in jobs {
            let row = self.row(target).await?;
            self.strip(row.stored().stale_edit(&made)).await?;
            if let Some((changed, strip)) = row.changed(&made) {
                self.strip(strip).await?;
                self.write(changed);
            }
        }
        Ok(self)
    }

    /// An edit that was replaced says nothing any more.
    async fn strip(&mut self, edit: Seq) -> Result<(), StoreError> {
        if edit == Seq::ZERO {
            return Ok(());
        }
        let row = self.row(edit).await?;
        let silent = row.clone().without_content();
        if silent != row {
            self.write(silent);
        }
        Ok(())
    }

    fn write(&mut self, row: GroupRow) {
        if !self.changed.contains(&row.seq) {
            self.changed.push(row.seq);
        }
        self.rows.insert(row.seq, row);
    }

    async fn row(&mut self, seq: Seq) -> Result<GroupRow, StoreError> {
        if let Some(row) = self.rows.get(&seq) {
            return Ok(row.clone());
        }
        let row = read_row(&self.store, self.timeline.clone(), seq, self.committed).await?;
        row.ok_or_else(|| StoreError::Corrupt(format!("row {seq} is not in the log")))
    }
}
