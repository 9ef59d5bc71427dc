//! A group leaves memory once everything is written and nothing is owed; its mark goes last.

use actix::{ActorContext as _, AsyncContext, Context};
use metrics::counter;
use tidings_schema::id::Millis;

use super::{Group, Phase};
use crate::{
    appender::{LaneState, PutNumber},
    port::store::{Change, Key},
};

/// Where a leaving group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Its last records are being written.
    Writing(PutNumber),
    /// Its mark is being removed.
    Unmarking(PutNumber),
}

impl Group {
    /// Leaves memory when nothing has been asked for a while and nothing is owed to anyone. One that nobody has created goes
    /// at once: whoever guesses ids costs no memory.
    pub(super) fn leave_if_idle(&mut self, now: Millis, ctx: &mut Context<Self>) {
        let idle = now.since(self.checkpoint.touched_at) >= self.parts.limits.mailbox_idle_ms;
        let due = idle || !self.state.live_charter().exists() || self.parts.groups.borrow().is_retiring();
        if !due || !self.owes_nothing() {
            return;
        }
        self.phase = Phase::Stopping;
        self.parts.groups.borrow_mut().stopping(&self.gid);
        let members = self.write_all_members();
        let last = if self.is_stale() { self.write_checkpoint() } else { members };
        match last {
            Some(put) => self.checkpoint.leaving = Some(Leaving::Writing(put)),
            None => self.unmark(ctx),
        }
    }

    fn owes_nothing(&self) -> bool {
        self.work.is_empty()
            && self.gate.is_open()
            && self.joins.is_empty()
            && self.answers.is_empty()
            && self.redactions.is_empty()
            && self.pulls.is_empty()
            && self.untold.is_empty()
            && !self.checkpoint.is_writing()
            && self.progress.state() == LaneState::Open
            && !self.parts.appender.in_flight(&self.timeline_id)
    }

    /// Something this group waits for before it leaves has become durable.
    pub(super) fn go_on_leaving(&mut self, ctx: &mut Context<Self>) {
        let flushed = self.checkpoint.flushed;
        match self.checkpoint.leaving {
            Some(Leaving::Writing(put)) if put <= flushed => self.unmark(ctx),
            Some(Leaving::Unmarking(put)) if put <= flushed => {
                self.checkpoint.marked = false;
                self.parts.groups.borrow_mut().unmark(&self.gid);
                self.leave(ctx);
            }
            Some(Leaving::Writing(_) | Leaving::Unmarking(_)) | None => {}
        }
    }

    /// The last records are not written yet (the store may be down or full) and somebody wants something: reads go on.
    pub(super) fn stay_if_wanted(&mut self, ctx: &mut Context<Self>) {
        let writing = matches!(self.checkpoint.leaving, Some(Leaving::Writing(_)));
        let wanted = !self.work.is_empty() || self.parts.groups.borrow().is_wanted(&self.gid);
        if writing && wanted {
            self.checkpoint.leaving = None;
            self.stay(ctx);
        }
    }

    /// Everything is written: the mark may go, unless work came meanwhile.
    fn unmark(&mut self, ctx: &mut Context<Self>) {
        if !self.checkpoint.marked || !self.work.is_empty() {
            return self.leave(ctx);
        }
        let mark = Change { key: Key::Mark(self.parts.id, self.timeline_id.clone()), value: None };
        let put = self.parts.appender.put(&self.timeline_id, vec![mark]);
        self.checkpoint.leaving = Some(Leaving::Unmarking(put));
    }

    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.checkpoint.leaving = None;
        if !self.work.is_empty() {
            return self.stay(ctx);
        }
        self.forget_connections();
        self.parts.groups.borrow_mut().stopped(&self.gid);
        self.parts.appender.forget(&self.timeline_id);
        self.phase = Phase::Left;
        counter!("tidings_group_passivations_total").increment(1);
        ctx.stop();
    }

    /// Work came while the last records were written.
    fn stay(&mut self, ctx: &mut Context<Self>) {
        self.phase = Phase::Serving;
        let waiting = self.parts.groups.borrow_mut().resumed(&self.gid, ctx.address());
        self.work.extend(waiting);
        self.run(ctx);
    }
}
