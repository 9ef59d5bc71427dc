//! One user's mailbox: owns the inbox, the one-to-one conversations, the devices with an ack queue each, and what other
//! mailboxes have not accepted yet.
//!
//! It decides, hands rows to the Appender and goes on; nothing it decided is answered, pushed or told to a peer before it
//! is committed. Work is done strictly in the order it came; work that needs something from the store first makes the
//! work behind it wait ([`gate`]).

mod append;
mod attach;
mod block;
mod change;
mod checkpoint;
mod commit;
pub mod delete;
mod deliver;
mod devices;
mod gate;
mod load;
mod outgoing;
mod pages;
mod peers;
mod push;
mod read;
mod receipts;
mod redact;
mod revoke;
mod rows;
mod send;
mod sweep;
mod targets;
#[cfg(test)]
mod tests;
mod tick;
mod typing;
pub mod welcome;

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    rc::Rc,
    task::{Context as Cx, Poll},
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, fut::ActorFuture};
use tidings_schema::{
    error_code::ErrorCode,
    id::{LogId, Millis, Seq, Uid},
    wire,
};
use tidings_state::{limiter::Limiter, sent_window::SentWindow, timeline::Timeline};
use tracing::error;
use uuid::Uuid;

use self::{
    checkpoint::Checkpoint,
    devices::Devices,
    gate::{Gate, Need},
    peers::Peers,
    redact::Redactions,
    rows::Rows,
};
use crate::{
    appender::Progress,
    mutants::{self, Mutant},
    port::{
        link::{Command, ConnectionRef, Op, OpId, PeerMessage, ToConnection, Visit},
        store::TimelineId,
    },
    shard::{ShardParts, Told},
};

/// Messages that may wait in the actor's own queue; the shard refuses more.
pub const MAILBOX_QUEUE_MAX: usize = 256;
/// Work that may wait behind a load or a gate; more is refused (5003), between mailboxes repeated.
pub const WORK_WAITING_MAX: usize = 256;

/// What is kept nowhere is dropped when more than this waits.
const EPHEMERAL_WAITING_MAX: usize = 16;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

/// What a mailbox is asked to do.
#[derive(Debug)]
pub enum Work {
    /// By a connection of its user.
    Command(Command),
    /// By another mailbox.
    Peer(PeerMessage),
    /// By the round that looks for what is old.
    Sweep(Visit),
}

impl Work {
    /// Whether it is worth nothing a moment later.
    fn is_ephemeral(&self) -> bool {
        matches!(self, Self::Peer(message) if message.is_ephemeral())
    }

    /// Whether a connection has told this once and will not tell it again. It passes the bounds of queues: a connection
    /// has at most one of each kind on its way, but for acks, of which it keeps only the newest while one is refused.
    pub(crate) fn is_owed(&self) -> bool {
        match self {
            Self::Command(command) => matches!(command.op, Op::Detach | Op::Drained(_) | Op::Dropped(_)),
            Self::Peer(_) | Self::Sweep(_) => false,
        }
    }
}

impl Message for Work {
    type Result = ();
}

/// Where a mailbox is in its life.
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

/// An answer that leaves when a row is committed.
struct Waiting {
    seq: Seq,
    since: Millis,
    to: ConnectionRef,
    op_id: OpId,
    answer: wire::server_frame::Body,
}

/// The actor.
pub struct Mailbox {
    uid: Uid,
    timeline_id: TimelineId,
    parts: Rc<ShardParts>,
    progress: Rc<Progress>,
    phase: Phase,
    work: VecDeque<Work>,
    gate: Gate,
    timeline: Timeline,
    /// Becomes the log's identity if this activation appends row 1.
    fresh_log_id: LogId,
    window: SentWindow,
    rows: Rows,
    /// Unread messages of all conversations after the newest row.
    unread_total: u64,
    /// The same after the newest committed row.
    committed_unread: u64,
    peers: Peers,
    devices: Devices,
    limiter: Limiter,
    /// First messages to people there is no conversation with; in wall time, since it outlives this activation.
    new_peers: Limiter,
    /// Changed messages whose rows are not written anew yet.
    redactions: Redactions,
    answers: VecDeque<Waiting>,
    checkpoint: Checkpoint,
    sweeping: Option<sweep::Sweeping>,
    last_frame: Option<push::LastFrame>,
    /// What this turn tells connections, in order; leaves at the end of the turn.
    told: BTreeMap<ConnectionRef, Vec<ToConnection>>,
    /// Good-byes that found a full queue; the tick says them again. At most one per replaced connection.
    told_again: Vec<(ConnectionRef, Vec<ToConnection>)>,
}

