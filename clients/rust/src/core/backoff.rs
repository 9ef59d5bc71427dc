//! When to connect again: full-jitter backoff, so that clients which lost one server do not come back as one wave.

use tidings_schema::id::Millis;

/// Upper bound of the first delay.
const FIRST_MS: u64 = 250;
/// Upper bound of every delay this side chooses; the server may ask for more.
const LONGEST_MS: u64 = 30_000;
/// No delay is shorter, so that a refusing server is not hit in a tight loop.
const SHORTEST_MS: u64 = 20;
/// A connection that lived this long proves the server well again.
const WELL_AFTER_MS: u64 = 10_000;

/// Delays between attempts.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    live_since: Option<Millis>,
}

impl Backoff {
    /// The server welcomed us.
    pub(super) fn live(&mut self, now: Millis) {
        self.live_since = Some(now);
    }

    /// The connection (or the attempt) failed: milliseconds to wait. `asked_ms` is the server's own wish, a minimum.
    pub(super) fn failed(&mut self, asked_ms: u64, random: u64, now: Millis) -> u64 {
        if self.live_since.take().is_some_and(|since| now.since(since) >= WELL_AFTER_MS) {
            self.failures = 0;
        }
        let ceiling = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        let jitter = random % (ceiling + 1);
        asked_ms.saturating_add(jitter).max(SHORTEST_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_thirty_seconds_and_starts_over_after_a_long_life() {
        let mut backoff = Backoff::default();
        let now = Millis::new(0);
        let delays: Vec<u64> = [250, 500, 1_000].iter().map(|&top| backoff.failed(0, top, now)).collect();
        assert_eq!(delays, [250, 500, 1_000]);
        for _ in 0..40 {
            assert!(backoff.failed(0, u64::MAX, now) <= LONGEST_MS);
        }
        backoff.live(now);
        assert_eq!(backoff.failed(0, 250, now.plus(WELL_AFTER_MS)), 250);
    }

    #[test]
    fn a_short_life_does_not_reset_the_delay_and_the_servers_wish_is_a_minimum() {
        let mut backoff = Backoff::default();
        let now = Millis::new(0);
        let _ = backoff.failed(0, 0, now);
        backoff.live(now);
        assert_eq!(backoff.failed(0, 500, now.plus(5)), 500);
        assert!(backoff.failed(7_000, 0, now) >= 7_000);
    }
}
