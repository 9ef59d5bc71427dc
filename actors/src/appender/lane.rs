//! The queues of one user at the Appender, and the tasks that empty them: at most one append and one put under way,
//! repeated unchanged until the store has them.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::AssertUnwindSafe,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use metrics::{counter, gauge};
use tidings_schema::id::{Seq, Uid};
use tracing::{error, warn};

use super::{Append, Appender, LaneState, Progress, PutNumber, Start, UNCOMMITTED_ROWS_MAX};
use crate::{
    mutants,
    port::{
        ownership::Barrier,
        store::{
            self, APPEND_BYTES_MAX, APPEND_ROWS_MAX, BUCKET_ROWS, Change, Key, Row, StoreError, TimelineId, Unavailable,
        },
    },
};

/// First and longest pause before the same write is tried again.
const RETRY_MS: (u64, u64) = (100, 5_000);

/// Rows of one timeline on their way.
#[derive(Default)]
pub(super) struct RowLane {
    pub(super) progress: Rc<Progress>,
    waiting: VecDeque<Row>,
    with: Vec<Change>,
    writing: usize,
}

impl RowLane {
    pub(super) fn room(&self, rows: usize) -> Append {
        match self.progress.state() {
            LaneState::Stopped => Append::Stopped,
            LaneState::Unavailable => Append::Unavailable,
            LaneState::Open if self.waiting.len() + self.writing + rows > UNCOMMITTED_ROWS_MAX => Append::Full,
            LaneState::Open => Append::Taken,
        }
    }

    pub(super) fn take(&mut self, rows: Vec<Row>, with: Vec<Change>) -> Result<Start, Append> {
        let room = self.room(rows.len());
        if room != Append::Taken {
            return Err(room);
        }
        let idle = !self.in_flight();
        gauge!("tidings_rows_uncommitted").increment(rows.len() as f64);
        self.waiting.extend(rows);
        self.with.extend(with);
        Ok(if idle { Start::Yes } else { Start::No })
    }

    pub(super) fn in_flight(&self) -> bool {
        self.writing > 0 || !self.waiting.is_empty()
    }

    /// The next batch: contiguous rows of one bucket within the limits of one append.
    fn cut(&mut self, timeline: &TimelineId) -> Option<store::Append> {
        let bucket = |row: &Row| row.seq.prev().get() / BUCKET_ROWS;
        let first = bucket(self.waiting.front()?);
        let mut bytes = 0;
        let fits = |(at, row): &(usize, &Row)| {
            bytes += row.value.len();
            *at == 0 || (bytes <= APPEND_BYTES_MAX && bucket(row) == first)
        };
        let rows = self.waiting.iter().take(APPEND_ROWS_MAX).enumerate().take_while(fits).count();
        self.writing = rows;
        Some(store::Append {
            timeline: timeline.clone(),
            rows: self.waiting.drain(..rows).collect(),
            with: std::mem::take(&mut self.with),
            stamp: crate::port::ownership::Stamp::default(),
        })
    }
}

/// Records of one owner on their way.
pub(super) struct PutLane {
    progress: Rc<Progress>,
    waiting: BTreeMap<Key, Option<Bytes>>,
    taken: PutNumber,
    writing: bool,
}

impl PutLane {
    pub(super) fn new(progress: Rc<Progress>) -> Self {
        let taken = progress.flushed();
        Self { progress, waiting: BTreeMap::new(), taken, writing: false }
    }

    pub(super) fn take(&mut self, changes: Vec<Change>) -> (PutNumber, Start) {
        self.waiting.extend(changes.into_iter().map(|change| (change.key, change.value)));
        self.taken = PutNumber(self.taken.0 + 1);
        let start = if std::mem::replace(&mut self.writing, true) { Start::No } else { Start::Yes };
        (self.taken, start)
    }

    pub(super) fn in_flight(&self) -> bool {
        self.writing
    }

    fn cut(&mut self) -> Option<(PutNumber, Vec<Change>)> {
        if self.progress.flushed() == self.taken {
            self.writing = false;
            return None;
        }
        let changes = std::mem::take(&mut self.waiting);
        Some((self.taken, changes.into_iter().map(|(key, value)| Change { key, value }).collect()))
    }
}

/// Starts the task that writes this timeline until nothing waits.
pub(super) fn start_rows(appender: Appender, timeline: TimelineId) {
    tokio::task::spawn_local(async move {
        while let Some(append) = cut_rows(&appender, &timeline) {
            let rows = append.rows.len();
            let last = append.rows.last().map_or(Seq::ZERO, |row| row.seq);
            let progress = append_until_durable(&appender, append).await;
            gauge!("tidings_rows_uncommitted").decrement(rows as f64);
            if let Some(lane) = appender.lanes.borrow_mut().rows.get_mut(&timeline) {
                lane.writing = 0;
            }
            match progress {
                Ok(progress) => progress.set_committed(last),
                Err(()) => return,
            }
        }
    });
}

