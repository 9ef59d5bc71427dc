//! Stores behind the port of `tidings-actors`, one folder per technology.

pub mod embedded;
