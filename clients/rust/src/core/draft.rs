//! What a client is given: who it is, what it kept, and the messages an app hands over.

use tidings_schema::{id::Uid, wire};

use super::Place;

/// Who this client is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Stable for this device; unique among the user's devices. `None`: the token names it.
    pub device_id: Option<String>,
    /// What it runs on, as shown to operators.
    pub platform: String,
}

/// What a client kept from its last run.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Messages without an ack, oldest first.
    pub sends: Vec<wire::Send>,
    /// Where it stood in the inbox; `None` on a new device.
    pub place: Option<Place>,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The recipient.
    pub to: Uid,
    /// What people see.
    pub content: wire::Content,
    /// What a notification should show.
    pub push: Option<wire::PushHint>,
}

impl Draft {
    /// A plain text.
    #[must_use]
    pub fn text(to: Uid, text: impl Into<String>) -> Self {
        let kind = wire::content::Kind::Text(wire::Text { text: text.into() });
        Self { to, content: wire::Content { kind: Some(kind) }, push: None }
    }
}

/// Why a message was not taken; nothing is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// [`PENDING_MAX`](super::PENDING_MAX) messages wait for their ack already.
    #[error("too many messages wait to be sent")]
    QueueFull,
    /// The id is taken by another message that waits.
    #[error("this message id is waiting already")]
    Known,
}
