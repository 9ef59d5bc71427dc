//! Client of tidings: keeps every duty of the protocol, so that an app only sends and reads.
//!
//! [`Client::connect`] starts one task that holds the connection, comes back by itself, and keeps unacknowledged
//! messages in a [`queue::DurableQueue`]. [`mod@core`] is the state machine of the duties, without clock or I/O.

mod clock;
mod connection;
pub mod core;
mod driver;
pub mod queue;
pub mod raw;
mod token;

pub use self::{
    connection::{Acks, Client, ClientError, Config, Encoding, Events, Outcome, Sending},
    token::{TokenError, TokenSource},
};
