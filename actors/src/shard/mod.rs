//! One owned shard: finds or starts the mailbox an op is for, greets quiet users without starting one, and brings back
//! what owes something: every marked mailbox when the shard starts, and one that panicked.
//!
//! A caller never holds a mailbox's address; it offers to the shard.

mod directory;
mod greet;
mod marks;
mod quiet;
mod registrations;
mod retire;
mod roll;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    panic::AssertUnwindSafe,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as Cx, Poll},
    time::Duration,
};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture, fut::ActorFuture};
use futures_util::FutureExt as _;
use metrics::counter;
use tidings_schema::{
    error_code::ErrorCode,
    id::{ShardCount, ShardId, Uid},
    wire,
};
use tracing::{error, warn};

use self::directory::Route;
pub use self::{
    directory::Directory,
    quiet::{QUIET_OFFLINE_MAX, Quiet, QuietDevice},
    registrations::Registration,
    retire::Retire,
    roll::{Roll, Standing},
};
use crate::{
    appender::Appender,
    limits::MailboxLimits,
    mailbox::{Mailbox, Work},
    offer::{Offer, offer},
    port::{
        clock::Clock,
        link::{Command, ConnectionRef, GroupCommand, Link, Op, OpId, PeerMessage, ToConnection, Visit},
        ownership::Ownership,
        store::{Reply, Store, StoreError, Unavailable},
    },
};

/// Messages that may wait at one shard; more are refused (5003 for clients, repeated later between mailboxes).
pub const SHARD_QUEUE_MAX: usize = 1_024;
/// Works that wait to be brought again; more are dropped and counted (a device then falls back to its time-outs).
const LATER_MAX: usize = 1_024;
/// How long they wait.
const LATER: Duration = Duration::from_millis(50);
/// Pause before a mailbox that could not be loaded, or a scan that failed, is tried again.
const RETRY_MS: u64 = 1_000;

/// What every actor of a shard needs: the ports, the shard's appender and its directory.
pub struct ShardParts {
    /// Which shard.
    pub id: ShardId,
    /// How many there are.
    pub shards: ShardCount,
    /// To other mailboxes and to connections.
    pub link: Arc<dyn Link>,
    /// Reads, and removes what is old; writes go through the appender.
    pub store: Arc<dyn Store>,
    /// Epoch and stamps.
    pub ownership: Arc<dyn Ownership>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Writes.
    pub appender: Appender,
    /// Who is where.
    pub directory: Rc<RefCell<Directory>>,
    /// Bounds.
    pub limits: MailboxLimits,
}

impl ShardParts {
    /// Tells a connection; what it cannot take it learns again (pushes) or asks again (answers, by its deadline).
    pub fn tell(&self, to: ConnectionRef, parts: Vec<ToConnection>) -> Told {
        match self.link.connection(to, parts) {
            Offer::Taken => Told::Yes,
            Offer::Full(mut parts) => {
                counter!("tidings_connection_queue_full_total").increment(1);
                parts.retain(|part| matches!(part, ToConnection::Close(_) | ToConnection::SignOut(_)));
                Told::No(parts)
            }
            Offer::Closed(_) => Told::Gone,
        }
    }

    /// Answers an op with an error.
    pub fn refuse(&self, to: ConnectionRef, op_id: OpId, code: ErrorCode, text: &str, retry_after_ms: u64) {
        counter!("tidings_ops_refused_total", "code" => code.number().to_string()).increment(1);
        let error = wire::Error { code: code.number(), text: text.to_owned(), retry_after_ms };
        let answer = ToConnection::Answer(op_id, wire::server_frame::Body::Error(error));
        // A connection that cannot take it answers by its own deadline.
        let _ = self.tell(to, vec![answer]);
    }
}

/// Whether a connection took what it was told.
#[derive(Debug)]
#[must_use]
pub enum Told {
    /// It will handle all of it.
    Yes,
    /// Its queue is full; nothing was taken. What has to be told all the same comes back (good-byes).
    No(Vec<ToConnection>),
    /// It does not exist any more.
    Gone,
}

/// A read that costs only itself when the store panics: a shard serves many users.
async fn guarded<T>(store: Arc<dyn Store>, read: impl FnOnce(&dyn Store) -> Reply<T>) -> Result<T, StoreError> {
    let read = AssertUnwindSafe(async move { read(&*store).await }).catch_unwind().await;
    read.unwrap_or(Err(StoreError::Unavailable(Unavailable::Down)))
}

