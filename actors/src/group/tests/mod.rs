//! Groups behind their shard, on one arbiter with paused time, between a store that does what it is told, connections that only
//! note what they are told, and a node that notes its frames.

mod changes;
mod cursors;
mod fan_out;
mod life;
mod operations;
mod pages;
mod panics;
mod random;
mod send;

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
    change::{Change, MessageName},
    group::{JoinPolicy, Settings},
    id::{Epoch, Gid, MessageId, Millis, Seq, ShardCount, ShardId, Uid},
    message::GroupDraft,
    wire::{self, entry, server_frame::Body},
};
use tidings_state::group::{Op, audience::Revoked};
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
            Command, ConnectionRef, FanOut, GroupChange, GroupCommand, GroupOp, GroupSend, Link, OpId, PeerMessage,
            ToConnection, Visit,
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
/// Long enough for every tick, shorter than any deadline of an op.
const A_WHILE: Duration = Duration::from_secs(2);
/// When the first process of a test begins.
const BEGAN: Millis = Millis::new(1_700_000_000_000);

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

/// One shard, connections that only note what they are told, and a node that notes its frames.
struct TestLink {
    shard: OnceLock<Addr<Shard>>,
    told: mpsc::Sender<(u64, ToConnection)>,
    frames: Mutex<Vec<FanOut>>,
    /// The node takes no frame.
    full: AtomicBool,
    /// The next answer panics.
    breaks: AtomicBool,
}

impl Link for TestLink {
    fn command(&self, _: ShardId, command: Command) -> Offer<Command> {
        offer(self.shard.get().unwrap(), command)
    }
    fn group(&self, _: ShardId, command: GroupCommand) -> Offer<GroupCommand> {
        offer(self.shard.get().unwrap(), command)
    }
    fn fan_out(&self, frame: FanOut) -> Offer<FanOut> {
        if self.full.load(Relaxed) {
            return Offer::Full(frame);
        }
        self.frames.lock().unwrap().push(frame);
        Offer::Taken
    }
    fn peer(&self, _: ShardId, message: PeerMessage) -> Offer<PeerMessage> {
        Offer::Closed(message)
    }
    fn sweep(&self, _: ShardId, visit: Visit) -> Offer<Visit> {
        Offer::Closed(visit)
    }
    fn connection(&self, to: ConnectionRef, parts: Vec<ToConnection>) -> Offer<Vec<ToConnection>> {
        assert!(!self.breaks.swap(false, Relaxed), "planned panic in the link");
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

/// A frame as a hub sees it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    prev: u64,
    upto: u64,
    seqs: Vec<u64>,
    revoked: Revoked,
}

/// A page as a client sees it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    seqs: Vec<u64>,
    head: u64,
    more: bool,
}

struct Bench {
    link: Arc<TestLink>,
    told: mpsc::Receiver<(u64, ToConnection)>,
    clock: Arc<TestClock>,
    /// Every question comes from a connection of its own, with this op.
    asked: OpId,
    gid: Gid,
}

fn uid(name: &str) -> Uid {
    name.parse().unwrap()
}

fn uids(names: &[&str]) -> Vec<Uid> {
    names.iter().map(|name| uid(name)).collect()
}

fn id(number: u64) -> MessageId {
    MessageId::v7(Millis::new(BEGAN.get() + number), [9; 10])
}

fn content(text: &str) -> wire::Content {
    wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: text.into() })) }
}

fn draft(gid: &Gid, number: u64, text: &str) -> GroupDraft {
    let send = wire::Send {
        message_id: id(number).to_string(),
        to: Some(wire::Target { target: Some(wire::target::Target::Gid(gid.to_string())) }),
        content: Some(content(text)),
        ..Default::default()
    };
    GroupDraft::new(&send, 10_000).unwrap()
}

fn open() -> Settings {
    Settings { join: JoinPolicy::Open, ..Settings::default() }
}

fn code_of(body: &Body) -> Option<u32> {
    match body {
        Body::Error(error) => Some(error.code),
        _ => None,
    }
}

