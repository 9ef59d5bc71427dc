//! The queues of one timeline at the Appender, and the tasks that empty them: at most one append and one put under way,
//! repeated unchanged until the store has them.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::try_join_all};
use metrics::{counter, gauge};
use tidings_schema::id::Seq;
use tracing::{error, warn};

use super::{Append, Appender, LaneState, Progress, PutNumber, Start, UNCOMMITTED_ROWS_MAX};
use crate::{
    mutants,
    port::{
        ownership::{Barrier, Fenced, Stamp},
        store::{
            self, APPEND_BYTES_MAX, APPEND_ROWS_MAX, BUCKET_ROWS, Change, Key, Reply, Row, Store, StoreError,
            TimelineId, Unavailable,
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
    fn cut(&mut self, timeline: &TimelineId, stamp: Stamp) -> Option<store::Append> {
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
            stamp,
        })
    }
}

/// Records of one owner on their way.
pub(super) struct PutLane {
    progress: Rc<Progress>,
    waiting: BTreeMap<Key, Option<Bytes>>,
    /// Rows to be written anew after the records.
    redactions: Vec<Row>,
    taken: PutNumber,
    writing: bool,
}

impl PutLane {
    pub(super) fn new(progress: Rc<Progress>) -> Self {
        let taken = progress.flushed();
        Self { progress, waiting: BTreeMap::new(), redactions: Vec::new(), taken, writing: false }
    }

    pub(super) fn take(&mut self, rows: Vec<Row>, changes: Vec<Change>) -> (PutNumber, Start) {
        self.redactions.extend(rows);
        self.waiting.extend(changes.into_iter().map(|change| (change.key, change.value)));
        self.taken = PutNumber(self.taken.0 + 1);
        let start = if std::mem::replace(&mut self.writing, true) { Start::No } else { Start::Yes };
        (self.taken, start)
    }

    pub(super) fn in_flight(&self) -> bool {
        self.writing
    }

    fn cut(&mut self) -> Option<Put> {
        if self.progress.flushed() == self.taken {
            self.writing = false;
            return None;
        }
        let changes = std::mem::take(&mut self.waiting);
        let redactions = std::mem::take(&mut self.redactions);
        let changes = changes.into_iter().map(|(key, value)| Change { key, value }).collect();
        Some(Put { number: self.taken, redactions, changes })
    }
}

/// What one put writes.
struct Put {
    number: PutNumber,
    redactions: Vec<Row>,
    changes: Vec<Change>,
}

/// One write, as often as it takes.
enum Write {
    Rows(store::Append),
    Records { timeline: TimelineId, redactions: Vec<Row>, changes: Vec<Change>, stamp: Stamp },
}

impl Write {
    fn start(&self, store: &Arc<dyn Store>) -> Reply<()> {
        match self {
            Self::Rows(append) => store.append(append.clone()),
            Self::Records { redactions, changes, stamp, .. } if redactions.is_empty() => {
                store.put(changes.clone(), *stamp)
            }
            Self::Records { timeline, redactions, changes, stamp } => {
                let (store, timeline, stamp) = (Arc::clone(store), timeline.clone(), *stamp);
                let (redactions, changes) = (redactions.clone(), changes.clone());
                Box::pin(async move {
                    // The log last: whether a message is as it should be is read there, so what a crash leaves undone in
                    // the history is seen and done again.
                    if !changes.is_empty() {
                        store.put(changes, stamp).await?;
                    }
                    // Handed over together, they share a sync.
                    let rows = redactions.into_iter().map(|row| store.redact(timeline.clone(), row, stamp));
                    try_join_all(rows.collect::<Vec<_>>()).await.map(|_| ())
                })
            }
        }
    }

    /// New rows are refused while rows wait in vain; records only wait.
    fn stalls(&self) -> bool {
        matches!(self, Self::Rows(_))
    }

    fn redacts(&self) -> bool {
        matches!(self, Self::Records { redactions, .. } if !redactions.is_empty())
    }
}

/// The store will never take this write, or the shard is another's now.
struct Lost;

