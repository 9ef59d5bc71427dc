//! Rows one peer has not accepted yet: what to send it, when to send it again, and what it makes of the chain.
//!
//! One delivery is in flight at a time and always starts at the first row that is not accepted, so its `prev` is a row
//! that the peer has. It is sent again until it is accepted, for ever; the peer drops what it has.

use std::collections::VecDeque;

use tidings_schema::id::{Millis, Place, Seq};

use crate::backoff::Backoff;

/// Rows of one delivery at most. Bytes are bounded by the caller, through [`Outbox::trim`].
pub const DELIVER_ROWS_MAX: usize = 64;
/// Bytes of one delivery at most, unless it is a single row.
pub const DELIVER_BYTES_MAX: usize = 256 * 1024;
/// Unaccepted rows of one mailbox, over all peers; the caller counts. Over it, sends get "try again".
pub const OUTBOX_ROWS_MAX: usize = 10_000;
/// First wait after a delivery that was not taken, in ms; doubles up to [`REDRIVE_MS_MAX`].
pub const REDRIVE_MS_MIN: u64 = 100;
/// Shortest wait for the answer to a delivery that was taken, in ms: a peer under load commits later than it takes, and
/// what it has taken need not be said again.
pub const ANSWER_MS_MIN: u64 = 1_000;
/// Longest wait, in ms.
pub const REDRIVE_MS_MAX: u64 = 30_000;

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The row before the first one; the peer accepted it. Zero = none.
    pub prev: Seq,
    /// Rows to read from the log and send; none when only the marker moves.
    pub seqs: Vec<Seq>,
    /// The read marker, while the peer has not accepted it.
    pub read: Option<Place>,
    /// The log does not reach back to what the peer has: it is to go on from `prev`, whatever it misses before.
    pub adopt: bool,
}

/// What a gap asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Back {
    /// Nothing: the rows that are kept cover it; they are sent again when due.
    Covered,
    /// The peer lost rows that it had accepted: read the chain after this row from the log, and give it to
    /// [`Outbox::go_back_to_kept`].
    Reload(Seq),
}

/// The newest read marker and the row that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marker {
    place: Place,
    row: Seq,
}

/// What is in flight: the last row, or the accepted one when there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InFlight {
    last: Seq,
    read: Option<Place>,
}

/// The outbox of one mailbox towards one peer.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// Unaccepted rows of the chain, oldest first.
    rows: VecDeque<Seq>,
    accepted: Seq,
    /// The peer never had the row `accepted`: rows before it are gone.
    adopting: bool,
    marker: Option<Marker>,
    in_flight: Option<InFlight>,
    /// Nothing is sent before this time.
    due: Option<Millis>,
    backoff: Backoff,
}

impl Outbox {
    /// The outbox after recovery: the peer accepted `accepted_upto`, `seqs` are the later rows of the chain.
    #[must_use]
    pub fn restore(accepted_upto: Seq, seqs: impl IntoIterator<Item = Seq>) -> Self {
        let mut outbox = Self {
            rows: VecDeque::new(),
            accepted: accepted_upto,
            adopting: false,
            marker: None,
            in_flight: None,
            due: None,
            backoff: Backoff::new(REDRIVE_MS_MIN, REDRIVE_MS_MAX),
        };
        outbox.go_back(accepted_upto, seqs);
        outbox
    }

    /// A row for the peer was appended; it is sent once it is committed.
    pub fn push(&mut self, seq: Seq) {
        debug_assert!(seq > self.rows.back().copied().unwrap_or(self.accepted), "the chain rises");
        self.rows.push_back(seq);
    }

    /// The read marker that the row at `row` set is committed: `place` is the peer's newest message that is read. Only
    /// the newest marker is ever sent.
    pub fn set_read(&mut self, place: Place, row: Seq) {
        let newer = |have: &Marker| have.place.log_id != place.log_id || have.place.seq < place.seq;
        if self.marker.as_ref().is_none_or(newer) {
            self.marker = Some(Marker { place, row });
        }
    }

    /// The next delivery: `None` while one is in flight and not due again, or when there is nothing to say.
    #[must_use]
    pub fn next(&mut self, committed: Seq, now: Millis) -> Option<Flight> {
        if self.due.is_some_and(|due| now < due) {
            return None;
        }
        let seqs: Vec<Seq> =
            self.rows.iter().copied().take_while(|seq| *seq <= committed).take(DELIVER_ROWS_MAX).collect();
        let read = self.marker.map(|marker| marker.place);
        if seqs.is_empty() && read.is_none() {
            self.land();
            return None;
        }
        self.in_flight = Some(InFlight { last: seqs.last().copied().unwrap_or(self.accepted), read });
        self.wait_for_answer(now);
        Some(Flight { prev: self.accepted, seqs, read, adopt: self.adopting })
    }

