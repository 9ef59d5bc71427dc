//! How a mailbox comes into memory: the checkpoint, then every row after it, checked by the epoch chain and folded again.
//! Rows whose effects are not accepted by their peers are found again, so that nothing acked is ever left behind.

use std::{collections::BTreeMap, future::poll_fn, rc::Rc, sync::Arc, task::Poll};

use actix::{ActorContext as _, ActorFutureExt, AsyncContext, Context, WrapFuture};
use prost::Message as _;
use tidings_schema::{
    id::{DeviceId, Epoch, LogId, Millis, Place, Seq, Uid},
    record,
    row::{InboxRow, RowBody},
};
use tidings_state::{
    conversation::Conversation,
    sent_window::SentWindow,
    timeline::{Anchor, Replay, Timeline},
};
use tracing::{debug, warn};

use super::{
    Mailbox, Phase,
    devices::{Known, Online},
    gate::{corrupt, decode},
    push::decode_page,
};
use crate::{
    appender::{Appender, Progress, PutNumber},
    mutants::{self, Mutant},
    port::store::{Key, PageLimit, Store, StoreError, TimelineId},
};

/// Rows read at a time.
const REPLAY_PAGE: PageLimit = PageLimit { rows: 256, bytes: 1024 * 1024 };

/// What the store has of one user.
struct Loaded {
    checkpoint: record::MailboxCheckpoint,
    devices: Vec<(DeviceId, record::Device)>,
    /// Rows after the checkpoint.
    rows: Vec<InboxRow>,
    /// What older rows may still owe to peers.
    debts: Vec<Debt>,
    conversations: BTreeMap<Uid, Conversation>,
}

/// An effect of a row that its peer may not have accepted. Bodies are read again when they are sent.
enum Debt {
    Out { peer: Uid, seq: Seq, prev_out: Seq },
    Marker { peer: Uid, seq: Seq, place: Place },
}

impl Debt {
    fn of(row: &InboxRow) -> Option<Self> {
        let (peer, seq) = (row.with.clone()?, row.seq);
        if let Some(prev_out) = row.body.prev_out() {
            return Some(Self::Out { peer, seq, prev_out });
        }
        row.body.marker().map(|place| Self::Marker { peer, seq, place })
    }

    fn peer(&self) -> &Uid {
        match self {
            Self::Out { peer, .. } | Self::Marker { peer, .. } => peer,
        }
    }
}

impl Mailbox {
    /// Reads and folds what the store has; work waits until then.
    pub(super) fn load(&mut self, ctx: &mut Context<Self>) {
        let (store, uid) = (self.parts.store.clone(), self.uid.clone());
        let quiet = quiet(self.parts.appender.clone(), self.progress.clone(), self.timeline_id.clone());
        let loaded = async move {
            quiet.await;
            read_all(store, uid).await
        };
        ctx.spawn(loaded.into_actor(self).map(|loaded, mailbox, ctx| match loaded {
            Ok(loaded) => match mailbox.fold(loaded) {
                Ok(()) => mailbox.serve(ctx),
                Err(StoreError::Corrupt(why)) => mailbox.stop_corrupt(&why, ctx),
                Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => mailbox.give_up(&why, ctx),
            },
            Err(StoreError::Corrupt(why)) => mailbox.stop_corrupt(&why, ctx),
            Err(why @ (StoreError::Unavailable(_) | StoreError::Rejected(_))) => mailbox.give_up(&why, ctx),
        }));
    }

    fn serve(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Serving;
        self.checkpoint.touch(self.parts.clock.uptime());
        self.parts.directory.borrow_mut().settled(&self.uid);
        debug!(uid = %self.uid, head = %self.timeline.head(), "mailbox serves");
        let peers: Vec<Uid> = self.peers.map.keys().cloned().collect();
        for peer in peers {
            self.drive(&peer, ctx);
        }
        self.redact(ctx);
        self.push_committed(ctx);
        self.run(ctx);
    }

    /// The store does not answer: whoever waits learns it, and the shard tries again if anything is owed.
    fn give_up(&mut self, why: &StoreError, ctx: &mut Context<Self>) {
        use tidings_schema::error_code::ErrorCode;
        warn!(uid = %self.uid, %why, "mailbox cannot be loaded now");
        self.phase = Phase::Left;
        while let Some(work) = self.work.pop_front() {
            self.refuse_work(work, ErrorCode::Unavailable, "the store cannot be read now", 1_000);
        }
        self.flush();
        self.parts.directory.borrow_mut().failed(&self.uid);
        self.parts.appender.forget(&self.timeline_id);
        ctx.stop();
    }