/// Starts the task that writes this timeline until nothing waits.
pub(super) fn start_rows(appender: Appender, timeline: TimelineId) {
    tokio::task::spawn_local(async move {
        while let Some((append, progress)) = cut_rows(&appender, &timeline) {
            let (rows, last) = (append.rows.len(), append.rows.last().map_or(Seq::ZERO, |row| row.seq));
            let written = until_durable(&appender, &timeline, &progress, Write::Rows(append)).await;
            gauge!("tidings_rows_uncommitted").decrement(rows as f64);
            if let Some(lane) = appender.lanes.borrow_mut().rows.get_mut(&timeline) {
                lane.writing = 0;
            }
            match written {
                Ok(()) => progress.set_committed(last),
                Err(Lost) => return,
            }
        }
    });
}

fn cut_rows(appender: &Appender, timeline: &TimelineId) -> Option<(store::Append, Rc<Progress>)> {
    let mut lanes = appender.lanes.borrow_mut();
    let lane = lanes.rows.get_mut(timeline)?;
    let append = lane.cut(timeline, appender.ownership.stamp(appender.shard))?;
    Some((append, lane.progress.clone()))
}

/// Starts the task that writes the records of this timeline's owner until nothing waits.
pub(super) fn start_puts(appender: Appender, timeline: TimelineId) {
    tokio::task::spawn_local(async move {
        while let Some((Put { number, redactions, changes }, progress)) = cut_puts(&appender, &timeline) {
            let stamp = appender.ownership.stamp(appender.shard);
            let write = Write::Records { timeline: timeline.clone(), redactions, changes, stamp };
            match until_durable(&appender, &timeline, &progress, write).await {
                Ok(()) => progress.set_flushed(number),
                Err(Lost) => {
                    if let Some(lane) = appender.lanes.borrow_mut().puts.get_mut(&timeline) {
                        lane.writing = false;
                    }
                    return;
                }
            }
        }
    });
}

fn cut_puts(appender: &Appender, timeline: &TimelineId) -> Option<(Put, Rc<Progress>)> {
    let mut lanes = appender.lanes.borrow_mut();
    let lane = lanes.puts.get_mut(timeline)?;
    let cut = lane.cut();
    let progress = lane.progress.clone();
    if cut.is_none() {
        // Whoever waits for "nothing in flight" looks again.
        progress.wake();
    }
    cut.map(|put| (put, progress))
}

/// Repeats one write unchanged until it is durable and owned.
async fn until_durable(
    appender: &Appender,
    timeline: &TimelineId,
    progress: &Progress,
    write: Write,
) -> Result<(), Lost> {
    let mut pause = RETRY_MS.0;
    loop {
        if write.stalls() {
            mutants::before_append(timeline).await;
        }
        if write.redacts() {
            mutants::before_redaction(timeline).await;
        }
        // A store that panics costs this attempt, not the task that owns the rows.
        let attempt = AssertUnwindSafe(async { write.start(&appender.store).await }).catch_unwind().await;
        match attempt.unwrap_or(Err(StoreError::Unavailable(Unavailable::Down))) {
            Ok(()) if write.stalls() => {
                progress.set_state(LaneState::Open);
                return covered(appender).await;
            }
            Ok(()) => return covered(appender).await,
            Err(StoreError::Unavailable(why)) => {
                counter!("tidings_write_retries_total").increment(1);
                warn!(%timeline, %why, pause_ms = pause, "write not durable yet, trying again");
                if write.stalls() {
                    progress.set_state(LaneState::Unavailable);
                }
                tokio::time::sleep(Duration::from_millis(pause)).await;
                pause = (pause * 2).min(RETRY_MS.1);
            }
            Err(why @ (StoreError::Rejected(_) | StoreError::Corrupt(_))) => {
                error!(%timeline, %why, "timeline stopped, a write can never succeed");
                progress.set_state(LaneState::Stopped);
                return Err(Lost);
            }
        }
    }
}

/// Whether the shard was still owned after everything durable so far.
async fn covered(appender: &Appender) -> Result<(), Lost> {
    match appender.ownership.barrier() {
        Barrier::Passed => Ok(()),
        Barrier::Pending(answer) => answer.await.map_err(|Fenced| Lost),
    }
}
