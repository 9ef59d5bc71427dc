//! One authenticated connection of one device: reads its client's frames, routes operations to the user's mailbox, and
//! forwards answers and pushes through its [`Outlet`]. It keeps nothing that the client or the mailbox could not restore.
//!
//! Everything waits in the one context of the actor: no task, no timer and no second queue of its own. Deadlines are
//! checked by the hub's sweep, so they are kept to the second.

mod change;
mod close;
mod deliveries;
mod groups;
mod hello;
mod io;
mod leave;
mod limits;
mod order;
mod pages;
mod pong;
mod refresh;
mod request;
mod sweep;
#[cfg(test)]
mod tests;
mod to_connection;
mod typing;
mod unanswered;

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::prelude::*;
use prost::Message as _;
use tidings_schema::{
    error_code::ErrorCode,
    id::{DeviceId, Millis, ShardCount, ShardId, Uid},
    json, wire,
};
use tidings_state::{group::subscriptions::Slot, heartbeat::Heartbeat, limiter::Limiter};
use tracing::debug;

use crate::{
    hub::{Pulse, Roster, census::Place},
    offer::Offer,
    port::{
        clock::Clock,
        edge::{CloseReason, Encoding, Outlet, Registry, Source, Written},
        link::{Command, ConnectionRef, Link, Op, OpId},
        token::Tokens,
    },
    relay::Relay,
};

pub(crate) use groups::behind;
pub use leave::Leave;
pub use limits::ConnectionLimits;
pub(crate) use pages::PAGE_QUEUED_BYTES_MAX;
pub use sweep::Sweep;
pub use to_connection::Tell;
pub use unanswered::UNANSWERED_MAX;

use deliveries::Deliveries;
use order::Order;
use pages::Pages;
use refresh::Validity;
use unanswered::Unanswered;

/// Messages that wait for one connection. When full, the sender keeps what must not be lost and offers it again.
pub const ACTOR_QUEUE_MAX: usize = 512;

/// How long a refused client waits at least before it tries again.
const RETRY_AFTER_MS: u64 = 200;

/// Attempts to tell a mailbox that a connection is gone; after the last one it learns by its next push.
const DETACH_ATTEMPTS_MAX: u32 = 8;

/// The number of the next connection of this process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What all connections share.
#[derive(Clone)]
pub struct Parts {
    /// Reaches mailboxes.
    pub link: Arc<dyn Link>,
    /// Checks tokens.
    pub tokens: Arc<dyn Tokens>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Brings the frames of groups.
    pub relay: Arc<Relay>,
    /// Makes connections findable.
    pub registry: Arc<dyn Registry>,
    /// How users map to shards.
    pub shards: ShardCount,
    /// Bounds of each connection.
    pub limits: ConnectionLimits,
}

/// One connection as its transport hands it over.
pub struct Accepted {
    /// The edge worker it lives on.
    pub worker: u16,
    /// Its writing end.
    pub outlet: Rc<dyn Outlet>,
    /// Its reading end.
    pub source: Box<dyn Source>,
    /// Its place among the connections of the node.
    pub place: Place,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for `hello`.
    Hello { until: Millis },
    /// The mailbox was asked; nothing but answers may leave before its `welcome`.
    Welcome { op_id: OpId, until: Millis },
    /// Entries are pushed.
    Live,
    /// The node stops: what waits is answered, nothing is pushed.
    Leaving { until: Millis },
    /// Said good-bye; waits for the client to do so too.
    Closing { until: Millis },
}

/// Who is connected.
#[derive(Clone, Debug)]
struct Identity {
    uid: Uid,
    shard: ShardId,
    device: DeviceId,
    token: Validity,
}

/// Whether the mailbox knows of this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    No,
    Yes,
}

/// How far the outlet was when it last moved.
#[derive(Clone, Copy, Debug)]
struct Stall {
    drained_bytes: u64,
    since: Millis,
}

/// The actor.
pub struct Connection {
    at: ConnectionRef,
    parts: Rc<Parts>,
    pulse: Pulse,
    place: Place,
    outlet: Rc<dyn Outlet>,
    source: Box<dyn Source>,
    stage: Stage,
    identity: Option<Identity>,
    attached: Attached,
    heartbeat: Heartbeat,
    /// The source's activity when it was last looked at.
    activity: u64,
    stall: Option<Stall>,
    limiter: Limiter,
    unanswered: Unanswered,
    order: Order,
    pages: Pages,
    deliveries: Deliveries,
    /// Once it wants one.
    groups: Option<Slot>,
    typing: Option<Box<typing::Typing>>,
}

impl Connection {
    /// Starts the actor of a new connection on this thread.
    pub fn open(accepted: Accepted, parts: Rc<Parts>, roster: &Rc<Roster>) -> Addr<Self> {
        Self::new(accepted, parts, roster).start()
    }

