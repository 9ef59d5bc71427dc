//! What time brings: cursors, checkpoints, what was not taken, and leaving memory. One timer per group.

use std::time::Duration;

use actix::Context;

use super::{Group, Phase};

/// How often a group looks at what is due; everything timed is late by at most this.
pub const TICK: Duration = Duration::from_millis(250);

impl Group {
    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.phase == Phase::Stopping {
            return self.stay_if_wanted(ctx);
        }
        if self.phase != Phase::Serving {
            return;
        }
        let now = self.parts.clock.uptime();
        self.redact(ctx);
        self.tell_untold();
        self.write_members_if_due(now);
        self.checkpoint_if_due();
        self.flush();
        self.leave_if_idle(now, ctx);
    }
}
