//! Fan-out of one worker against clients that believe what they are told: random histories with slow connections, lost frames
//! and members who come and go.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use tidings_schema::id::Gid;

use super::*;
use crate::group::{
    audience::{Cut, Revoked, cut},
    missed::MissedFrames,
    subscriptions::{Offer, Registered, Slot, Subscriptions, What},
};

const USERS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(usize),
    Join(usize),
    Leave(usize),
    Dismiss,
    Connect(usize),
    Disconnect(usize),
    /// The owner answers the oldest question.
    Answer,
    /// The oldest answer arrives.
    Hear,
    /// A frame arrives; the number says which connections have no room.
    Frame(u8),
    /// The worker's queue is full.
    Lose,
    /// What was lost is told.
    Told,
    /// A frame is lost with all it said.
    Forget,
    Pong(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (user, any_of) = (|| 0..USERS, || 0_usize..8);
    let step = prop_oneof![
        6 => (1_usize..4).prop_map(Step::Send),
        3 => user().prop_map(Step::Join),
        3 => user().prop_map(Step::Leave),
        4 => user().prop_map(Step::Connect),
        1 => any_of().prop_map(Step::Disconnect),
        6 => Just(Step::Answer),
        6 => Just(Step::Hear),
        10 => any::<u8>().prop_map(|full| Step::Frame(full & (full >> 1))),
        2 => Just(Step::Lose),
        2 => Just(Step::Told),
        1 => Just(Step::Forget),
        2 => any_of().prop_map(Step::Pong),
    ];
    (prop::collection::vec(step, 1..150), any::<bool>()).prop_map(|(mut steps, dismiss)| {
        steps.extend(dismiss.then_some(Step::Dismiss));
        steps
    })
}

/// One connection and what its client knows.
struct Client {
    slot: Slot,
    user: usize,
    /// It has all rows up to here, or knows that it has to pull them; none: not welcome yet, or no member.
    knows: Option<Seq>,
    /// Not answered.
    questions: usize,
}

struct Question {
    slot: Slot,
    user: usize,
}

struct World {
    gid: Gid,
    rows: Vec<Event>,
    members: Vec<bool>,
    over: bool,
    hub: Subscriptions,
    clients: Vec<Client>,
    /// On their way from the owner to the worker.
    frames: VecDeque<Cut>,
    missed: MissedFrames,
    questions: VecDeque<Question>,
    /// The slot, and the head if the user is a member.
    answers: VecDeque<(Slot, Option<Seq>)>,
}

