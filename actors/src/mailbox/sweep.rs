//! Forgetting what is old: records of message ids, then rows, a page per tick, while the mailbox goes on serving.
//!
//! What goes is decided here, by the owner, so that no read of its own meets a hole: the new floor is in memory from the
//! turn in which it is decided, and durable before the first row below it is removed. A sweep that is cut off, by a crash
//! or by a store that does not answer, is finished by the next one.

use std::collections::HashMap;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use metrics::counter;
use prost::Message as _;
use tidings_schema::{
    id::{MessageId, Millis, Seq, Uid},
    record,
    row::{InboxRow, RowBody},
};
use tidings_state::retention::{Covered, Kept, Step, Sweep};
use tracing::{debug, warn};

use super::{Mailbox, gate::corrupt, push::decode_page};
use crate::{
    appender::PutNumber,
    port::{
        link::Visit,
        store::{Change, Key, PageLimit, Reply, SWEEP_ROWS_MAX, Store, StoreError, TimelineId},
    },
};

/// Rows looked at in one tick.
const LOOKED_AT: PageLimit = PageLimit { rows: SWEEP_ROWS_MAX as usize, bytes: 512 * 1024 };

/// A sweep under way.
pub(super) struct Sweeping {
    machine: Sweep,
    stage: Stage,
    /// Held until the end: few inboxes are swept at a time.
    visit: Visit,
}

/// What the next step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The next tick.
    Tick,
    /// The store.
    Store,
    /// What was decided is not durable yet.
    Put(PutNumber),
}

/// What a page says about message ids.
struct LookedAt {
    machine: Sweep,
    /// First row whose id stays.
    place: Seq,
    /// Own messages below it.
    sent: Vec<(MessageId, Seq)>,
    /// The rows that the records of their ids name.
    records: HashMap<MessageId, Seq>,
}

impl Mailbox {
    /// One sweep at a time; a second visit finds nothing that the first leaves.
    pub(super) fn begin_sweep(&mut self, visit: Visit) {
        if self.sweeping.is_none() {
            counter!("tidings_sweeps_total").increment(1);
            self.sweeping = Some(Sweeping { machine: Sweep::new(visit.horizon), stage: Stage::Tick, visit });
        }
    }

    /// The next step, when it is time for it.
    pub(super) fn sweep_on(&mut self, ctx: &mut Context<Self>) {
        let Some(sweeping) = self.sweeping.as_ref().filter(|sweeping| sweeping.stage == Stage::Tick) else { return };
        if self.parts.directory.borrow().is_retiring() {
            // The next process goes on with it.
            return self.end_sweep();
        }
        if self.checkpoint.is_writing() {
            // What is swept must be in the store's projections, not on its way there.
            return;
        }
        match sweeping.machine.next(&self.checkpoint.kept, &self.checkpointed()) {
            Step::Remove { from, below } => {
                self.remove_rows(from, below.min(Seq::new(from.get() + SWEEP_ROWS_MAX)), ctx);
            }
            Step::Ids { from, end } => self.look_at_ids(sweeping.machine, from, end, ctx),
            Step::Rows { from, end } => self.look_at_rows(from, end, ctx),
            Step::Done => self.end_sweep(),
        }
    }

    /// What a step decided is durable: the next one may follow.
    pub(super) fn sweep_flushed(&mut self) {
        let flushed = self.checkpoint.flushed;
        if let Some(sweeping) = self.sweeping.as_mut()
            && matches!(sweeping.stage, Stage::Put(put) if put <= flushed)
        {
            sweeping.stage = Stage::Tick;
        }
    }

    fn remove_rows(&mut self, from: Seq, below: Seq, ctx: &mut Context<Self>) {
        let removed = self.parts.store.sweep(self.timeline_id.clone(), from, below);
        self.ask_store(removed, ctx, move |mailbox, ()| {
            counter!("tidings_rows_swept_total").increment(below.since(from));
            mailbox.checkpoint.kept.swept = below;
            mailbox.wait_for(Stage::Tick);
        });
    }

    fn look_at_rows(&mut self, from: Seq, end: Seq, ctx: &mut Context<Self>) {
        let page = self.parts.store.read(self.timeline_id.clone(), from.prev(), end.prev(), LOOKED_AT);
        let times = Box::pin(async move { Ok(times_of(&decode_page(page.await?)?)) });
        self.ask_store(times, ctx, move |mailbox, page| {
            // What a change under way is about to rewrite stays until it has.
            if !mailbox.redactions.is_empty() {
                // The next round comes again; whoever changes messages all the time must not keep others from being swept.
                return mailbox.end_sweep();
            }
            let covered = mailbox.checkpointed();
            let Some(sweeping) = mailbox.sweeping.as_mut() else { return };
            let floor = sweeping.machine.rows_looked_at(from, &page, &covered);
            mailbox.checkpoint.kept.floor = floor;
            mailbox.rows.release_below(floor);
            mailbox.put_kept(floor > from, Vec::new());
        });
    }

