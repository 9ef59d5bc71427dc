//! The hub's look at a connection that is due: deadlines, heartbeat, a client that does not read, and what is still owed
//! to the mailbox.

use actix::prelude::*;
use tidings_schema::{error_code::ErrorCode, id::Millis, wire};

use super::{Connection, Stage, Stall, close::GoAway, deliveries::Deliveries};
use crate::port::edge::CloseReason;

/// Look at yourself; sent by the hub when the connection's pulse says so.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Sweep {
    /// Uptime.
    pub now: Millis,
}

impl Handler<Sweep> for Connection {
    type Result = ();

    fn handle(&mut self, sweep: Sweep, ctx: &mut Self::Context) {
        self.check_stage(sweep.now, ctx);
        if !self.is_closing() {
            self.expire(sweep.now);
            self.settle(Deliveries::owed);
            self.check_stall(sweep.now);
            self.check_heartbeat(sweep.now);
            self.check_token();
            self.check_groups();
        }
        self.pulse.set(self.next_due(sweep.now));
    }
}

impl Connection {
    fn check_stage(&mut self, now: Millis, ctx: &mut Context<Self>) {
        match self.stage {
            Stage::Hello { until } if until <= now => {
                self.fail(ErrorCode::HelloTimeout, "no hello in time", CloseReason::HelloTimeout);
            }
            Stage::Welcome { op_id, until } if until <= now => {
                self.error(op_id, ErrorCode::Unavailable, "mailbox does not answer");
                self.close(CloseReason::Full);
            }
            Stage::Leaving { until } if until <= now => self.close(CloseReason::Drain),
            // What is still queued is thrown away with the socket.
            Stage::Closing { until } if until <= now => ctx.stop(),
            Stage::Hello { .. } | Stage::Welcome { .. } | Stage::Closing { .. } => {}
            Stage::Live | Stage::Leaving { .. } => {}
        }
    }

    /// A late answer is dropped: the client resends the same message id.
    fn expire(&mut self, now: Millis) {
        while let Some(pending) = self.unanswered.take_expired(now) {
            metrics::counter!("tidings_ops_expired_total").increment(1);
            self.note(&pending, Some(ErrorCode::OutcomeUnknown.number()));
            self.error(pending.op_id, ErrorCode::OutcomeUnknown, "outcome unknown, resend the same message id");
        }
        self.close_when_answered();
    }

    fn check_stall(&mut self, now: Millis) {
        let drained_bytes = self.outlet.progress().drained_bytes;
        if self.outlet.queued_bytes() == 0 {
            self.stall = None;
            return;
        }
        let stall = self.stall.filter(|stall| stall.drained_bytes == drained_bytes);
        let stall = stall.unwrap_or(Stall { drained_bytes, since: now });
        self.stall = Some(stall);
        if now.since(stall.since) >= self.parts.limits.stalled_ms_max {
            self.close(CloseReason::Slow);
        }
    }

    fn check_heartbeat(&mut self, now: Millis) {
        let activity = self.source.activity();
        if activity != self.activity {
            self.activity = activity;
            self.heartbeat.heard(now);
        }
        if self.heartbeat.is_dead(now) {
            self.go_away(GoAway::because(wire::GoAwayReason::Dead));
        }
    }

    fn next_due(&self, now: Millis) -> Millis {
        if let Stage::Closing { until } = self.stage {
            return until;
        }
        if self.deliveries.owed().is_some() || self.outlet.queued_bytes() > 0 {
            return now;
        }
        let stage = match self.stage {
            Stage::Hello { until } | Stage::Welcome { until, .. } => Some(until),
            Stage::Leaving { until } | Stage::Closing { until } => Some(until),
            Stage::Live => None,
        };
        let wall = self.parts.clock.now();
        let token = self.identity.as_ref().map(|identity| now.plus(identity.token.next().since(wall)));
        let dues = [stage, token, self.unanswered.next_deadline()];
        dues.into_iter().flatten().fold(self.heartbeat.deadline(), Millis::min)
    }
}
