//! What happens when rows or records have become durable: now, and not before, they are answered, pushed to the user's
//! devices, told to peers and written into projections.

use actix::Context;
use metrics::histogram;
use tidings_schema::{
    id::{Seq, Uid},
    row::{InboxRow, RowBody, Way},
};

use super::{Mailbox, Phase};
use crate::appender::LaneState;

impl Mailbox {
    /// Called whenever the actor wakes; cheap when nothing moved.
    pub(super) fn on_progress(&mut self, ctx: &mut Context<Self>) {
        if self.progress.state() == LaneState::Stopped {
            return self.stop_corrupt("a write can never succeed", ctx);
        }
        let (before, committed) = (self.timeline.committed(), self.progress.committed());
        if committed > before {
            self.committed(before, committed, ctx);
        }
        let flushed = self.progress.flushed();
        if flushed > self.checkpoint.flushed {
            self.checkpoint.flushed = flushed;
            self.on_flushed(ctx);
        }
        self.put_noted_places();
        self.run(ctx);
    }

    fn committed(&mut self, before: Seq, committed: Seq, ctx: &mut Context<Self>) {
        self.timeline.commit(committed);
        let rows: Vec<InboxRow> = self.rows.after(before).into_iter().flatten().cloned().collect();
        let now = self.parts.clock.uptime();
        let mut told = Vec::new();
        for row in rows.iter().take_while(|row| row.seq <= committed) {
            self.peers.settle(row);
            self.committed_unread = row.t;
            self.tell_read(row);
            note_peer(&mut told, row);
        }
        while self.answers.front().is_some_and(|waiting| waiting.seq <= committed) {
            let Some(waiting) = self.answers.pop_front() else { break };
            histogram!("tidings_ack_seconds").record(now.since(waiting.since) as f64 / 1_000.0);
            self.answer(waiting.to, waiting.op_id, waiting.answer);
        }
        self.redact(ctx);
        self.push_committed(ctx);
        for (peer, effect) in told {
            match effect {
                Effect::Drive => self.drive(&peer, ctx),
                Effect::Accept => self.accept(&peer),
            }
        }
        if self.phase == Phase::Serving {
            self.checkpoint_if_due();
        }
    }

    fn on_flushed(&mut self, ctx: &mut Context<Self>) {
        self.checkpoint_flushed();
        self.redactions_flushed(ctx);
        self.welcome_flushed(ctx);
        self.revocations_flushed();
        self.noted_flushed();
        self.sweep_flushed();
        if self.phase == Phase::Stopping {
            self.go_on_leaving(ctx);
        }
    }
}

/// What a committed row means for its peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// There is something to deliver.
    Drive,
    /// There is something to accept.
    Accept,
}

fn note_peer(told: &mut Vec<(Uid, Effect)>, row: &InboxRow) {
    let effect = match row.body {
        RowBody::Out { .. }
        | RowBody::Read { .. }
        | RowBody::Deleted { .. }
        | RowBody::Change { way: Way::Out { .. }, .. } => Effect::Drive,
        RowBody::In { .. } | RowBody::Receipt { .. } | RowBody::Change { way: Way::In { .. }, .. } => Effect::Accept,
        RowBody::Blocked | RowBody::Unblocked | RowBody::ConversationSet { .. } | RowBody::Group { .. } => return,
    };
    let Some(peer) = &row.with else { return };
    if !told.iter().any(|(known, what)| known == peer && *what == effect) {
        told.push((peer.clone(), effect));
    }
}
