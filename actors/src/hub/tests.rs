//! The hubs of a node over connections without sockets. Turns are driven by hand, so that a test can step in between.

mod acks;
mod crowd;
mod missed;

use std::task::{Context as TaskContext, Waker};

use futures_util::FutureExt as _;
use prost::Message as _;
use tidings_schema::{
    id::{Gid, Seq},
    wire::{self, server_frame::Body},
};
use tidings_state::group::{
    audience::Revoked,
    subscriptions::{Registered, Slot},
};

use super::{groups::Joining, rounds::Rounds, *};
use crate::{
    port::{
        edge::{Encoding, Outlet as _},
        link::{EntryFrame, FanOut},
    },
    relay::Relay,
    testkit::edge::{Client as _, MemoryClient, MemoryOutlet, Seen, memory_as},
};

/// One worker, whose hub takes its turns when it is told.
struct Worker {
    roster: Rc<Roster>,
    rounds: Rounds,
}

struct Member {
    slot: Slot,
    outlet: Rc<MemoryOutlet>,
    client: MemoryClient,
}

/// What a member was told of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Row(u64),
    Behind(u64),
}

impl Worker {
    fn new(relay: &Relay) -> Self {
        let lane = relay.lane();
        Self { roster: Rc::new(Roster::new(Arc::clone(&lane))), rounds: Rounds::new(lane) }
    }

    /// A connection that gets the group from `head` on.
    fn member(&self, uid: &str, gid: &str, head: u64) -> Member {
        self.member_as(Encoding::Protobuf, uid, gid, head)
    }

    fn member_as(&self, encoding: Encoding, uid: &str, gid: &str, head: u64) -> Member {
        let (outlet, _, client) = memory_as(encoding);
        let joining = Joining { uid: uid.parse().unwrap(), outlet: outlet.clone(), encoding, seat: 0 };
        let slot = self.roster.groups().connect(joining);
        let member = Member { slot, outlet, client };
        assert_eq!(self.join(&member, gid, head), Registered::Live);
        member
    }

    fn join(&self, member: &Member, gid: &str, head: u64) -> Registered {
        let gid = group(gid);
        self.roster.groups().ask(member.slot, &gid);
        self.roster.groups().register(member.slot, &gid, Seq::new(head))
    }

    /// One turn of the hub; whether nothing is left to do.
    fn turn(&mut self) -> bool {
        let mut cx = TaskContext::from_waker(Waker::noop());
        self.rounds.turn(&self.roster, &mut cx).is_pending()
    }

    fn disconnect(&self, member: &Member) {
        self.roster.groups().disconnect(member.slot);
    }

    fn work(&mut self) {
        let idle = (0..100_000).any(|_| self.turn());
        assert!(idle, "the hub never has nothing to do");
    }
}

impl Member {
    /// What has arrived, and only that.
    fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(seen) = self.client.receive().now_or_never() {
            let Seen::Frame(frame) = seen else { panic!("{seen:?} instead of a frame") };
            match frame.body {
                Some(Body::Entries(entries)) => told.extend(entries.entries.iter().map(|entry| Told::Row(entry.seq))),
                Some(Body::Behind(behind)) => told.push(Told::Behind(behind.head)),
                other => panic!("{other:?}"),
            }
        }
        told
    }
}

/// Puts a frame into the lanes of workers that want it.
fn spread_out(relay: &Relay, frame: FanOut) {
    assert!(relay.fan_out(frame).is_taken());
}

fn group(gid: &str) -> Gid {
    gid.parse().unwrap()
}

fn rows(seqs: impl IntoIterator<Item = u64>) -> Vec<Told> {
    seqs.into_iter().map(Told::Row).collect()
}

/// The rows after `prev` up to `upto`, of about so many bytes together.
fn frame_of(gid: &str, prev: u64, upto: u64, bytes: usize) -> FanOut {
    let log = wire::GroupLog { gid: gid.to_owned() };
    let timeline = wire::Timeline { timeline: Some(wire::timeline::Timeline::Group(log)) };
    let entries = (prev + 1..=upto).map(|seq| wire::Entry { seq, ..wire::Entry::default() }).collect();
    // The room a frame takes is all that counts here.
    let log_id = vec![0; bytes].into();
    let entries = wire::Entries { timeline: Some(timeline), entries, log_id, ..wire::Entries::default() };
    let frame = wire::ServerFrame { re: 0, body: Some(Body::Entries(entries)) };
    FanOut {
        gid: group(gid),
        prev: Seq::new(prev),
        upto: Seq::new(upto),
        frame: Arc::new(EntryFrame::new(frame.encode_to_vec().into())),
        revoked: Revoked::Nobody,
    }
}