    /// Shortens the delivery that [`Outbox::next`] just gave to its first `keep` rows (at least one), when their bodies
    /// would be too large together.
    pub fn trim(&mut self, flight: &mut Flight, keep: usize) {
        flight.seqs.truncate(keep.max(1));
        if let (Some(in_flight), Some(last)) = (&mut self.in_flight, flight.seqs.last()) {
            in_flight.last = *last;
        }
    }

    /// The peer has, durably, the chain up to `upto` and the marker `read`. Repetitions and lower values change nothing.
    /// A marker counts as accepted when the peer names a place of the same log at or above it; so a peer echoes also a
    /// marker that names a log which is not its own any more.
    pub fn accepted(&mut self, upto: Seq, read: Option<Place>, now: Millis) {
        let covers = |place: Place| read.is_some_and(|read| read.log_id == place.log_id && read.seq >= place.seq);
        let mut moved = upto > self.accepted;
        self.adopting &= upto < self.accepted;
        self.accepted = self.accepted.max(upto);
        while self.rows.front().is_some_and(|seq| *seq <= upto) {
            self.rows.pop_front();
        }
        if self.marker.is_some_and(|marker| covers(marker.place)) {
            self.marker = None;
            moved = true;
        }
        if let Some(in_flight) = &mut self.in_flight {
            if in_flight.read.is_some_and(covers) {
                in_flight.read = None;
                moved = true;
            }
            if in_flight.last <= self.accepted && in_flight.read.is_none() {
                self.land();
            }
        }
        if moved {
            self.backoff.reset();
            if self.in_flight.is_some() {
                self.wait_for_answer(now);
            }
        }
    }

    /// The peer has only up to `have`, rows that it has not committed included.
    pub fn gap(&mut self, have: Seq, now: Millis) -> Back {
        self.offer_failed(now);
        if have < self.accepted { Back::Reload(have) } else { Back::Covered }
    }

    /// Starts again after `have`; `seqs` is the whole chain after it.
    pub fn go_back(&mut self, have: Seq, seqs: impl IntoIterator<Item = Seq>) {
        self.adopting = false;
        self.accepted = have;
        self.rows = seqs.into_iter().filter(|seq| *seq > have).collect();
        debug_assert!(self.rows.iter().is_sorted(), "the chain rises");
    }

    /// Starts again after `have`, of which the log keeps the chain `seqs`, whose first row is chained to `base` (with no
    /// row: the newest of the chain that ever was). A base above `have` means that rows between are gone: the peer is
    /// asked to adopt it.
    pub fn go_back_to_kept(&mut self, have: Seq, base: Seq, seqs: impl IntoIterator<Item = Seq>) {
        self.go_back(have.max(base), seqs);
        self.adopting = base > have;
    }

    /// The delivery was not taken (queue full, mailbox gone): try again later.
    pub fn offer_failed(&mut self, now: Millis) {
        self.in_flight = None;
        self.due = Some(now.plus(self.backoff.next_ms(1.0)));
    }

    /// When [`Outbox::next`] must be asked again although nothing happened; `None` when only an event can change its
    /// answer.
    #[must_use]
    pub const fn deadline(&self) -> Option<Millis> {
        self.due
    }

    /// Rows that are not accepted.
    #[must_use]
    pub fn unaccepted(&self) -> usize {
        self.rows.len()
    }

    /// Last row of the chain that the peer accepted; zero = none.
    #[must_use]
    pub const fn accepted_upto(&self) -> Seq {
        self.accepted
    }

    /// The oldest row whose effect is not accepted: a message, or the newest read marker. Recovery must find it again.
    #[must_use]
    pub fn oldest_unaccepted(&self) -> Option<Seq> {
        let row = self.rows.front().copied();
        let marker = self.marker.map(|marker| marker.row);
        row.into_iter().chain(marker).min()
    }

    /// Whether there is nothing to say and nothing to wait for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rows.is_empty() && self.marker.is_none()
    }

    fn wait_for_answer(&mut self, now: Millis) {
        self.due = Some(now.plus(self.backoff.next_ms(1.0).max(ANSWER_MS_MIN)));
    }

    fn land(&mut self) {
        self.in_flight = None;
        self.due = None;
        self.backoff.reset();
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::restore(Seq::ZERO, [])
    }
}