/// Text of whatever says one, by seq.
fn texts(entries: &[wire::Entry]) -> Vec<(u64, String)> {
    let text = |content: Option<&wire::Content>| match content.and_then(|content| content.kind.as_ref()) {
        Some(wire::content::Kind::Text(text)) => text.text.clone(),
        _ => String::new(),
    };
    let said = |entry: &wire::Entry| match &entry.body {
        Some(entry::Body::Message(message)) => Some((entry.seq, text(message.content.as_ref()))),
        Some(entry::Body::Edited(edited)) => Some((entry.seq, text(edited.content.as_ref()))),
        _ => None,
    };
    entries.iter().filter_map(said).collect()
}

impl Bench {
    /// Starts the shard on `store`, in paused time.
    fn new(store: Arc<dyn Store>) -> Self {
        tokio::time::pause();
        Self::began_at(store, BEGAN)
    }

    /// The same when time is paused already.
    fn again(store: Arc<dyn Store>) -> Self {
        Self::began_at(store, BEGAN)
    }

    /// Another process, after a crash of this one.
    fn after_crash(&self, store: Arc<dyn Store>) -> Self {
        Self { asked: self.asked, ..Self::began_at(store, self.clock.now()) }
    }

    fn began_at(store: Arc<dyn Store>, began: Millis) -> Self {
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let link = Arc::new(TestLink {
            shard: OnceLock::new(),
            told: tell,
            frames: Mutex::default(),
            full: AtomicBool::default(),
            breaks: AtomicBool::default(),
        });
        let wall_at_start = AtomicU64::new(began.get());
        let clock = Arc::new(TestClock { started: tokio::time::Instant::now(), wall_at_start });
        let (shards, limits) = (ShardCount::new(1).unwrap(), MailboxLimits::default());
        let port: Arc<dyn Link> = link.clone();
        let shard = Shard::new(ShardId::new(0), shards, port, store, Arc::new(Owner), clock.clone(), limits);
        assert!(link.shard.set(shard.start()).is_ok());
        Self { link, told, clock, asked: 0, gid: "g1".parse().unwrap() }
    }

    /// Asks from a connection, and waits for nothing.
    fn ask_from(&self, connection: u64, op_id: OpId, name: &str, op: GroupOp) {
        let from = ConnectionRef { worker: 0, connection };
        let command = GroupCommand { from, op_id, uid: uid(name), gid: self.gid.clone(), op };
        assert!(self.link.group(ShardId::new(0), command).is_taken());
    }

    /// Asks from a connection of its own, which comes back.
    fn ask(&mut self, name: &str, op: GroupOp) -> OpId {
        self.asked += 1;
        self.ask_from(self.asked, self.asked, name, op);
        self.asked
    }

    /// The next answer to anybody.
    async fn answered(&mut self) -> (OpId, Body) {
        let next = timeout(LONG, self.told.recv()).await.expect("somebody is answered").unwrap();
        match next {
            (_, ToConnection::Answer(op_id, body)) => (op_id, body),
            (_, other) => panic!("{other:?}"),
        }
    }

    /// The answer to one question; what others are told before it is dropped.
    async fn answer_to(&mut self, wanted: OpId) -> Body {
        loop {
            let (op_id, body) = self.answered().await;
            if op_id == wanted {
                return body;
            }
        }
    }

    async fn asked(&mut self, name: &str, op: GroupOp) -> Body {
        let op_id = self.ask(name, op);
        self.answer_to(op_id).await
    }

    /// The seq that an op is answered, or the code that it is refused with.
    async fn done(&mut self, name: &str, op: GroupOp) -> Result<u64, u32> {
        match self.asked(name, op).await {
            Body::Ok(ok) => Ok(ok.seq),
            Body::SendAck(ack) => Ok(ack.seq),
            Body::Error(error) => Err(error.code),
            other => panic!("{other:?}"),
        }
    }

    async fn operate(&mut self, name: &str, op: Op) -> Result<u64, u32> {
        self.done(name, GroupOp::Do(op)).await
    }

    /// A group of alice, with these members.
    async fn create(&mut self, settings: Settings, members: &[&str]) {
        let op = Op::Create { settings, members: uids(members) };
        assert_eq!(self.operate("alice", op).await, Ok(if members.is_empty() { 1 } else { 2 }));
    }

    fn sending(&self, number: u64, text: &str) -> GroupOp {
        GroupOp::Send(GroupSend { draft: draft(&self.gid, number, text), retry: false, after: 0 })
    }

    async fn say(&mut self, name: &str, number: u64, text: &str) -> Result<u64, u32> {
        let op = self.sending(number, text);
        self.done(name, op).await
    }

