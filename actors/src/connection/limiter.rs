//! A token bucket: so many per second on average, so many at once.

use tidings_schema::id::Millis;

/// Allows `per_s` uses a second, and up to `burst` of them at once after a quiet time.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    /// In thousandths of a use, so that a millisecond adds `per_s` of them.
    tokens: u64,
    burst: u64,
    per_s: u64,
    at: Millis,
}

impl Limiter {
    /// A full bucket. A burst below 1 counts as 1.
    #[must_use]
    pub fn new(per_s: u32, burst: u32) -> Self {
        let burst = u64::from(burst.max(1)) * 1_000;
        Self { tokens: burst, burst, per_s: u64::from(per_s), at: Millis::default() }
    }

    /// Whether one more is allowed at `now` (uptime); if so it is used up.
    #[must_use]
    pub fn allows(&mut self, now: Millis) -> bool {
        let gained = now.since(self.at).saturating_mul(self.per_s);
        self.tokens = self.tokens.saturating_add(gained).min(self.burst);
        self.at = self.at.max(now);
        let allowed = self.tokens >= 1_000;
        if allowed {
            self.tokens -= 1_000;
        }
        allowed
    }

    /// How long until the next one is allowed, in milliseconds.
    #[must_use]
    pub fn retry_after_ms(&self) -> u64 {
        (1_000_u64.saturating_sub(self.tokens)).div_ceil(self.per_s.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut limiter = Limiter::new(10, 3);
        let start = Millis::new(5);
        assert!((0..3).all(|_| limiter.allows(start)));
        assert!(!limiter.allows(start));
        assert_eq!(limiter.retry_after_ms(), 100);
        assert!(!limiter.allows(start.plus(99)));
        assert!(limiter.allows(start.plus(100)));
        assert!(!limiter.allows(start.plus(100)));
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing() {
        let mut limiter = Limiter::new(1, 1);
        assert!(limiter.allows(Millis::new(9)));
        assert!(!limiter.allows(Millis::new(9)));
        assert!(!limiter.allows(Millis::new(3)));
    }
}
