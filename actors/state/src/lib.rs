//! What tidings decides: pure state machines. No clock, no I/O, no randomness, no async: time and fresh ids come in as
//! arguments, decisions go out as values, and the actors carry them out.

pub mod ack_queue;
pub mod backoff;
pub mod conversation;
pub mod deletions;
pub mod deliver;
pub mod group;
pub mod heartbeat;
pub mod limiter;
pub mod outbox;
pub mod retention;
pub mod sent_window;
pub mod steady_clock;
pub mod timeline;

#[cfg(test)]
mod tests;
