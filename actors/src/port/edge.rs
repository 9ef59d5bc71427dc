//! The two ends of one connection as an actor sees them: an [`Outlet`] to write to and a [`Source`] to read from.
//! Sockets exist only behind these traits. Both live on one worker thread.

use std::task::{Context, Poll};

use bytes::Bytes;
use tidings_schema::wire;

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

/// The writing end of one connection; the only writer of its socket. First in, first out.
pub trait Outlet {
    /// Offers one encoded server frame; the transport adds its own framing.
    fn offer(&self, payload: Bytes) -> Written;

    /// Bytes that wait to be written.
    fn queued_bytes(&self) -> usize;

    /// Count of frames ever taken, and of those how many were handed to the kernel in full.
    fn progress(&self) -> Progress;

    /// Closes after what is queued, or at once when it does not drain. Later offers are `Closed`.
    fn close(&self, reason: CloseReason);

    /// Writes what can be written and registers the caller for the next chance. `Ready` when the connection is closed
    /// for good.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()>;
}

/// How far an outlet has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames taken since the connection began.
    pub taken: u64,
    /// Frames that left the queue.
    pub drained: u64,
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The declared length is over the limit; nothing of it was buffered.
    #[error("frame too large")]
    TooLarge,
    /// It breaks the transport's rules, or is no frame of the protocol.
    #[error("frame cannot be parsed")]
    Malformed,
}

/// The reading end of one connection.
pub trait Source {
    /// The next frame. `Ready(None)`: the client closed. After an error nothing follows.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<wire::ClientFrame, FrameError>>>;

    /// Sets the largest frame that is accepted from now on.
    fn set_frame_bytes_max(&mut self, bytes: usize);

    /// How the client encodes its frames; known once the first one came.
    fn encoding(&self) -> Option<Encoding>;
}