    fn look_at_ids(&mut self, mut machine: Sweep, from: Seq, end: Seq, ctx: &mut Context<Self>) {
        let (store, owner) = (self.parts.store.clone(), self.uid.clone());
        let page = store.read(self.timeline_id.clone(), from.prev(), end.prev(), LOOKED_AT);
        let looked_at = Box::pin(async move {
            let rows = decode_page(page.await?)?;
            let place = machine.ids_looked_at(from, &times_of(&rows));
            let sent = sent_below(&rows, place);
            let records = record_places(&*store, &owner, &sent).await?;
            Ok(LookedAt { machine, place, sent, records })
        });
        self.ask_store(looked_at, ctx, move |mailbox, looked_at| {
            let gone = mailbox.gone_ids(&looked_at);
            counter!("tidings_message_ids_swept_total").increment(gone.len() as u64);
            mailbox.checkpoint.kept.ids = looked_at.place;
            if let Some(sweeping) = mailbox.sweeping.as_mut() {
                sweeping.machine = looked_at.machine;
            }
            mailbox.put_kept(looked_at.place > from, gone);
        });
    }

    /// Removals of the records that name these very rows. An id that was used again names a younger one, in its record
    /// or in one to come.
    fn gone_ids(&self, looked_at: &LookedAt) -> Vec<Change> {
        let own = |(id, seq): &&(MessageId, Seq)| {
            looked_at.records.get(id) == Some(seq) && self.window.place(*id).is_none_or(|newest| newest == *seq)
        };
        let key = |id: &MessageId| Key::MessageId(self.timeline_id.clone(), self.uid.clone(), *id);
        looked_at.sent.iter().filter(own).map(|(id, _)| Change { key: key(id), value: None }).collect()
    }

    /// What the newest checkpoint says that rows may be swept up to.
    fn checkpointed(&self) -> Covered {
        let record = &self.checkpoint.record;
        let effects_upto = Seq::new(record.effects_upto).min(self.peers.effects_upto(self.timeline.committed()));
        Covered { upto: Seq::new(record.upto), effects_upto, acked_upto: self.devices.acked_upto() }
    }

    /// Whether the newest checkpoint says what is kept.
    fn says_what_is_kept(&self) -> bool {
        let record = &self.checkpoint.record;
        self.checkpoint.kept == Kept::restore(record.swept, record.floor, record.ids_floor)
    }

    /// The newest checkpoint with what is kept now; says nothing new about rows.
    fn checkpoint_with_kept(&mut self) -> Change {
        let Kept { swept, floor, ids } = self.checkpoint.kept;
        let record = &mut self.checkpoint.record;
        (record.swept, record.floor, record.ids_floor) = (swept.get(), floor.get(), ids.get());
        self.checkpoint_with_devices()
    }

    /// Makes what was decided durable, together with `changes`.
    fn put_kept(&mut self, decided: bool, mut changes: Vec<Change>) {
        if !decided {
            return self.wait_for(Stage::Tick);
        }
        changes.push(self.checkpoint_with_kept());
        let put = self.parts.appender.put(&self.timeline_id, changes);
        self.wait_for(Stage::Put(put));
    }

    fn wait_for(&mut self, stage: Stage) {
        if let Some(sweeping) = self.sweeping.as_mut() {
            sweeping.stage = stage;
        }
    }

    fn end_sweep(&mut self) {
        if !self.says_what_is_kept() {
            let change = self.checkpoint_with_kept();
            self.parts.appender.put(&self.timeline_id, vec![change]);
        }
        let Some(Sweeping { visit, .. }) = self.sweeping.take() else { return };
        debug!(uid = %visit.uid, floor = %self.checkpoint.kept.floor, "inbox swept");
    }

    /// Waits for the store; without its answer the sweep is left to the next round.
    fn ask_store<T: 'static>(
        &mut self,
        asked: Reply<T>,
        ctx: &mut Context<Self>,
        done: impl FnOnce(&mut Self, T) + 'static,
    ) {
        self.wait_for(Stage::Store);
        ctx.spawn(asked.into_actor(self).map(move |answer, mailbox, ctx| match answer {
            Ok(answer) => done(mailbox, answer),
            Err(StoreError::Corrupt(why)) => mailbox.stop_corrupt(&why, ctx),
            Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => {
                warn!(uid = %mailbox.uid, %why, "sweep is left to the next round");
                mailbox.sweeping = None;
            }
        }));
    }
}

fn times_of(rows: &[InboxRow]) -> Vec<(Seq, Millis)> {
    rows.iter().map(|row| (row.seq, row.time)).collect()
}

/// Own messages of a page below a place.
fn sent_below(rows: &[InboxRow], place: Seq) -> Vec<(MessageId, Seq)> {
    let sent = |row: &InboxRow| match row.body {
        RowBody::Out { message_id, .. } => Some((message_id, row.seq)),
        _ => None,
    };
    rows.iter().filter(|row| row.seq < place).filter_map(sent).collect()
}

/// The rows that the records of these ids name.
async fn record_places(
    store: &dyn Store,
    owner: &Uid,
    sent: &[(MessageId, Seq)],
) -> Result<HashMap<MessageId, Seq>, StoreError> {
    let inbox = TimelineId::Inbox(owner.clone());
    let keys = sent.iter().map(|(id, _)| Key::MessageId(inbox.clone(), owner.clone(), *id)).collect();
    let mut places = HashMap::new();
    for ((id, _), value) in sent.iter().zip(store.get(keys).await?) {
        if let Some(value) = value {
            let stored = record::MessageId::decode(value).map_err(|_| corrupt("message id"))?;
            places.insert(*id, Seq::new(stored.seq));
        }
    }
    Ok(places)
}
