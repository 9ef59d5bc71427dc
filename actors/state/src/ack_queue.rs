//! Deliveries to one device on one connection: what may be pushed now, what is not acknowledged, what to send again, and
//! when to give up.
//!
//! A device is catching up (pages are read from the log for it) or live (commits are pushed as they come). There is no
//! second buffer: where a push finds no room, the device falls back to catching up from the last thing it was sent.

use std::collections::VecDeque;

use tidings_schema::id::{Millis, Seq};

/// Entries that may be pushed and not acknowledged. When there are as many, the device catches up after its next ack.
pub const ACK_WINDOW_ENTRIES: usize = 256;
/// Bytes of the same, unless it is one entry.
pub const ACK_WINDOW_BYTES: usize = 256 * 1024;
/// Bytes that may wait in the connection's out queue, unless it is one entry; the same overflow.
pub const UNDRAINED_BYTES_MAX: usize = 64 * 1024;
/// How long after it left the out queue an entry may stay unacknowledged, in ms; then it is sent again, once.
pub const ACK_TIMEOUT_MS: u64 = 10_000;

/// How much may be pushed. Into an empty queue one entry of any size goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Entries.
    pub entries: usize,
    /// Bytes of them.
    pub bytes: usize,
}

/// What becomes of entries that were just committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Live {
    /// Push them now, then report [`AckQueue::pushed`].
    Push,
    /// Not now: the device catches up; tell it the head only.
    Later,
}

/// What a device that catches up needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Want {
    /// Nothing: it is live, or there is no room.
    Nothing,
    /// Entries after `after`, as many as there is room for (at least one).
    Page {
        /// Last entry it was sent.
        after: Seq,
        /// Limits of the page.
        room: Room,
    },
}

/// What an ack did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum AckOutcome {
    /// The cursor moved.
    Moved,
    /// It was there already.
    Stale,
    /// It is above the head and was ignored.
    AboveHead,
}

/// What time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Send entries `after < seq <= upto` again, then report [`AckQueue::redelivered`].
    Redeliver {
        /// The entry before the first one.
        after: Seq,
        /// The last one.
        upto: Seq,
    },
    /// They were sent twice and not acknowledged: close the connection.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Second,
}

#[derive(Clone, Copy, Debug)]
struct Unacked {
    seq: Seq,
    bytes: usize,
    attempt: Attempt,
    /// When this attempt left the out queue.
    drained: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    CatchingUp,
    Live,
}

/// Unacknowledged deliveries of one device.
#[derive(Clone, Debug)]
pub struct AckQueue {
    state: State,
    acked: Seq,
    /// Last entry that was pushed, or that the device said it has.
    sent: Seq,
    window: VecDeque<Unacked>,
    unacked_bytes: usize,
    undrained_bytes: usize,
    /// A page found no room for its first entry; asking again is of no use before room grows.
    stalled: bool,
}

impl AckQueue {
    /// A device that has everything up to `resume_after`. It catches up first.
    #[must_use]
    pub const fn attach(resume_after: Seq) -> Self {
        Self {
            state: State::CatchingUp,
            acked: resume_after,
            sent: resume_after,
            window: VecDeque::new(),
            unacked_bytes: 0,
            undrained_bytes: 0,
            stalled: false,
        }
    }

    /// These entries (seq, bytes) were just committed. All or nothing: what has no room makes the device catch up.
    pub fn live(&mut self, entries: &[(Seq, usize)]) -> Live {
        if self.state == State::Live && self.fitting(entries) == entries.len() {
            return Live::Push;
        }
        self.state = State::CatchingUp;
        Live::Later
    }

    /// What to read for this device. In the turn in which everything committed was sent it becomes live.
    pub fn wants(&mut self, committed: Seq) -> Want {
        match self.state {
            State::Live => Want::Nothing,
            State::CatchingUp if self.sent >= committed => {
                self.state = State::Live;
                Want::Nothing
            }
            State::CatchingUp => {
                let room = self.room();
                if self.stalled || room.entries == 0 || room.bytes == 0 {
                    return Want::Nothing;
                }
                Want::Page { after: self.sent, room }
            }
        }
    }

    /// How many entries of a page may be pushed: a prefix. When it does not follow what was sent (the device fell back
    /// while the page was read), or its first entry has no room: none.
    #[must_use]
    pub fn fit(&mut self, page: &[(Seq, usize)]) -> usize {
        let fitting = self.fitting(page);
        let follows = page.first().is_some_and(|(seq, _)| *seq == self.sent.next());
        self.stalled = fitting == 0 && follows;
        fitting
    }

    /// These entries were pushed, and wait in the connection's out queue.
    pub fn pushed(&mut self, entries: &[(Seq, usize)]) {
        for &(seq, bytes) in entries {
            debug_assert!(seq == self.sent.next(), "pushes are contiguous");
            self.window.push_back(Unacked { seq, bytes, attempt: Attempt::First, drained: None });
            self.unacked_bytes += bytes;
            self.undrained_bytes += bytes;
            self.sent = seq;
        }
    }

    /// The device has everything up to `upto`; `head` is the committed head. What is acknowledged has left the out queue.
    pub fn ack(&mut self, upto: Seq, head: Seq) -> AckOutcome {
        if upto > head {
            return AckOutcome::AboveHead;
        }
        if upto <= self.acked {
            return AckOutcome::Stale;
        }
        self.acked = upto;
        self.sent = self.sent.max(upto);
        while let Some(front) = self.window.front().copied().filter(|front| front.seq <= upto) {
            self.window.pop_front();
            self.forget(front);
        }
        AckOutcome::Moved
    }

