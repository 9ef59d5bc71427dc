//! The hub of one edge worker: knows its connections, writes the frames of groups to those that want them, sweeps those
//! that are due once a second, and says good-bye to all when the node stops.
//!
//! Heartbeats, deadlines and retries of a connection are checked by the sweep, not by timers of its own: an idle
//! connection costs one comparison a second.

mod acks;
pub mod census;
mod groups;
mod roster;
mod rounds;
#[cfg(test)]
mod tests;

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::prelude::*;
use tracing::{debug, warn};

use crate::{
    connection::{Leave, Parts, Sweep},
    offer::offer,
    port::clock::Clock,
};

pub(crate) use acks::Ack;
pub use acks::{ACK_DELAY, ACKS_MAX};
pub use groups::{GROUP_ROOM_BYTES, HEAD_ROOM_BYTES, ROUND_BYTES_MAX};
pub(crate) use groups::{Joining, Owed};
pub(crate) use roster::Pulse;
pub use roster::Roster;
pub use rounds::{ROUND_OFFERS_MAX, TURN_STEPS_MAX};

/// Time between two sweeps.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// A wall clock that moved by so much against uptime was set; less is drift, and collects until it is that much.
const WALL_JUMP_MS: u64 = 2_000;

/// One per edge worker; shares its [`Roster`] with the connections of that worker.
pub struct Hub {
    roster: Rc<Roster>,
    parts: Rc<Parts>,
    /// Wall time less uptime, when the ends of tokens were last looked at.
    wall_ahead: u64,
}

impl Hub {
    /// A hub over the connections of this thread.
    #[must_use]
    pub fn new(roster: Rc<Roster>, parts: Rc<Parts>) -> Self {
        let wall_ahead = wall_ahead(&*parts.clock);
        Self { roster, parts, wall_ahead }
    }

    fn sweep(&mut self) {
        let now = self.parts.clock.uptime();
        for connection in if self.wall_jumped() { self.roster.everyone() } else { self.roster.due(now) } {
            // Full: it stays due and is swept a second later. Closed: it is unregistering itself.
            let _ = offer(&connection, Sweep { now });
        }
    }
}

impl Hub {
    /// Connections know by uptime when their token ends; a wall clock that was set makes that wrong.
    fn wall_jumped(&mut self) -> bool {
        let wall_ahead = wall_ahead(&*self.parts.clock);
        let jumped = wall_ahead.abs_diff(self.wall_ahead) >= WALL_JUMP_MS;
        if jumped {
            warn!(from_ms = self.wall_ahead, to_ms = wall_ahead, "the clock of this machine was set");
            metrics::counter!("tidings_clock_jumps_total").increment(1);
            self.wall_ahead = wall_ahead;
        }
        jumped
    }
}

fn wall_ahead(clock: &dyn Clock) -> u64 {
    clock.now().since(clock.uptime())
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SWEEP_INTERVAL, |hub, _| hub.sweep());
        let lane = Arc::clone(self.roster.groups().lane());
        ctx.spawn(rounds::Rounds::new(lane));
        ctx.spawn(acks::TellOwners::default());
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.roster.groups().lane().close();
    }
}

/// The node stops: every connection says `go_away`, answers what waits, and closes. Clients come back after `reconnect_after_ms` and up to as
/// long again, so that they do not all come at once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Earliest time for a client to come back.
    pub reconnect_after_ms: u64,
    /// How long operations that wait may still be answered.
    pub answers_ms: u64,
}

impl Handler<Drain> for Hub {
    type Result = ();

    fn handle(&mut self, drain: Drain, _: &mut Self::Context) {
        let all = self.roster.everyone();
        debug!(connections = all.len(), "draining connections");
        for (number, connection) in (0..).zip(all) {
            let reconnect_after_ms = drain.reconnect_after_ms.saturating_add(spread(number, drain.reconnect_after_ms));
            // Full: its client learns from the end of the socket.
            let _ = offer(&connection, Leave { reconnect_after_ms, answers_ms: drain.answers_ms });
        }
    }
}

/// A number below `within` that is evenly spread over neighbouring connection numbers (Fibonacci hashing).
fn spread(connection: u64, within: u64) -> u64 {
    connection.wrapping_mul(0x9e37_79b9_7f4a_7c15).checked_rem(within).unwrap_or(0)
}
