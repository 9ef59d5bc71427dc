//! How often something may happen: a token bucket.

use tidings_schema::id::Millis;

/// Milliseconds of a second.
const SECOND_MS: u64 = 1_000;

/// Lets so many things happen per period on average and `burst` at once. What is over is refused, with the time to wait.
///
/// A token is counted in as many parts as its period has milliseconds, so that nothing is ever rounded: n per period are
/// n parts per millisecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limiter {
    per_period: u64,
    token: u64,
    full: u64,
    level: u64,
    filled: Millis,
}

impl Limiter {
    /// A full bucket. A rate or burst of 0 counts as 1: who wants nothing to happen needs no limiter.
    #[must_use]
    pub fn new(per_second: u32, burst: u32, now: Millis) -> Self {
        Self::per(SECOND_MS, per_second, burst, now)
    }

    /// The same with a period of so many milliseconds (at least 1).
    #[must_use]
    pub fn per(period_ms: u64, count: u32, burst: u32, now: Millis) -> Self {
        let token = period_ms.max(1);
        let full = u64::from(burst.max(1)) * token;
        Self { per_period: u64::from(count.max(1)), token, full, level: full, filled: now }
    }

    /// What must be kept to go on later: what is left, and when that was (parts of tokens, milliseconds).
    #[must_use]
    pub fn left(&self) -> (u64, Millis) {
        (self.level, self.filled)
    }

    /// Goes on with what was kept.
    #[must_use]
    pub fn with_left(self, (level, filled): (u64, Millis)) -> Self {
        Self { level: level.min(self.full), filled, ..self }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// There is none; nothing is taken, and in so many ms there will be one. A clock that went back fills nothing.
    pub fn allows(&mut self, now: Millis) -> Result<(), u64> {
        let earned = now.since(self.filled).saturating_mul(self.per_period);
        self.level = self.level.saturating_add(earned).min(self.full);
        // A clock that ran ahead by more than a period was wrong: else nothing would be earned until it gets there again.
        let ahead = self.filled.since(now) > self.token;
        self.filled = if ahead { now } else { self.filled.max(now) };
        match self.level.checked_sub(self.token) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => Err((self.token - self.level).div_ceil(self.per_period)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Millis {
        Millis::new(ms)
    }

    #[test]
    fn a_burst_passes_and_the_next_is_told_when_to_come_back() {
        let mut limiter = Limiter::new(10, 3, at(0));
        assert_eq!([(); 3].map(|()| limiter.allows(at(0))), [Ok(()); 3]);
        assert_eq!(limiter.allows(at(0)), Err(100));
        assert_eq!(limiter.allows(at(99)), Err(1));
        assert_eq!(limiter.allows(at(100)), Ok(()));
    }

    #[test]
    fn a_long_pause_fills_no_more_than_the_burst() {
        let mut limiter = Limiter::new(10, 2, at(0));
        let late = at(1_000_000);
        assert_eq!([(); 3].map(|()| limiter.allows(late)), [Ok(()), Ok(()), Err(100)]);
    }

    #[test]
    fn a_clock_that_went_back_earns_nothing() {
        let mut limiter = Limiter::new(1, 1, at(5_000));
        assert_eq!(limiter.allows(at(5_000)), Ok(()));
        assert_eq!(limiter.allows(at(4_500)), Err(1_000));
        assert_eq!(limiter.allows(at(5_999)), Err(1));
        assert_eq!(limiter.allows(at(6_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_ran_far_ahead_does_not_stop_it_for_good() {
        let mut limiter = Limiter::new(1, 1, at(0));
        assert_eq!(limiter.allows(at(9_000_000)), Ok(()));
        assert_eq!(limiter.allows(at(2_000)), Err(1_000));
        assert_eq!(limiter.allows(at(3_000)), Ok(()));
    }

    proptest! {
        #[test]
        fn what_passes_equals_a_bucket_that_drips_every_millisecond(
            per_second in 1_u32..2_000, burst in 1_u32..20, waits in prop::collection::vec(0_u64..50, 1..200),
        ) {
            let mut limiter = Limiter::new(per_second, burst, at(0));
            let (mut now, full) = (0, u64::from(burst) * 1_000);
            let mut level = full;
            for wait in waits {
                for _ in 0..wait {
                    level = full.min(level + u64::from(per_second));
                }
                now += wait;
                let expected = level >= 1_000;
                let got = limiter.allows(at(now));
                prop_assert_eq!(got.is_ok(), expected);
                if expected {
                    level -= 1_000;
                } else if let Err(retry_after_ms) = got {
                    let then = |ms: u64| level + ms * u64::from(per_second);
                    prop_assert!(then(retry_after_ms) >= 1_000 && then(retry_after_ms - 1) < 1_000);
                }
            }
        }
    }
}
