//! The core against a model server that loses connections, answers and pushes, says things twice and leaves gaps: the
//! app sees each entry once and in order, each message ends up in the log once, and changes are made in order.

#![allow(clippy::unwrap_used, reason = "a test; a failure is the message")]

use std::collections::HashMap;

use proptest::prelude::*;
use tidings_client::core::{Event, InMemory, Lost};
use tidings_schema::{
    id::{Millis, Seq, Uid},
    wire::{self, client_frame::Op, server_frame::Body},
};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    /// The user edits one message again and again, each time with a higher number.
    Change,
    /// The server takes the oldest unread frames; its answers to some are lost.
    Serve {
        frames: u8,
        lose_answers: bool,
    },
    /// The peer writes.
    Incoming,
    /// The server pushes entries from a place at or before the head, maybe leaving some out.
    Push {
        back: u8,
        skip: u8,
    },
    Refuse,
    Break,
    Restart,
    Wait(u16),
    Apply,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_u8).prop_map(Step::Send),
        2 => Just(Step::Change),
        6 => (1..8_u8, prop::bool::weighted(0.2)).prop_map(|(frames, lose_answers)| Step::Serve { frames, lose_answers }),
        3 => Just(Step::Incoming),
        4 => (0..6_u8, 0..3_u8).prop_map(|(back, skip)| Step::Push { back, skip }),
        1 => Just(Step::Refuse),
        1 => Just(Step::Break),
        1 => Just(Step::Restart),
        3 => (0..12_000_u16).prop_map(Step::Wait),
        3 => Just(Step::Apply),
    ]
}

/// The server: one inbox, deduplicated by message id.
#[derive(Default)]
struct Model {
    log: Vec<wire::Entry>,
    seq_of: HashMap<String, u64>,
    refuse: bool,
    acked: u64,
    /// What the edited message says.
    says: u64,
}

impl Model {
    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn append(&mut self, id: &str, from: &str, peer: &str) -> u64 {
        if let Some(&seq) = self.seq_of.get(id) {
            return seq;
        }
        let conversation = wire::conversation::Conversation::Uid(peer.into());
        let message = wire::Message {
            message_id: id.into(),
            conversation: Some(wire::Conversation { conversation: Some(conversation) }),
            from: from.into(),
            ..wire::Message::default()
        };
        let seq = self.head() + 1;
        self.log.push(wire::Entry { seq, time: seq, body: Some(wire::entry::Body::Message(message)) });
        self.seq_of.insert(id.into(), seq);
        seq
    }

    fn after(&self, seq: u64) -> Vec<wire::Entry> {
        self.log.iter().filter(|entry| entry.seq > seq).take(5).cloned().collect()
    }

    fn answer(&mut self, op: Op) -> Option<Body> {
        Some(match op {
            Op::Hello(hello) => {
                let resume = hello.resume.and_then(|resume| resume.inbox).unwrap_or(0);
                let log_id = if self.log.is_empty() { vec![] } else { vec![7; 16] };
                Body::Welcome(wire::Welcome {
                    uid: "me".into(),
                    log_id: log_id.into(),
                    inbox_head: self.head(),
                    resume_after: resume,
                    ..wire::Welcome::default()
                })
            }
            Op::Ping(_) => Body::Pong(wire::Pong { inbox_head: self.head(), time: 0, ..Default::default() }),
            Op::Send(_) | Op::Edit(_) if self.refuse => {
                Body::Error(wire::Error { code: 5003, text: "busy".into(), retry_after_ms: 0 })
            }
            Op::Send(send) => {
                let Some(wire::target::Target::Uid(peer)) = send.to.unwrap().target else { panic!("to nobody") };
                let duplicate = self.seq_of.contains_key(&send.message_id);
                assert!(!duplicate || send.retry, "a repetition says that it is one");
                let seq = self.append(&send.message_id, "me", &peer);
                Body::SendAck(wire::SendAck { message_id: send.message_id, seq, time: seq, duplicate })
            }
            Op::Edit(edit) => {
                let says: u64 = edit.message_id.parse().unwrap();
                assert!(says >= self.says, "edit {says} came after {}", self.says);
                self.says = says;
                Body::Ok(wire::Ok { seq: 0 })
            }
            Op::Ack(ack) => {
                assert!(ack.inbox <= self.head());
                self.acked = self.acked.max(ack.inbox);
                return None;
            }
            Op::Sync(sync) => {
                let entries = self.after(sync.after);
                let last = entries.last().map_or(sync.after, |entry| entry.seq);
                Body::Page(wire::Page { entries, head: self.head(), more: last < self.head(), ..wire::Page::default() })
            }
            _ => return None,
        })
    }
}

