//! Mailboxes behind their shard, on one arbiter with paused time, between a store that does what it is told and connections
//! that only note what they are told.

mod adopt;
mod changes;
mod clock;
mod devices;
mod life;
mod panics;
mod quiet;
mod revoke;
mod sweep;
mod sweep_random;
mod sync;

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::{Actor, Addr};
use prost::Message as _;
use tidings_schema::{
    id::{Epoch, MessageId, Millis, Seq, ShardCount, ShardId},
    message::Draft,
    wire::{self, server_frame::Body},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    limits::MailboxLimits,
    offer::{Offer, offer},
    port::{
        clock::Clock,
        link::{
            Attach, Command, ConnectionRef, EntryFrame, FanOut, GroupCommand, Link, Op, OpId, PeerMessage, ResumePoint,
            Say, SendOp, ToConnection, Visit,
        },
        ownership::{Barrier, Ownership, Stamp},
        store::Store,
    },
    shard::Shard,
};

/// More than a test is told; one that overflows it fails by missing what it waits for.
const TOLD_MAX: usize = 10_000;
/// Under paused time this passes at once when nothing happens.
const LONG: Duration = Duration::from_secs(60);
/// Long enough for every tick and repetition, shorter than any deadline of an op.
const A_WHILE: Duration = Duration::from_secs(2);

/// Wall time may be set; uptime follows the runtime's paused time.
struct TestClock {
    started: Instant,
    /// What the wall clock said then.
    wall_at_start: AtomicU64,
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        self.uptime().plus(self.wall_at_start.load(Relaxed))
    }
    fn uptime(&self) -> Millis {
        Millis::new(u64::try_from(self.started.elapsed().as_millis()).unwrap())
    }
}

struct Owner;

impl Ownership for Owner {
    fn epoch(&self, _: ShardId) -> Option<Epoch> {
        Some(Epoch::new(1))
    }
    fn stamp(&self, _: ShardId) -> Stamp {
        Stamp(1)
    }
    fn barrier(&self) -> Barrier {
        Barrier::Passed
    }
}

/// One shard, and connections that only note what they are told.
struct TestLink {
    shard: OnceLock<Addr<Shard>>,
    told: mpsc::Sender<(u64, ToConnection)>,
    said: Mutex<Vec<PeerMessage>>,
    /// No message between mailboxes is taken.
    deaf: AtomicBool,
}

impl Link for TestLink {
    fn command(&self, _: ShardId, command: Command) -> Offer<Command> {
        offer(self.shard.get().unwrap(), command)
    }
    fn peer(&self, _: ShardId, message: PeerMessage) -> Offer<PeerMessage> {
        if self.deaf.load(Relaxed) {
            return Offer::Full(message);
        }
        self.said.lock().unwrap().push(message.clone());
        offer(self.shard.get().unwrap(), message)
    }
    fn group(&self, _: ShardId, command: GroupCommand) -> Offer<GroupCommand> {
        Offer::Closed(command)
    }
    fn fan_out(&self, frame: FanOut) -> Offer<FanOut> {
        Offer::Closed(frame)
    }
    fn sweep(&self, _: ShardId, visit: Visit) -> Offer<Visit> {
        offer(self.shard.get().unwrap(), visit)
    }
    fn connection(&self, to: ConnectionRef, parts: Vec<ToConnection>) -> Offer<Vec<ToConnection>> {
        for part in parts {
            match self.told.try_send((to.connection, part)) {
                Ok(()) => {}
                // A test that has gone on to the next process.
                Err(mpsc::error::TrySendError::Closed(_)) => return Offer::Closed(Vec::new()),
                Err(why) => panic!("{why}"),
            }
        }
        Offer::Taken
    }
    fn forget(&self, _: ConnectionRef) {}
}

/// What a connection was told, without what tests do not look at.
#[derive(Debug, PartialEq)]
enum Told {
    Welcome { head: u64, resume_after: u64 },
    Acked { op_id: OpId, seq: u64, duplicate: bool },
    Page { seqs: Vec<u64>, head: u64 },
    Refused { op_id: OpId, code: u32 },
    Pushed(Vec<u64>),
    PushedAgain(Vec<u64>),
    Closed(wire::GoAwayReason),
    SignedOut(Millis),
    Done(OpId),
    Other,
}

impl Told {
    fn of(part: ToConnection) -> Self {
        let seqs = |entries: &[wire::Entry]| entries.iter().map(|entry| entry.seq).collect();
        match part {
            ToConnection::Welcome(_, welcome) => {
                Self::Welcome { head: welcome.inbox_head, resume_after: welcome.resume_after }
            }
            ToConnection::Answer(op_id, Body::SendAck(ack)) => {
                Self::Acked { op_id, seq: ack.seq, duplicate: ack.duplicate }
            }
            ToConnection::Answer(_, Body::Page(page)) => Self::Page { seqs: seqs(&page.entries), head: page.head },
            ToConnection::Answer(op_id, Body::Error(error)) => Self::Refused { op_id, code: error.code },
            ToConnection::Push(push) => Self::Pushed(seqs(&entries_of(&push.frame))),
            ToConnection::Again(frame) => Self::PushedAgain(seqs(&entries_of(&frame))),
            ToConnection::Close(reason) => Self::Closed(reason),
            ToConnection::SignOut(before) => Self::SignedOut(before),
            ToConnection::Answer(op_id, Body::Ok(_)) => Self::Done(op_id),
            ToConnection::Answer(..) | ToConnection::HeadMoved(_) | ToConnection::Event(_) => Self::Other,
        }
    }
}

