//! The two ends of one connection as an actor sees them: an [`Outlet`] to write to and a [`Source`] to read from.
//! Sockets exist only behind these traits. Both live on one worker thread. And the [`Registry`], through which
//! connections are found.

use std::task::{Context, Poll};

use actix::Addr;
use bytes::Bytes;
use tidings_schema::wire;

use super::link::ConnectionRef;
use crate::connection::Connection;

/// Bytes that may wait for one client. A frame into an empty queue is always taken.
pub const OUT_BYTES_MAX: usize = 256 * 1024;

/// How frames of a connection are encoded; decided by its first frame or by the subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Binary frames.
    Protobuf,
    /// Text frames.
    Json,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// It will leave, in order, unless the connection dies.
    Taken,
    /// The out queue is full; the frame was not taken.
    Full,
    /// The connection is closed.
    Closed,
}

/// Why the server closes a connection, as said in the close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client asked for it, or is gone.
    Gone,
    /// The server stops: come back after a while.
    Drain,
    /// The same device has a newer connection: do not come back by yourself.
    Replaced,
    /// The client does not read what it is owed: resume.
    Slow,
    /// Nothing was heard in time: resume.
    Dead,
    /// A frame could not be parsed, or came out of order.
    BadFrame,
    /// A frame is larger than allowed.
    TooLarge,
    /// The token is not accepted.
    Unauthorized,
    /// No `hello` in time.
    HelloTimeout,
    /// The node takes no more connections.
    Full,
}

impl CloseReason {
    /// The code in a WebSocket close frame (RFC 6455, 7.4; 4000-4999 are ours). A bad frame may also say 1007: the
    /// frame itself was sound, its text or its content was not.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Gone => 1000,
            Self::Drain => 1001,
            Self::BadFrame => 1002,
            Self::TooLarge => 1009,
            Self::Full => 1013,
            Self::Replaced => 4001,
            Self::Slow => 4002,
            Self::Dead => 4003,
            Self::Unauthorized => 4004,
            Self::HelloTimeout => 4005,
        }
    }

    /// Constant text for the close frame, logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Drain => "drain",
            Self::BadFrame => "bad frame",
            Self::TooLarge => "frame too large",
            Self::Full => "try again later",
            Self::Replaced => "replaced",
            Self::Slow => "slow, resume",
            Self::Dead => "dead, resume",
            Self::Unauthorized => "unauthorized",
            Self::HelloTimeout => "no hello",
        }
    }
}

/// The writing end of one connection; the only writer of its socket. First in, first out.
pub trait Outlet {
    /// Offers one encoded server frame; the transport adds its own framing. Nothing is written before
    /// [`Outlet::poll_flush`], which the owner calls in the same turn, or [`Outlet::flush_now`]: what one turn offers leaves
    /// in one write.
    fn offer(&self, payload: Bytes) -> Written;

    /// Bytes that wait to be written.
    fn queued_bytes(&self) -> usize;

    /// How many frames were ever taken, and how far they have come.
    fn progress(&self) -> Progress;

    /// Closes after what is queued; for [`CloseReason::Slow`] at once when something is (the rest is thrown away). Later
    /// offers are `Closed`; only the first reason counts.
    fn close(&self, reason: CloseReason);

    /// Writes what can be written and registers the caller for the next chance. `Ready` when nothing will ever be written
    /// any more: the close was said, or the connection broke.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Writes what can be written now, in a turn of the hub, which offers the same to many. Costs the owner nothing when all
    /// of it leaves; else, or when the connection broke, the task that last called [`Outlet::poll_flush`] is woken and goes on.
    fn flush_now(&self);
}

/// How far an outlet has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames taken since the connection began.
    pub taken: u64,
    /// Frames that left the queue.
    pub drained: u64,
    /// Bytes that left; grows while a large frame is on its way.
    pub drained_bytes: u64,
}

/// Why there is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The declared length is over the limit; nothing of it was buffered.
    #[error("frame too large")]
    TooLarge,
    /// It breaks the transport's rules, or is no frame of the protocol. Says what is wrong with which field, and never
    /// repeats a value.
    #[error("frame cannot be parsed: {0}")]
    Malformed(Box<str>),
}

/// The reading end of one connection.
pub trait Source {
    /// The next frame. `Ready(None)`: the client closed or is gone. After an error what still comes is thrown away, until
    /// `Ready(None)`.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<wire::ClientFrame, FrameError>>>;

    /// Sets the largest frame that is accepted from now on.
    fn set_frame_bytes_max(&mut self, bytes: usize);

    /// How the client encodes its frames; known once the first one came.
    fn encoding(&self) -> Option<Encoding>;

    /// Grows with everything that is heard, also with what is no frame of the protocol (the transport's own pings).
    fn activity(&self) -> u64;
}

/// Knows the connections of this node, so that the link finds them. Used from every worker.
pub trait Registry: Send + Sync + 'static {
    /// From now on `at` is reached through `to`. Called before the connection's first command.
    fn register(&self, at: ConnectionRef, to: Addr<Connection>);

    /// `at` is gone, for ever.
    fn unregister(&self, at: ConnectionRef);
}
