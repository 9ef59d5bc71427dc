//! How long to wait before the next attempt: doubles from a first delay up to a bound.

/// Delays of one thing that is tried again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first_ms: u64,
    ms_max: u64,
    attempts: u32,
}

impl Backoff {
    /// Starts at `first_ms` and doubles up to `ms_max`.
    #[must_use]
    pub const fn new(first_ms: u64, ms_max: u64) -> Self {
        Self { first_ms, ms_max, attempts: 0 }
    }

    /// The delay in ms before the next attempt, at least 1, and counts that attempt. `jitter` in 0..=1 scales it: 1 is the
    /// full delay, a random number spreads callers that failed together.
    pub fn next_ms(&mut self, jitter: f64) -> u64 {
        let doubled = self.first_ms.saturating_mul(1_u64.checked_shl(self.attempts).unwrap_or(u64::MAX));
        self.attempts = self.attempts.saturating_add(1);
        let full = doubled.min(self.ms_max);
        // Delays are far below 2^53 ms, so nothing is lost on the way through a float.
        let scaled = (full as f64 * jitter.clamp(0.0, 1.0)).round() as u64;
        scaled.clamp(1, full.max(1))
    }

    /// The attempt succeeded: the next delay is the first one again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_bound() {
        let mut backoff = Backoff::new(100, 1_000);
        let delays: Vec<u64> = (0..6).map(|_| backoff.next_ms(1.0)).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn after_a_success_the_first_delay_comes_again() {
        let mut backoff = Backoff::new(100, 1_000);
        let _ = (backoff.next_ms(1.0), backoff.next_ms(1.0));
        backoff.reset();
        assert_eq!(backoff.next_ms(1.0), 100);
    }

    #[test]
    fn jitter_scales_the_delay_and_never_makes_it_zero() {
        let mut backoff = Backoff::new(100, 1_000);
        assert_eq!(backoff.next_ms(0.5), 50);
        assert_eq!(backoff.next_ms(0.0), 1);
        assert_eq!(backoff.next_ms(7.0), 400);
        assert_eq!(backoff.next_ms(f64::NAN), 1);
    }

    #[test]
    fn a_thousand_attempts_do_not_overflow() {
        let mut backoff = Backoff::new(100, 30_000);
        assert_eq!((0..1_000).map(|_| backoff.next_ms(1.0)).max(), Some(30_000));
    }
}
