//! What tests of actors, stores and transports share: a store in memory, a store that misbehaves on command, the ends of
//! a connection in memory, and the suites that every implementation of a port passes. Compiled for tests and under the
//! feature `testkit` only.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support: a failure here is a failed test")]

pub mod edge;
pub mod faults;
pub mod held;
pub mod memory;
pub mod suite;
