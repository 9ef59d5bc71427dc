//! One group: owns its log, its members with their rights and cursors, and what its members' connections have to be told.
//!
//! Like a mailbox it decides, hands rows to the Appender and goes on; nothing it decided is answered, shown or fanned out
//! before it is committed. Work is done strictly in the order it came; work that needs something from the store first makes
//! the work behind it wait ([`gate`]). Reads rest on what is committed and wait for nobody.

mod answers;
mod append;
mod chains;
mod change;
mod checkpoint;
mod commit;
mod cursors;
mod fan_out;
mod gate;
mod joins;
mod leave;
mod load;
mod members;
mod operations;
mod pages;
mod pulls;
mod redact;
mod rows;
mod send;
#[cfg(test)]
mod tests;
mod tick;

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    rc::Rc,
    task::{Context as Cx, Poll},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, fut::ActorFuture};
use tidings_schema::{
    error_code::ErrorCode,
    id::{Gid, LogId, Seq, Uid},
};
use tidings_state::{
    group::{self as state, rights::Caller},
    limiter::Limiter,
    sent_window::SentWindow,
    timeline::Timeline,
};
use tracing::error;
use uuid::Uuid;

use self::{
    answers::{Waiting, ok},
    chains::Chains,
    checkpoint::Checkpoint,
    fan_out::Untold,
    gate::Gate,
    joins::Joins,
    pulls::Pulls,
    redact::Redactions,
    rows::Rows,
};
use crate::{
    appender::Progress,
    limits::{GROUP_SENDS_BURST, GROUP_SENDS_PER_S},
    port::{
        link::{ConnectionRef, GroupCommand, GroupOp, ToConnection},
        store::TimelineId,
    },
    shard::ShardParts,
};

/// Messages that may wait in the actor's own queue; the shard refuses more.
pub const GROUP_QUEUE_MAX: usize = 256;
/// Work that may wait behind a load or a gate; more is refused (5003).
pub const WORK_WAITING_MAX: usize = 256;

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reads what the store has; work waits.
    Loading,
    /// Works.
    Serving,
    /// Writes its last records; work waits.
    Stopping,
    /// Left, or damaged: every op is refused.
    Left,
}

/// The actor.
pub struct Group {
    gid: Gid,
    timeline_id: TimelineId,
    parts: Rc<ShardParts>,
    progress: Rc<Progress>,
    phase: Phase,
    work: VecDeque<GroupCommand>,
    gate: Gate,
    timeline: Timeline,
    /// Becomes the log's identity if this activation appends row 1.
    fresh_log_id: LogId,
    /// Who is a member with which rights, settings and cursors.
    state: state::Group,
    window: SentWindow,
    rows: Rows,
    limiter: Limiter,
    chains: Chains,
    /// Users who join by themselves and share the next row.
    joins: Joins,
    /// Changed messages whose rows are not written anew yet.
    redactions: Redactions,
    answers: VecDeque<Waiting>,
    checkpoint: Checkpoint,
    /// Pages that are being read from the store.
    pulls: Pulls,
    /// Frames that the node did not take.
    untold: Untold,
    /// What this turn tells connections, in order; leaves at the end of the turn.
    told: BTreeMap<ConnectionRef, Vec<ToConnection>>,
}

/// Who asks: the app's own server speaks under names that begin with `@`.
fn caller(uid: &Uid) -> Caller<'_> {
    if uid.is_system() { Caller::Server(uid) } else { Caller::User(uid) }
}

impl Group {
    /// Starts the group `gid`; `works` is what it is started for, done in order once it has loaded.
    #[must_use]
    pub fn start_for(gid: Gid, parts: Rc<ShardParts>, works: Vec<GroupCommand>) -> Addr<Self> {
        let timeline_id = TimelineId::Group(gid.clone());
        let epoch = parts.ownership.epoch(parts.id).unwrap_or_default();
        let now = parts.clock.uptime();
        Self {
            progress: parts.appender.progress(&timeline_id),
            timeline_id,
            phase: Phase::Loading,
            work: works.into(),
            gate: Gate::default(),
            timeline: Timeline::empty(epoch),
            fresh_log_id: LogId::new(Uuid::new_v4().into_bytes()),
            state: state::Group::default(),
            window: SentWindow::new(),
            rows: Rows::after(Seq::ZERO),
            limiter: Limiter::new(GROUP_SENDS_PER_S, GROUP_SENDS_BURST, now),
            chains: Chains::default(),
            joins: Joins::default(),
            redactions: Redactions::default(),
            answers: VecDeque::new(),
            checkpoint: Checkpoint::new(now),
            pulls: Pulls::default(),
            untold: Untold::default(),
            told: BTreeMap::new(),
            gid,
            parts,
        }
        .start()
    }

    /// Does what waits, until something has to be fetched first.
    fn run(&mut self, ctx: &mut Context<Self>) {
        while self.phase == Phase::Serving && self.gate.is_open() {
            let Some(work) = self.work.pop_front() else { break };
            match self.need(&work) {
                None => self.do_work(work, ctx),
                Some(need) => {
                    self.work.push_front(work);
                    self.fetch(need, ctx);
                }
            }
        }
        if self.phase == Phase::Serving {
            self.join_if_free();
        }
        self.flush();
    }