fn row(gid: &str, seq: u64) -> FanOut {
    frame_of(gid, seq - 1, seq, 0)
}

fn kick(gid: &str, seq: u64, uid: &str) -> FanOut {
    FanOut { revoked: Revoked::User(uid.parse().unwrap()), ..row(gid, seq) }
}

#[test]
fn reconnects_are_spread_over_the_whole_time() {
    let times: Vec<u64> = (0..1000).map(|number| spread(number, 1000)).collect();
    for tenth in 0..10 {
        let hits = times.iter().filter(|&&ms| ms / 100 == tenth).count();
        assert!((50..200).contains(&hits), "{hits} in tenth {tenth}");
    }
    assert_eq!(spread(7, 0), 0);
}

#[test]
fn a_frame_reaches_the_members_on_every_worker_and_nobody_else() {
    let relay = Relay::default();
    let mut workers = [Worker::new(&relay), Worker::new(&relay)];
    let mut members: Vec<Member> = workers.iter().map(|worker| worker.member("alice", "g", 4)).collect();
    let mut other = workers[0].member("bob", "h", 4);
    for seq in 5..8 {
        spread_out(&relay, row("g", seq));
    }
    workers.iter_mut().for_each(Worker::work);
    for member in &mut members {
        assert_eq!(member.told(), rows(5..8));
        assert_eq!(member.client.writes(), 1, "what waited together leaves together");
    }
    assert_eq!(other.told(), []);
}

#[test]
fn a_worker_without_a_member_is_not_troubled() {
    let relay = Relay::default();
    let worker = Worker::new(&relay);
    assert!(!relay.wants(&group("g")));
    let (first, second) = (worker.member("alice", "g", 0), worker.member("bob", "g", 0));
    worker.disconnect(&first);
    assert!(relay.wants(&group("g")));
    worker.disconnect(&second);
    assert!(!relay.wants(&group("g")));
    let third = worker.member("carol", "g", 0);
    worker.roster.groups().frame(&kick("g", 1, "carol"), &mut Vec::new());
    assert!(!relay.wants(&group("g")), "who was sent away wants nothing");
    worker.disconnect(&third);
}

#[test]
fn every_connection_gets_its_own_encoding_and_each_is_made_once() {
    let relay = Relay::default();
    let mut workers = [Worker::new(&relay), Worker::new(&relay)];
    let encodings = [Encoding::Json, Encoding::Protobuf];
    let member = |worker: &Worker, encoding| worker.member_as(encoding, "alice", "g", 0);
    let mut members = Vec::new();
    for worker in &workers {
        members.extend(encodings.map(|encoding| member(worker, encoding)));
    }
    spread_out(&relay, row("g", 1));
    workers.iter_mut().for_each(Worker::work);
    let payloads: Vec<_> = members.iter().map(|member| member.client.take_payload().unwrap()).collect();
    assert!(
        payloads[0].starts_with(b"{") && payloads[0].as_ptr() == payloads[2].as_ptr(),
        "one JSON text for the node"
    );
    assert!(!payloads[1].starts_with(b"{") && payloads[1].as_ptr() == payloads[3].as_ptr(), "one Protobuf frame");
    spread_out(&relay, row("g", 2));
    workers.iter_mut().for_each(Worker::work);
    for member in &mut members {
        assert_eq!(member.told(), rows([2]));
    }
}

#[test]
fn whoever_is_kicked_in_the_middle_of_a_flood_gets_nothing_after_it() {
    let relay = Relay::default();
    let mut workers = [Worker::new(&relay), Worker::new(&relay)];
    let mut kicked: Vec<Member> = workers.iter().map(|worker| worker.member("bob", "g", 0)).collect();
    let mut stays: Vec<Member> = workers.iter().map(|worker| worker.member("alice", "g", 0)).collect();
    for seq in 1..=100 {
        spread_out(&relay, if seq == 50 { kick("g", seq, "bob") } else { row("g", seq) });
        if seq % 7 == 0 {
            workers.iter_mut().for_each(Worker::work);
        }
    }
    workers.iter_mut().for_each(Worker::work);
    for member in &mut kicked {
        assert_eq!(member.told(), rows(1..=50));
    }
    for member in &mut stays {
        assert_eq!(member.told(), rows(1..=100));
    }
    // Taken in again, it goes on from there.
    assert_eq!(workers[0].join(&kicked[0], "g", 101), Registered::Live);
    spread_out(&relay, row("g", 101));
    spread_out(&relay, row("g", 102));
    workers.iter_mut().for_each(Worker::work);
    assert_eq!((kicked[0].told(), kicked[1].told()), (rows([102]), vec![]));
}
