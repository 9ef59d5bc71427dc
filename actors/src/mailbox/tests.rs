//! Mailboxes behind their shard, on one arbiter with paused time: what leaves them before and after a sync, and what is
//! left of them after a panic in a port.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use actix::{Actor, Addr};
use prost::Message as _;
use tidings_schema::{
    error_code::ErrorCode,
    id::{Epoch, MessageId, Millis, Seq, ShardCount, ShardId, Uid},
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
        link::{Attach, Command, ConnectionRef, Link, Op, OpId, PeerMessage, ResumePoint, Say, SendOp, ToConnection},
        ownership::{Barrier, Ownership, Stamp},
        store::Store,
    },
    shard::Shard,
    testkit::{
        faults::{Fault, Faults, Method},
        held::HeldSync,
        memory::MemoryStore,
    },
};

/// More than a test is told; one that overflows it fails by missing what it waits for.
const TOLD_MAX: usize = 10_000;
/// Under paused time this passes at once when nothing happens.
const LONG: Duration = Duration::from_secs(60);
/// Long enough for every tick and repetition, shorter than any deadline of an op.
const A_WHILE: Duration = Duration::from_secs(2);

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Millis {
        self.uptime().plus(1_700_000_000_000)
    }
    fn uptime(&self) -> Millis {
        Millis::new(u64::try_from(self.0.elapsed().as_millis()).unwrap())
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
}

impl Link for TestLink {
    fn command(&self, _: ShardId, command: Command) -> Offer<Command> {
        offer(self.shard.get().unwrap(), command)
    }
    fn peer(&self, _: ShardId, message: PeerMessage) -> Offer<PeerMessage> {
        self.said.lock().unwrap().push(message.clone());
        offer(self.shard.get().unwrap(), message)
    }
    fn connection(&self, to: ConnectionRef, parts: Vec<ToConnection>) -> Offer<Vec<ToConnection>> {
        for part in parts {
            self.told.try_send((to.connection, part)).unwrap();
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
            ToConnection::Push(push) => {
                let frame = wire::ServerFrame::decode(push.frame.protobuf()).unwrap();
                let Some(Body::Entries(entries)) = frame.body else { panic!("a push is entries: {frame:?}") };
                Self::Pushed(seqs(&entries.entries))
            }
            ToConnection::Answer(..) | ToConnection::Again(_) | ToConnection::HeadMoved(_) | ToConnection::Close(_) => {
                Self::Other
            }
        }
    }
}

struct Bench {
    link: Arc<TestLink>,
    told: mpsc::Receiver<(u64, ToConnection)>,
}

impl Bench {
    /// Starts the shard on `store`, in paused time.
    fn new(store: Arc<dyn Store>) -> Self {
        tokio::time::pause();
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let link = Arc::new(TestLink { shard: OnceLock::new(), told: tell, said: Mutex::default() });
        let clock = Arc::new(TestClock(Instant::now()));
        let shards = ShardCount::new(1).unwrap();
        let limits = MailboxLimits::default();
        let port: Arc<dyn Link> = link.clone();
        let shard = Shard::new(ShardId::new(0), shards, port, store, Arc::new(Owner), clock, limits).start();
        assert!(link.shard.set(shard).is_ok());
        Self { link, told }
    }

    fn ask(&self, uid: &str, connection: u64, op_id: OpId, op: Op) {
        let from = ConnectionRef { worker: 0, connection };
        let command = Command { from, op_id, uid: uid.parse().unwrap(), op };
        assert!(self.link.command(ShardId::new(0), command).is_taken());
    }

    fn attach(&self, uid: &str, connection: u64) {
        let resume = Some(ResumePoint { inbox: Seq::ZERO, log_id: None });
        let attach = Attach { device: format!("d{connection}").parse().unwrap(), platform: String::new(), resume };
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
            push: None,
            retry: false,
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

fn held_memory() -> Arc<HeldSync> {
    Arc::new(HeldSync::new(Arc::new(MemoryStore::new())))
}

#[actix::test]
async fn no_ack_push_page_or_delivery_leaves_before_the_sync() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;

    held.hold();
    bench.send("alice", 1, 11, "bob");
    bench.send_after("alice", 1, 12, "bob", 11);
    bench.send_after("alice", 1, 13, "bob", 12);
    held.held(1).await;
    bench.silence().await;
    assert_eq!(bench.said(), (0, 0), "what is not durable was told to a peer");
    bench.ask("alice", 1, 20, Op::Sync(Seq::ZERO, 10));
    assert_eq!(bench.told(1).await, Told::Page { seqs: Vec::new(), head: 0 });

    // Alice's rows become durable; bob's, which come of them, do not yet.
    assert!(held.release_next());
    for (op_id, seq) in [(11, 1), (12, 2), (13, 3)] {
        assert_eq!(bench.told(1).await, Told::Acked { op_id, seq, duplicate: false });
    }
    assert_eq!(bench.told(1).await, Told::Pushed(vec![1, 2, 3]));
    held.held(1).await;
    bench.silence().await;
    assert!(bench.said().0 > 0, "what is durable is delivered");
    assert_eq!(bench.said().1, 0, "accepted was said of a row that is not durable");
    bench.ask("bob", 2, 20, Op::Sync(Seq::ZERO, 10));
    assert_eq!(bench.told(2).await, Told::Page { seqs: Vec::new(), head: 0 });

    held.stop_holding();
    assert!(held.release_all() > 0);
    assert_eq!(bench.told(2).await, Told::Pushed(vec![1, 2, 3]));
    assert!(bench.said().1 > 0, "accepted is said of what is durable");
    bench.ask("bob", 2, 21, Op::Sync(Seq::ZERO, 10));
    assert_eq!(bench.told(2).await, Told::Page { seqs: vec![1, 2, 3], head: 3 });
}

#[actix::test]
async fn a_recipient_is_pushed_and_the_sender_told_once_the_rows_are_durable() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;
    held.hold();
    bench.send("alice", 1, 11, "bob");
    held.held(1).await;
    assert!(held.release_next());
    // Bob's row is the next write that waits.
    held.held(1).await;
    assert_eq!(bench.said().1, 0);
    assert!(held.release_next());
    assert_eq!(bench.told(2).await, Told::Pushed(vec![1]));
    assert_eq!(bench.said().1, 1);
}