/// The actor of one shard.
pub struct Shard {
    parts: Rc<ShardParts>,
    marks: marks::Marks,
    /// Work that is to be brought again.
    later: usize,
    entry: roll::Entry,
}

impl Shard {
    /// A shard that has not started.
    #[must_use]
    pub fn new(
        id: ShardId,
        shards: ShardCount,
        link: Arc<dyn Link>,
        store: Arc<dyn Store>,
        ownership: Arc<dyn Ownership>,
        clock: Arc<dyn Clock>,
        limits: MailboxLimits,
    ) -> Self {
        let appender = Appender::new(id, store.clone(), ownership.clone());
        let directory = Rc::new(RefCell::new(Directory::default()));
        let parts = ShardParts { id, shards, link, store, ownership, clock, appender, directory, limits };
        Self { parts: Rc::new(parts), marks: marks::Marks::default(), later: 0, entry: Roll::default().enter() }
    }

    /// Tells `roll` when it serves, when it ends, and which inboxes it stopped.
    #[must_use]
    pub fn reporting_to(mut self, roll: &Roll) -> Self {
        self.entry = roll.enter();
        self.parts.directory.borrow_mut().report_to(roll.clone());
        self
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(SHARD_QUEUE_MAX);
        self.read_marks(ctx, None);
        ctx.spawn(Watch);
        self.go_on_rounds(ctx);
    }
}

/// Polled whenever the shard's task wakes, also when the directory has news.
struct Watch;

impl ActorFuture<Shard> for Watch {
    type Output = ();

    fn poll(self: Pin<&mut Self>, shard: &mut Shard, ctx: &mut Context<Shard>, cx: &mut Cx<'_>) -> Poll<()> {
        shard.parts.directory.borrow_mut().listen(cx.waker());
        shard.look_after(ctx);
        Poll::Pending
    }
}

impl Message for Command {
    type Result = ();
}

impl Handler<Command> for Shard {
    type Result = ();

    fn handle(&mut self, command: Command, ctx: &mut Self::Context) {
        let uid = command.uid.clone();
        self.route(&uid, Work::Command(command), ctx);
    }
}

impl Message for GroupCommand {
    type Result = ();
}

impl Handler<GroupCommand> for Shard {
    type Result = ();

    fn handle(&mut self, command: GroupCommand, _: &mut Self::Context) {
        self.parts.refuse(command.from, command.op_id, ErrorCode::UnknownOp, "groups are not served yet", 0);
    }
}

impl Message for PeerMessage {
    type Result = ();
}

impl Handler<PeerMessage> for Shard {
    type Result = ();

    fn handle(&mut self, message: PeerMessage, ctx: &mut Self::Context) {
        let uid = message.to.clone();
        self.route(&uid, Work::Peer(message), ctx);
    }
}

impl Message for Visit {
    type Result = ();
}

impl Handler<Visit> for Shard {
    type Result = ();

    fn handle(&mut self, visit: Visit, ctx: &mut Self::Context) {
        let uid = visit.uid.clone();
        self.route(&uid, Work::Sweep(visit), ctx);
    }
}

impl Shard {
    /// Brings work to its mailbox, starting it when needed.
    fn route(&mut self, uid: &Uid, work: Work, ctx: &mut Context<Self>) {
        let route = self.parts.directory.borrow_mut().route(uid, work);
        match route {
            Route::Done => {}
            Route::Offer(address, work) => match offer(&address, work) {
                Offer::Taken => {}
                Offer::Full(work) if work.is_owed() => self.route_later(uid.clone(), work, ctx),
                Offer::Full(work) => self.refuse(work, "mailbox is busy"),
                Offer::Closed(work) => self.start_mailbox(uid, vec![work]),
            },
            Route::Refuse(work) => self.refuse(work, "mailbox is starting or stopping"),
            Route::Nobody(work) => self.route_quiet(uid, work, ctx),
        }
    }

    /// What a connection has told and will not tell again finds the mailbox's queue full: it is brought again soon.
    fn route_later(&mut self, uid: Uid, work: Work, ctx: &mut Context<Self>) {
        if self.later >= LATER_MAX {
            return counter!("tidings_owed_works_dropped_total").increment(1);
        }
        self.later += 1;
        ctx.run_later(LATER, move |shard, ctx| {
            shard.later -= 1;
            shard.route(&uid, work, ctx);
        });
    }

    fn is_online(&self, uid: &Uid) -> bool {
        !self.parts.directory.borrow().registrations(uid).is_empty()
    }