    /// Sends the message again, as a client that does not know what became of it.
    async fn say_again(&mut self, name: &str, number: u64, text: &str) -> Body {
        let op = GroupOp::Send(GroupSend { draft: draft(&self.gid, number, text), retry: true, after: 0 });
        self.asked(name, op).await
    }

    async fn change(&mut self, name: &str, author: &str, number: u64, seq: u64, change: Change) -> Result<u64, u32> {
        let name_of = MessageName { author: uid(author), message_id: id(number) };
        self.done(name, GroupOp::Change(GroupChange { seq: Seq::new(seq), name: name_of, change })).await
    }

    async fn entries(&mut self, name: &str, op: GroupOp) -> Result<wire::Page, u32> {
        match self.asked(name, op).await {
            Body::Page(page) => Ok(page),
            Body::Error(error) => Err(error.code),
            other => panic!("{other:?}"),
        }
    }

    async fn page(&mut self, name: &str, op: GroupOp) -> Result<Shown, u32> {
        let page = self.entries(name, op).await?;
        let seqs = page.entries.iter().map(|entry| entry.seq).collect();
        Ok(Shown { seqs, head: page.head, more: page.more })
    }

    async fn sync(&mut self, name: &str, after: u64) -> Result<Shown, u32> {
        self.page(name, GroupOp::Sync(Seq::new(after), 0)).await
    }

    async fn history(&mut self, name: &str) -> Result<Shown, u32> {
        self.page(name, GroupOp::History(Seq::ZERO, 0)).await
    }

    /// What the log says, all of it, read page by page.
    async fn log(&mut self, name: &str) -> Vec<wire::Entry> {
        let mut entries: Vec<wire::Entry> = Vec::new();
        loop {
            let after = entries.last().map_or(0, |entry| entry.seq);
            let page = self.entries(name, GroupOp::Sync(Seq::new(after), 0)).await.unwrap();
            entries.extend(page.entries);
            if !page.more {
                return entries;
            }
        }
    }

    async fn members(&mut self, name: &str) -> Vec<String> {
        match self.asked(name, GroupOp::Members(None, 0)).await {
            Body::Members(members) => members.members.into_iter().map(|member| member.uid).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// How many have read a message, of how many.
    async fn read_by(&mut self, name: &str, seq: u64) -> (u64, u64) {
        match self.asked(name, GroupOp::ReadBy { seq: Seq::new(seq), after: None, limit: 0 }).await {
            Body::ReadBy(read) => (read.count, read.of),
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass; nobody may be told anything.
    async fn silence(&mut self) {
        let told = timeout(A_WHILE, self.told.recv()).await;
        assert!(told.is_err(), "told {told:?}");
    }

    /// Lets time pass that brings nothing but ticks.
    async fn a_while(&mut self) {
        tokio::time::advance(A_WHILE).await;
        self.silence().await;
    }

    /// So long that an idle group leaves memory.
    async fn idle(&mut self) {
        tokio::time::advance(Duration::from_millis(MailboxLimits::default().mailbox_idle_ms)).await;
        self.silence().await;
    }

    /// The node takes no frame from now on, or takes them again.
    fn set_full(&self, full: bool) {
        self.link.full.store(full, Relaxed);
    }

    /// The frames since the last look.
    fn frames(&self) -> Vec<Seen> {
        let frames = std::mem::take(&mut *self.link.frames.lock().unwrap());
        frames.into_iter().map(|frame| seen(&frame)).collect()
    }

    /// What the frames since the last look say.
    fn framed(&self) -> Vec<wire::Entry> {
        let frames = std::mem::take(&mut *self.link.frames.lock().unwrap());
        frames.iter().flat_map(entries_of).collect()
    }
}

fn entries_of(frame: &FanOut) -> Vec<wire::Entry> {
    match wire::ServerFrame::decode(frame.frame.protobuf()).unwrap().body {
        Some(Body::Entries(entries)) => entries.entries,
        other => panic!("a frame is entries: {other:?}"),
    }
}

fn seen(frame: &FanOut) -> Seen {
    let seqs = entries_of(frame).iter().map(|entry| entry.seq).collect();
    Seen { prev: frame.prev.get(), upto: frame.upto.get(), seqs, revoked: frame.revoked.clone() }
}