    fn do_work(&mut self, work: GroupCommand, ctx: &mut Context<Self>) {
        self.checkpoint.touch(self.parts.clock.uptime());
        let GroupCommand { from, op_id, uid, op, .. } = work;
        if decides(&op) {
            self.join_now();
        }
        match op {
            GroupOp::Send(send) => self.send(from, op_id, &uid, &send),
            GroupOp::Do(state::Op::Join) if !uid.is_system() => self.wait_to_join(from, op_id, uid),
            GroupOp::Do(op) => self.operate(from, op_id, &uid, &op),
            GroupOp::Change(change) => self.change(from, op_id, &uid, &change),
            GroupOp::Sync(after, limit) => self.sync(from, op_id, &uid, after, limit, ctx),
            GroupOp::History(before, limit) => self.history(from, op_id, &uid, before, limit, ctx),
            GroupOp::Info => self.info(from, op_id, &uid),
            GroupOp::Members(after, limit) => self.members(from, op_id, &uid, after.as_ref(), limit),
            GroupOp::ReadBy { seq, after, limit } => self.read_by(from, op_id, uid, seq, after, limit, ctx),
            GroupOp::Ack(upto) => self.ack(from, op_id, &uid, upto),
            GroupOp::Read(seq) => self.read(from, op_id, uid, seq, ctx),
        }
        self.gate.done();
    }

    /// The log is damaged: nothing more is taken or told, and an operator is called. Other groups go on.
    fn stop_corrupt(&mut self, why: &str, ctx: &mut Context<Self>) {
        use actix::ActorContext as _;
        error!(gid = %self.gid, why, "group stopped, stored data is damaged");
        metrics::counter!("tidings_timelines_stopped_total").increment(1);
        self.phase = Phase::Left;
        while let Some(work) = self.work.pop_front() {
            self.refuse_work(&work, ErrorCode::Corrupt, STOPPED, 0);
        }
        self.flush();
        self.forget_connections();
        let mut directory = self.parts.groups.borrow_mut();
        directory.broke(&self.gid);
        directory.stopped(&self.gid);
        drop(directory);
        self.parts.appender.forget(&self.timeline_id);
        ctx.stop();
    }

    /// Nothing is kept any more to reach connections from this thread.
    fn forget_connections(&mut self) {
        self.chains.take().into_iter().for_each(|connection| self.parts.link.forget(connection));
    }

    /// The log's identity; it has none that may be told before its first row is committed.
    fn log_id(&self) -> Option<LogId> {
        self.timeline.log_id().filter(|_| self.timeline.committed() > Seq::ZERO)
    }
}

/// What clients read of a group that is stopped.
const STOPPED: &str = "the group is stopped, an operator has to look";

/// Whether what becomes of an op rests on rows that are handed over.
fn decides(op: &GroupOp) -> bool {
    match op {
        GroupOp::Do(op) => *op != state::Op::Join,
        GroupOp::Send(_) | GroupOp::Change(_) => true,
        GroupOp::Sync(..)
        | GroupOp::History(..)
        | GroupOp::Info
        | GroupOp::Members(..)
        | GroupOp::ReadBy { .. }
        | GroupOp::Ack(_)
        | GroupOp::Read(_) => false,
    }
}

impl Actor for Group {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(GROUP_QUEUE_MAX);
        ctx.spawn(Watch);
        self.load(ctx);
        ctx.run_interval(tick::TICK, Self::tick);
    }
}

impl Message for GroupCommand {
    type Result = ();
}

impl Handler<GroupCommand> for Group {
    type Result = ();

    fn handle(&mut self, work: GroupCommand, ctx: &mut Self::Context) {
        if self.phase == Phase::Left {
            self.refuse_work(&work, ErrorCode::Busy, "group is leaving memory", 1_000);
            return self.flush();
        }
        if self.work.len() >= WORK_WAITING_MAX {
            self.refuse_work(&work, ErrorCode::Busy, "group is busy", 1_000);
            return self.flush();
        }
        self.work.push_back(work);
        self.run(ctx);
    }
}

/// Polled whenever the actor's task wakes, also by the Appender: the one place where commits are noticed.
struct Watch;

impl ActorFuture<Group> for Watch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, group: &mut Group, ctx: &mut Context<Group>, cx: &mut Cx<'_>) -> Poll<()> {
        group.progress.register(cx.waker());
        if group.phase != Phase::Loading && group.phase != Phase::Left {
            group.on_progress(ctx);
        }
        Poll::Pending
    }
}

impl Drop for Group {
    /// A group that is dropped without having left has panicked (or the process ends).
    fn drop(&mut self) {
        if self.phase == Phase::Left {
            return;
        }
        if let Ok(mut directory) = self.parts.groups.try_borrow_mut() {
            directory.died(&self.gid);
        }
    }
}