fn cut_rows(appender: &Appender, timeline: &TimelineId) -> Option<store::Append> {
    let mut lanes = appender.lanes.borrow_mut();
    let mut append = lanes.rows.get_mut(timeline)?.cut(timeline)?;
    append.stamp = appender.ownership.stamp(appender.shard);
    Some(append)
}

/// Writes one append, whatever it takes; `Err` when it can never be written.
async fn append_until_durable(appender: &Appender, append: store::Append) -> Result<Rc<Progress>, ()> {
    let timeline = append.timeline.clone();
    let TimelineId::Inbox(uid) = &timeline;
    let progress = appender.progress(uid);
    let mut pause = RETRY_MS.0;
    loop {
        mutants::before_append(uid).await;
        let store = appender.store.clone();
        let copy = append.clone();
        // A store that panics costs this attempt, not the task that owns the rows.
        let written = AssertUnwindSafe(async move { store.append(copy).await }).catch_unwind().await;
        match written.unwrap_or(Err(StoreError::Unavailable(Unavailable::Down))) {
            Ok(()) => {
                progress.set_state(LaneState::Open);
                return if covered(appender).await { Ok(progress) } else { Err(()) };
            }
            Err(StoreError::Unavailable(why)) => {
                counter!("tidings_append_retries_total").increment(1);
                warn!(%uid, %why, pause_ms = pause, "append not durable yet, trying again");
                progress.set_state(LaneState::Unavailable);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                pause = (pause * 2).min(RETRY_MS.1);
            }
            Err(why @ (StoreError::Rejected(_) | StoreError::Corrupt(_))) => {
                error!(%uid, %why, "timeline stopped, append can never succeed");
                progress.set_state(LaneState::Stopped);
                return Err(());
            }
        }
    }
}

/// Starts the task that writes this owner's records until nothing waits.
pub(super) fn start_puts(appender: Appender, owner: Uid) {
    tokio::task::spawn_local(async move {
        while let Some((number, changes, progress)) = cut_puts(&appender, &owner) {
            if put_until_durable(&appender, &owner, changes, &progress).await.is_err() {
                if let Some(lane) = appender.lanes.borrow_mut().puts.get_mut(&owner) {
                    lane.writing = false;
                }
                return;
            }
            progress.set_flushed(number);
        }
    });
}

fn cut_puts(appender: &Appender, owner: &Uid) -> Option<(PutNumber, Vec<Change>, Rc<Progress>)> {
    let mut lanes = appender.lanes.borrow_mut();
    let lane = lanes.puts.get_mut(owner)?;
    let cut = lane.cut();
    let progress = lane.progress.clone();
    if cut.is_none() {
        // Whoever waits for "nothing in flight" looks again.
        progress.wake();
    }
    cut.map(|(number, changes)| (number, changes, progress))
}

async fn put_until_durable(
    appender: &Appender,
    owner: &Uid,
    changes: Vec<Change>,
    progress: &Progress,
) -> Result<(), ()> {
    let stamp = appender.ownership.stamp(appender.shard);
    let mut pause = RETRY_MS.0;
    loop {
        let store = appender.store.clone();
        let copy = changes.clone();
        let written = AssertUnwindSafe(async move { store.put(copy, stamp).await }).catch_unwind().await;
        match written.unwrap_or(Err(StoreError::Unavailable(Unavailable::Down))) {
            Ok(()) => return if covered(appender).await { Ok(()) } else { Err(()) },
            Err(StoreError::Unavailable(why)) => {
                counter!("tidings_put_retries_total").increment(1);
                warn!(%owner, %why, pause_ms = pause, "records not durable yet, trying again");
                tokio::time::sleep(Duration::from_millis(pause)).await;
                pause = (pause * 2).min(RETRY_MS.1);
            }
            Err(why @ (StoreError::Rejected(_) | StoreError::Corrupt(_))) => {
                error!(%owner, %why, "timeline stopped, records can never be written");
                progress.set_state(LaneState::Stopped);
                return Err(());
            }
        }
    }
}

/// Whether the shard was still owned after everything durable so far.
async fn covered(appender: &Appender) -> bool {
    match appender.ownership.barrier() {
        Barrier::Passed => true,
        Barrier::Pending(answer) => answer.await.is_ok(),
    }
}
