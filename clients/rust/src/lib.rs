//! Client of tidings: keeps every duty of the protocol, so that an app only sends and reads.
//!
//! [`Client::connect`] starts one task that holds the connection, comes back by itself, and keeps unacknowledged
//! messages in a [`queue::DurableQueue`]. [`mod@core`] is the state machine of the duties, without clock or I/O.

mod client;
mod clock;
mod config;
pub mod core;
mod driver;
mod events;
pub mod queue;
pub mod raw;
mod token;

pub use self::{
    client::{Client, ClientError, Outcome, Sending, Settings},
    config::{Acks, Config, Encoding},
    events::Events,
    token::{TokenError, TokenSource},
};