    fn fold(&mut self, loaded: Loaded) -> Result<(), StoreError> {
        let Loaded { checkpoint, devices, rows, mut debts, conversations } = loaded;
        let upto = Seq::new(checkpoint.upto);
        self.restore_checkpoint(&checkpoint, upto)?;
        self.peers.complete = upto == Seq::ZERO && rows.is_empty();
        for (uid, conversation) in conversations {
            self.peers.load(uid, conversation);
        }
        debts.extend(rows.iter().filter_map(Debt::of));
        self.restore_outboxes(debts);
        for row in rows {
            self.replay(&row)?;
            self.rows.push(row);
        }
        self.committed_unread = self.unread_total;
        self.checkpoint.restore(checkpoint, self.progress.flushed());
        self.checkpoint.marked = self.parts.directory.borrow().is_marked(&self.uid);
        self.restore_devices(devices);
        Ok(())
    }

    fn restore_checkpoint(&mut self, checkpoint: &record::MailboxCheckpoint, upto: Seq) -> Result<(), StoreError> {
        let epoch = self.timeline.epoch();
        if upto > Seq::ZERO {
            let log_id = LogId::from_wire(&checkpoint.log_id).ok().flatten().ok_or_else(|| corrupt("checkpoint"))?;
            let (ep, time) = (Epoch::new(checkpoint.ep), Millis::new(checkpoint.time));
            self.timeline = Timeline::restore(Anchor { log_id, seq: upto, ep, time }, epoch);
            self.window = SentWindow::restore(&checkpoint.newest, upto).map_err(|_| corrupt("checkpoint"))?;
        }
        self.unread_total = checkpoint.t;
        if checkpoint.new_peers_at > 0 {
            let left = (checkpoint.new_peers_left, Millis::new(checkpoint.new_peers_at));
            self.new_peers = self.new_peers.clone().with_left(left);
        }
        Ok(())
    }

    /// One owner with one log has no ghosts: a row that does not chain is damage, and what follows it may have been acked.
    fn replay(&mut self, row: &InboxRow) -> Result<(), StoreError> {
        match self.timeline.replay(row) {
            Replay::Cut => Err(StoreError::Corrupt(format!("row {} does not follow the row before it", row.seq))),
            Replay::Accepted => {
                if let RowBody::Out { message_id, hash, .. } = &row.body {
                    self.window.insert(*message_id, *hash, row.seq, row.time);
                }
                let forgotten =
                    matches!(row.body, RowBody::Deleted { .. }) && mutants::active(Mutant::DeletionLostInReplay);
                if let Some(uid) = row.with.as_ref().filter(|_| !forgotten) {
                    let peer = self.peers.entry(uid);
                    peer.live.apply(row);
                    peer.settled.apply(row);
                    peer.changed = true;
                    peer.listed = true;
                }
                self.replay_change(row);
                self.unread_total = row.t;
                Ok(())
            }
        }
    }

    /// Whether the message of a change was written anew before the crash is not known; doing it again is harmless.
    fn replay_change(&mut self, row: &InboxRow) {
        if let RowBody::Change { target, .. } = &row.body
            && *target > Seq::ZERO
        {
            self.redactions.add(row, None);
        }
    }

    /// What peers have not accepted: out rows above what the conversation says, and the newest read marker.
    fn restore_outboxes(&mut self, debts: Vec<Debt>) {
        let mut chains: BTreeMap<Uid, Vec<(Seq, Seq)>> = BTreeMap::new();
        for debt in debts.into_iter().filter(|debt| *debt.peer() != self.uid) {
            match debt {
                Debt::Out { peer, seq, prev_out } => chains.entry(peer).or_default().push((seq, prev_out)),
                Debt::Marker { peer, seq, place } => self.peers.entry(&peer).outbox.set_read(place, seq),
            }
        }
        for (uid, chain) in chains {
            let peer = self.peers.entry(&uid);
            let accepted = peer.settled.accepted_upto;
            let chain: Vec<(Seq, Seq)> = chain.into_iter().filter(|(seq, _)| *seq > accepted).collect();
            let base = chain.first().map_or(peer.settled.last_out, |(_, prev)| *prev);
            let chain = chain.into_iter().map(|(seq, _)| seq).collect();
            self.peers.go_back(&uid, base, chain);
        }
    }

    fn restore_devices(&mut self, devices: Vec<(DeviceId, record::Device)>) {
        let head = self.timeline.committed();
        for (device, stored) in devices {
            let known = Known {
                cursor: Seq::new(stored.cursor).min(head),
                platform: stored.platform,
                last_seen: Millis::new(stored.last_seen),
                not_before: Millis::new(stored.not_before),
                changed: false,
                put: PutNumber::default(),
            };
            self.devices.known.insert(device, known);
        }
        let directory = self.parts.directory.borrow();
        for known in directory.registrations(&self.uid) {
            self.devices.online.insert(known.connection, Online::new(known.device.clone(), known.pushed_upto));
        }
    }
}

