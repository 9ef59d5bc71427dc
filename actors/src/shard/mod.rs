//! One owned shard: finds or starts the mailbox or group an op is for, greets quiet users without starting one, and brings
//! back what owes something: every marked actor when the shard starts, and one that panicked.
//!
//! A caller never holds an actor's address; it offers to the shard.

mod directory;
mod greet;
mod marks;
mod online;
mod quiet;
mod registrations;
mod resident;
mod retire;
mod roll;
mod route;
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

use actix::{Actor, AsyncContext, Context, Handler, Message, fut::ActorFuture};
use futures_util::FutureExt as _;
use metrics::counter;
use tidings_schema::{
    error_code::ErrorCode,
    id::{Gid, ShardCount, ShardId, Uid},
    wire,
};

pub use self::{
    directory::Directory,
    online::Online,
    quiet::{QUIET_OFFLINE_MAX, Quiet, QuietDevice},
    registrations::Registration,
    resident::Resident,
    retire::Retire,
    roll::{Roll, Standing},
};
use crate::{
    appender::Appender,
    group::Group,
    limits::MailboxLimits,
    mailbox::{Mailbox, Work},
    offer::Offer,
    port::{
        clock::Clock,
        link::{Command, ConnectionRef, GroupCommand, Link, OpId, PeerMessage, ToConnection, Visit},
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
/// Pause before an actor that could not be loaded, or a scan that failed, is tried again.
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
    /// The mailboxes in memory.
    pub directory: Rc<RefCell<Directory<Mailbox>>>,
    /// The groups in memory.
    pub groups: Rc<RefCell<Directory<Group>>>,
    /// Who is online.
    pub online: Rc<RefCell<Online>>,
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
    marks: marks::Marks<Uid>,
    group_marks: marks::Marks<Gid>,
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
        let (directory, groups, online) = (Rc::default(), Rc::default(), Rc::default());
        let parts =
            ShardParts { id, shards, link, store, ownership, clock, appender, directory, groups, online, limits };
        let (marks, group_marks) = (marks::Marks::default(), marks::Marks::default());
        Self { parts: Rc::new(parts), marks, group_marks, later: 0, entry: Roll::default().enter() }
    }

    /// Tells `roll` when it serves, when it ends, and what it stopped.
    #[must_use]
    pub fn reporting_to(mut self, roll: &Roll) -> Self {
        self.entry = roll.enter();
        self.parts.directory.borrow_mut().report_to(roll.clone());
        self.parts.groups.borrow_mut().report_to(roll.clone());
        self
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(SHARD_QUEUE_MAX);
        self.read_marks::<Mailbox>(ctx, None);
        self.read_marks::<Group>(ctx, None);
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
        shard.parts.groups.borrow_mut().listen(cx.waker());
        shard.look_after::<Mailbox>(ctx);
        shard.look_after::<Group>(ctx);
        shard.report_empty();
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
        self.route::<Mailbox>(&uid, Work::Command(command), ctx);
    }
}

impl Handler<GroupCommand> for Shard {
    type Result = ();

    fn handle(&mut self, command: GroupCommand, ctx: &mut Self::Context) {
        let gid = command.gid.clone();
        self.route::<Group>(&gid, command, ctx);
    }
}

impl Message for PeerMessage {
    type Result = ();
}

impl Handler<PeerMessage> for Shard {
    type Result = ();

    fn handle(&mut self, message: PeerMessage, ctx: &mut Self::Context) {
        let uid = message.to.clone();
        self.route::<Mailbox>(&uid, Work::Peer(message), ctx);
    }
}

impl Message for Visit {
    type Result = ();
}

impl Handler<Visit> for Shard {
    type Result = ();

    fn handle(&mut self, visit: Visit, ctx: &mut Self::Context) {
        let uid = visit.uid.clone();
        self.route::<Mailbox>(&uid, Work::Sweep(visit), ctx);
    }
}
