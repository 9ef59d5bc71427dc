//! What an app decides about its client.

use crate::{queue::DurableQueue, token::TokenSource};

/// How frames are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Binary frames.
    #[default]
    Protobuf,
    /// Text frames.
    Json,
}

/// When an entry counts as applied: then the place moves and the server is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// When the app asks for the event after it.
    #[default]
    Auto,
    /// When the app calls [`Client::applied`], after it has kept what it wants to keep.
    ByApp,
}

/// Everything a client needs.
pub struct Config {
    /// `ws://host:port/v1/ws`.
    pub url: String,
    /// Who the user is.
    pub token: TokenSource,
    /// Stable for this device, unique among the user's; `None` when the token names it.
    pub device_id: Option<String>,
    /// What it runs on, for operators.
    pub platform: String,
    /// How frames are written.
    pub encoding: Encoding,
    /// What survives a restart of the app.
    pub queue: Box<dyn DurableQueue>,
    /// When an entry counts as applied.
    pub acks: Acks,
}

impl Config {
    /// Protobuf, automatic acks, and a queue that keeps nothing beyond the process.
    #[must_use]
    pub fn new(url: impl Into<String>, token: TokenSource, device_id: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token,
            device_id: Some(device_id.into()),
            platform: "rust".into(),
            encoding: Encoding::default(),
            queue: Box::new(crate::queue::MemoryQueue),
            acks: Acks::default(),
        }
    }
}