/// Resolves when nothing of the user is on its way to the store: an earlier actor's rows are in the log then.
async fn quiet(appender: Appender, progress: Rc<Progress>, timeline: TimelineId) {
    poll_fn(|cx| {
        progress.register(cx.waker());
        if appender.in_flight(&timeline) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

async fn read_all(store: Arc<dyn Store>, uid: Uid) -> Result<Loaded, StoreError> {
    let checkpoint = match store.get(vec![Key::Checkpoint(uid.clone())]).await?.pop().flatten() {
        Some(value) => record::MailboxCheckpoint::decode(value).map_err(|_| corrupt("checkpoint"))?,
        None => record::MailboxCheckpoint::default(),
    };
    let devices = read_devices(&store, &uid, &checkpoint).await?;
    let (upto, timeline) = (Seq::new(checkpoint.upto), TimelineId::Inbox(uid.clone()));
    // Whatever was swept had been accepted.
    let owed_after = Seq::new(checkpoint.effects_upto.max(checkpoint.floor.saturating_sub(1)));
    let debts = read_debts(&store, &timeline, owed_after, upto).await?;
    let rows = read_rows(&store, timeline.clone(), upto, Seq::new(u64::MAX)).await?;
    let last = rows.last().map_or(upto, |row| row.seq);
    no_row_after(&store, timeline, last).await?;
    let peers = rows.iter().filter_map(|row| row.with.as_ref()).chain(debts.iter().map(Debt::peer)).cloned().collect();
    let conversations = read_conversations(&store, &uid, peers).await?;
    Ok(Loaded { checkpoint, devices, rows, debts, conversations })
}

/// What rows after `after` up to `upto` may still owe; page by page, since a peer that cannot accept may hold up many.
async fn read_debts(
    store: &Arc<dyn Store>,
    timeline: &TimelineId,
    mut after: Seq,
    upto: Seq,
) -> Result<Vec<Debt>, StoreError> {
    let mut debts = Vec::new();
    while after < upto {
        let page = store.read(timeline.clone(), after, upto, REPLAY_PAGE).await?;
        let rows = decode_page(page)?;
        let last = rows.last().map(|row| row.seq);
        after = last.ok_or_else(|| StoreError::Corrupt(format!("row {} is not in the log", after.next())))?;
        debts.extend(rows.iter().filter_map(Debt::of));
    }
    Ok(debts)
}

/// With one owner and one log, rows behind a hole are rows whose predecessor was lost: appending would overwrite them.
async fn no_row_after(store: &Arc<dyn Store>, timeline: TimelineId, last: Seq) -> Result<(), StoreError> {
    let newest = store.read_back(timeline, Seq::new(u64::MAX), PageLimit { rows: 1, bytes: 1 }).await?;
    match newest.rows.first() {
        Some(row) if row.seq > last => Err(StoreError::Corrupt(format!("row {} is not in the log", last.next()))),
        Some(_) | None => Ok(()),
    }
}

async fn read_devices(
    store: &Arc<dyn Store>,
    uid: &Uid,
    checkpoint: &record::MailboxCheckpoint,
) -> Result<Vec<(DeviceId, record::Device)>, StoreError> {
    let ids = checkpoint.devices.iter().map(|entry| entry.device_id.parse::<DeviceId>());
    let ids: Vec<DeviceId> = ids.collect::<Result<_, _>>().map_err(|_| corrupt("checkpoint"))?;
    let keys = ids.iter().map(|device| Key::Device(uid.clone(), device.clone())).collect();
    let values = store.get(keys).await?;
    let mut devices = Vec::with_capacity(ids.len());
    for (device, value) in ids.into_iter().zip(values) {
        if let Some(value) = value {
            devices.push((device, record::Device::decode(value).map_err(|_| corrupt("device"))?));
        }
    }
    Ok(devices)
}

/// All rows after `from` up to `ceiling`. What is replayed is bounded by checkpoints and by the outbox.
pub(super) async fn read_rows(
    store: &Arc<dyn Store>,
    timeline: TimelineId,
    from: Seq,
    ceiling: Seq,
) -> Result<Vec<InboxRow>, StoreError> {
    let mut rows = Vec::new();
    let mut after = from;
    loop {
        let page = store.read(timeline.clone(), after, ceiling, REPLAY_PAGE).await?;
        let more = page.more;
        rows.extend(decode_page(page)?);
        after = rows.last().map_or(after, |row| row.seq);
        if !more {
            return Ok(rows);
        }
    }
}

async fn read_conversations(
    store: &Arc<dyn Store>,
    uid: &Uid,
    mut peers: Vec<Uid>,
) -> Result<BTreeMap<Uid, Conversation>, StoreError> {
    peers.sort();
    peers.dedup();
    let keys = peers.iter().map(|peer| Key::Conversation(uid.clone(), peer.clone())).collect();
    let values = store.get(keys).await?;
    peers.into_iter().zip(values).map(|(peer, value)| Ok((peer, decode(value)?))).collect()
}