impl Mailbox {
    /// Starts the mailbox of `uid`; `works` is what it is started for, done in order once it has loaded.
    #[must_use]
    pub fn start_for(uid: Uid, parts: Rc<ShardParts>, works: Vec<Work>) -> Addr<Self> {
        let timeline_id = TimelineId::Inbox(uid.clone());
        let progress = parts.appender.progress(&timeline_id);
        let epoch = parts.ownership.epoch(parts.id).unwrap_or_default();
        let now = parts.clock.uptime();
        let new_peers = parts.limits.new_peers_per_hour;
        Self {
            timeline_id,
            progress,
            phase: Phase::Loading,
            work: works.into(),
            gate: Gate::default(),
            timeline: Timeline::empty(epoch),
            fresh_log_id: LogId::new(Uuid::new_v4().into_bytes()),
            window: SentWindow::new(),
            rows: Rows::default(),
            unread_total: 0,
            committed_unread: 0,
            peers: Peers::default(),
            devices: Devices::default(),
            limiter: Limiter::new(parts.limits.user_sends_per_s, parts.limits.user_sends_per_s.saturating_mul(2), now),
            new_peers: Limiter::per(HOUR_MS, new_peers, new_peers, parts.clock.now()),
            redactions: Redactions::default(),
            answers: VecDeque::new(),
            checkpoint: Checkpoint::new(now),
            sweeping: None,
            last_frame: None,
            told: BTreeMap::new(),
            told_again: Vec::new(),
            uid,
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
                Some(Need::Noted) => {
                    // Nothing to fetch: the Appender wakes the actor when the note is durable.
                    self.work.push_front(work);
                    break;
                }
                Some(need) => {
                    self.work.push_front(work);
                    self.fetch(need, ctx);
                    // Either the gate is closed now, or a write is awaited that wakes the actor: not looked at again here.
                    break;
                }
            }
        }
        while let Some(connection) = self.devices.to_feed.pop() {
            self.feed(connection, ctx);
        }
        self.flush();
    }

    fn do_work(&mut self, work: Work, ctx: &mut Context<Self>) {
        if !work.is_ephemeral() && !matches!(work, Work::Sweep(_)) {
            self.checkpoint.touch(self.parts.clock.uptime());
        }
        match work {
            Work::Command(command) => self.do_command(command, ctx),
            Work::Peer(message) => self.hear(message, ctx),
            Work::Sweep(visit) => self.begin_sweep(visit),
        }
        self.gate.done();
    }

    fn do_command(&mut self, command: Command, ctx: &mut Context<Self>) {
        let Command { from, op_id, op, .. } = command;
        match op {
            Op::Attach(attach) => self.attach(from, op_id, attach),
            Op::Detach => self.detach(from),
            Op::Send(send) => self.send(from, op_id, send),
            Op::Ack(upto) => self.ack(from, op_id, upto, ctx),
            Op::Read(peer, seq) => self.read(from, op_id, &peer, seq),
            Op::Sync(after, limit) => self.sync(from, op_id, after, limit, ctx),
            Op::History(peer, before, limit) => self.history(from, op_id, &peer, before, limit, ctx),
            Op::Conversations(after, limit) => self.conversations(from, op_id, after, limit),
            Op::Block(peer) => self.block(from, op_id, &peer),
            Op::Unblock(peer) => self.unblock(from, op_id, &peer),
            Op::Revoke(device) => self.revoke(from, op_id, device),
            Op::Change(op) => self.change(from, op_id, &op),
            Op::Delete(op) => self.delete(from, op_id, &op),
            Op::SetConversation { peer, pinned, muted } => self.set_conversation(from, op_id, &peer, pinned, muted),
            Op::Drained(upto) => self.drained(from, upto, ctx),
            Op::Dropped(last) => self.dropped(from, last),
        }
    }

    /// Tells a connection at the end of this turn.
    fn tell(&mut self, to: ConnectionRef, part: ToConnection) {
        self.told.entry(to).or_default().push(part);
    }

    fn answer(&mut self, to: ConnectionRef, op_id: OpId, answer: wire::server_frame::Body) {
        self.tell(to, ToConnection::Answer(op_id, answer));
    }

    /// Answers when `seq` is committed; answers leave in the order of their rows.
    fn answer_when_committed(&mut self, seq: Seq, to: ConnectionRef, op_id: OpId, answer: wire::server_frame::Body) {
        if seq <= self.timeline.committed() || mutants::active(Mutant::AckWhenHandedOver) {
            return self.answer(to, op_id, answer);
        }
        let at = self.answers.partition_point(|waiting| waiting.seq <= seq);
        let since = self.parts.clock.uptime();
        self.answers.insert(at, Waiting { seq, since, to, op_id, answer });
    }

    fn refuse(&mut self, to: ConnectionRef, op_id: OpId, code: ErrorCode, text: &str, retry_after_ms: u64) {
        if op_id == 0 && code != ErrorCode::AckAboveHead {
            // Nobody asked.
            return;
        }
        metrics::counter!("tidings_ops_refused_total", "code" => code.number().to_string()).increment(1);
        let error = wire::Error { code: code.number(), text: text.to_owned(), retry_after_ms };
        self.answer(to, op_id, wire::server_frame::Body::Error(error));
    }

    fn refuse_work(&mut self, work: Work, code: ErrorCode, text: &str, retry_after_ms: u64) {
        // What other mailboxes say they repeat until it is accepted.
        if let Work::Command(command) = work {
            self.refuse(command.from, command.op_id, code, text, retry_after_ms);
        }
    }

    /// What was told in this turn leaves, one message per connection.
    fn flush(&mut self) {
        while let Some((to, parts)) = self.told.pop_first() {
            match self.parts.tell(to, parts) {
                Told::Yes => {}
                Told::No(again) => {
                    self.devices.unpushed(to);
                    if !again.is_empty() {
                        self.told_again.push((to, again));
                    }
                }
                Told::Gone => self.detach(to),
            }
        }
    }

    /// The inbox is damaged: nothing more is taken or told, and an operator is called. Other inboxes go on.
    fn stop_corrupt(&mut self, why: &str, ctx: &mut Context<Self>) {
        use actix::ActorContext as _;
        error!(uid = %self.uid, why, "inbox stopped, stored data is damaged");
        metrics::counter!("tidings_timelines_stopped_total").increment(1);
        self.phase = Phase::Left;
        while let Some(work) = self.work.pop_front() {
            self.refuse_work(work, ErrorCode::Corrupt, "the inbox is stopped, an operator has to look", 0);
        }
        self.flush();
        let mut directory = self.parts.directory.borrow_mut();
        directory.broke(&self.uid);
        directory.stopped(&self.uid);
        drop(directory);
        self.parts.appender.forget(&self.timeline_id);
        ctx.stop();
    }

    /// The log's identity; it has none that may be told before its first row is committed.
    fn log_id(&self) -> Option<LogId> {
        self.timeline.log_id().filter(|_| self.timeline.committed() > Seq::ZERO)
    }
}

