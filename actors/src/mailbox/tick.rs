//! What time brings: repetitions, receipts, cursors, checkpoints, and leaving memory. One timer per mailbox; the machines
//! say what is due.

use std::time::Duration;

use actix::Context;
use tidings_schema::id::Uid;

use super::{Mailbox, Phase};
use crate::port::link::ConnectionRef;

/// How often a mailbox looks at what is due; everything timed is late by at most this.
pub const TICK: Duration = Duration::from_millis(250);

impl Mailbox {
    pub(super) fn tick(&mut self, ctx: &mut Context<Self>) {
        if self.phase == Phase::Stopping {
            return self.stay_if_wanted(ctx);
        }
        if self.phase != Phase::Serving {
            return;
        }
        let now = self.parts.clock.uptime();
        let due = |peer: &super::peers::Peer| peer.outbox.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<Uid> = self.peers.map.iter().filter(|(_, peer)| due(peer)).map(|(uid, _)| uid.clone()).collect();
        for uid in late {
            self.drive(&uid, ctx);
        }
        self.redact(ctx);
        self.write_due_receipts();
        self.redeliver_due(ctx);
        let online: Vec<ConnectionRef> = self.devices.online.keys().copied().collect();
        for connection in online {
            self.feed(connection, ctx);
        }
        for (to, parts) in std::mem::take(&mut self.told_again) {
            self.told.entry(to).or_default().extend(parts);
        }
        self.tell_heads();
        self.release_peers();
        self.write_cursors_if_due(now);
        self.checkpoint_if_due();
        self.sweep_on(ctx);
        self.flush();
        self.leave_if_idle(now, ctx);
    }
}
