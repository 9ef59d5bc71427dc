//! Groups behind their shard, on one arbiter with paused time, between a store that does what it is told, connections that only
//! note what they are told, and a node that notes its frames.

mod bench;
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