    /// The user has no mailbox in memory: answer without one where that is exact, else start it.
    fn route_quiet(&mut self, uid: &Uid, work: Work, ctx: &mut Context<Self>) {
        let command = match &work {
            Work::Command(command) => command,
            // Nobody is there to see it.
            Work::Peer(message) if message.is_ephemeral() && !self.is_online(uid) => return,
            Work::Peer(_) | Work::Sweep(_) => return self.start_mailbox(uid, vec![work]),
        };
        let (from, may_be_marked) = (command.from, self.marks.may_be_marked(uid, &self.parts));
        match &command.op {
            Op::Attach(_) if !may_be_marked => self.greet(uid, work, ctx),
            Op::Detach => {
                self.parts.directory.borrow_mut().unregister(uid, from);
                self.parts.link.forget(from);
            }
            Op::Drained(_) => {}
            Op::Ack(seq) if self.parts.directory.borrow().has_acked(uid, from, *seq) => {}
            Op::Attach(_)
            | Op::Send(_)
            | Op::Ack(_)
            | Op::Read(..)
            | Op::Sync(..)
            | Op::History(..)
            | Op::Conversations(..)
            | Op::Block(_)
            | Op::Unblock(_)
            | Op::Revoke(_)
            | Op::Change(_)
            | Op::Delete(_)
            | Op::SetConversation { .. }
            | Op::Dropped(_) => self.start_mailbox(uid, vec![work]),
        }
    }

    /// Starts a mailbox with the work it is started for.
    fn start_mailbox(&mut self, uid: &Uid, works: Vec<Work>) {
        if self.parts.directory.borrow().is_broken(uid) {
            for work in works {
                self.refuse_with(work, ErrorCode::Corrupt, "the inbox is stopped, an operator has to look", 0);
            }
            return;
        }
        counter!("tidings_mailbox_activations_total").increment(1);
        let address = Mailbox::start_for(uid.clone(), self.parts.clone(), works);
        self.parts.directory.borrow_mut().started(uid, address);
    }

    /// Takes care of what the directory noted since: mailboxes that died, stopped with work waiting, or could not load.
    fn look_after(&mut self, ctx: &mut Context<Self>) {
        loop {
            let Some(news) = self.parts.directory.borrow_mut().next_news() else { break };
            match news {
                directory::News::Stopped(uid, works) => {
                    // Also one that never served because its timeline is damaged.
                    self.marks.settled(&uid);
                    for work in works {
                        self.route(&uid, work, ctx);
                    }
                }
                directory::News::Failed(uid) => self.start_later(uid, ctx),
                directory::News::Died(uid) => self.restart(&uid),
                directory::News::Settled(uid) => self.marks.settled(&uid),
            }
        }
        self.start_marked();
        self.report_empty();
    }

    fn start_later(&mut self, uid: Uid, ctx: &mut Context<Self>) {
        self.marks.settled(&uid);
        if !self.is_owed(&uid) {
            return;
        }
        let pause = tokio::time::sleep(Duration::from_millis(RETRY_MS)).into_actor(self);
        ctx.spawn(pause.map(move |(), shard, _| {
            let quiet = !shard.parts.directory.borrow().is_active(&uid);
            if quiet {
                shard.start_mailbox(&uid, Vec::new());
            }
        }));
    }

    /// A mailbox panicked: whoever is still owed something by it is served by a new one.
    fn restart(&mut self, uid: &Uid) {
        counter!("tidings_mailbox_panics_total").increment(1);
        error!(%uid, shard = %self.parts.id, "mailbox panicked");
        self.marks.settled(uid);
        // Work that came in between has started one already.
        if self.is_owed(uid) && !self.parts.directory.borrow().is_active(uid) {
            warn!(%uid, "mailbox starts again");
            self.start_mailbox(uid, Vec::new());
        }
    }

    fn is_owed(&self, uid: &Uid) -> bool {
        let directory = self.parts.directory.borrow();
        directory.is_marked(uid) || !directory.registrations(uid).is_empty()
    }

    fn refuse(&self, work: Work, why: &str) {
        self.refuse_with(work, ErrorCode::Busy, why, RETRY_MS);
    }

    /// Work between mailboxes is repeated by the one who sent it.
    fn refuse_with(&self, work: Work, code: ErrorCode, text: &str, retry_after_ms: u64) {
        if let Work::Command(command) = work {
            self.parts.refuse(command.from, command.op_id, code, text, retry_after_ms);
        }
    }
}