impl Actor for Mailbox {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_QUEUE_MAX);
        ctx.spawn(Watch);
        self.load(ctx);
        ctx.run_interval(tick::TICK, Self::tick);
    }
}

impl Handler<Work> for Mailbox {
    type Result = ();

    fn handle(&mut self, work: Work, ctx: &mut Self::Context) {
        if self.phase == Phase::Left {
            if let Work::Command(Command { from, op: Op::Detach, .. }) = work {
                self.parts.directory.borrow_mut().unregister(&self.uid, from);
                return self.parts.link.forget(from);
            }
            self.refuse_work(work, ErrorCode::Busy, "mailbox is leaving memory", 1_000);
            return self.flush();
        }
        if work.is_ephemeral() && self.work.len() >= EPHEMERAL_WAITING_MAX {
            return;
        }
        if self.work.len() >= WORK_WAITING_MAX && !work.is_owed() {
            self.refuse_work(work, ErrorCode::Busy, "mailbox is busy", 1_000);
            return self.flush();
        }
        self.work.push_back(work);
        self.run(ctx);
    }
}

/// Polled whenever the actor's task wakes, also by the Appender: the one place where commits are noticed.
struct Watch;

impl ActorFuture<Mailbox> for Watch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, mailbox: &mut Mailbox, ctx: &mut Context<Mailbox>, cx: &mut Cx<'_>) -> Poll<()> {
        mailbox.progress.register(cx.waker());
        if mailbox.phase != Phase::Loading && mailbox.phase != Phase::Left {
            mailbox.on_progress(ctx);
        }
        Poll::Pending
    }
}

impl Drop for Mailbox {
    /// A mailbox that is dropped without having left has panicked (or the process ends).
    fn drop(&mut self) {
        if self.phase == Phase::Left {
            return;
        }
        if let Ok(mut directory) = self.parts.directory.try_borrow_mut() {
            directory.died(&self.uid);
        }
    }
}
