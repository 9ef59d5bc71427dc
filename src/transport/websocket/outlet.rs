//! The writing end of a WebSocket: the only writer of its socket.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tidings_actors::port::edge::{CloseReason, Encoding, Outlet, Progress, Written};

use super::{
    codec,
    socket::{Socket, State},
};
use crate::transport::out_queue::{Class, Flushed};

impl Socket {
    /// Offers one message in the form of `encoding`.
    pub fn offer_as(&self, encoding: Encoding, payload: Bytes) -> Written {
        if self.state.get() != State::Open {
            return Written::Closed;
        }
        let opcode = match encoding {
            Encoding::Json => codec::TEXT,
            Encoding::Protobuf => codec::BINARY,
        };
        let header = codec::header(opcode, payload.len());
        let mut out = self.out.borrow_mut();
        if !out.has_room(payload.len() + usize::from(header.len)) {
            return Written::Full;
        }
        out.push(header, payload, Class::Frame);
        Written::Taken
    }
}

impl Outlet for Socket {
    fn offer(&self, payload: Bytes) -> Written {
        self.offer_as(self.encoding.get().unwrap_or(Encoding::Protobuf), payload)
    }

    fn queued_bytes(&self) -> usize {
        self.out.borrow().bytes()
    }

    fn progress(&self) -> Progress {
        self.out.borrow().progress()
    }

    fn close(&self, reason: CloseReason) {
        Socket::close(self, reason);
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.keep_writer(cx.waker());
        self.blocked.set(false);
        loop {
            match self.state.get() {
                State::Open | State::Closing => {}
                State::Said | State::Broken => return Poll::Ready(()),
            }
            match self.write() {
                Ok(Flushed::All) if self.state.get() == State::Closing => self.close_said(),
                // The owner polls again in the turn in which it offers more.
                Ok(Flushed::All) => return Poll::Pending,
                Ok(Flushed::Blocked) => {
                    let ready = self.stream.poll_write_ready(cx);
                    self.blocked.set(ready.is_pending());
                    if ready!(ready).is_err() {
                        self.break_off();
                    }
                }
                Err(_) => self.break_off(),
            }
        }
    }

    fn flush_now(&self) {
        if self.state.get() != State::Open || self.blocked.get() {
            return;
        }
        match self.write() {
            Ok(Flushed::All) => return,
            Ok(Flushed::Blocked) => self.blocked.set(true),
            Err(_) => self.break_off(),
        }
        self.wake_writer();
    }
}
