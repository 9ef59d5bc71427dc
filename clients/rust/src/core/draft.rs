//! What a client is given: who it is, what it kept, and the messages an app hands over.

use tidings_schema::{id::Uid, wire};

use super::{MessageRef, Place};

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
    /// The message it answers.
    pub reply_to: Option<MessageRef>,
}

impl Draft {
    /// A plain text.
    #[must_use]
    pub fn text(to: Uid, text: impl Into<String>) -> Self {
        Self { to, content: plain_text(text), push: None, reply_to: None }
    }

    /// The same, as an answer to a message of that conversation.
    #[must_use]
    pub fn replying_to(self, message: MessageRef) -> Self {
        Self { reply_to: Some(message), ..self }
    }
}

/// Content that is nothing but text.
#[must_use]
pub fn plain_text(text: impl Into<String>) -> wire::Content {
    wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: text.into() })) }
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
