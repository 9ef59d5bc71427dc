//! What an inbox may forget, and in which order: message ids after 14 days, rows after the configured time, and never
//! anything that a projection, an outbox or an online device still needs.
//!
//! Three places rise, in this order: `ids` (records of message ids below it are gone), `floor` (rows below it are not
//! read any more), `swept` (rows below it are gone). Each is durable before what follows from it, so a crash between two
//! steps only means that a step is done again. The newest row always stays: whoever looks for the end of a log finds it
//! at once, however much is gone before it.

use tidings_schema::id::{Millis, Seq};

/// How long the record of a message id is kept. A day more than the age at which ids are refused.
pub const MESSAGE_ID_KEPT_MS: u64 = 14 * 24 * 3_600 * 1_000;

/// What is older than these times may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Rows.
    pub rows: Millis,
    /// Records of message ids.
    pub ids: Millis,
}

impl Horizon {
    /// The horizon at `now` when rows are kept for `inbox_ms`. Rows are never kept for less time than their ids.
    #[must_use]
    pub fn at(now: Millis, inbox_ms: u64) -> Self {
        let before = |ms: u64| Millis::new(now.get().saturating_sub(ms));
        Self { rows: before(inbox_ms.max(MESSAGE_ID_KEPT_MS)), ids: before(MESSAGE_ID_KEPT_MS) }
    }
}

/// How far an inbox has forgotten. `swept <= floor <= ids`, all from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// First row that may still be in the store.
    pub swept: Seq,
    /// First row that is read.
    pub floor: Seq,
    /// First row whose message id may still have a record.
    pub ids: Seq,
}

impl Kept {
    /// From stored numbers; zero (not stored) means the beginning.
    #[must_use]
    pub fn restore(swept: u64, floor: u64, ids: u64) -> Self {
        let floor = floor.max(1);
        Self { swept: Seq::new(swept.clamp(1, floor)), floor: Seq::new(floor), ids: Seq::new(ids.max(floor)) }
    }

    /// Whether a page that begins after `after` would begin with rows that are gone.
    #[must_use]
    pub fn is_gone_after(&self, after: Seq) -> bool {
        after.next() < self.floor
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::restore(0, 0, 0)
    }
}

/// What holds rows back whatever their age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// All projections cover rows up to here.
    pub upto: Seq,
    /// Peers have accepted all effects of rows up to here.
    pub effects_upto: Seq,
    /// Online devices have acknowledged rows up to here.
    pub acked_upto: Seq,
}

impl Covered {
    /// The first row that must stay. At most `upto`, so the newest row does.
    #[must_use]
    pub fn end(&self) -> Seq {
        self.upto.min(self.effects_upto.next()).min(self.acked_upto.next())
    }
}

/// What a sweep does next. Bounds of pages are the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Remove rows `from <= seq < below`.
    Remove {
        /// First row that may be there.
        from: Seq,
        /// The floor.
        below: Seq,
    },
    /// Look at rows `from <= seq < end` for message ids that are old enough, and say [`Sweep::ids_looked_at`].
    Ids {
        /// First row to look at.
        from: Seq,
        /// First row not to look at.
        end: Seq,
    },
    /// Look at rows `from <= seq < end` for the new floor, and say [`Sweep::rows_looked_at`].
    Rows {
        /// First row to look at.
        from: Seq,
        /// First row not to look at.
        end: Seq,
    },
    /// Nothing is left to do.
    Done,
}

/// One visit to one inbox.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    horizon: Horizon,
    /// An id too young to go was met.
    ids_end: bool,
    /// A row too young to go was met.
    rows_end: bool,
}

impl Sweep {
    /// A visit that takes what is older than `horizon`.
    #[must_use]
    pub const fn new(horizon: Horizon) -> Self {
        Self { horizon, ids_end: false, rows_end: false }
    }

    /// The next step.
    pub fn next(&self, kept: &Kept, covered: &Covered) -> Step {
        let ids_end = covered.upto.next();
        // No row goes whose id still has a record: nothing would ever find that record again.
        let rows_end = covered.end().min(kept.ids);
        if kept.swept < kept.floor {
            Step::Remove { from: kept.swept, below: kept.floor }
        } else if !self.ids_end && kept.ids < ids_end {
            Step::Ids { from: kept.ids, end: ids_end }
        } else if !self.rows_end && kept.floor < rows_end {
            Step::Rows { from: kept.floor, end: rows_end }
        } else {
            Step::Done
        }
    }

    /// The page of rows from `from` on, by seq and time: returns the first row whose id stays.
    pub fn ids_looked_at(&mut self, from: Seq, page: &[(Seq, Millis)]) -> Seq {
        let (place, end) = first_young(from, page, self.horizon.ids);
        self.ids_end = end;
        place
    }

    /// The page of rows from `from` on: returns the new floor. `covered` is looked at again, because devices come and go
    /// while a page is read.
    pub fn rows_looked_at(&mut self, from: Seq, page: &[(Seq, Millis)], covered: &Covered) -> Seq {
        let (place, end) = first_young(from, page, self.horizon.rows);
        self.rows_end = end || place >= covered.end();
        place.min(covered.end()).max(from)
    }
}

/// The first row that is not older than `horizon`, and whether it was met.
fn first_young(from: Seq, page: &[(Seq, Millis)], horizon: Millis) -> (Seq, bool) {
    let old = page.iter().take_while(|(_, time)| *time < horizon);
    let place = old.last().map_or(from, |(seq, _)| seq.next());
    // An empty page has nothing old, and asking again would not help.
    (place, page.last().is_none_or(|(seq, _)| place <= *seq))
}

/// Whether a visit would find something to do. `oldest` and `oldest_id` are the times of the rows at `floor` and `ids`.
#[must_use]
pub fn is_due(kept: &Kept, covered: &Covered, horizon: &Horizon, oldest: Option<Millis>, id: Option<Millis>) -> bool {
    let old = |time: Option<Millis>, horizon| time.is_some_and(|time| time < horizon);
    kept.swept < kept.floor
        || (kept.floor < covered.end() && old(oldest, horizon.rows))
        || (kept.ids <= covered.upto && old(id, horizon.ids))
}
