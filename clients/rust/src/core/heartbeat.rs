//! How often to ping: as seldom as the network between us and the server lets pass.
//!
//! The interval grows while pongs arrive and shrinks after a silent drop, between the limits of `welcome`.

use tidings_schema::id::Millis;

/// A pong that takes longer means that the connection is gone.
const PONG_WITHIN_MS: u64 = 10_000;
/// Limits until `welcome` names its own.
const DEFAULT_MIN_MS: u64 = 15_000;
const DEFAULT_MAX_MS: u64 = 300_000;

/// What the heartbeat wants at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing yet.
    Quiet,
    /// Ping now, announcing this interval in milliseconds.
    Ping(u64),
    /// No pong came in time.
    Silent,
}

/// The pings of one client over all its connections.
#[derive(Clone, Debug)]
pub(super) struct Heartbeat {
    min_ms: u64,
    max_ms: u64,
    interval_ms: u64,
    next_ping: Option<Millis>,
    waiting_since: Option<Millis>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            min_ms: DEFAULT_MIN_MS,
            max_ms: DEFAULT_MAX_MS,
            interval_ms: DEFAULT_MIN_MS,
            next_ping: None,
            waiting_since: None,
        }
    }
}

impl Heartbeat {
    /// A connection is live: the first ping is due at once, since it announces the interval.
    pub(super) fn start(&mut self, min_ms: u64, max_ms: u64, now: Millis) {
        self.min_ms = if min_ms == 0 { DEFAULT_MIN_MS } else { min_ms };
        self.max_ms = if max_ms == 0 { DEFAULT_MAX_MS } else { max_ms }.max(self.min_ms);
        self.interval_ms = self.interval_ms.clamp(self.min_ms, self.max_ms);
        self.next_ping = Some(now);
        self.waiting_since = None;
    }

    /// The connection is gone; a ping that was unanswered then means that the interval was too long.
    pub(super) fn stop(&mut self) {
        if self.waiting_since.take().is_some() {
            self.interval_ms = (self.interval_ms / 2).max(self.min_ms);
        }
        self.next_ping = None;
    }

    /// A pong arrived.
    pub(super) fn pong(&mut self) {
        if self.waiting_since.take().is_some() {
            self.interval_ms = (self.interval_ms + self.interval_ms / 2).min(self.max_ms);
        }
    }

    /// What is due.
    pub(super) fn tick(&mut self, now: Millis) -> Beat {
        if self.waiting_since.is_some_and(|since| now.since(since) >= PONG_WITHIN_MS) {
            return Beat::Silent;
        }
        if self.waiting_since.is_none() && self.next_ping.is_some_and(|at| at <= now) {
            self.waiting_since = Some(now);
            self.next_ping = Some(now.plus(self.interval_ms));
            return Beat::Ping(self.interval_ms);
        }
        Beat::Quiet
    }

    /// When [`tick`](Self::tick) has something to say.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.waiting_since.map(|since| since.plus(PONG_WITHIN_MS)).or(self.next_ping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_stretches_with_pongs_and_shrinks_after_a_silent_drop() {
        let mut beat = Heartbeat::default();
        let now = Millis::new(0);
        beat.start(10_000, 20_000, now);
        assert_eq!(beat.tick(now), Beat::Ping(15_000));
        assert_eq!(beat.tick(now), Beat::Quiet);
        beat.pong();
        let now = now.plus(15_000);
        assert_eq!(beat.tick(now), Beat::Ping(20_000));
        assert_eq!(beat.tick(now.plus(PONG_WITHIN_MS)), Beat::Silent);
        beat.stop();
        assert_eq!(beat.deadline(), None);
        beat.start(10_000, 20_000, now);
        assert_eq!(beat.tick(now), Beat::Ping(10_000));
    }
}
