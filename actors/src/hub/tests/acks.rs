//! Acknowledgements on their way to the owners of groups.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tidings_schema::id::{Millis, ShardCount, ShardId};
use tokio::sync::mpsc;

use super::*;
use crate::{
    connection::ConnectionLimits,
    hub::acks::{Ack, Acks},
    offer::Offer,
    port::{
        clock::Clock,
        edge::Registry,
        link::{Command, ConnectionRef, GroupCommand, GroupOp, Link, PeerMessage, ToConnection, Visit},
        token::{Claims, TokenError, Tokens},
    },
};

/// Group, member and seq.
type Told = (String, String, Seq);

/// Owners of groups that only note what they are told, taken or not.
struct Owners {
    asked: mpsc::Sender<Told>,
    full: AtomicBool,
}

impl Owners {
    fn new() -> (Arc<Self>, mpsc::Receiver<Told>) {
        let (asked, received) = mpsc::channel(100);
        (Arc::new(Self { asked, full: AtomicBool::new(false) }), received)
    }
}

impl Link for Owners {
    fn group(&self, _: ShardId, command: GroupCommand) -> Offer<GroupCommand> {
        let GroupCommand { op_id: 0, uid, gid, op: GroupOp::Ack(upto), .. } = &command else { panic!("{command:?}") };
        self.asked.try_send(told(gid.as_str(), uid.as_str(), upto.get())).unwrap();
        if self.full.load(Relaxed) { Offer::Full(command) } else { Offer::Taken }
    }
    fn fan_out(&self, frame: FanOut) -> Offer<FanOut> {
        Offer::Closed(frame)
    }
    fn command(&self, _: ShardId, command: Command) -> Offer<Command> {
        Offer::Closed(command)
    }
    fn forget(&self, _: ConnectionRef) {}
    fn peer(&self, _: ShardId, message: PeerMessage) -> Offer<PeerMessage> {
        Offer::Closed(message)
    }
    fn sweep(&self, _: ShardId, visit: Visit) -> Offer<Visit> {
        Offer::Closed(visit)
    }
    fn connection(&self, _: ConnectionRef, parts: Vec<ToConnection>) -> Offer<Vec<ToConnection>> {
        Offer::Closed(parts)
    }
}

/// Time stands still, and nobody is let in or found.
struct Nobody;

impl Clock for Nobody {
    fn now(&self) -> Millis {
        Millis::default()
    }
    fn uptime(&self) -> Millis {
        Millis::default()
    }
}

impl Tokens for Nobody {
    fn verify(&self, _: &str, _: Millis) -> Result<Claims, TokenError> {
        Err(TokenError::Invalid)
    }
}

impl Registry for Nobody {
    fn register(&self, _: ConnectionRef, _: Addr<crate::connection::Connection>) {}
    fn unregister(&self, _: ConnectionRef) {}
}

fn parts(owners: &Arc<Owners>, relay: &Arc<Relay>) -> Rc<Parts> {
    Rc::new(Parts {
        link: Arc::clone(owners) as Arc<dyn Link>,
        tokens: Arc::new(Nobody),
        clock: Arc::new(Nobody),
        relay: Arc::clone(relay),
        registry: Arc::new(Nobody),
        shards: ShardCount::new(4).unwrap(),
        limits: ConnectionLimits::default(),
    })
}

fn ack(uid: &str, upto: u64) -> Ack {
    let from = ConnectionRef { worker: 0, connection: 1 };
    Ack { from, uid: uid.parse().unwrap(), upto: Seq::new(upto) }
}

fn told(gid: &str, uid: &str, upto: u64) -> Told {
    (gid.into(), uid.into(), Seq::new(upto))
}

#[actix::test]
async fn of_each_member_and_group_the_newest_is_told_once_in_a_while() {
    tokio::time::pause();
    let relay = Arc::<Relay>::default();
    let (owners, mut asked) = Owners::new();
    let worker = Worker::new(&relay);
    let _hub = Hub::new(Rc::clone(&worker.roster), parts(&owners, &relay)).start();
    let (alice, bob) = (worker.member("alice", "g", 9), worker.member("bob", "h", 9));
    assert_eq!(worker.join(&alice, "h", 9), Registered::Live);
    let acked = |member: &Member, gid, ack| worker.roster.groups().ack(member.slot, &group(gid), ack);
    for (upto, gid) in [(3, "h"), (5, "g"), (4, "g"), (7, "h"), (7, "nowhere")] {
        acked(&alice, gid, ack("alice", upto));
        acked(&bob, "h", ack("bob", upto));
    }
    // The clock of the runtime moves by itself while the test waits.
    for newest in [told("g", "alice", 5), told("h", "alice", 7), told("h", "bob", 7)] {
        assert_eq!(asked.recv().await, Some(newest));
    }
    assert!(asked.try_recv().is_err(), "of a group that it does not get nothing counts");

    owners.full.store(true, Relaxed);
    acked(&alice, "g", ack("alice", 8));
    assert_eq!(asked.recv().await, Some(told("g", "alice", 8)));
    owners.full.store(false, Relaxed);
    assert_eq!(asked.recv().await, Some(told("g", "alice", 8)), "what was not taken is kept");
    assert!(asked.try_recv().is_err());
}

#[test]
fn what_comes_back_does_not_undo_what_is_newer() {
    let mut acks = Acks::default();
    acks.note(&group("g"), ack("alice", 8));
    let refused = acks.take().next().unwrap();
    acks.note(&group("g"), ack("alice", 9));
    acks.put_back(refused);
    assert!(matches!(acks.take().next().unwrap().op, GroupOp::Ack(upto) if upto == Seq::new(9)));
}

#[test]
fn no_more_are_collected_than_there_is_room_for() {
    let mut acks = Acks::default();
    for n in 0..=ACKS_MAX as u64 {
        assert_eq!(acks.note(&group("g"), ack(&format!("u{n}"), 1)), n == 0);
    }
    acks.note(&group("g"), ack("u0", 2));
    let collected: Vec<GroupCommand> = acks.take().collect();
    assert_eq!(collected.len(), ACKS_MAX);
    assert!(matches!(collected[0].op, GroupOp::Ack(upto) if upto == Seq::new(2)), "one that is known finds room");
}
