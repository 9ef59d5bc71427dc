//! The tidings server: how the actors meet the world.

pub mod auth;
pub mod clock;
pub mod transport;