impl World {
    fn new() -> Self {
        Self {
            gid: "g".parse().unwrap(),
            rows: Vec::new(),
            members: vec![false; USERS],
            over: false,
            hub: Subscriptions::default(),
            clients: Vec::new(),
            frames: VecDeque::new(),
            missed: MissedFrames::default(),
            questions: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    fn head(&self) -> Seq {
        seq(self.rows.len() as u64)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(rows) => self.append((0..rows).map(|_| message(&uid("s"), 1, true)).collect()),
            Step::Join(user) if !self.members[user] => {
                self.members[user] = true;
                self.append(vec![Event::MembersJoined { by: None, uids: vec![name(user)] }]);
                // The user's connections hear of it and ask.
                let slots: Vec<Slot> =
                    self.clients.iter().filter(|client| client.user == user).map(|client| client.slot).collect();
                slots.into_iter().for_each(|slot| self.ask(slot));
            }
            Step::Leave(user) if self.members[user] => {
                self.members[user] = false;
                // The row stands between others in one commit.
                self.append(vec![message(&uid("s"), 1, true), left(&name(user)), message(&uid("s"), 1, true)]);
            }
            Step::Dismiss => {
                self.append(vec![Event::Dismissed { by: uid("s") }]);
                (self.over, self.members) = (true, vec![false; USERS]);
            }
            Step::Join(_) | Step::Leave(_) => {}
            Step::Connect(user) => {
                let slot = self.hub.connect(name(user));
                self.clients.push(Client { slot, user, knows: None, questions: 0 });
                self.ask(slot);
            }
            Step::Disconnect(at) if at < self.clients.len() => {
                let client = self.clients.remove(at);
                self.hub.disconnect(client.slot);
            }
            Step::Disconnect(_) => {}
            Step::Answer => self.answer(),
            Step::Hear => self.hear(),
            Step::Frame(full) => self.frame(full),
            Step::Lose => {
                if let Some(cut) = self.frames.pop_front() {
                    self.missed.note(&self.gid, cut.upto, cut.revoked);
                }
            }
            Step::Told => self.tell_missed(),
            Step::Forget => {
                self.tell_missed();
                let Some(cut) = self.frames.pop_front() else { return };
                let again = self.hub.ask_again(&self.gid, cut.upto);
                again.into_iter().for_each(|slot| self.ask(slot));
            }
            Step::Pong(at) => self.pong(at),
        }
    }

    fn append(&mut self, events: Vec<Event>) {
        if self.over {
            return;
        }
        let first = self.head().next();
        let rows = events.iter().enumerate().map(|(at, event)| (seq(first.get() + at as u64), event, 100));
        self.frames.extend(cut(rows));
        self.rows.extend(events);
    }

    fn ask(&mut self, slot: Slot) {
        self.hub.ask(slot, &self.gid);
        if let Some(client) = self.clients.iter_mut().find(|client| client.slot == slot) {
            client.questions += 1;
            self.questions.push_back(Question { slot, user: client.user });
        }
    }

    fn answer(&mut self) {
        let Some(Question { slot, user }) = self.questions.pop_front() else { return };
        self.answers.push_back((slot, self.members[user].then_some(self.head())));
    }

    fn hear(&mut self) {
        let Some((slot, head)) = self.answers.pop_front() else { return };
        let Some(at) = self.clients.iter().position(|client| client.slot == slot) else {
            if let Some(head) = head {
                assert_eq!(self.hub.register(slot, &self.gid, head), Registered::NotWanted);
            }
            return;
        };
        let client = &mut self.clients[at];
        client.questions -= 1;
        let Some(head) = head else {
            self.hub.not_member(slot, &self.gid);
            client.knows.take_if(|_| client.questions == 0);
            return;
        };
        match self.hub.register(slot, &self.gid, head) {
            Registered::Live | Registered::Behind => client.knows = client.knows.max(Some(head)),
            Registered::Revoked(by) => {
                client.knows.take_if(|_| client.questions == 0);
                let user = client.user;
                assert!(by >= head && !self.is_member_after(user, by));
            }
            Registered::TooOld => assert!(client.questions > 0, "it will be asked again"),
            Registered::NotWanted => panic!("every question was asked"),
        }
    }

    fn frame(&mut self, full: u8) {
        let Some(Cut { prev, upto, revoked }) = self.frames.pop_front() else { return };
        self.tell_missed();
        let mut offers = Vec::new();
        let gone = self.hub.frame(&self.gid, prev, upto, &revoked, &mut offers);
        let mut seen = BTreeSet::new();
        for Offer { slot, what } in offers {
            assert!(seen.insert(slot), "offered twice");
            let at = self.clients.iter().position(|client| client.slot == slot).expect("a connection that is there");
            if full >> (at % 8) & 1 == 1 {
                self.hub.refused(slot, &self.gid);
                continue;
            }
            let client = &mut self.clients[at];
            let knows = client.knows.expect("nothing before it is registered");
            assert!(upto > knows, "nothing twice");
            match what {
                What::Frame => assert!(prev <= knows, "a frame continues what the client knows"),
                What::Head => assert!(self.is_member_after(self.clients[at].user, upto), "a head for who is out"),
            }
            self.clients[at].knows = Some(upto);
            if what == What::Frame {
                self.check_rows(self.clients[at].user, knows, upto);
            }
        }
        self.end(&gone);
    }

    fn tell_missed(&mut self) {
        while let Some((gid, missed)) = self.missed.take() {
            let gone = self.hub.lost(&gid, missed.head, &missed.revoked.expect("there are few"));
            self.end(&gone);
        }
    }

    fn end(&mut self, gone: &[Slot]) {
        for client in self.clients.iter_mut().filter(|client| gone.contains(&client.slot)) {
            client.knows = None;
        }
    }

    fn pong(&mut self, at: usize) {
        let Some(client) = self.clients.get_mut(at) else { return };
        for (_, head) in self.hub.tell(client.slot) {
            assert!(client.knows.is_some(), "a head before it is registered");
            client.knows = client.knows.max(Some(head));
        }
    }

    fn is_member_after(&self, user: usize, upto: Seq) -> bool {
        let about = |event: &&Event| match event {
            Event::MembersJoined { uids, .. } => uids.contains(&name(user)),
            Event::MemberLeft { uid, .. } => *uid == name(user),
            other => matches!(other, Event::Dismissed { .. }),
        };
        let last = self.rows[..upto.get() as usize].iter().rev().find(about);
        matches!(last, Some(Event::MembersJoined { .. }))
    }

    /// Nobody sees a row unless it was a member when the row came, its own end included.
    fn check_rows(&self, user: usize, after: Seq, upto: Seq) {
        for row in after.get()..upto.get() {
            assert!(self.is_member_after(user, seq(row)), "u{user} sees row {}", row + 1);
        }
    }

    fn finish(&mut self) {
        while !self.questions.is_empty() || !self.answers.is_empty() {
            self.answer();
            self.hear();
        }
        while !self.frames.is_empty() {
            self.frame(0);
        }
        self.tell_missed();
        (0..self.clients.len()).for_each(|at| self.pong(at));
        for client in &self.clients {
            let expected = self.members[client.user].then_some(self.head());
            assert_eq!(client.knows, expected, "u{} at {:?}", client.user, client.slot);
        }
    }
}

fn name(user: usize) -> Uid {
    uid(format!("u{user}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_client_has_all_or_knows_that_it_has_not(steps in steps()) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
        for client in std::mem::take(&mut world.clients) {
            world.hub.disconnect(client.slot);
        }
        prop_assert_eq!(world.hub.groups().count(), 0, "nothing is left");
    }
}

/// A worker with one connection registered at 5.
fn one() -> (Subscriptions, Slot, Gid) {
    let (mut hub, gid): (_, Gid) = (Subscriptions::default(), "g".parse().unwrap());
    let slot = hub.connect(name(0));
    hub.ask(slot, &gid);
    assert_eq!(hub.register(slot, &gid, seq(5)), Registered::Live);
    (hub, slot, gid)
}

fn offered(hub: &mut Subscriptions, gid: &Gid, prev: u64, upto: u64) -> Vec<Offer> {
    let mut offers = Vec::new();
    assert_eq!(hub.frame(gid, seq(prev), seq(upto), &Revoked::Nobody, &mut offers), []);
    offers
}

#[test]
fn who_had_no_room_is_told_the_head_and_goes_on() {
    let (mut hub, slot, gid) = one();
    assert_eq!(offered(&mut hub, &gid, 3, 5), [], "it was told at welcome");
    assert_eq!(offered(&mut hub, &gid, 5, 6), [Offer { slot, what: What::Frame }]);
    hub.refused(slot, &gid);
    assert_eq!(offered(&mut hub, &gid, 6, 7), [Offer { slot, what: What::Head }]);
    assert_eq!(offered(&mut hub, &gid, 7, 8), [Offer { slot, what: What::Frame }]);
    hub.refused(slot, &gid);
    assert_eq!(hub.tell(slot), [(gid.clone(), seq(8))]);
    assert_eq!(hub.tell(slot), []);
    assert_eq!(offered(&mut hub, &gid, 9, 10), [Offer { slot, what: What::Head }], "a frame is missing");
}

#[test]
fn a_hub_that_has_seen_more_than_the_welcome_says_so() {
    let (mut hub, _, gid) = one();
    let second = hub.connect(name(1));
    hub.ask(second, &gid);
    assert_eq!(offered(&mut hub, &gid, 5, 7).len(), 1, "nothing before welcome");
    assert_eq!(hub.register(second, &gid, seq(6)), Registered::Behind);
    assert_eq!(hub.tell(second), [(gid, seq(7))]);
}

#[test]
fn who_is_removed_leaves_nothing_behind() {
    let (mut hub, slot, gid) = one();
    let mut offers = Vec::new();
    assert_eq!(hub.frame(&gid, seq(5), seq(6), &Revoked::User(name(1)), &mut offers), []);
    assert_eq!(hub.frame(&gid, seq(6), seq(7), &Revoked::User(name(0)), &mut offers), [slot]);
    assert_eq!((offers.len(), hub.wants(&gid)), (2, false), "it sees its own end");
}

#[test]
fn the_slot_of_a_connection_that_is_gone_gets_nothing_of_the_next_one() {
    let (mut hub, slot, gid) = one();
    hub.disconnect(slot);
    let next = hub.connect(name(1));
    assert_eq!((next.at, next == slot), (slot.at, false));
    hub.ask(slot, &gid);
    assert!(!hub.wants(&gid));
    hub.ask(next, &gid);
    assert_eq!(hub.register(slot, &gid, seq(5)), Registered::NotWanted);
    hub.disconnect(slot);
    assert_eq!(hub.register(next, &gid, seq(5)), Registered::Live);
}
