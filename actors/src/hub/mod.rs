//! The hub of one edge worker: knows its connections, sweeps those that are due once a second, and says good-bye to all
//! when the node stops.
//!
//! Heartbeats, deadlines and retries of a connection are checked by the sweep, not by timers of its own: an idle
//! connection costs one comparison a second.

pub mod census;
mod roster;

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::prelude::*;
use tracing::debug;

use crate::{
    connection::{GoAway, Sweep},
    offer::offer,
    port::clock::Clock,
};

pub use roster::{Pulse, Roster};

/// Time between two sweeps.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// One per edge worker; shares its [`Roster`] with the connections of that worker.
pub struct Hub {
    roster: Rc<Roster>,
    clock: Arc<dyn Clock>,
}

impl Hub {
    /// A hub over the connections of this thread.
    #[must_use]
    pub fn new(roster: Rc<Roster>, clock: Arc<dyn Clock>) -> Self {
        Self { roster, clock }
    }

    fn sweep(&self) {
        let now = self.clock.uptime();
        for connection in self.roster.due(now) {
            // Full: it stays due and is swept a second later. Closed: it is unregistering itself.
            let _ = offer(&connection, Sweep { now });
        }
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(SWEEP_INTERVAL, |hub, _| hub.sweep());
    }
}

/// The node stops: every connection says `go_away` and closes. Clients come back after `reconnect_after_ms` and up to as
/// long again, so that they do not all come at once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Earliest time for a client to come back.
    pub reconnect_after_ms: u64,
}

impl Handler<Drain> for Hub {
    type Result = ();

    fn handle(&mut self, drain: Drain, _: &mut Self::Context) {
        let all = self.roster.all();
        debug!(connections = all.len(), "draining connections");
        for (number, connection) in all {
            let reconnect_after_ms = drain.reconnect_after_ms.saturating_add(spread(number, drain.reconnect_after_ms));
            // Full: the connection gets its 1001 from the server's stop instead.
            let _ = offer(&connection, GoAway::drain(reconnect_after_ms));
        }
    }
}

/// A number below `within` that is evenly spread over neighbouring connection numbers (Fibonacci hashing).
fn spread(connection: u64, within: u64) -> u64 {
    connection.wrapping_mul(0x9e37_79b9_7f4a_7c15).checked_rem(within).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnects_are_spread_over_the_whole_time() {
        let times: Vec<u64> = (0..1000).map(|number| spread(number, 1000)).collect();
        for tenth in 0..10 {
            let hits = times.iter().filter(|&&ms| ms / 100 == tenth).count();
            assert!((50..200).contains(&hits), "{hits} in tenth {tenth}");
        }
        assert_eq!(spread(7, 0), 0);
    }
}
