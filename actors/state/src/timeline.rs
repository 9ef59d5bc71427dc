//! The owner's view of one timeline: which place comes next, what is committed, and which stored rows belong to it when
//! it is recovered.

use tidings_schema::{
    id::{Epoch, LogId, Millis, Seq},
    row::{GroupRow, InboxRow},
};

/// Rows that may be appended and not yet committed. When they are, nothing more is taken until some commit: ops get
/// "try again".
pub const UNCOMMITTED_ROWS_MAX: u64 = 256;

/// A place in a log that is known to be committed: where recovery starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The life of the log.
    pub log_id: LogId,
    /// The committed row.
    pub seq: Seq,
    /// Epoch that appended that row.
    pub ep: Epoch,
    /// Time of that row.
    pub time: Millis,
}

/// What a stored row says about its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Place of the row.
    pub seq: Seq,
    /// Epoch that appended it.
    pub ep: Epoch,
    /// Epoch of the row before; zero for row 1.
    pub pe: Epoch,
    /// Time of the row.
    pub time: Millis,
    /// The life of the log; row 1 only.
    pub log_id: Option<LogId>,
}

impl From<&GroupRow> for Link {
    fn from(row: &GroupRow) -> Self {
        Self { seq: row.seq, ep: row.ep, pe: row.pe, time: row.time, log_id: row.log_id }
    }
}

impl From<&InboxRow> for Link {
    fn from(row: &InboxRow) -> Self {
        Self { seq: row.seq, ep: row.ep, pe: row.pe, time: row.time, log_id: row.log_id }
    }
}

/// Head of one timeline under one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    log_id: Option<LogId>,
    head: Seq,
    committed: Seq,
    epoch: Epoch,
    last_ep: Epoch,
    time: Millis,
}

/// The place of a new row, with what the row says about its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Place of the row.
    pub seq: Seq,
    /// Epoch of the owner.
    pub ep: Epoch,
    /// Epoch of the row before; zero for row 1.
    pub pe: Epoch,
    /// Committed head now.
    pub c: Seq,
    /// Time of the row; never before that of the row before.
    pub time: Millis,
    /// The life of the log; row 1 only.
    pub log_id: Option<LogId>,
}

/// [`UNCOMMITTED_ROWS_MAX`] rows wait to be committed; nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many rows wait to be committed")]
pub struct WindowFull;

/// Whether a stored row belongs to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Replay {
    /// It is the next row.
    Accepted,
    /// It is not, and the log ends before it: the row is left over from an owner that lost the shard.
    Cut,
}

impl Timeline {
    /// A log without rows.
    #[must_use]
    pub const fn empty(epoch: Epoch) -> Self {
        Self {
            log_id: None,
            head: Seq::ZERO,
            committed: Seq::ZERO,
            epoch,
            last_ep: Epoch::new(0),
            time: Millis::new(0),
        }
    }

    /// A log known up to `anchor`; rows after it come in through [`Timeline::replay`].
    #[must_use]
    pub const fn restore(anchor: Anchor, epoch: Epoch) -> Self {
        Self {
            log_id: Some(anchor.log_id),
            head: anchor.seq,
            committed: anchor.seq,
            epoch,
            last_ep: anchor.ep,
            time: anchor.time,
        }
    }

    /// Judges the next stored row of a log that is being recovered. An accepted row is head and committed, which is
    /// right where this process was the only one that could write: nothing appended is in flight, and what a store
    /// has is durable.
    pub fn replay(&mut self, row: impl Into<Link>) -> Replay {
        let row = row.into();
        let chained = row.seq == self.head.next()
            && row.pe == self.last_ep
            && row.ep >= self.last_ep
            && row.ep <= self.epoch
            && row.log_id.is_some() == (self.head == Seq::ZERO);
        if !chained {
            return Replay::Cut;
        }
        self.log_id = row.log_id.or(self.log_id);
        self.head = row.seq;
        self.committed = row.seq;
        self.last_ep = row.ep;
        self.time = self.time.max(row.time);
        Replay::Accepted
    }

    /// Takes the next place. `fresh` becomes the log id if this is row 1.
    ///
    /// # Errors
    /// [`WindowFull`] while [`UNCOMMITTED_ROWS_MAX`] rows wait.
    pub fn append(&mut self, now: Millis, fresh: LogId) -> Result<Slot, WindowFull> {
        if self.room() == 0 {
            return Err(WindowFull);
        }
        let log_id = (self.head == Seq::ZERO).then_some(fresh);
        self.log_id = self.log_id.or(log_id);
        self.head = self.head.next();
        self.time = self.time.max(now);
        let pe = std::mem::replace(&mut self.last_ep, self.epoch);
        Ok(Slot { seq: self.head, ep: self.epoch, pe, c: self.committed, time: self.time, log_id })
    }

    /// Everything up to `upto` is durable and still owned. Never goes back, never passes the head.
    pub fn commit(&mut self, upto: Seq) {
        self.committed = self.committed.max(upto.min(self.head));
    }

    /// Rows that may be appended now.
    #[must_use]
    pub const fn room(&self) -> u64 {
        UNCOMMITTED_ROWS_MAX.saturating_sub(self.head.since(self.committed))
    }

    /// The life of the log; none while it is empty.
    #[must_use]
    pub const fn log_id(&self) -> Option<LogId> {
        self.log_id
    }

    /// Last appended row.
    #[must_use]
    pub const fn head(&self) -> Seq {
        self.head
    }

    /// Last committed row: the only head that may be shown.
    #[must_use]
    pub const fn committed(&self) -> Seq {
        self.committed
    }

    /// Epoch of the owner.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Epoch that appended the head row; zero for an empty log.
    #[must_use]
    pub const fn last_ep(&self) -> Epoch {
        self.last_ep
    }

    /// Time of the head row.
    #[must_use]
    pub const fn time(&self) -> Millis {
        self.time
    }
}
