//! What the core asks of its driver and tells the app, as plain values.

use tidings_schema::{
    error_code::ErrorCode,
    id::{MessageId, Seq},
    wire,
};

use super::{Event, Place};

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
    /// A message of this user was recalled or edited: what it said may stand nowhere any more.
    Scrub,
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
    /// No connection, or it broke before the answer; whether it was done is unknown. A change is told so only when the
    /// client has ended.
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
