//! What was pushed to one connection: no hole on the wire, what has left the out queue, and what the mailbox must still
//! be told of it (delivery.md, "No hole on the wire").

use std::collections::VecDeque;

use tidings_schema::id::Seq;

use crate::port::link::Op;

/// The mailbox hears of drained pushes at once when so many bytes were pushed since it last did; else at the next sweep.
pub const DRAINED_REPORT_BYTES: usize = 16 * 1024;

/// What the mailbox is owed. Each keeps its newest value until it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A push was not forwarded; this was the last that was.
    Dropped(Seq),
    /// The client acknowledged.
    Ack(Seq),
    /// Pushes left the out queue.
    Drained(Seq),
}

impl Report {
    /// As an operation.
    #[must_use]
    pub fn op(self) -> Op {
        match self {
            Self::Dropped(last) => Op::Dropped(last),
            Self::Ack(upto) => Op::Ack(upto),
            Self::Drained(upto) => Op::Drained(upto),
        }
    }
}

/// Pushes of the inbox to one connection.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// The last seq that was forwarded.
    last: Seq,
    /// Highest seq known to be in the inbox.
    head: Seq,
    /// Highest seq the client said it has.
    acked: Seq,
    /// (number of the frame in the outlet, its last seq), oldest first. Bounded by the mailbox's ack window.
    queued: VecDeque<(u64, Seq)>,
    drained: Seq,
    /// Bytes forwarded since the last report.
    unreported_bytes: usize,
    dropped_owed: Option<Seq>,
    ack_owed: Option<Seq>,
    drained_owed: Option<Seq>,
}

impl Deliveries {
    /// The connection was welcomed: pushes follow after `resume_after`.
    pub fn begin(&mut self, resume_after: Seq, head: Seq) {
        self.last = resume_after;
        self.drained = resume_after;
        self.head = self.head.max(head);
    }

    /// Highest seq known to be in the inbox.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.head
    }

    /// The inbox has grown.
    pub fn raise_head(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// Whether a push that follows `after` leaves no hole.
    #[must_use]
    pub fn fits(&self, after: Seq) -> bool {
        // The mailbox skips what the client acknowledged without having been pushed it (it pulled it).
        let pulled = after > self.last && after <= self.acked;
        after == self.last || pulled
    }

    /// A push up to `last` went into the outlet as its frame number `frame`.
    pub fn forwarded(&mut self, last: Seq, frame: u64, bytes: usize) {
        self.last = self.last.max(last);
        self.raise_head(last);
        self.queued.push_back((frame, last));
        self.unreported_bytes = self.unreported_bytes.saturating_add(bytes);
    }

    /// Entries that were forwarded before went into the outlet again as its frame number `frame`.
    pub fn repeated(&mut self, frame: u64, bytes: usize) {
        self.forwarded(self.last, frame, bytes);
    }

    /// Entries that were to be repeated found no room; the mailbox need not wait for them.
    pub fn not_repeated(&mut self) {
        self.drained_owed = Some(self.drained);
    }

    /// A push was not forwarded. The mailbox must hear of it.
    pub fn dropped(&mut self) {
        metrics::counter!("tidings_pushes_dropped_total").increment(1);
        self.dropped_owed = Some(self.last);
    }

    /// The client acknowledged everything up to `upto`.
    pub fn acked(&mut self, upto: Seq) {
        self.acked = self.acked.max(upto);
        self.ack_owed = self.ack_owed.max(Some(upto));
    }

    /// What was acknowledged last is above the head and counts for nothing.
    pub fn not_acked(&mut self) {
        self.acked = self.last;
    }

    /// The outlet wrote its first `frames` frames in full. Says whether a report is due at the next sweep.
    pub fn left(&mut self, frames: u64) {
        while let Some(&(_, last)) = self.queued.front().filter(|(frame, _)| *frame <= frames) {
            self.queued.pop_front();
            self.drained = self.drained.max(last);
            // A repetition may drain a second time what drained before; that counts too.
            self.drained_owed = Some(self.drained);
        }
        if self.queued.is_empty() {
            // An idle connection keeps nothing.
            self.queued = VecDeque::new();
        }
    }

    /// Whether drained pushes are worth a report before the next sweep.
    #[must_use]
    pub fn report_now(&self) -> bool {
        self.queued.is_empty() && self.unreported_bytes >= DRAINED_REPORT_BYTES
    }

    /// The next thing to tell the mailbox that cannot wait for the sweep.
    #[must_use]
    pub fn urgent(&self) -> Option<Report> {
        self.dropped_owed.map(Report::Dropped).or(self.ack_owed.map(Report::Ack))
    }

    /// The next thing to tell the mailbox.
    #[must_use]
    pub fn owed(&self) -> Option<Report> {
        self.urgent().or(self.drained_owed.map(Report::Drained))
    }

    /// The mailbox took it.
    pub fn told(&mut self, report: Report) {
        match report {
            Report::Dropped(_) => self.dropped_owed = None,
            Report::Ack(_) => self.ack_owed = None,
            Report::Drained(_) => {
                self.drained_owed = None;
                self.unreported_bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(seq: u64) -> Seq {
        Seq::new(seq)
    }

    #[test]
    fn only_the_push_after_the_last_one_fits() {
        let mut deliveries = Deliveries::default();
        deliveries.begin(seq(5), seq(9));
        assert!(deliveries.fits(seq(5)));
        assert!(!deliveries.fits(seq(6)));
        deliveries.forwarded(seq(7), 1, 10);
        assert!(!deliveries.fits(seq(5)));
        assert!(deliveries.fits(seq(7)));
        deliveries.dropped();
        assert_eq!(deliveries.owed(), Some(Report::Dropped(seq(7))));
    }

    #[test]
    fn drained_is_reported_once_and_only_when_frames_left() {
        let mut deliveries = Deliveries::default();
        deliveries.begin(seq(0), seq(0));
        deliveries.forwarded(seq(3), 2, 20_000);
        deliveries.forwarded(seq(4), 3, 10);
        deliveries.left(1);
        assert_eq!(deliveries.owed(), None);
        deliveries.left(2);
        assert!(!deliveries.report_now());
        assert_eq!(deliveries.owed(), Some(Report::Drained(seq(3))));
        deliveries.left(3);
        assert!(deliveries.report_now());
        deliveries.told(Report::Drained(seq(4)));
        assert_eq!(deliveries.owed(), None);
        assert!(!deliveries.report_now());
    }

    #[test]
    fn of_acks_the_highest_is_kept() {
        let mut deliveries = Deliveries::default();
        deliveries.acked(seq(4));
        deliveries.acked(seq(2));
        assert_eq!(deliveries.owed(), Some(Report::Ack(seq(4))));
    }
}
