//! `typing`: straight from this connection to the mailbox of whoever is written to. Kept nowhere, answered never, and lost
//! without a word when anything on its way is full.

use tidings_schema::{
    error_code::ErrorCode,
    id::{Millis, Uid},
    wire,
};

use super::{Connection, request::uid};
use crate::port::link::{OpId, PeerMessage, Say};

/// Shortest time between two that reach the same user, in milliseconds; those between are dropped.
pub const TYPING_INTERVAL_MS: u64 = 1_000;

/// Whom this connection last told that it is writing, and when.
pub(super) type LastTyping = Option<(Uid, Millis)>;

impl Connection {
    pub(super) fn typing(&mut self, op_id: OpId, typing: wire::Typing) {
        let to = match typing.to.and_then(|to| to.target) {
            Some(wire::target::Target::Uid(text)) => match uid("to.uid", &text) {
                Ok(to) => to,
                Err(refusal) => return self.error(op_id, refusal.0, refusal.1),
            },
            None => return self.error(op_id, ErrorCode::BadField, "to is missing"),
        };
        let now = self.parts.clock.uptime();
        let again = |(last, at): &(Uid, Millis)| *last == to && now.since(*at) < TYPING_INTERVAL_MS;
        let Some(from) = self.identity.as_ref().map(|identity| identity.uid.clone()) else { return };
        if to == from || to.is_system() || self.typing.as_ref().is_some_and(again) {
            return;
        }
        self.typing = Some((to.clone(), now));
        let shard = to.shard(self.parts.shards);
        if !self.parts.link.peer(shard, PeerMessage { from, to, say: Say::Typing }).is_taken() {
            metrics::counter!("tidings_events_dropped_total").increment(1);
        }
    }
}
