//! The messages of a WebSocket, whatever they mean: reads the socket, answers what is the transport's own, hands on the
//! rest. One read buffer per worker thread: messages are decoded in it, and only what is not complete is kept by its
//! connection.

use std::{
    cell::RefCell,
    io::{self, Read as _},
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_rt::net::TcpStream;
use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tidings_actors::port::edge::FrameError;
use tokio::io::Interest;

use super::{
    codec::{CodecError, Decoder, Item, Step},
    socket::{Socket, State},
};

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// One message, where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Messages.
    Messages,
    /// To the end, after an error, so that the close frame is not lost to a reset.
    Rest,
    /// Nothing: the client closed or is gone.
    Over,
}

/// The reading end.
pub struct Messages {
    socket: Rc<Socket>,
    decoder: Decoder,
    /// What came and is not decoded yet.
    kept: BytesMut,
    reading: Reading,
    activity: u64,
}

/// What became of some input: the bytes that are done with, and what they complete.
type Taken<T> = (usize, Option<Result<T, FrameError>>);

impl Messages {
    pub(super) fn new(socket: Rc<Socket>, early: BytesMut) -> Self {
        // Until the owner says otherwise nothing is taken.
        Self { socket, decoder: Decoder::new(0), kept: early, reading: Reading::Messages, activity: 0 }
    }

    /// Sets the largest message that is accepted from now on.
    pub fn set_message_bytes_max(&mut self, bytes: usize) {
        self.decoder.set_message_bytes_max(bytes);
    }

    /// Grows with everything that is heard.
    #[must_use]
    pub fn activity(&self) -> u64 {
        self.activity
    }

    /// What `take` makes of the next message. `Ready(None)`: the client closed or is gone. After an error, also one of
    /// `take`, what still comes is thrown away, until `Ready(None)`.
    pub fn poll_next<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl Fn(Message<'_>) -> Result<T, FrameError>,
    ) -> Poll<Option<Result<T, FrameError>>> {
        loop {
            if self.reading == Reading::Over || self.socket.state.get() == State::Broken {
                return Poll::Ready(None);
            }
            if let Some(taken) = self.decode_kept(&take) {
                return Poll::Ready(Some(taken));
            }
            if self.reading == Reading::Over {
                continue;
            }
            if let Some(taken) = ready!(self.poll_read(cx, &take)) {
                return Poll::Ready(Some(taken));
            }
        }
    }

    /// The next message of `input`.
    fn decode<T>(&mut self, input: &mut [u8], take: impl Fn(Message<'_>) -> Result<T, FrameError>) -> Taken<T> {
        let mut used = 0;
        while let Some(rest) = input.get_mut(used..).filter(|_| self.reading == Reading::Messages) {
            let taken = match self.decoder.step(rest) {
                Ok(Step::More) => break,
                Ok(Step::Skip(bytes)) => {
                    used += bytes;
                    None
                }
                Ok(Step::Item(bytes, item)) => {
                    used += bytes;
                    handle(&self.socket, item, &mut self.reading).map(&take)
                }
                Err(why) => {
                    self.socket.blame(why);
                    Some(Err(refused(why)))
                }
            };
            if taken.as_ref().is_some_and(Result::is_err) {
                self.reading = Reading::Rest;
            }
            if taken.is_some() {
                return (used, taken);
            }
        }
        (used, None)
    }

    fn decode_kept<T>(&mut self, take: impl Fn(Message<'_>) -> Result<T, FrameError>) -> Option<Result<T, FrameError>> {
        if self.kept.is_empty() {
            return None;
        }
        let mut kept = std::mem::take(&mut self.kept);
        let (used, taken) = self.decode(&mut kept, take);
        kept.advance(used);
        if !kept.is_empty() && self.reading == Reading::Messages {
            // A large message leaves its room behind: what is kept of the next one keeps only its own bytes.
            let roomy = used > 0 && kept.capacity() > 2 * kept.len();
            self.kept = if roomy { BytesMut::from(&kept[..]) } else { kept };
        }
        taken
    }

    fn decode_read<T>(
        &mut self,
        input: &mut [u8],
        take: impl Fn(Message<'_>) -> Result<T, FrameError>,
    ) -> Option<Result<T, FrameError>> {
        if self.reading == Reading::Rest {
            return None;
        }
        if !self.kept.is_empty() {
            self.kept.extend_from_slice(input);
            return self.decode_kept(take);
        }
        let (used, taken) = self.decode(input, take);
        if self.reading == Reading::Messages {
            self.kept = BytesMut::from(&input[used..]);
        }
        taken
    }

    /// Reads once; `None` when no message is complete by it.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl Fn(Message<'_>) -> Result<T, FrameError>,
    ) -> Poll<Option<Result<T, FrameError>>> {
        if ready!(self.socket.stream.poll_read_ready(cx)).is_err() {
            self.lose();
            return Poll::Ready(None);
        }
        READ_BUFFER.with_borrow_mut(|buffer| match read_once(&self.socket.stream, buffer) {
            Ok(0) => {
                self.reading = Reading::Over;
                Poll::Ready(None)
            }
            Ok(bytes) => {
                self.activity += 1;
                Poll::Ready(self.decode_read(&mut buffer[..bytes], take))
            }
            // The readiness was stale; the next poll registers again.
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => Poll::Ready(None),
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

/// Reads what is there. A read that leaves room in the buffer has emptied the socket: saying so at once spares the system
/// call that would only learn it.
fn read_once(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut bytes = 0;
    let read = stream.try_io(Interest::READABLE, || {
        bytes = (&*SockRef::from(stream)).read(buffer)?;
        let emptied = bytes > 0 && bytes < buffer.len();
        if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match read {
        Err(why) if bytes == 0 => Err(why),
        _ => Ok(bytes),
    }
}

fn refused(why: CodecError) -> FrameError {
    match why {
        CodecError::TooLarge => FrameError::TooLarge,
        CodecError::Protocol | CodecError::Utf8 => FrameError::Malformed(why.to_string().into()),
    }
}

/// Answers what is the transport's own; gives back what is a message.
fn handle<'a>(socket: &Socket, item: Item<'a>, reading: &mut Reading) -> Option<Message<'a>> {
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
        Item::Binary(bytes) => Some(Message::Binary(bytes)),
        Item::Text(text) => Some(Message::Text(text)),
    }
}