#[actix::test]
async fn a_new_device_is_welcomed_when_it_is_known_durably() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    held.hold();
    bench.attach("alice", 1);
    held.held(1).await;
    bench.silence().await;
    held.release_all();
    assert_eq!(bench.told(1).await, Told::Welcome { head: 0, resume_after: 0 });
}

#[actix::test]
async fn the_repetition_of_a_send_that_is_not_durable_waits_for_it() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    held.hold();
    bench.send("alice", 1, 11, "alice");
    bench.send("alice", 1, 11, "alice");
    held.held(1).await;
    bench.silence().await;
    held.stop_holding();
    held.release_all();
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 11, seq: 1, duplicate: false });
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 11, seq: 1, duplicate: true });
}

#[actix::test]
async fn an_unblock_behind_a_note_that_is_not_durable_lets_everyone_else_go_on() {
    let held = held_memory();
    let mut bench = Bench::new(held.clone());
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;
    bench.online("eve", 3).await;
    bench.ask("bob", 2, 11, Op::Block("alice".parse::<Uid>().unwrap()));
    assert_eq!(bench.told(2).await, Told::Other);
    bench.send("alice", 1, 12, "bob");
    held.hold();
    held.held(1).await;
    held.release_next();
    // The note of what was blocked waits for the disk, and the unblock for the note.
    held.held(1).await;
    bench.ask("bob", 2, 13, Op::Unblock("alice".parse::<Uid>().unwrap()));
    bench.ask("eve", 3, 14, Op::Sync(Seq::ZERO, 1));
    assert_eq!(bench.told(3).await, Told::Page { seqs: Vec::new(), head: 0 });
    held.stop_holding();
    held.release_all();
    bench.send("alice", 1, 15, "bob");
    let shown = async {
        loop {
            if let Told::Pushed(seqs) = bench.told(2).await {
                if seqs.contains(&3) {
                    return seqs;
                }
            }
        }
    };
    assert_eq!(timeout(LONG, shown).await.unwrap().last(), Some(&3), "block, unblock, and the message after them");
}

fn faulty() -> (Arc<Faults>, Bench) {
    let faults = Arc::new(Faults::new(Arc::new(MemoryStore::new())));
    let bench = Bench::new(faults.clone());
    (faults, bench)
}

#[actix::test]
async fn after_a_panic_in_a_port_others_go_on_and_the_actor_comes_back() {
    let (faults, mut bench) = faulty();
    bench.online("alice", 1).await;
    bench.online("bob", 2).await;
    bench.send("alice", 1, 10, "alice");
    assert_eq!(bench.told(1).await, Told::Acked { op_id: 10, seq: 1, duplicate: false });

    // What alice's mailbox reads for this send panics, with the send in its hands.
    faults.once(Method::Get, Fault::Panic);
    bench.send("alice", 1, 11, "carl");
    bench.send("bob", 2, 12, "bob");
    assert_eq!(bench.told(2).await, Told::Acked { op_id: 12, seq: 1, duplicate: false });

    bench.send("alice", 1, 13, "carl");
    let acked = async {
        loop {
            if let Told::Acked { op_id: 13, seq, .. } = bench.told(1).await {
                return seq;
            }
        }
    };
    assert!(timeout(LONG, acked).await.unwrap() > 1, "the log goes on after what was committed");
}

#[actix::test]
async fn a_mailbox_that_panics_three_times_in_a_row_is_stopped_and_others_are_not() {
    let (faults, mut bench) = faulty();
    bench.online("bob", 2).await;
    faults.lasting(Method::Get, Fault::Panic);
    let mut codes = Vec::new();
    for op_id in 1..=10 {
        bench.ask("alice", 1, op_id, Op::Sync(Seq::ZERO, 1));
        // A mailbox that dies answers nothing; the connection would say so by its deadline.
        if let Ok((1, part)) = timeout(A_WHILE, bench.told.recv()).await.map(Option::unwrap) {
            codes.push(Told::of(part));
        }
    }
    faults.heal();
    let corrupt = ErrorCode::Corrupt.number();
    assert!(matches!(codes.last(), Some(Told::Refused { op_id: 10, code }) if *code == corrupt), "{codes:?}");
    assert!(codes.len() >= 5, "it was not stopped early: {codes:?}");
    bench.send("bob", 2, 12, "bob");
    assert_eq!(bench.told(2).await, Told::Acked { op_id: 12, seq: 1, duplicate: false });
}