fn entries_of(frame: &EntryFrame) -> Vec<wire::Entry> {
    match wire::ServerFrame::decode(frame.protobuf()).unwrap().body {
        Some(Body::Entries(entries)) => entries.entries,
        other => panic!("a push is entries: {other:?}"),
    }
}

struct Bench {
    link: Arc<TestLink>,
    told: mpsc::Receiver<(u64, ToConnection)>,
    clock: Arc<TestClock>,
    shard: ShardId,
}

impl Bench {
    /// Starts the shard on `store`, in paused time.
    fn new(store: Arc<dyn Store>) -> Self {
        tokio::time::pause();
        Self::again(store)
    }

    /// The same when time is paused already: another process, after a crash.
    fn again(store: Arc<dyn Store>) -> Self {
        Self::began_at(store, Millis::new(1_700_000_000_000), ShardId::new(0))
    }

    /// A shard that does not go the rounds: nothing is swept but on a visit of the test.
    fn without_rounds(store: Arc<dyn Store>) -> Self {
        Self::began_at(store, Millis::new(1_700_000_000_000), ShardId::new(1))
    }

    /// Another process, after a crash of this one.
    fn after_crash(&self, store: Arc<dyn Store>) -> Self {
        Self::began_at(store, self.clock.now(), self.shard)
    }

    fn began_at(store: Arc<dyn Store>, began: Millis, id: ShardId) -> Self {
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let link = Arc::new(TestLink {
            shard: OnceLock::new(),
            told: tell,
            said: Mutex::default(),
            deaf: AtomicBool::default(),
        });
        let wall_at_start = AtomicU64::new(began.get());
        let clock = Arc::new(TestClock { started: tokio::time::Instant::now(), wall_at_start });
        let shards = ShardCount::new(1).unwrap();
        let limits = MailboxLimits::default();
        let port: Arc<dyn Link> = link.clone();
        let shard = Shard::new(id, shards, port, store, Arc::new(Owner), clock.clone(), limits).start();
        assert!(link.shard.set(shard).is_ok());
        Self { link, told, clock, shard: id }
    }

    fn ask(&self, uid: &str, connection: u64, op_id: OpId, op: Op) {
        let from = ConnectionRef { worker: 0, connection };
        let command = Command { from, op_id, uid: uid.parse().unwrap(), op };
        assert!(self.link.command(ShardId::new(0), command).is_taken());
    }

    fn attach(&self, uid: &str, connection: u64) {
        let resume = Some(ResumePoint { inbox: Seq::ZERO, log_id: None });
        let attach = Attach {
            device: format!("d{connection}").parse().unwrap(),
            platform: String::new(),
            issued: Millis::default(),
            resume,
        };
        self.ask(uid, connection, 1, Op::Attach(attach));
    }

    /// A device that is online.
    async fn online(&mut self, uid: &str, connection: u64) {
        self.attach(uid, connection);
        let welcome = self.told(connection).await;
        assert_eq!(welcome, Told::Welcome { head: 0, resume_after: 0 });
    }

    fn send(&self, from: &str, connection: u64, op_id: OpId, to: &str) {
        self.send_after(from, connection, op_id, to, 0);
    }

    fn send_after(&self, from: &str, connection: u64, op_id: OpId, to: &str, after: OpId) {
        let kind = wire::content::Kind::Text(wire::Text { text: "hi".into() });
        let message_id = MessageId::v7(Millis::new(1_700_000_000_000 + op_id), [9; 10]);
        let send = wire::Send {
            message_id: message_id.to_string(),
            to: Some(wire::Target { target: Some(wire::target::Target::Uid(to.into())) }),
            content: Some(wire::Content { kind: Some(kind) }),
            ..Default::default()
        };
        let draft = Draft::new(&send, 1_000).unwrap();
        self.ask(from, connection, op_id, Op::Send(SendOp { draft, retry: false, after }));
    }

    /// The next thing this connection is told; what others are told meanwhile is dropped.
    async fn told(&mut self, connection: u64) -> Told {
        let next = async {
            loop {
                let (to, part) = self.told.recv().await.unwrap();
                if to == connection {
                    return Told::of(part);
                }
            }
        };
        timeout(LONG, next).await.expect("the connection is told something")
    }

    /// Lets time pass; nobody may be told anything.
    async fn silence(&mut self) {
        let told = timeout(A_WHILE, self.told.recv()).await;
        assert!(told.is_err(), "told {told:?} before the sync");
    }

    /// What mailboxes said to each other so far.
    fn said(&self) -> (usize, usize) {
        let said = self.link.said.lock().unwrap();
        let delivers = said.iter().filter(|message| matches!(message.say, Say::Deliver(_))).count();
        let accepted = said.iter().filter(|message| matches!(message.say, Say::Accepted(_))).count();
        (delivers, accepted)
    }
}
