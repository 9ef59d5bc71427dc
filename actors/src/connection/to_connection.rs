//! What the user's mailbox says: welcome, answers, pushes, and good-bye.

use actix::prelude::*;
use bytes::Bytes;
use tidings_schema::{error_code::ErrorCode, id::Seq, wire};

use super::{
    Connection, Stage,
    close::GoAway,
    deliveries::Deliveries,
    unanswered::{Kind, Pending},
};
use crate::port::{
    edge::{Encoding, OUT_BYTES_MAX, Written},
    link::{EntryFrame, OpId, Push, ToConnection},
};

/// Events are dropped when more than this waits to be written.
const EVENT_ROOM_BYTES: usize = OUT_BYTES_MAX / 2;

/// Parts for one connection, handled in one turn: they leave in one write.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Tell {
    /// In order.
    pub parts: Vec<ToConnection>,
}

impl Handler<Tell> for Connection {
    type Result = ();

    fn handle(&mut self, tell: Tell, _: &mut Self::Context) {
        for part in tell.parts {
            if self.is_closing() {
                return;
            }
            match part {
                ToConnection::Welcome(op_id, welcome) => self.welcome(op_id, welcome),
                ToConnection::Answer(op_id, body) => self.answer(op_id, body),
                ToConnection::Push(push) => self.push(&push),
                ToConnection::Again(frame) => self.push_again(&frame),
                ToConnection::HeadMoved(head) => self.deliveries.raise_head(head),
                ToConnection::Event(frame) => self.event(&frame),
                ToConnection::Close(reason) => self.go_away(GoAway::because(reason)),
                ToConnection::SignOut(before) => self.signed_out(before),
            }
        }
    }
}

impl Connection {
    fn answer(&mut self, op_id: OpId, body: wire::server_frame::Body) {
        if matches!(self.stage, Stage::Welcome { op_id: waiting, .. } if waiting == op_id) {
            return self.not_welcome(op_id, body);
        }
        match self.unanswered.take(op_id) {
            Some(pending) => {
                self.note(&pending, refusal_of(&body));
                match pending.kind {
                    Kind::Page => self.say_page(op_id, body),
                    Kind::Send(..) | Kind::Other => self.say(op_id, body),
                }
                self.close_when_answered();
            }
            // An error about something that has no id, such as an ack.
            None if op_id == 0 && refusal_of(&body).is_some() => {
                self.deliveries.not_acked();
                self.say(0, body);
            }
            // The client was told "outcome unknown" before.
            None => metrics::counter!("tidings_late_answers_total").increment(1),
        }
    }

    /// Remembers what an answer means for what follows. `refusal` is its error code, if it is one.
    pub(super) fn note(&mut self, pending: &Pending, refusal: Option<u32>) {
        match &pending.kind {
            Kind::Send(to, message_id) => {
                if refusal.is_some_and(|code| code >= ErrorCode::OutcomeUnknown.number()) {
                    self.order.refused(to, *message_id, self.parts.clock.uptime());
                }
            }
            Kind::Page => self.pages.done(pending.op_id),
            Kind::Other => {}
        }
    }

    fn push(&mut self, push: &Push) {
        if self.stage != Stage::Live {
            return;
        }
        self.deliveries.raise_head(push.last);
        if !self.deliveries.fits(push.after) || !self.forward(push.last, push) {
            self.deliveries.dropped();
            self.settle(Deliveries::urgent);
        }
    }

    /// Entries the client has not acknowledged, once more. When this frame has left the out queue, or finds no place in
    /// it, the mailbox hears of what has drained again: its next time-out runs from there.
    fn push_again(&mut self, frame: &EntryFrame) {
        if self.stage != Stage::Live {
            return;
        }
        let payload = self.encoded(frame);
        let bytes = payload.len();
        match self.outlet.offer(payload) {
            Written::Taken => self.deliveries.repeated(self.outlet.progress().taken, bytes),
            Written::Full | Written::Closed => self.deliveries.not_repeated(),
        }
    }

    /// What is kept nowhere gets only room that nobody else needs.
    fn event(&self, frame: &EntryFrame) {
        if self.stage == Stage::Live && self.outlet.queued_bytes() < EVENT_ROOM_BYTES {
            // Full: the client reads slowly, and this was not worth keeping.
            let _ = self.outlet.offer(self.encoded(frame));
        }
    }

    fn encoded(&self, frame: &EntryFrame) -> Bytes {
        match self.encoding() {
            Encoding::Protobuf => frame.protobuf(),
            Encoding::Json => frame.json(),
        }
    }

    /// Whether the outlet took it.
    fn forward(&mut self, last: Seq, push: &Push) -> bool {
        let payload = self.encoded(&push.frame);
        let bytes = payload.len();
        match self.outlet.offer(payload) {
            Written::Taken => {
                self.deliveries.forwarded(last, self.outlet.progress().taken, bytes);
                true
            }
            Written::Full | Written::Closed => false,
        }
    }
}

pub(super) fn refusal_of(body: &wire::server_frame::Body) -> Option<u32> {
    match body {
        wire::server_frame::Body::Error(error) => Some(error.code),
        _ => None,
    }
}
