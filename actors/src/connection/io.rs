//! The socket of a connection, polled inside the actor's own context: frames in, then what this turn offered out.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use actix::{Context, fut::ActorFuture, prelude::*};
use tidings_schema::error_code::ErrorCode;

use super::{Connection, Stage, deliveries::Deliveries};
use crate::port::edge::{CloseReason, FrameError};

/// Frames handled in one turn; then the other connections of the worker get theirs.
const TURN_FRAMES_MAX: usize = 64;

/// Ends when the connection is over.
pub(super) struct Io;

impl ActorFuture<Connection> for Io {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        connection: &mut Connection,
        ctx: &mut Context<Connection>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let read = connection.poll_read(ctx, cx);
        let written = connection.poll_write(cx);
        match (read, written) {
            // Both sides have said what they had to say; or the socket broke, which ends both.
            (Poll::Ready(()), Poll::Ready(())) => {
                ctx.stop();
                Poll::Ready(())
            }
            _ => Poll::Pending,
        }
    }
}

impl Connection {
    /// Ready when the client has closed.
    fn poll_read(&mut self, ctx: &mut Context<Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        for _ in 0..TURN_FRAMES_MAX {
            // Whoever is not let in yet has nothing to say: what rides behind a `hello` that is refused is not looked at.
            let waits = matches!(self.stage, Stage::Welcome { .. });
            if waits || (!self.unanswered.has_room() && !self.is_closing()) {
                // The next answer polls this context again.
                return Poll::Pending;
            }
            match self.source.poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => self.request(frame, ctx),
                Poll::Ready(Some(Err(why))) => self.unreadable(why),
                Poll::Ready(None) => {
                    self.close(CloseReason::Gone);
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn unreadable(&mut self, why: FrameError) {
        if self.is_closing() {
            return;
        }
        let text = why.to_string();
        match why {
            FrameError::TooLarge => self.fail(ErrorCode::FrameTooLarge, &text, CloseReason::TooLarge),
            FrameError::Malformed(_) => self.fail(ErrorCode::BadFrame, &text, CloseReason::BadFrame),
        }
    }

    /// Ready when nothing will be written any more.
    fn poll_write(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let mut flushed = self.outlet.poll_flush(cx);
        if self.tell_behind() {
            flushed = self.outlet.poll_flush(cx);
        }
        let progress = self.outlet.progress();
        self.deliveries.left(progress.drained);
        if self.deliveries.report_now() {
            self.settle(Deliveries::owed);
        } else if self.deliveries.owed().is_some() || self.outlet.queued_bytes() > 0 {
            self.pulse.soon();
        }
        if matches!(self.stage, Stage::Live | Stage::Leaving { .. }) {
            self.ask_for_pages();
        }
        flushed
    }
}
