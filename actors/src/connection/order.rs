//! Sends of one connection to one target are taken in the order they came (delivery.md, "Order of pipelined sends").
//!
//! Each send names the one before it that still waits; the mailbox refuses it if that one was not taken. For those that
//! come after a refusal was already answered, the connection remembers the refused message and refuses what follows,
//! until that message comes again, or nothing waits and 2 s have passed.

use std::collections::VecDeque;

use tidings_schema::id::{MessageId, Millis, Uid};

use super::unanswered::Unanswered;
use crate::port::link::OpId;

/// Targets a refusal is remembered for. Beyond it the oldest is forgotten: the mailbox's own check still holds for what
/// was on its way.
pub const REFUSED_TARGETS_MAX: usize = 64;

/// A refusal is forgotten after this long, when nothing waits for an answer.
pub const REFUSED_KEEP_MS: u64 = 2_000;

#[derive(Debug)]
struct Refusal {
    target: Uid,
    message_id: MessageId,
    at: Millis,
    /// By the connection, while sends before it may still have waited for the mailbox.
    here: bool,
}

/// May this send go?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Yes, after this operation of the same connection (0 = none).
    Go(OpId),
    /// No: an earlier send to the same target was refused and has not come again.
    Refuse,
}

/// What was refused, per target.
#[derive(Debug, Default)]
pub struct Order {
    refused: VecDeque<Refusal>,
}

impl Order {
    /// Decides about a send to `target` at `now` (uptime), while `unanswered` wait.
    pub fn admit(&mut self, target: &Uid, message_id: MessageId, unanswered: &Unanswered, now: Millis) -> Verdict {
        if let Some(at) = self.refused.iter().position(|refusal| refusal.target == *target) {
            let refusal = &self.refused[at];
            let is_it = refusal.message_id == message_id;
            let given_up = unanswered.is_empty() && now.since(refusal.at) >= REFUSED_KEEP_MS;
            if !is_it && !given_up {
                return Verdict::Refuse;
            }
            self.refused.remove(at);
            if self.refused.is_empty() {
                self.refused = VecDeque::new();
            }
        }
        Verdict::Go(unanswered.last_send_to(target))
    }

    /// The mailbox refused a send with 5xxx. The first refused send to a target is the one that must come again: it came
    /// before any that was refused here meanwhile.
    pub fn refused(&mut self, target: &Uid, message_id: MessageId, now: Millis) {
        self.refused.retain(|refusal| !(refusal.here && refusal.target == *target));
        self.note(target, message_id, now, false);
    }

    /// The connection refused a send itself, with 5xxx.
    pub fn refused_here(&mut self, target: &Uid, message_id: MessageId, now: Millis) {
        self.note(target, message_id, now, true);
    }

    fn note(&mut self, target: &Uid, message_id: MessageId, at: Millis, here: bool) {
        if self.refused.iter().any(|refusal| refusal.target == *target) {
            return;
        }
        if self.refused.len() == REFUSED_TARGETS_MAX {
            self.refused.pop_front();
            metrics::counter!("tidings_refusals_forgotten_total").increment(1);
        }
        self.refused.push_back(Refusal { target: target.clone(), message_id, at, here });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::unanswered::{Kind, Pending};

    fn id(n: u8) -> MessageId {
        MessageId::v7(Millis::new(1), [n; 10])
    }

    fn uid(text: &str) -> Uid {
        text.parse().unwrap()
    }

    fn waiting(sends: &[(OpId, &str)]) -> Unanswered {
        let mut unanswered = Unanswered::default();
        for &(op_id, to) in sends {
            unanswered.push(Pending { op_id, deadline: Millis::new(9), kind: Kind::Send(uid(to), id(9)) });
        }
        unanswered
    }

    #[test]
    fn a_send_names_the_one_before_it_to_the_same_target() {
        let mut order = Order::default();
        let unanswered = waiting(&[(4, "bob"), (5, "eve")]);
        assert_eq!(order.admit(&uid("bob"), id(1), &unanswered, Millis::new(0)), Verdict::Go(4));
        assert_eq!(order.admit(&uid("ann"), id(1), &unanswered, Millis::new(0)), Verdict::Go(0));
    }

    #[test]
    fn what_follows_a_refused_send_is_refused_until_that_send_comes_again() {
        let mut order = Order::default();
        let none = Unanswered::default();
        let now = Millis::new(0);
        order.refused(&uid("bob"), id(1), now);
        order.refused(&uid("bob"), id(2), now);
        assert_eq!(order.admit(&uid("bob"), id(2), &none, now), Verdict::Refuse);
        assert_eq!(order.admit(&uid("eve"), id(3), &none, now), Verdict::Go(0));
        assert_eq!(order.admit(&uid("bob"), id(1), &none, now), Verdict::Go(0));
        assert_eq!(order.admit(&uid("bob"), id(2), &none, now), Verdict::Go(0));
    }

    #[test]
    fn what_the_mailbox_refuses_came_before_what_was_refused_here_meanwhile() {
        let (mut order, none, now) = (Order::default(), Unanswered::default(), Millis::new(0));
        order.refused_here(&uid("bob"), id(2), now);
        order.refused(&uid("bob"), id(1), now);
        order.refused(&uid("bob"), id(3), now);
        assert_eq!(order.admit(&uid("bob"), id(2), &none, now), Verdict::Refuse);
        assert_eq!(order.admit(&uid("bob"), id(1), &none, now), Verdict::Go(0));
    }

    #[test]
    fn a_refusal_is_forgotten_when_nothing_waits_and_two_seconds_passed() {
        let mut order = Order::default();
        order.refused(&uid("bob"), id(1), Millis::new(0));
        let late = Millis::new(REFUSED_KEEP_MS);
        assert_eq!(order.admit(&uid("bob"), id(2), &waiting(&[(1, "eve")]), late), Verdict::Refuse);
        assert_eq!(order.admit(&uid("bob"), id(2), &Unanswered::default(), Millis::new(1_999)), Verdict::Refuse);
        assert_eq!(order.admit(&uid("bob"), id(2), &Unanswered::default(), late), Verdict::Go(0));
    }

    #[test]
    fn the_oldest_of_too_many_targets_is_forgotten() {
        let mut order = Order::default();
        for n in 0..=REFUSED_TARGETS_MAX {
            order.refused(&uid(&format!("u{n}")), id(1), Millis::new(0));
        }
        assert_eq!(order.admit(&uid("u0"), id(2), &Unanswered::default(), Millis::new(0)), Verdict::Go(0));
        assert_eq!(order.admit(&uid("u1"), id(2), &Unanswered::default(), Millis::new(0)), Verdict::Refuse);
    }
}
