//! How a group comes into memory: the checkpoint and its members, then every row after it, checked by the epoch chain and
//! folded again.

use std::{future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use actix::{ActorContext as _, ActorFutureExt, AsyncContext, Context, WrapFuture};
use tidings_schema::{
    error_code::ErrorCode,
    group::{Event, GroupCheckpoint, MemberRecord},
    id::{Gid, Seq, Uid},
    row::GroupRow,
};
use tidings_state::{
    group::{self as state, charter::Charter},
    sent_window::{SentKey, SentWindow},
    timeline::{Anchor, Replay, Timeline},
};
use tracing::{debug, warn};

use super::{
    Group, Phase,
    gate::{corrupt, decode_page},
    redact::Here,
    rows::Rows,
};
use crate::{
    appender::{Appender, Progress},
    port::store::{Key, PageLimit, Store, StoreError, TimelineId},
};

/// Rows read at a time.
const REPLAY_PAGE: PageLimit = PageLimit { rows: 256, bytes: 1024 * 1024 };
/// Member records read at a time.
const MEMBERS_PAGE: PageLimit = PageLimit { rows: 4_096, bytes: 1024 * 1024 };

/// What the store has of one group.
struct Loaded {
    checkpoint: Option<GroupCheckpoint>,
    members: Vec<(Uid, MemberRecord)>,
    /// Rows after the checkpoint.
    rows: Vec<GroupRow>,
}

impl Group {
    /// Reads and folds what the store has; work waits until then.
    pub(super) fn load(&mut self, ctx: &mut Context<Self>) {
        let (store, gid, timeline) = (Arc::clone(&self.parts.store), self.gid.clone(), self.timeline_id.clone());
        let quiet = quiet(self.parts.appender.clone(), self.progress.clone(), timeline.clone());
        let loaded = async move {
            quiet.await;
            read_all(store, gid, timeline).await
        };
        ctx.spawn(loaded.into_actor(self).map(
            |loaded, group, ctx| match loaded.and_then(|loaded| group.fold(loaded)) {
                Ok(rows) => group.serve(&rows, ctx),
                Err(StoreError::Corrupt(why)) => group.stop_corrupt(&why, ctx),
                Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => group.give_up(&why, ctx),
            },
        ));
    }

    /// `rows`: those that an earlier actor may have left untold. Whoever has them is told nothing twice.
    fn serve(&mut self, rows: &[GroupRow], ctx: &mut Context<Self>) {
        self.phase = Phase::Serving;
        self.checkpoint.touch(self.parts.clock.uptime());
        self.parts.groups.borrow_mut().settled(&self.gid);
        debug!(gid = %self.gid, head = %self.timeline.head(), "group serves");
        self.fan_out(rows);
        self.redact(ctx);
        self.run(ctx);
    }

    /// The store does not answer: whoever waits learns it, and the shard tries again if anything is owed.
    fn give_up(&mut self, why: &StoreError, ctx: &mut Context<Self>) {
        warn!(gid = %self.gid, %why, "group cannot be loaded now");
        self.phase = Phase::Left;
        while let Some(work) = self.work.pop_front() {
            self.refuse_work(&work, ErrorCode::Unavailable, "the store cannot be read now", 1_000);
        }
        self.flush();
        self.forget_connections();
        self.parts.groups.borrow_mut().failed(&self.gid);
        self.parts.appender.forget(&self.timeline_id);
        ctx.stop();
    }

    fn fold(&mut self, loaded: Loaded) -> Result<Vec<GroupRow>, StoreError> {
        let Loaded { checkpoint, members, rows } = loaded;
        match checkpoint {
            Some(checkpoint) => self.restore(checkpoint, members)?,
            // Cursors are written before the first checkpoint is.
            None => self.state = state::Group::restore(Charter::default(), members),
        }
        self.checkpoint.flushed = self.progress.flushed();
        self.checkpoint.marked = self.parts.groups.borrow().is_marked(&self.gid);
        for row in &rows {
            self.replay(row)?;
        }
        Ok(rows)
    }

    fn restore(&mut self, checkpoint: GroupCheckpoint, members: Vec<(Uid, MemberRecord)>) -> Result<(), StoreError> {
        let GroupCheckpoint { upto, ep, time, log_id, .. } = checkpoint;
        self.timeline = Timeline::restore(Anchor { log_id, seq: upto, ep, time }, self.timeline.epoch());
        self.window = SentWindow::restore(&checkpoint.newest, upto).map_err(|_| corrupt("group checkpoint"))?;
        self.rows = Rows::after(upto);
        self.checkpoint.restore(&checkpoint);
        self.state = state::Group::restore(Charter::from(checkpoint), members);
        Ok(())
    }

    /// One owner with one log has no ghosts: a row that does not chain is damage, and what follows it may have been acked.
    fn replay(&mut self, row: &GroupRow) -> Result<(), StoreError> {
        if self.timeline.replay(row) == Replay::Cut {
            return Err(StoreError::Corrupt(format!("row {} does not follow the row before it", row.seq)));
        }
        if let Event::Message { from, message_id, hash, .. } = &row.event {
            let key = SentKey { from: Some(from.clone()), id: *message_id };
            self.window.insert(key, *hash, row.seq, row.time);
        }
        // Whether the message of a change was written anew before the crash is not known; doing it again is harmless.
        if let Some((target, made)) = row.made() {
            self.redactions.add(target, made, Here, None);
        }
        self.state.replay(row.seq, &row.event);
        self.settle_projections(row);
        self.rows.replay(row.clone());
        Ok(())
    }
}

/// Resolves when nothing of the group is on its way to the store: an earlier actor's rows are in the log then.
async fn quiet(appender: Appender, progress: Rc<Progress>, timeline: TimelineId) {
    poll_fn(|cx| {
        progress.register(cx.waker());
        if appender.in_flight(&timeline) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

async fn read_all(store: Arc<dyn Store>, gid: Gid, timeline: TimelineId) -> Result<Loaded, StoreError> {
    let stored = store.get(vec![Key::GroupCheckpoint(gid.clone())]).await?.pop().flatten();
    let checkpoint = stored.map(GroupCheckpoint::decode).transpose().map_err(|_| corrupt("group checkpoint"))?;
    let upto = checkpoint.as_ref().map_or(Seq::ZERO, |checkpoint| checkpoint.upto);
    let rows = read_rows(&store, &timeline, upto).await?;
    let last = rows.last().map_or(upto, |row| row.seq);
    no_row_after(&store, timeline, last).await?;
    let ended = checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.dismissed.is_some());
    let members = if ended || last == Seq::ZERO { Vec::new() } else { read_members(&store, gid).await? };
    Ok(Loaded { checkpoint, members, rows })
}

async fn read_members(store: &Arc<dyn Store>, gid: Gid) -> Result<Vec<(Uid, MemberRecord)>, StoreError> {
    let (mut members, mut after) = (Vec::new(), None);
    loop {
        let page = store.members(gid.clone(), after, MEMBERS_PAGE).await?;
        after = page.members.last().map(|(uid, _)| uid.clone());
        for (uid, value) in page.members {
            members.push((uid, MemberRecord::decode(value).map_err(|_| corrupt("member"))?));
        }
        if !page.more {
            return Ok(members);
        }
    }
}

/// All rows after `from`. What is replayed is bounded by checkpoints.
async fn read_rows(store: &Arc<dyn Store>, timeline: &TimelineId, from: Seq) -> Result<Vec<GroupRow>, StoreError> {
    let (mut rows, mut after) = (Vec::new(), from);
    loop {
        let page = store.read(timeline.clone(), after, Seq::new(u64::MAX), REPLAY_PAGE).await?;
        let more = page.more;
        rows.extend(decode_page(page)?);
        after = rows.last().map_or(after, |row: &GroupRow| row.seq);
        if !more {
            return Ok(rows);
        }
    }
}

/// With one owner and one log, rows behind a hole are rows whose predecessor was lost: appending would overwrite them.
async fn no_row_after(store: &Arc<dyn Store>, timeline: TimelineId, last: Seq) -> Result<(), StoreError> {
    let newest = store.read_back(timeline, Seq::new(u64::MAX), PageLimit { rows: 1, bytes: 1 }).await?;
    match newest.rows.first() {
        Some(row) if row.seq > last => Err(StoreError::Corrupt(format!("row {} is not in the log", last.next()))),
        Some(_) | None => Ok(()),
    }
}
