//! What tests of actors and of stores share: a store in memory, a store that misbehaves on command, and the suite that
//! every store passes. Compiled for tests and under the feature `testkit` only.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support: a failure here is a failed test")]

pub mod faults;
pub mod held;
pub mod memory;
pub mod suite;
