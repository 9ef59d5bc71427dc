//! What happens in tidings: the actors, and the ports through which they meet the world.
//!
//! Decisions are made by the pure machines of `tidings-state`; an actor here loads, asks, and carries out.

pub mod appender;
pub mod connection;
pub mod give_back;
pub mod group;
pub mod hub;
pub mod limits;
pub mod mailbox;
pub mod mutants;
pub mod offer;
pub mod port;
mod redactions;
pub mod relay;
pub mod shard;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
