//! When a silent connection is dead: the client announces its next frame, and gets twice that and a bit.

use tidings_schema::id::Millis;

/// Shortest interval a client may announce; shorter ones count as this.
pub const HEARTBEAT_MS_MIN: u64 = 15_000;
/// Longest interval a client may announce; longer ones count as this.
pub const HEARTBEAT_MS_MAX: u64 = 300_000;
/// Interval of a client that has announced none yet: the longest, so that a client too simple to ping is not cut off
/// while it listens.
pub const HEARTBEAT_MS_DEFAULT: u64 = HEARTBEAT_MS_MAX;
/// What is granted on top of twice the interval, for slow networks.
pub const HEARTBEAT_GRACE_MS: u64 = 5_000;

/// Liveness of one connection. Times are of the monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    interval_ms: u64,
    heard: Millis,
}

impl Heartbeat {
    /// A connection that was heard just now and has announced nothing.
    #[must_use]
    pub const fn new(now: Millis) -> Self {
        Self { interval_ms: HEARTBEAT_MS_DEFAULT, heard: now }
    }

    /// Any frame came.
    pub fn heard(&mut self, now: Millis) {
        self.heard = self.heard.max(now);
    }

    /// A ping came and promises the next frame within `interval_ms`; 0 leaves the interval as it is.
    pub fn announced(&mut self, interval_ms: u64, now: Millis) {
        self.heard(now);
        if interval_ms > 0 {
            self.interval_ms = interval_ms.clamp(HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX);
        }
    }

    /// From this time on the connection is dead, unless something is heard.
    #[must_use]
    pub const fn deadline(&self) -> Millis {
        self.heard.plus(2 * self.interval_ms + HEARTBEAT_GRACE_MS)
    }

    /// Whether nothing was heard for too long.
    #[must_use]
    pub fn is_dead(&self, now: Millis) -> bool {
        now >= self.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Millis {
        Millis::new(ms)
    }

    #[test]
    fn before_the_first_ping_the_default_interval_holds() {
        let heartbeat = Heartbeat::new(at(1));
        assert!(!heartbeat.is_dead(at(605_000)));
        assert!(heartbeat.is_dead(at(605_001)));
    }

    #[test]
    fn a_connection_dies_twice_its_interval_and_five_seconds_after_its_last_frame() {
        let mut heartbeat = Heartbeat::new(at(0));
        heartbeat.announced(60_000, at(1_000));
        assert_eq!(heartbeat.deadline(), at(126_000));
        heartbeat.heard(at(100_000));
        assert_eq!(heartbeat.deadline(), at(225_000));
    }

    #[test]
    fn announced_intervals_are_held_within_the_limits() {
        let mut heartbeat = Heartbeat::new(at(0));
        heartbeat.announced(1, at(0));
        assert_eq!(heartbeat.deadline(), at(35_000));
        heartbeat.announced(u64::MAX, at(0));
        assert_eq!(heartbeat.deadline(), at(605_000));
        heartbeat.announced(0, at(0));
        assert_eq!(heartbeat.deadline(), at(605_000));
    }

    #[test]
    fn a_late_report_never_moves_the_deadline_back() {
        let mut heartbeat = Heartbeat::new(at(10));
        heartbeat.heard(at(5));
        assert_eq!(heartbeat.deadline(), at(605_010));
    }
}
