//! Time as an argument: the only way an actor learns what time it is.

use tidings_schema::id::Millis;

/// Reads the clocks of this process.
pub trait Clock: Send + Sync + 'static {
    /// Wall time, ms since the Unix epoch; may jump. What people are shown and tokens are checked against.
    fn now(&self) -> Millis;

    /// Monotonic time, ms since some fixed moment. What time-outs are measured with.
    fn uptime(&self) -> Millis;
}
