//! `typing`: straight from this connection to the mailbox of whoever is written to. Kept nowhere, answered never, and lost
//! without a word when anything on its way is full.

use tidings_schema::{
    error_code::ErrorCode,
    id::{Millis, Uid},
    wire,
};
use tidings_state::limiter::Limiter;

use super::{Connection, request::uid};
use crate::port::link::{OpId, PeerMessage, Say};

/// Shortest time between two that reach the same user, in milliseconds; those between are dropped.
pub const TYPING_INTERVAL_MS: u64 = 1_000;

/// Those of one connection to anybody, per second and at once.
const TYPINGS_PER_S: u32 = 2;
const TYPINGS_BURST: u32 = 4;

/// Whom a connection told that it is writing.
pub(super) struct Typing {
    last: Option<(Uid, Millis)>,
    limiter: Limiter,
}

impl Typing {
    fn new(now: Millis) -> Self {
        Self { last: None, limiter: Limiter::new(TYPINGS_PER_S, TYPINGS_BURST, now) }
    }

    /// Whether this one leaves: not so soon after the last to the same user, and not too many to all.
    fn may_tell(&mut self, to: &Uid, now: Millis) -> bool {
        let again = self.last.as_ref().is_some_and(|(last, at)| last == to && now.since(*at) < TYPING_INTERVAL_MS);
        if again || self.limiter.allows(now).is_err() {
            return false;
        }
        self.last = Some((to.clone(), now));
        true
    }
}

impl Connection {
    pub(super) fn typing(&mut self, op_id: OpId, typing: wire::Typing) {
        let to = match typing.to.and_then(|to| to.target) {
            Some(wire::target::Target::Uid(text)) => match uid("to.uid", &text) {
                Ok(to) => to,
                Err(refusal) => return self.error(op_id, refusal.0, refusal.1),
            },
            Some(wire::target::Target::Gid(_)) => {
                return self.error(op_id, ErrorCode::UnknownOp, "operation is not known");
            }
            None => return self.error(op_id, ErrorCode::BadField, "to is missing"),
        };
        let now = self.parts.clock.uptime();
        let Some(from) = self.identity.as_ref().map(|identity| identity.uid.clone()) else { return };
        let typing = self.typing.get_or_insert_with(|| Box::new(Typing::new(now)));
        if to == from || to.is_system() || !typing.may_tell(&to, now) {
            return;
        }
        let shard = to.shard(self.parts.shards);
        if !self.parts.link.peer(shard, PeerMessage { from, to, say: Say::Typing }).is_taken() {
            metrics::counter!("tidings_events_dropped_total").increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_reaches_a_user_and_two_a_second_leave_whoever_they_are_for() {
        let (bob, eve): (Uid, Uid) = ("bob".parse().unwrap(), "eve".parse().unwrap());
        let at = Millis::new;
        let mut typing = Typing::new(at(0));
        assert!(typing.may_tell(&bob, at(0)));
        assert!(!typing.may_tell(&bob, at(999)), "too soon");
        assert!(typing.may_tell(&bob, at(1_000)));
        let flood = (0..1_000).filter(|n| typing.may_tell(if n % 2 == 0 { &bob } else { &eve }, at(1_000 + n))).count();
        assert!((3..=6).contains(&flood), "{flood} within a second, in turns to two users");
    }
}
