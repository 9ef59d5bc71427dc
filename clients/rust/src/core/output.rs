//! What the core asks of its driver and tells the app, as plain values.

use tidings_schema::{
    error_code::ErrorCode,
    id::{MessageId, Seq},
    wire,
};

use super::Place;

/// One thing for the driver to do; they are to be done in the order they are polled.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Keep this; it must be durable before any later [`Output::Write`] leaves.
    Persist(Change),
    /// Send this frame.
    Write(wire::ClientFrame),
    /// Tell the app.
    Event(Event),
    /// A request of the app has its answer.
    Answer(u64, Result<wire::server_frame::Body, RequestError>),
    /// Ask for another token, then call `renewed`; when there is none, nothing.
    RenewToken,
    /// Open a connection, then call `connected` or `disconnected`.
    Connect,
    /// Give the connection up; `disconnected` need not be called.
    Disconnect,
}

/// A change of what a client keeps between its runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A message waits for its ack.
    Add(Box<wire::Send>),
    /// It does not wait any more.
    Remove(MessageId),
    /// The place in the inbox moved.
    Place(Place),
}

/// What the app learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The next message, incoming or one's own (sent by any device).
    Message(Box<Message>),
    /// A message of this client is durable at the server.
    Sent(Sent),
    /// A message will never be accepted; it is out of the queue.
    Refused(Refused),
    /// What a peer's devices have of our messages (cumulative seqs of our inbox).
    Receipt {
        /// Place of this entry in the inbox.
        seq: Seq,
        /// The peer.
        peer: String,
        /// Our messages up to here arrived.
        delivered_upto: Seq,
        /// Our messages up to here were read.
        read_upto: Seq,
    },
    /// The user's read marker moved, here or on another device.
    ReadMoved {
        /// Place of this entry in the inbox.
        seq: Seq,
        /// The conversation's peer.
        peer: String,
        /// Read up to here.
        upto: Seq,
    },
    /// The user blocked or unblocked a peer.
    BlockMoved {
        /// Place of this entry in the inbox.
        seq: Seq,
        /// The peer.
        peer: String,
        /// How it stands now.
        now: BlockState,
    },
    /// A message was recalled, edited or reacted to, or the user deleted messages or set how a conversation is shown.
    Changed {
        /// Place of this entry in the inbox.
        seq: Seq,
        /// When, ms since the Unix epoch.
        time: u64,
        /// The conversation's peer.
        peer: String,
        /// The entry's body.
        what: Box<wire::entry::Body>,
    },
    /// A peer is writing to us; shown for some seconds.
    Typing {
        /// The peer.
        peer: String,
    },
    /// An entry this version does not know, or one that a conversation list contained: only the place moves.
    Advanced {
        /// Place of this entry in the inbox.
        seq: Seq,
    },
    /// The inbox is another one, or this device was away too long: drop what is kept of it and show this instead.
    ConversationsReset {
        /// Everything there is, newest first.
        conversations: Vec<wire::ConversationView>,
        /// Entries after this seq follow.
        as_of: Seq,
    },
    /// The connection changed.
    Connection(ConnectionState),
}

impl Event {
    /// The place in the inbox that is reached when the app has applied this event.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        match self {
            Self::Message(message) => Some(message.seq),
            Self::Receipt { seq, .. } | Self::ReadMoved { seq, .. } | Self::BlockMoved { seq, .. } => Some(*seq),
            Self::Changed { seq, .. } | Self::Advanced { seq } => Some(*seq),
            Self::ConversationsReset { as_of, .. } => Some(*as_of),
            Self::Sent(_) | Self::Refused(_) | Self::Typing { .. } | Self::Connection(_) => None,
        }
    }
}

/// A message of the inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Place in the inbox.
    pub seq: Seq,
    /// When it was accepted, ms since the Unix epoch.
    pub time: u64,
    /// The other side of the conversation.
    pub peer: String,
    /// The message itself.
    pub message: wire::Message,
}

/// A message of this client that the server keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which.
    pub message_id: MessageId,
    /// Place in the own inbox.
    pub seq: Seq,
    /// When it was accepted, ms since the Unix epoch.
    pub time: u64,
}

/// A message of this client that the server will not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub message_id: MessageId,
    /// Why, as a number of docs/errors.md.
    pub code: u32,
    /// Why, in words.
    pub text: String,
}

/// Whether the user hears of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    /// Does not.
    Blocked,
    /// Does.
    Unblocked,
}

/// What an app may show about the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// The server welcomed us.
    Live {
        /// The user, as the token says.
        uid: String,
        /// Unread messages over all conversations.
        unread_total: u64,
    },
    /// Gone; the next attempt follows by itself.
    Waiting {
        /// Milliseconds until then.
        retry_in_ms: u64,
    },
    /// Gone for good, until the app connects again.
    Stopped(StopReason),
}

/// Why a client does not connect again by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A newer connection of the same device.
    Replaced,
    /// The token is not accepted.
    Unauthorized(String),
    /// The server asked not to come back.
    Dismissed,
    /// What must survive cannot be kept (disk full, queue damaged).
    NotKept(String),
    /// This client and the server do not understand each other.
    Protocol(String),
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The server said no.
    #[error("refused with {code}: {text}")]
    Refused {
        /// Number of docs/errors.md.
        code: u32,
        /// In words.
        text: String,
    },
    /// No connection, or it broke before the answer; whether it was done is unknown.
    #[error("not connected")]
    Disconnected,
    /// No answer in time; whether it was done is unknown.
    #[error("no answer in time")]
    TimedOut,
    /// Too many requests wait already; nothing was sent.
    #[error("too many requests wait for an answer")]
    TooMany,
    /// The answer was of another kind.
    #[error("the answer makes no sense")]
    Unexpected,
}

/// Whether the same thing may succeed later. A number this version does not know is judged by its range.
pub(super) fn may_retry(code: u32) -> bool {
    use tidings_schema::error_code::Retry;
    match ErrorCode::from_number(code) {
        Some(known) => known.advice().retry == Retry::Same,
        None => (5_000..6_000).contains(&code),
    }
}
