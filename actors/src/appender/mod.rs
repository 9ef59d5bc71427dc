//! How rows become committed: one [`Appender`] per shard takes what the shard's actors hand over, writes it in batches,
//! repeats until it is durable, and moves `committed` only over what the barrier covers.
//!
//! It is a plain struct that outlives every actor of its shard: rows handed over keep their seq and get written even if
//! the actor that decided them is gone. An actor learns of progress through its [`Progress`] cell, which wakes it.

mod lane;
mod progress;

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use tidings_schema::id::{Seq, ShardId};

use self::lane::{PutLane, RowLane};
pub use self::progress::{LaneState, Progress, PutNumber};
use crate::{
    give_back::give_back,
    port::{
        ownership::Ownership,
        store::{Change, Row, Store, TimelineId},
    },
};

/// Rows of one timeline that may wait for the store. When full, the op is answered 5003 and nothing is taken.
pub const UNCOMMITTED_ROWS_MAX: usize = tidings_state::timeline::UNCOMMITTED_ROWS_MAX as usize;

/// What became of rows that were handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Append {
    /// They will be written, whatever happens to the caller; each keeps its seq.
    Taken,
    /// [`UNCOMMITTED_ROWS_MAX`] rows wait already; nothing was taken.
    Full,
    /// The store cannot be written now; nothing was taken.
    Unavailable,
    /// The timeline is stopped for good.
    Stopped,
}

/// The writing half of one shard. Clones share it.
#[derive(Clone)]
pub struct Appender {
    shard: ShardId,
    store: Arc<dyn Store>,
    ownership: Arc<dyn Ownership>,
    lanes: Rc<RefCell<Lanes>>,
}

#[derive(Default)]
struct Lanes {
    rows: HashMap<TimelineId, RowLane>,
    puts: HashMap<TimelineId, PutLane>,
}

impl Appender {
    /// An appender with nothing in flight.
    #[must_use]
    pub fn new(shard: ShardId, store: Arc<dyn Store>, ownership: Arc<dyn Ownership>) -> Self {
        Self { shard, store, ownership, lanes: Rc::default() }
    }

    /// The cell that tells the actor of a timeline what became of its rows and records. The same one for as long as
    /// anything of that timeline is in flight, also across actors.
    #[must_use]
    pub fn progress(&self, timeline: &TimelineId) -> Rc<Progress> {
        let mut lanes = self.lanes.borrow_mut();
        let lane = lanes.rows.entry(timeline.clone()).or_default();
        lane.progress.clone()
    }

    /// Hands rows over, oldest first, contiguous with those handed over before. `with` becomes durable no later.
    pub fn append(&self, timeline: &TimelineId, rows: Vec<Row>, with: Vec<Change>) -> Append {
        let start = {
            let mut lanes = self.lanes.borrow_mut();
            let lane = lanes.rows.entry(timeline.clone()).or_default();
            match lane.take(rows, with) {
                Ok(start) => start,
                Err(refused) => return refused,
            }
        };
        if start == Start::Yes {
            lane::start_rows(self.clone(), timeline.clone());
        }
        Append::Taken
    }

    /// Whether rows can be handed over now; what [`Self::append`] would answer for `rows` more rows.
    pub fn room(&self, timeline: &TimelineId, rows: usize) -> Append {
        self.lanes.borrow().rows.get(timeline).map_or(Append::Taken, |lane| lane.room(rows))
    }

    /// Writes records of the owner of a timeline. The newest value of a key wins until it is written; what is put in one
    /// call, or later, never becomes durable before what was put earlier. At most one put per owner is under way.
    pub fn put(&self, timeline: &TimelineId, changes: Vec<Change>) -> PutNumber {
        self.put_with(timeline, Vec::new(), changes)
    }

    /// Writes records of an owner and then committed rows of the timeline anew, in this order; a put like any other. A record
    /// that says that these rows are done belongs into a later put.
    pub fn redact(&self, timeline: &TimelineId, rows: Vec<Row>, changes: Vec<Change>) -> PutNumber {
        self.put_with(timeline, rows, changes)
    }

    fn put_with(&self, timeline: &TimelineId, rows: Vec<Row>, changes: Vec<Change>) -> PutNumber {
        let (number, start) = {
            let mut lanes = self.lanes.borrow_mut();
            let progress = lanes.rows.entry(timeline.clone()).or_default().progress.clone();
            let lane = lanes.puts.entry(timeline.clone()).or_insert_with(|| PutLane::new(progress));
            lane.take(rows, changes)
        };
        if start == Start::Yes {
            lane::start_puts(self.clone(), timeline.clone());
        }
        number
    }

    /// Last committed row of a timeline that has been written to in this run.
    #[must_use]
    pub fn committed(&self, timeline: &TimelineId) -> Seq {
        self.lanes.borrow().rows.get(timeline).map_or(Seq::ZERO, |lane| lane.progress.committed())
    }

    /// Whether rows of this timeline, or records of its owner, are still on their way.
    #[must_use]
    pub fn in_flight(&self, timeline: &TimelineId) -> bool {
        let lanes = self.lanes.borrow();
        let rows = lanes.rows.get(timeline).is_some_and(RowLane::in_flight);
        rows || lanes.puts.get(timeline).is_some_and(PutLane::in_flight)
    }

    /// Forgets a timeline that has nothing in flight, so that quiet users and groups cost nothing.
    pub fn forget(&self, timeline: &TimelineId) {
        if self.in_flight(timeline) {
            return;
        }
        let mut lanes = self.lanes.borrow_mut();
        lanes.rows.remove(timeline);
        lanes.puts.remove(timeline);
        give_back(&mut lanes.rows);
        give_back(&mut lanes.puts);
    }
}

/// Whether a task has to be started for a lane that was idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Yes,
    No,
}

#[cfg(test)]
mod tests;