    /// Entries up to `upto` have left the out queue: their time-out runs from now.
    pub fn drained(&mut self, upto: Seq, now: Millis) {
        for entry in self.window.iter_mut().take_while(|entry| entry.seq <= upto) {
            if entry.drained.is_none() {
                entry.drained = Some(now);
                self.undrained_bytes -= entry.bytes;
                self.stalled = false;
            }
        }
    }

    /// The connection did not forward what came after `last`: catch up from there. When it had forwarded more than this
    /// queue knows of (a mailbox before this one pushed it), that counts as sent.
    pub fn dropped(&mut self, last: Seq) {
        if last > self.sent {
            while let Some(front) = self.window.pop_front() {
                self.forget(front);
            }
            self.sent = last;
        }
        while let Some(back) = self.window.back().copied().filter(|back| back.seq > last) {
            self.window.pop_back();
            self.forget(back);
        }
        self.sent = self.sent.min(last).max(self.acked);
        self.state = State::CatchingUp;
        self.stalled = false;
    }

    /// What to do at `now`.
    pub fn due(&self, now: Millis) -> Due {
        if self.give_up_at().is_some_and(|at| now >= at) {
            return Due::Dead;
        }
        let Some((first, _)) = self.resend_at().filter(|(_, at)| now >= *at) else {
            return Due::Nothing;
        };
        let mut bytes = self.undrained_bytes;
        let mut last = first;
        for entry in self.window.range(first..) {
            let timed_out = entry.drained.is_some_and(|drained| now >= drained.plus(ACK_TIMEOUT_MS));
            bytes += entry.bytes;
            if entry.attempt == Attempt::Second || !timed_out || (last > first && bytes > UNDRAINED_BYTES_MAX) {
                break;
            }
            last += 1;
        }
        match (self.window.get(first), self.window.get(last.saturating_sub(1))) {
            (Some(from), Some(to)) => Due::Redeliver { after: from.seq.prev(), upto: to.seq },
            _ => Due::Nothing,
        }
    }

    /// Entries `after < seq <= upto` were pushed again, and wait in the out queue.
    pub fn redelivered(&mut self, after: Seq, upto: Seq) {
        for entry in self.window.iter_mut().filter(|entry| after < entry.seq && entry.seq <= upto) {
            if entry.drained.take().is_some() {
                self.undrained_bytes += entry.bytes;
            }
            entry.attempt = Attempt::Second;
        }
    }

    /// Earliest time at which [`AckQueue::due`] says something; `None` when only an event can change its answer.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let resend = self.resend_at().map(|(_, at)| at);
        self.give_up_at().into_iter().chain(resend).min()
    }

    /// How much may be pushed now.
    #[must_use]
    pub fn room(&self) -> Room {
        let entries = ACK_WINDOW_ENTRIES - self.window.len().min(ACK_WINDOW_ENTRIES);
        let window = ACK_WINDOW_BYTES.saturating_sub(self.unacked_bytes);
        Room { entries, bytes: window.min(UNDRAINED_BYTES_MAX.saturating_sub(self.undrained_bytes)) }
    }

    /// The device's cursor: it has everything up to here.
    #[must_use]
    pub const fn acked(&self) -> Seq {
        self.acked
    }

    /// The last entry that was sent, or that the device said it has. A push names it as the one before.
    #[must_use]
    pub const fn sent(&self) -> Seq {
        self.sent
    }

    /// Whether commits are pushed as they come.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// Entries that are pushed and not acknowledged.
    #[must_use]
    pub fn unacked(&self) -> usize {
        self.window.len()
    }

    /// Length of the longest prefix that follows what was sent and has room.
    fn fitting(&self, entries: &[(Seq, usize)]) -> usize {
        let room = self.room();
        let (mut expected, mut total, mut count) = (self.sent.next(), 0_usize, 0);
        for &(seq, bytes) in entries {
            total += bytes;
            let alone = count == 0 && self.undrained_bytes == 0 && self.has_window_for(bytes);
            if seq != expected || count == room.entries || (total > room.bytes && !alone) {
                break;
            }
            expected = seq.next();
            count += 1;
        }
        count
    }

    fn has_window_for(&self, bytes: usize) -> bool {
        self.window.is_empty() || self.unacked_bytes + bytes <= ACK_WINDOW_BYTES
    }

    fn forget(&mut self, entry: Unacked) {
        self.unacked_bytes -= entry.bytes;
        if entry.drained.is_none() {
            self.undrained_bytes -= entry.bytes;
        }
        self.stalled = false;
    }

    fn give_up_at(&self) -> Option<Millis> {
        let front = self.window.front().filter(|front| front.attempt == Attempt::Second)?;
        front.drained.map(|drained| drained.plus(ACK_TIMEOUT_MS))
    }

    /// The first entry that was sent once only, and when it is due again; `None` while it waits in the out queue, or the
    /// out queue has no room for it.
    fn resend_at(&self) -> Option<(usize, Millis)> {
        let first = self.window.iter().position(|entry| entry.attempt == Attempt::First)?;
        let entry = self.window.get(first)?;
        let fits = self.undrained_bytes == 0 || self.undrained_bytes + entry.bytes <= UNDRAINED_BYTES_MAX;
        entry.drained.filter(|_| fits).map(|drained| (first, drained.plus(ACK_TIMEOUT_MS)))
    }
}
