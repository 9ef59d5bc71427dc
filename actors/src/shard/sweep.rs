//! The round that looks for what is old: once a day past every inbox, slowly, without waking a mailbox that has nothing to
//! forget. One shard of a process goes it for all; what to remove is decided by each mailbox itself.

use std::{cmp::Reverse, rc::Rc, sync::Arc, time::Duration};

use actix::{AsyncContext, Context, WrapFuture};
use metrics::{counter, gauge};
use prost::Message as _;
use tidings_schema::{
    id::{Millis, Seq, ShardId, Uid},
    record,
    row::InboxRow,
};
use tidings_state::{
    retention::{Covered, Horizon, Kept, is_due},
    steady_clock::SteadyClock,
};
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use super::{Shard, ShardParts, guarded};
use crate::port::{
    link::Visit,
    store::{Key, PageLimit, Scan, StoreError, TimelineId},
};

/// From the begin of a round to the begin of the next, at least.
pub const ROUND_MS: u64 = 24 * 3_600 * 1_000;
/// Pause between two pages of inboxes, and between two looks at the clock.
pub const PAUSE: Duration = Duration::from_secs(2);
/// Inboxes looked at between two pauses: 2.7 million a day.
pub const INBOXES_PAGE: usize = 64;
/// Inboxes that are swept at the same time. The round waits while there are as many.
pub const SWEEPING_MAX: usize = 8;

/// The shard that goes the round of its process.
const GOES: ShardId = ShardId::new(0);

impl Shard {
    /// Starts the rounds, in the one shard that goes them.
    pub(super) fn go_on_rounds(&mut self, ctx: &mut Context<Self>) {
        if self.parts.id == GOES {
            let parts = self.parts.clone();
            ctx.spawn(async move { Rounds::new(parts).run().await }.into_actor(self));
        }
    }
}

/// Rounds, one after the other, for the life of the shard.
struct Rounds {
    parts: Rc<ShardParts>,
    clock: SteadyClock,
    permits: Arc<Semaphore>,
    /// The round under way.
    round: Option<Round>,
    /// Uptime from which the next one may begin.
    due: Millis,
}

/// One round.
#[derive(Default)]
struct Round {
    /// The last inbox that was looked at.
    after: Option<Uid>,
    inboxes: u64,
    /// Time of the oldest row that only waits for its time, or for a peer.
    oldest: Option<Reverse<Millis>>,
}

/// What a look at one inbox found.
struct Found {
    due: bool,
    /// Time of the oldest row, unless it is the newest.
    oldest: Option<Millis>,
}

impl Rounds {
    fn new(parts: Rc<ShardParts>) -> Self {
        let permits = Arc::new(Semaphore::new(SWEEPING_MAX));
        Self { parts, clock: SteadyClock::default(), permits, round: None, due: Millis::default() }
    }

    async fn run(mut self) {
        while !self.parts.directory.borrow().is_retiring() {
            let (now, uptime) = (self.parts.clock.now(), self.parts.clock.uptime());
            let believed = self.clock.believe(now, uptime);
            if let Some(now) = believed.filter(|_| self.round.is_some() || uptime >= self.due) {
                if self.round.is_none() {
                    self.due = uptime.plus(ROUND_MS);
                }
                self.go_on(now).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Looks at the next page of inboxes. A store that does not answer is asked again after the pause.
    async fn go_on(&mut self, now: Millis) {
        let mut round = self.round.take().unwrap_or_default();
        let after = round.after.clone();
        let page = guarded(self.parts.store.clone(), move |store| store.scan(Scan::Inboxes, after, INBOXES_PAGE)).await;
        let page = match page {
            Ok(page) => page,
            Err(why @ StoreError::Corrupt(_)) => {
                // The same page would fail for ever: the inboxes before it were looked at, and are again with the next round.
                counter!("tidings_sweep_rounds_broken_total").increment(1);
                return error!(%why, "inboxes cannot be listed, this round ends here");
            }
            Err(why) => {
                warn!(%why, "inboxes cannot be listed yet, trying again");
                self.round = Some(round);
                return;
            }
        };
        for uid in &page.uids {
            if self.parts.directory.borrow().is_retiring() {
                return;
            }
            self.look_at(uid, now, &mut round).await;
        }
        round.after = page.uids.last().cloned();
        if page.more {
            self.round = Some(round);
        } else {
            round.end(now);
        }
    }

    /// An inbox that cannot be read is left to the next round; its mailbox will say so when it is used.
    async fn look_at(&self, uid: &Uid, now: Millis, round: &mut Round) {
        let horizon = Horizon::at(now, self.parts.limits.inbox_ms);
        let Ok(found) = look(&self.parts, uid, &horizon).await else { return };
        round.inboxes += 1;
        round.oldest = round.oldest.max(found.oldest.map(Reverse));
        if found.due {
            // Never closed: it is owned here.
            let Ok(permit) = self.permits.clone().acquire_owned().await else { return };
            let visit = Visit { uid: uid.clone(), horizon, permit };
            if !self.parts.link.sweep(uid.shard(self.parts.shards), visit).is_taken() {
                counter!("tidings_sweeps_refused_total").increment(1);
            }
        }
    }
}

impl Round {
    fn end(self, now: Millis) {
        let age_ms = self.oldest.map_or(0, |Reverse(time)| now.since(time));
        gauge!("tidings_oldest_row_age_seconds").set(age_ms as f64 / 1_000.0);
        counter!("tidings_sweep_rounds_total").increment(1);
        info!(inboxes = self.inboxes, oldest_age_s = age_ms / 1_000, "round for old rows ended");
    }
}

/// What the store says of one inbox. It may be behind what its mailbox knows: then a visit is too early, or for nothing.
async fn look(parts: &ShardParts, uid: &Uid, horizon: &Horizon) -> Result<Found, StoreError> {
    let key = Key::Checkpoint(uid.clone());
    let values = guarded(parts.store.clone(), move |store| store.get(vec![key])).await?;
    let Some(value) = values.into_iter().next().flatten() else { return Ok(Found { due: false, oldest: None }) };
    let stored = record::MailboxCheckpoint::decode(value).map_err(|why| StoreError::Corrupt(why.to_string()))?;
    let kept = Kept::restore(stored.swept, stored.floor, stored.ids_floor);
    // Which devices are online is the mailbox's affair.
    let upto = Seq::new(stored.upto);
    let covered = Covered { upto, effects_upto: Seq::new(stored.effects_upto), acked_upto: upto };
    let oldest = if kept.floor < upto { time_at(parts, uid, kept.floor).await? } else { None };
    let id = if kept.ids <= upto { time_at(parts, uid, kept.ids).await? } else { None };
    Ok(Found { due: is_due(&kept, &covered, horizon, oldest, id), oldest })
}

async fn time_at(parts: &ShardParts, uid: &Uid, seq: Seq) -> Result<Option<Millis>, StoreError> {
    let (timeline, one) = (TimelineId::Inbox(uid.clone()), PageLimit { rows: 1, bytes: 1 });
    let page = guarded(parts.store.clone(), move |store| store.read(timeline, seq.prev(), seq, one)).await?;
    let Some(row) = page.rows.into_iter().next() else { return Ok(None) };
    let row = InboxRow::decode(row.seq, row.value).map_err(|why| StoreError::Corrupt(why.to_string()))?;
    Ok(Some(row.time))
}
