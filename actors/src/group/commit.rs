//! What happens when rows or records have become durable: now, and not before, they are settled, answered and fanned out.

use actix::Context;
use metrics::histogram;
use tidings_schema::id::Seq;

use super::{Group, Phase};
use crate::appender::LaneState;

impl Group {
    /// Called whenever the actor wakes; cheap when nothing moved.
    pub(super) fn on_progress(&mut self, ctx: &mut Context<Self>) {
        if self.progress.state() == LaneState::Stopped {
            return self.stop_corrupt("a write can never succeed", ctx);
        }
        let committed = self.progress.committed();
        if committed > self.timeline.committed() {
            self.committed(committed, ctx);
        }
        let flushed = self.progress.flushed();
        if flushed > self.checkpoint.flushed {
            self.checkpoint.flushed = flushed;
            self.on_flushed(ctx);
        }
        self.run(ctx);
    }

    fn committed(&mut self, upto: Seq, ctx: &mut Context<Self>) {
        self.timeline.commit(upto);
        let (rows, now) = (self.rows.commit(upto), self.parts.clock.uptime());
        for row in &rows {
            self.state.settle(row.seq, &row.event);
            self.settle_projections(row);
        }
        if self.state.have_changed() {
            self.checkpoint.members_changed(now);
        }
        while self.answers.front().is_some_and(|waiting| waiting.seq <= upto) {
            let Some(waiting) = self.answers.pop_front() else { break };
            histogram!("tidings_ack_seconds").record(now.since(waiting.since) as f64 / 1_000.0);
            self.answer(waiting.to, waiting.op_id, waiting.answer);
        }
        // The sender hears of its message by the answer first.
        self.flush();
        self.fan_out(&rows);
        self.redact(ctx);
        if self.phase == Phase::Serving {
            self.checkpoint_if_due();
        }
    }

    fn on_flushed(&mut self, ctx: &mut Context<Self>) {
        self.checkpoint_flushed();
        self.redactions_flushed(ctx);
        if self.phase == Phase::Stopping {
            self.go_on_leaving(ctx);
        }
    }
}
