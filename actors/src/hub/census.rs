//! How many connections a node has, may have, and may accept per second. Counts hold for all workers together.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use tidings_schema::id::Millis;
use tidings_state::limiter::Limiter;
use tokio::sync::watch;

/// Bounds of a node. What is over a bound is refused before the upgrade, and counted in
/// `tidings_connections_refused_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CensusLimits {
    /// Connections at a time.
    pub connections_max: usize,
    /// Connections that have not said a valid `hello` yet, at a time.
    pub unauthenticated_max: usize,
    /// New connections per second.
    pub accepts_per_s: u32,
    /// New connections at once, after a quiet time.
    pub accepts_burst: u32,
}

impl Default for CensusLimits {
    fn default() -> Self {
        Self { connections_max: 100_000, unauthenticated_max: 10_000, accepts_per_s: 5_000, accepts_burst: 10_000 }
    }
}

/// Which bound a new connection met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `connections_max`.
    #[error("too many connections")]
    Connections,
    /// `unauthenticated_max`.
    #[error("too many unauthenticated connections")]
    Unauthenticated,
    /// `accepts_per_s`.
    #[error("too many new connections")]
    Rate,
    /// The node stops.
    #[error("the node stops")]
    Stopping,
}

/// Counts the connections of a node.
pub struct Census {
    limits: CensusLimits,
    stopping: AtomicBool,
    unauthenticated: AtomicUsize,
    accepts: Mutex<Limiter>,
    /// All connections; watched by whoever waits for the last one to go.
    connections: watch::Sender<usize>,
}

impl Census {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(limits: CensusLimits) -> Arc<Self> {
        let accepts = Mutex::new(Limiter::new(limits.accepts_per_s, limits.accepts_burst, Millis::default()));
        let (stopping, unauthenticated) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { limits, stopping, unauthenticated, accepts, connections: watch::Sender::new(0) })
    }

    /// Takes a place for a new connection at `now` (uptime).
    ///
    /// # Errors
    /// The bound that is reached.
    pub fn admit(self: &Arc<Self>, now: Millis) -> Result<Place, Refused> {
        let place = self.take(now);
        if let Err(why) = place {
            metrics::counter!("tidings_connections_refused_total", "why" => why.to_string()).increment(1);
        }
        place
    }

    fn take(self: &Arc<Self>, now: Millis) -> Result<Place, Refused> {
        if self.stopping.load(Relaxed) {
            return Err(Refused::Stopping);
        }
        if self.unauthenticated.load(Relaxed) >= self.limits.unauthenticated_max {
            return Err(Refused::Unauthenticated);
        }
        if self.accepts.lock().unwrap_or_else(PoisonError::into_inner).allows(now).is_err() {
            return Err(Refused::Rate);
        }
        let max = self.limits.connections_max;
        let taken = self.connections.send_if_modified(|count| {
            let room = *count < max;
            *count += usize::from(room);
            room
        });
        if !taken {
            return Err(Refused::Connections);
        }
        self.unauthenticated.fetch_add(1, Relaxed);
        metrics::gauge!("tidings_connections_count").increment(1);
        metrics::gauge!("tidings_connections_unauthenticated_count").increment(1);
        Ok(Place { census: Arc::clone(self), unauthenticated: Cell::new(true) })
    }

    /// The node stops: from now on nobody gets a place.
    pub fn close(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// How many are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Returns when the last connection has gone.
    pub async fn empty(&self) {
        // The sender lives in `self`, so the wait cannot end for want of one.
        let _ = self.connections.subscribe().wait_for(|&count| count == 0).await;
    }
}

/// The place one connection takes; given back when it is dropped.
pub struct Place {
    census: Arc<Census>,
    unauthenticated: Cell<bool>,
}

impl Place {
    /// The connection is a known user's now.
    pub fn authenticated(&self) {
        if self.unauthenticated.replace(false) {
            self.census.unauthenticated.fetch_sub(1, Relaxed);
            metrics::gauge!("tidings_connections_unauthenticated_count").decrement(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.authenticated();
        self.census.connections.send_modify(|count| *count = count.saturating_sub(1));
        metrics::gauge!("tidings_connections_count").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> CensusLimits {
        CensusLimits { connections_max: 3, unauthenticated_max: 2, accepts_per_s: 1, accepts_burst: 100 }
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let census = Census::new(limits());
        let now = Millis::new(1);
        let first = census.admit(now).unwrap();
        let second = census.admit(now).unwrap();
        assert_eq!(census.admit(now).err(), Some(Refused::Unauthenticated));
        first.authenticated();
        second.authenticated();
        let third = census.admit(now).unwrap();
        third.authenticated();
        assert_eq!(census.admit(now).err(), Some(Refused::Connections));
        drop(second);
        assert_eq!(census.connections(), 2);
        assert!(census.admit(now).is_ok());
    }

    #[test]
    fn no_more_are_accepted_per_second_than_allowed() {
        let census = Census::new(CensusLimits { accepts_burst: 1, ..limits() });
        let _first = census.admit(Millis::new(1)).unwrap();
        assert_eq!(census.admit(Millis::new(500)).err(), Some(Refused::Rate));
        assert!(census.admit(Millis::new(1_600)).is_ok());
    }

    #[test]
    fn a_node_that_stops_takes_nobody() {
        let census = Census::new(limits());
        census.close();
        assert_eq!(census.admit(Millis::new(1)).err(), Some(Refused::Stopping));
    }

    #[tokio::test]
    async fn whoever_waits_learns_that_the_last_connection_went() {
        let census = Census::new(limits());
        let place = census.admit(Millis::new(1)).unwrap();
        let (_, ()) = tokio::join!(census.empty(), async { drop(place) });
        assert_eq!(census.connections(), 0);
    }
}
