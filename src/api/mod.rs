//! Plain HTTP: what anyone may see on the clients' listener (start page, health), tokens in dev mode, and metrics on the
//! admin listener.

pub mod admin;
pub mod public;