    fn new(accepted: Accepted, parts: Rc<Parts>, roster: &Rc<Roster>) -> Self {
        let Accepted { worker, outlet, mut source, place } = accepted;
        let limits = parts.limits;
        let now = parts.clock.uptime();
        source.set_frame_bytes_max(limits.hello_bytes_max);
        Self {
            at: ConnectionRef { worker, connection: NEXT.fetch_add(1, Relaxed) },
            stage: Stage::Hello { until: now.plus(limits.hello_ms_max) },
            heartbeat: Heartbeat::new(now),
            activity: 0,
            limiter: Limiter::new(limits.frames_per_s, limits.frames_burst, now),
            parts,
            pulse: roster.seat(),
            place,
            outlet,
            source,
            identity: None,
            attached: Attached::No,
            stall: None,
            unanswered: Unanswered::default(),
            order: Order::default(),
            pages: Pages::default(),
            deliveries: Deliveries::default(),
            groups: None,
            typing: None,
        }
    }

    /// Offers an operation to the mailbox of this connection's user.
    fn command(&self, op_id: OpId, op: Op) -> Offer<Op> {
        let Some(identity) = &self.identity else { return Offer::Closed(op) };
        let command = Command { from: self.at, op_id, uid: identity.uid.clone(), op };
        match self.parts.link.command(identity.shard, command) {
            Offer::Taken => Offer::Taken,
            Offer::Full(command) => Offer::Full(command.op),
            Offer::Closed(command) => Offer::Closed(command.op),
        }
    }

    /// Writes a frame. An answer that finds the out queue full ends the connection: its client does not read.
    fn say(&mut self, re: OpId, body: wire::server_frame::Body) {
        if self.offer(re, body) == Written::Full {
            self.close(CloseReason::Slow);
        }
    }

    /// Writes a page. As JSON it may be many times larger than it was counted; a client that reads asks again.
    fn say_page(&mut self, re: OpId, body: wire::server_frame::Body) {
        if self.offer(re, body) == Written::Full {
            self.error(re, ErrorCode::Busy, "the page found no room, ask again");
        }
    }

    fn offer(&self, re: OpId, body: wire::server_frame::Body) -> Written {
        let frame = wire::ServerFrame { re, body: Some(body) };
        self.outlet.offer(match self.encoding() {
            Encoding::Protobuf => frame.encode_to_vec().into(),
            Encoding::Json => json::encode_server(&frame).into(),
        })
    }

    fn error(&mut self, re: OpId, code: ErrorCode, text: impl Into<String>) {
        let retry_after_ms = match code {
            ErrorCode::Busy | ErrorCode::Unavailable | ErrorCode::OutcomeUnknown => RETRY_AFTER_MS,
            // Foreign to time: the code says what to do.
            _ => 0,
        };
        self.error_later(re, code, text, retry_after_ms);
    }

    /// An error with its own time to come back.
    fn error_later(&mut self, re: OpId, code: ErrorCode, text: impl Into<String>, retry_after_ms: u64) {
        debug!(connection = %self.at, code = code.number(), "frame refused");
        metrics::counter!("tidings_ops_refused_total", "code" => code.number().to_string()).increment(1);
        let error = wire::Error { code: code.number(), text: text.into(), retry_after_ms };
        self.say(re, wire::server_frame::Body::Error(error));
    }

    /// Before the first frame nothing is known; Protobuf is what is said then.
    fn encoding(&self) -> Encoding {
        self.source.encoding().unwrap_or(Encoding::Protobuf)
    }

    /// Tells the mailbox what it is owed, as far as it takes it; the rest is offered again by the sweep.
    fn settle(&mut self, next: fn(&Deliveries) -> Option<deliveries::Report>) {
        while let Some(report) = next(&self.deliveries) {
            match self.command(0, report.op()) {
                Offer::Taken => self.deliveries.told(report),
                Offer::Full(_) | Offer::Closed(_) => return self.pulse.soon(),
            }
        }
    }

    fn detach(&mut self) {
        if self.attached == Attached::No {
            return;
        }
        self.attached = Attached::No;
        self.settle(Deliveries::owed);
        match self.command(0, Op::Detach) {
            Offer::Taken => {}
            Offer::Full(op) | Offer::Closed(op) => self.detach_later(op),
        }
    }

    /// The actor ends, but the mailbox should still hear of it.
    fn detach_later(&self, mut op: Op) {
        let Some(Identity { uid, shard, .. }) = self.identity.clone() else { return };
        let (link, from) = (Arc::clone(&self.parts.link), self.at);
        actix::spawn(async move {
            for attempt in 0..DETACH_ATTEMPTS_MAX {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                match link.command(shard, Command { from, op_id: 0, uid: uid.clone(), op }) {
                    Offer::Taken => return,
                    Offer::Full(command) | Offer::Closed(command) => op = command.op,
                }
            }
            metrics::counter!("tidings_detaches_lost_total").increment(1);
        });
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(ACTOR_QUEUE_MAX);
        self.pulse.listen(&ctx.address());
        ctx.spawn(io::Io);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if self.identity.is_some() {
            self.parts.registry.unregister(self.at);
        }
        self.leave_groups();
        self.detach();
    }
}