struct World {
    client: InMemory,
    server: Model,
    peers: [Uid; 2],
    /// What the app applied, over restarts.
    applied: Vec<u64>,
    /// Entries the app saw since its last start and has not applied.
    seen: Vec<u64>,
    sent: Vec<(String, usize)>,
    fates: HashMap<String, usize>,
    incoming: u64,
    /// Edits so far, and those of this life of the app by their request.
    edits: u64,
    changing: HashMap<u64, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let peers = ["bob", "carol"].map(|peer| peer.parse().unwrap());
        let client = InMemory::new(seed, Millis::new(1_000_000));
        let (applied, seen, sent, fates, changing) = Default::default();
        let (server, incoming, edits) = (Model::default(), 0, 0);
        Self { client, server, peers, applied, seen, sent, fates, incoming, edits, changing }
    }

    fn serve(&mut self, frames: u8, lose_answers: bool) {
        if self.client.link == tidings_client::core::Link::Wanted {
            self.client.connect();
        }
        for _ in 0..frames {
            let Some(frame) = self.client.written.pop_front() else { break };
            let answer = frame.op.and_then(|op| self.server.answer(op));
            if let Some(body) = answer.filter(|_| !lose_answers) {
                self.client.deliver(frame.id, body);
            }
        }
        self.look();
    }

    fn change(&mut self) {
        self.edits += 1;
        let edit = wire::Edit {
            conversation: Some(wire::Conversation {
                conversation: Some(wire::conversation::Conversation::Uid("bob".into())),
            }),
            message_id: self.edits.to_string(),
            ..wire::Edit::default()
        };
        let request = self.client.request(Op::Edit(edit)).unwrap();
        self.changing.insert(request, self.edits);
    }

    fn look(&mut self) {
        for (request, answer) in std::mem::take(&mut self.client.answers) {
            let number = self.changing.remove(&request).unwrap();
            assert!(answer.is_ok() && self.server.says >= number, "edit {number}: {answer:?}");
        }
        for event in std::mem::take(&mut self.client.events) {
            if let Event::Sent(sent) = &event {
                *self.fates.entry(sent.message_id.to_string()).or_default() += 1;
            }
            if let Some(seq) = event.seq() {
                let last = self.seen.last().or(self.applied.last()).copied().unwrap_or(0);
                assert_eq!(seq.get(), last + 1, "each entry once and in order");
                self.seen.push(seq.get());
            }
        }
    }

    fn apply(&mut self) {
        self.applied.append(&mut self.seen);
        if let Some(&last) = self.applied.last() {
            self.client.applied(Seq::new(last));
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Send(to) => {
                let to = usize::from(*to);
                let id = self.client.send_text(&self.peers[to].clone(), "hi").unwrap();
                self.sent.push((id.to_string(), to));
            }
            Step::Change => self.change(),
            Step::Serve { frames, lose_answers } => self.serve(*frames, *lose_answers),
            Step::Incoming => {
                self.incoming += 1;
                let id = format!("in-{}", self.incoming);
                let _ = self.server.append(&id, "bob", "bob");
            }
            Step::Push { back, skip } => self.push(u64::from(*back), usize::from(*skip)),
            Step::Refuse => self.server.refuse = !self.server.refuse,
            Step::Break => self.client.drop_connection(&Lost::Broken),
            Step::Restart => {
                self.look();
                self.seen.clear();
                self.changing.clear();
                self.client.restart();
            }
            Step::Wait(ms) => self.client.wait(u64::from(*ms)),
            Step::Apply => self.apply(),
        }
        self.look();
    }

    fn push(&mut self, back: u64, skip: usize) {
        let entries = self.server.after(self.server.head().saturating_sub(back)).split_off_checked(skip);
        let entries = wire::Entries { entries, redelivery: true, ..wire::Entries::default() };
        if self.client.link == tidings_client::core::Link::Up {
            self.client.deliver(0, Body::Entries(entries));
        }
    }

    /// The network is well again: everything must settle.
    fn settle(&mut self) {
        self.server.refuse = false;
        for _ in 0..2_000 {
            self.serve(u8::MAX, false);
            self.apply();
            let told = self.applied.last().copied().unwrap_or(0);
            let answered = self.client.core().pending() == 0 && self.changing.is_empty();
            if answered && told == self.server.head() && self.server.acked == told {
                return;
            }
            assert!(self.client.wait_for_deadline(), "stuck without a deadline");
        }
        panic!("never settled: {} pending, told {:?}", self.client.core().pending(), self.applied.last());
    }
}

trait SplitOff {
    fn split_off_checked(self, at: usize) -> Self;
}

impl SplitOff for Vec<wire::Entry> {
    fn split_off_checked(mut self, at: usize) -> Self {
        let at = at.min(self.len());
        self.split_off(at)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries_are_seen_once_in_order_and_every_message_ends_up_in_the_log_once(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(seed);
        for step in &steps {
            world.step(step);
        }
        world.settle();
        prop_assert_eq!(world.applied.clone(), (1..=world.server.head()).collect::<Vec<_>>());
        for (id, _) in &world.sent {
            prop_assert!(world.server.seq_of.contains_key(id), "{} is in the log", id);
            prop_assert!(world.fates.get(id).copied().unwrap_or(0) <= 1, "{} is told once", id);
        }
        let log_len = world.sent.len() as u64 + world.incoming;
        prop_assert_eq!(world.server.head(), log_len);
        prop_assert!(world.client.stored.sends.is_empty());
    }
}

#[test]
fn a_client_whose_place_is_not_kept_any_more_starts_over() {
    let mut client = InMemory::new(1, Millis::new(1));
    let welcome = |client: &mut InMemory, resume_after| {
        client.connect();
        let hello = client.written.pop_front().unwrap();
        let welcome = wire::Welcome { inbox_head: 9, resume_after, ..wire::Welcome::default() };
        client.deliver(hello.id, Body::Welcome(welcome));
        client.written.iter().any(|frame| matches!(frame.op, Some(Op::Conversations(_))))
    };
    assert!(!welcome(&mut client, 4), "a new device takes the server's place");
    client.drop_connection(&Lost::Broken);
    assert!(!welcome(&mut client, 4), "nothing is gone");
    client.drop_connection(&Lost::Broken);
    assert!(welcome(&mut client, 6), "what followed 4 is gone");
}
