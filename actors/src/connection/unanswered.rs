//! The operations of one connection that wait for their answer: at most 64, each with a deadline.

use std::collections::VecDeque;

use tidings_schema::id::{MessageId, Millis, Uid};

use crate::port::link::OpId;

/// Operations one connection may wait for. At the limit its socket is not read until one is answered.
pub const UNANSWERED_MAX: usize = 64;

/// One operation that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The client's id for it.
    pub op_id: OpId,
    /// When it is answered with "outcome unknown" (uptime).
    pub deadline: Millis,
    /// What kind.
    pub kind: Kind,
}

/// What must be known of a waiting operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Send(Uid, MessageId),
    /// One whose answer is a page.
    Page,
    /// Any other.
    Other,
}

/// In order of arrival, which is also that of the deadlines.
#[derive(Debug, Default)]
pub struct Unanswered {
    pending: VecDeque<Pending>,
}

impl Unanswered {
    /// Whether one more may wait.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pending.len() < UNANSWERED_MAX
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether this id waits.
    #[must_use]
    pub fn contains(&self, op_id: OpId) -> bool {
        self.pending.iter().any(|pending| pending.op_id == op_id)
    }

    /// One more waits. The caller has looked for room.
    pub fn push(&mut self, pending: Pending) {
        debug_assert!(self.has_room(), "the socket is not read at the limit");
        self.pending.push_back(pending);
    }

    /// The answer came. `None`: it does not wait (any more).
    pub fn take(&mut self, op_id: OpId) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.op_id == op_id)?;
        let taken = self.pending.remove(at);
        // A quiet connection keeps nothing.
        if self.pending.is_empty() {
            self.pending = VecDeque::new();
        }
        taken
    }

    /// The oldest one whose deadline has passed; it does not wait any more.
    pub fn take_expired(&mut self, now: Millis) -> Option<Pending> {
        if self.next_deadline()? > now { None } else { self.pending.pop_front() }
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        self.pending.front().map(|pending| pending.deadline)
    }

    /// Id of the newest waiting send to this target; 0 = none.
    #[must_use]
    pub fn last_send_to(&self, target: &Uid) -> OpId {
        let to_target = |pending: &&Pending| matches!(&pending.kind, Kind::Send(to, _) if to == target);
        self.pending.iter().rev().find(to_target).map_or(0, |pending| pending.op_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(op_id: OpId, kind: Kind) -> Pending {
        Pending { op_id, deadline: Millis::new(op_id * 10), kind }
    }

    #[test]
    fn an_operation_is_answered_once_or_expires_once() {
        let mut unanswered = Unanswered::default();
        unanswered.push(pending(1, Kind::Other));
        unanswered.push(pending(2, Kind::Page));
        assert_eq!(unanswered.take(1).map(|p| p.op_id), Some(1));
        assert_eq!(unanswered.take(1), None);
        assert_eq!(unanswered.take_expired(Millis::new(19)), None);
        assert_eq!(unanswered.take_expired(Millis::new(20)).map(|p| p.op_id), Some(2));
        assert!(unanswered.is_empty());
    }

    #[test]
    fn there_is_room_for_64() {
        let mut unanswered = Unanswered::default();
        for op_id in 1..=64 {
            assert!(unanswered.has_room());
            unanswered.push(pending(op_id, Kind::Other));
        }
        assert!(!unanswered.has_room());
    }

    #[test]
    fn the_newest_send_to_a_target_is_found() {
        let (bob, eve): (Uid, Uid) = ("bob".parse().unwrap(), "eve".parse().unwrap());
        let id = MessageId::v7(Millis::new(1), [1; 10]);
        let mut unanswered = Unanswered::default();
        for (op_id, to) in [(1, &bob), (2, &bob), (3, &eve)] {
            unanswered.push(pending(op_id, Kind::Send(to.clone(), id)));
        }
        assert_eq!(unanswered.last_send_to(&bob), 2);
        assert!(unanswered.take(2).is_some());
        assert_eq!(unanswered.last_send_to(&bob), 1);
        assert!(unanswered.take(1).is_some());
        assert_eq!(unanswered.last_send_to(&bob), 0);
    }
}
