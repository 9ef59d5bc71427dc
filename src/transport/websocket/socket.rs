//! One upgraded socket, shared by its outlet and its source on one thread. Nothing is borrowed across a wait.

use std::{
    cell::{Cell, RefCell},
    io,
    sync::Arc,
    task::Waker,
};

use actix_rt::net::TcpStream;
use bytes::{BufMut, Bytes, BytesMut};
use socket2::SockRef;
use tidings_actors::port::edge::{CloseReason, Encoding};

use super::codec::{self, CodecError};
use crate::transport::out_queue::{Class, Flushed, OutBudget, OutQueue};

/// Bytes behind a close frame that are read at a time, and how often.
const REST_BYTES: usize = 4 * 1024;
const REST_READS_MAX: usize = 16;

/// How far the goodbye of this side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Frames are taken.
    Open,
    /// A close frame is the last in the queue.
    Closing,
    /// The close frame has left, and this side sends no more.
    Said,
    /// The socket is broken, or about to be reset.
    Broken,
}

/// The socket, and the only writer of it ([`Outlet`](tidings_actors::port::edge::Outlet)).
pub struct Socket {
    pub(super) stream: TcpStream,
    pub(super) out: RefCell<OutQueue>,
    pub(super) state: Cell<State>,
    pub(super) encoding: Cell<Option<Encoding>>,
    /// Whoever flushed last, as its task.
    writer: Cell<Option<Waker>>,
    /// The kernel takes no more now, and `writer` knows.
    pub(super) blocked: Cell<bool>,
    /// A close code more exact than the reason the actor gives.
    exact_code: Cell<Option<u16>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, encoding: Option<Encoding>, budget: Arc<OutBudget>) -> Self {
        Self {
            stream,
            out: RefCell::new(OutQueue::new(budget)),
            state: Cell::new(State::Open),
            encoding: Cell::new(encoding),
            writer: Cell::new(None),
            blocked: Cell::new(false),
            exact_code: Cell::new(None),
        }
    }

    /// Writes until nothing is left or the kernel takes no more.
    pub(super) fn write(&self) -> io::Result<Flushed> {
        self.out.borrow_mut().flush(|slices| match slices {
            [one] => self.stream.try_write(one),
            many => self.stream.try_write_vectored(many),
        })
    }

    pub(super) fn keep_writer(&self, waker: &Waker) {
        let kept = self.writer.take().filter(|kept| kept.will_wake(waker));
        self.writer.set(Some(kept.unwrap_or_else(|| waker.clone())));
    }

    pub(super) fn wake_writer(&self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Answers a ping, unless the client owes us reading first.
    pub(super) fn pong(&self, payload: &[u8]) {
        let mut out = self.out.borrow_mut();
        if self.state.get() == State::Open && out.has_room(payload.len()) {
            out.push(codec::header(codec::PONG, payload.len()), Bytes::copy_from_slice(payload), Class::Control);
        }
    }

    /// The client closes: its code goes back.
    pub(super) fn echo_close(&self, code: Option<u16>) {
        self.say_close(code, "");
    }

    pub(super) fn close(&self, reason: CloseReason) {
        if self.state.get() != State::Open {
            return;
        }
        if reason == CloseReason::Slow && self.out.borrow().bytes() > 0 {
            return self.break_off();
        }
        let code = self.exact_code.get().filter(|_| reason == CloseReason::BadFrame).unwrap_or(reason.code());
        self.say_close(Some(code), reason.label());
    }

    fn say_close(&self, code: Option<u16>, text: &str) {
        if self.state.get() != State::Open {
            return;
        }
        let mut payload = BytesMut::new();
        if let Some(code) = code {
            payload.put_u16(code);
            payload.put_slice(text.as_bytes());
        }
        let header = codec::header(codec::CLOSE, payload.len());
        self.out.borrow_mut().push(header, payload.freeze(), Class::Control);
        self.state.set(State::Closing);
    }

    /// The close frame has left: the client sees the end of the stream behind it.
    pub(super) fn close_said(&self) {
        // Fails when the client was faster; then it is shut already.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
        self.state.set(State::Said);
    }

    /// Nothing can be written or read any more.
    pub(super) fn break_off(&self) {
        self.out.borrow_mut().clear();
        self.state.set(State::Broken);
    }

    /// The client sent what this codec refuses.
    pub(super) fn blame(&self, why: CodecError) {
        self.exact_code.set(match why {
            CodecError::Protocol | CodecError::TooLarge => None,
            CodecError::Utf8 => Some(1007),
        });
    }

    /// The client sent a sound WebSocket message that is no frame of the protocol.
    pub(super) fn blame_content(&self) {
        self.exact_code.set(Some(1007));
    }
}

impl Drop for Socket {
    /// A peer that did not take everything is reset: otherwise the kernel would keep its send queue for minutes. Any other
    /// is not: bytes that came behind its close frame are read, because the kernel resets a socket that leaves some.
    fn drop(&mut self) {
        if self.state.get() == State::Broken || self.out.borrow().bytes() > 0 {
            // Fails only when the socket is gone already.
            let _ = self.stream.set_zero_linger();
            return;
        }
        let mut rest = [0; REST_BYTES];
        let read = |_: &usize| self.stream.try_read(&mut rest).is_ok_and(|bytes| bytes > 0);
        (0..REST_READS_MAX).take_while(read).for_each(drop);
    }
}
