//! Client of tidings: keeps every duty of the protocol, so that an app only sends and reads.
//!
//! [`core`] is the state machine of those duties, without clock or I/O.

pub mod core;
