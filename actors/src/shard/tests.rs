//! One shard over a store in memory: what it reports about itself, and what its users are told. Nothing but the shard
//! knows the mailboxes.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use actix::Addr;
use prost::Message as _;
use tidings_schema::{
    id::{Epoch, Millis},
    record,
};
use tokio::sync::watch;

use super::*;
use crate::{
    offer::offer,
    port::{
        link::{Attach, FanOut, GroupCommand, Op},
        ownership::{Barrier, Ownership, Stamp},
        store::{Change, Key},
    },
    testkit::{
        faults::{Fault, Faults, Method},
        memory::MemoryStore,
        suite::uid,
    },
};

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

struct StillClock(AtomicU64);

impl Clock for StillClock {
    fn now(&self) -> Millis {
        self.uptime()
    }
    fn uptime(&self) -> Millis {
        Millis::new(self.0.load(Relaxed))
    }
}

/// A link whose way to connections breaks on command.
#[derive(Default)]
struct Breakable {
    broken: AtomicBool,
}

impl Link for Breakable {
    fn command(&self, _: ShardId, command: Command) -> Offer<Command> {
        Offer::Closed(command)
    }
    fn peer(&self, _: ShardId, message: PeerMessage) -> Offer<PeerMessage> {
        Offer::Closed(message)
    }
    fn group(&self, _: ShardId, command: GroupCommand) -> Offer<GroupCommand> {
        Offer::Closed(command)
    }
    fn fan_out(&self, frame: FanOut) -> Offer<FanOut> {
        Offer::Closed(frame)
    }
    fn sweep(&self, _: ShardId, visit: Visit) -> Offer<Visit> {
        Offer::Closed(visit)
    }
    fn connection(&self, _: ConnectionRef, parts: Vec<ToConnection>) -> Offer<Vec<ToConnection>> {
        assert!(!self.broken.load(Relaxed), "planned panic in the link");
        Offer::Closed(parts)
    }
    fn forget(&self, _: ConnectionRef) {}
}

struct Bench {
    store: MemoryStore,
    faults: Arc<Faults>,
    link: Arc<Breakable>,
    shard: Addr<Shard>,
    standing: watch::Receiver<Standing>,
}

impl Bench {
    /// A shard whose store has these faults from the start.
    fn start(prepare: impl FnOnce(&Faults)) -> Self {
        let store = MemoryStore::new();
        let faults = Arc::new(Faults::new(Arc::new(store.clone())));
        prepare(&faults);
        let (roll, link) = (Roll::default(), Arc::new(Breakable::default()));
        let shards = ShardCount::new(1).unwrap();
        let clock = Arc::new(StillClock(AtomicU64::new(1)));
        let (to, from) = (link.clone() as Arc<dyn Link>, faults.clone() as Arc<dyn Store>);
        let shard = Shard::new(ShardId::new(0), shards, to, from, Arc::new(Owner), clock, MailboxLimits::default());
        let standing = roll.watch();
        Self { store, faults, link, shard: shard.reporting_to(&roll).start(), standing }
    }

    async fn until(&mut self, wanted: Standing) {
        let stands = self.standing.wait_for(|standing| *standing == wanted);
        tokio::time::timeout(Duration::from_secs(60), stands).await.expect("the shard reports").unwrap();
    }
}

#[actix::test]
async fn a_shard_serves_once_it_has_read_its_marks_and_not_before() {
    tokio::time::pause();
    let mut bench = Bench::start(|faults| faults.lasting(Method::Scan, Fault::Fail(Unavailable::Down)));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(*bench.standing.borrow(), Standing::default());
    bench.faults.heal();
    bench.until(Standing { ready: 1, ..Standing::default() }).await;
}

#[actix::test]
async fn a_panic_in_a_shard_is_reported() {
    let mut bench = Bench::start(|_| {});
    bench.until(Standing { ready: 1, ..Standing::default() }).await;
    // A quiet user, whom the shard itself greets.
    let alice = uid("alice");
    let device = "phone".parse().unwrap();
    let quiet = [Key::Checkpoint(alice.clone()), Key::Device(alice.clone(), "phone".parse().unwrap())];
    let listed = record::DeviceEntry { device_id: "phone".into(), last_seen: 1 };
    let checkpoint = record::MailboxCheckpoint { devices: vec![listed], ..record::MailboxCheckpoint::default() };
    let values = [checkpoint.encode_to_vec(), Vec::new()];
    let changes = quiet.into_iter().zip(values).map(|(key, value)| Change { key, value: Some(value.into()) }).collect();
    bench.store.put(changes, Stamp(1)).await.unwrap();
    bench.link.broken.store(true, Relaxed);
    let attach = Op::Attach(Attach { device, platform: "test".into(), issued: Millis::default(), resume: None });
    let from = ConnectionRef { worker: 0, connection: 1 };
    assert!(matches!(offer(&bench.shard, Command { from, op_id: 1, uid: alice, op: attach }), Offer::Taken));
    bench.until(Standing { gone: 1, ..Standing::default() }).await;
}

#[actix::test]
async fn a_shard_that_is_told_to_retire_reports_when_it_holds_no_mailbox() {
    tokio::time::pause();
    let mut bench = Bench::start(|_| {});
    let serves = Standing { ready: 1, ..Standing::default() };
    bench.until(serves).await;
    let attach =
        Attach { device: "phone".parse().unwrap(), platform: "test".into(), issued: Millis::default(), resume: None };
    let from = ConnectionRef { worker: 0, connection: 1 };
    let attach = Command { from, op_id: 1, uid: uid("alice"), op: Op::Attach(attach) };
    assert!(matches!(offer(&bench.shard, attach), Offer::Taken));
    assert!(matches!(offer(&bench.shard, Retire), Offer::Taken));
    bench.until(Standing { empty: 1, ..serves }).await;
}
