//! The node stops: the client hears when to come back, what it asked before is still answered, then the connection
//! closes. Nothing new is taken and nothing is pushed any more.

use actix::prelude::*;
use tidings_schema::{
    error_code::ErrorCode,
    id::Seq,
    wire::{self, client_frame},
};

use super::{Connection, Stage, close::GoAway, deliveries::Deliveries};
use crate::port::{edge::CloseReason, link::OpId};

/// Leave: the node stops.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// When the client may come back.
    pub reconnect_after_ms: u64,
    /// How long operations that wait may still be answered.
    pub answers_ms: u64,
}

impl Handler<Leave> for Connection {
    type Result = ();

    fn handle(&mut self, leave: Leave, _: &mut Self::Context) {
        if self.stage != Stage::Live || self.unanswered.is_empty() {
            return self.go_away(GoAway::drain(leave.reconnect_after_ms));
        }
        let until = self.parts.clock.uptime().plus(leave.answers_ms);
        self.stage = Stage::Leaving { until };
        self.leave_groups();
        self.pulse.at_latest(until);
        self.say_go_away(GoAway::drain(leave.reconnect_after_ms));
    }
}

impl Connection {
    /// What a client that was told to go may still say: that it has something, and that it is there.
    pub(super) fn request_while_leaving(&mut self, op_id: OpId, op: Option<client_frame::Op>) {
        match op {
            Some(client_frame::Op::Ack(ack)) => {
                self.deliveries.acked(Seq::new(ack.inbox));
                self.settle(Deliveries::urgent);
            }
            Some(client_frame::Op::Ping(ping)) => self.ping(op_id, ping),
            _ => self.error(op_id, ErrorCode::Unavailable, "the node stops, ask again on the next connection"),
        }
    }

    /// The last answer has gone out.
    pub(super) fn close_when_answered(&mut self) {
        if matches!(self.stage, Stage::Leaving { .. }) && self.unanswered.is_empty() {
            self.close(CloseReason::Drain);
        }
    }

    pub(super) fn say_go_away(&mut self, go_away: GoAway) {
        let said = wire::GoAway { reason: go_away.reason.into(), reconnect_after_ms: go_away.reconnect_after_ms };
        self.say(0, wire::server_frame::Body::GoAway(said));
    }
}
