//! The reading end of a WebSocket. One read buffer per worker thread: frames are decoded in it, and only what is not
//! complete is kept by its connection.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use prost::Message as _;
use tidings_actors::port::edge::{Encoding, FrameError, Source};
use tidings_schema::{json, wire};

use super::{
    codec::{CodecError, Decoder, Item, Step},
    socket::{Socket, State},
};

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

type Frame = Result<wire::ClientFrame, FrameError>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Frames.
    Frames,
    /// To the end, after an error, so that the close frame is not lost to a reset.
    Rest,
    /// Nothing: the client closed or is gone.
    Over,
}

pub(super) struct WebSocketSource {
    socket: Rc<Socket>,
    decoder: Decoder,
    /// What came and is not decoded yet.
    kept: BytesMut,
    reading: Reading,
    activity: u64,
}

impl WebSocketSource {
    pub(super) fn new(socket: Rc<Socket>, early: BytesMut) -> Self {
        // Until the actor says otherwise nothing is taken.
        Self { socket, decoder: Decoder::new(0), kept: early, reading: Reading::Frames, activity: 0 }
    }

    /// The next frame of `input`, and how many bytes are done with.
    fn decode(&mut self, input: &mut [u8]) -> (usize, Option<Frame>) {
        let mut used = 0;
        while let Some(rest) = input.get_mut(used..).filter(|_| self.reading == Reading::Frames) {
            let frame = match self.decoder.step(rest) {
                Ok(Step::More) => break,
                Ok(Step::Skip(bytes)) => {
                    used += bytes;
                    None
                }
                Ok(Step::Item(bytes, item)) => {
                    used += bytes;
                    handle(&self.socket, item, &mut self.reading)
                }
                Err(why) => {
                    self.socket.blame(why);
                    Some(Err(refused(why)))
                }
            };
            if let Some(frame) = frame {
                if frame.is_err() {
                    self.reading = Reading::Rest;
                }
                return (used, Some(frame));
            }
        }
        (used, None)
    }

    fn decode_kept(&mut self) -> Option<Frame> {
        if self.kept.is_empty() {
            return None;
        }
        let mut kept = std::mem::take(&mut self.kept);
        let (used, frame) = self.decode(&mut kept);
        kept.advance(used);
        if !kept.is_empty() && self.reading == Reading::Frames {
            self.kept = kept;
        }
        frame
    }

    fn decode_read(&mut self, input: &mut [u8]) -> Option<Frame> {
        if self.reading == Reading::Rest {
            return None;
        }
        if !self.kept.is_empty() {
            self.kept.extend_from_slice(input);
            return self.decode_kept();
        }
        let (used, frame) = self.decode(input);
        if self.reading == Reading::Frames {
            self.kept = BytesMut::from(&input[used..]);
        }
        frame
    }

    /// Reads once; `None` when no frame is complete by it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        if ready!(self.socket.stream.poll_read_ready(cx)).is_err() {
            self.lose();
            return Poll::Ready(None);
        }
        READ_BUFFER.with_borrow_mut(|buffer| match self.socket.stream.try_read(buffer) {
            Ok(0) => {
                self.reading = Reading::Over;
                Poll::Ready(None)
            }
            Ok(bytes) => {
                self.activity += 1;
                Poll::Ready(self.decode_read(&mut buffer[..bytes]))
            }
            // The readiness was stale; the next poll registers again.
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => Poll::Ready(None),
            Err(_) => {
                self.lose();
                Poll::Ready(None)
            }
        })
    }

    fn lose(&mut self) {
        self.socket.break_off();
        self.reading = Reading::Over;
    }
}

fn refused(why: CodecError) -> FrameError {
    match why {
        CodecError::TooLarge => FrameError::TooLarge,
        CodecError::Protocol | CodecError::Utf8 => FrameError::Malformed,
    }
}

/// Answers what is the transport's own; gives back what is a frame.
fn handle(socket: &Socket, item: Item<'_>, reading: &mut Reading) -> Option<Frame> {
    match item {
        Item::Ping(payload) => {
            socket.pong(payload);
            None
        }
        Item::Pong => None,
        Item::Close(code) => {
            socket.echo_close(code);
            *reading = Reading::Over;
            None
        }
        Item::Binary(bytes) => {
            Some(parse(socket, Encoding::Protobuf, || wire::ClientFrame::decode(bytes).map_err(|_| ())))
        }
        Item::Text(text) => Some(parse(socket, Encoding::Json, || json::decode_client(text).map_err(|_| ()))),
    }
}

/// The first frame, or the subprotocol, decides the encoding; a frame in the other one is malformed.
fn parse(socket: &Socket, encoding: Encoding, decode: impl FnOnce() -> Result<wire::ClientFrame, ()>) -> Frame {
    let agreed = socket.encoding.get().unwrap_or(encoding);
    socket.encoding.set(Some(agreed));
    let frame = if agreed == encoding { decode() } else { Err(()) };
    frame.map_err(|()| {
        socket.blame_content();
        FrameError::Malformed
    })
}

impl Source for WebSocketSource {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        loop {
            if self.reading == Reading::Over || self.socket.state.get() == State::Broken {
                return Poll::Ready(None);
            }
            if let Some(frame) = self.decode_kept() {
                return Poll::Ready(Some(frame));
            }
            if self.reading == Reading::Over {
                continue;
            }
            if let Some(frame) = ready!(self.poll_read(cx)) {
                return Poll::Ready(Some(frame));
            }
        }
    }

    fn set_frame_bytes_max(&mut self, bytes: usize) {
        self.decoder.set_message_bytes_max(bytes);
    }

    fn encoding(&self) -> Option<Encoding> {
        self.socket.encoding.get()
    }

    fn activity(&self) -> u64 {
        self.activity
    }
}
