//! The only place of the client that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use tidings_schema::id::Millis;
use tokio::time::{Duration, Instant};

/// Local time that never goes back: the wall clock at the start plus what passed since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    wall_ms: u64,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), wall_ms: u64::try_from(wall.as_millis()).unwrap_or(0) }
    }

    pub(crate) fn now(&self) -> Millis {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Millis::new(self.wall_ms.saturating_add(passed))
    }

    /// When `at` is for tokio's timers, rounded up, so that a timer never fires just before it.
    pub(crate) fn instant(&self, at: Millis) -> Instant {
        self.began + Duration::from_millis(at.get().saturating_sub(self.wall_ms)) + Duration::from_millis(1)
    }
}
