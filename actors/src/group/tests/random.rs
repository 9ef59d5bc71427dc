//! Random histories with crashes at random points, against a model of what was answered: nothing that was answered is lost,
//! doubled or told to whom it is not for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tidings_schema::{
    change::Change,
    id::Seq,
    wire::{self, entry::Body as Entry},
};
use tidings_state::group::Op;

use tokio::time::timeout;

use super::{A_WHILE, Bench, open, texts, uid};
use crate::{
    port::link::{GroupOp, ToConnection},
    testkit::{held::HeldSync, memory::MemoryStore},
};

/// A small generator; the seed is the whole of its state.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn name(&mut self) -> &'static str {
        const NAMES: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
        NAMES[usize::try_from(self.below(5)).unwrap()]
    }
}

/// What was answered.
#[derive(Default)]
struct Model {
    /// Message number to its place.
    sent: BTreeMap<u64, u64>,
    recalled: BTreeSet<u64>,
    /// Newest place up to which a member has read, as answered.
    read: BTreeMap<&'static str, u64>,
    next: u64,
}

async fn step(bench: &mut Bench, random: &mut Random, model: &mut Model) {
    let name = random.name();
    match random.below(10) {
        0..=3 => {
            model.next += 1;
            let number = model.next;
            if let Ok(seq) = bench.say(name, number, &format!("text-{number}")).await {
                assert_eq!(model.sent.insert(number, seq), None);
            }
        }
        4 => {
            if bench.operate(name, Op::Join).await.is_ok_and(|seq| seq > 0) {
                model.read.remove(name);
            }
        }
        5 if name != "alice" => {
            if bench.operate(name, Op::Leave).await.is_ok_and(|seq| seq > 0) {
                model.read.remove(name);
            }
        }
        6 => {
            let head = bench.sync("alice", u64::MAX - 1).await.unwrap().head;
            let upto = random.below(head + 5);
            if bench.done(name, GroupOp::Read(Seq::new(upto))).await.is_ok() {
                let read = model.read.entry(name).or_default();
                *read = upto.min(head).max(*read);
            }
        }
        7 | 8 => {
            let number = 1 + random.below(model.next.max(1));
            if let Some(seq) = model.sent.get(&number).copied() {
                // Alice owns the group, and recalls what anybody said.
                let author = author_of(bench, seq).await;
                if bench.change("alice", &author, number, seq, Change::Recall).await.is_ok() {
                    model.recalled.insert(number);
                }
            }
        }
        _ => bench.idle().await,
    }
}

async fn author_of(bench: &mut Bench, seq: u64) -> String {
    let page = bench.entries("alice", GroupOp::Sync(Seq::new(seq - 1), 1)).await.unwrap();
    match page.entries.into_iter().next().and_then(|entry| entry.body) {
        Some(Entry::Message(message)) => message.from,
        other => panic!("{other:?}"),
    }
}

/// What the log says of members.
fn members_of(log: &[wire::Entry]) -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    for entry in log {
        match entry.body.clone().unwrap() {
            Entry::GroupCreated(created) => {
                members.insert(created.by);
            }
            Entry::MembersJoined(joined) => joined.uids.into_iter().for_each(|uid| assert!(members.insert(uid))),
            Entry::MemberLeft(left) => assert!(members.remove(&left.uid)),
            _ => {}
        }
    }
    members
}

async fn check(bench: &mut Bench, model: &Model) {
    let log = bench.log("alice").await;
    let seqs: Vec<u64> = log.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>(), "no gap");
    let said: BTreeMap<u64, String> = texts(&log).into_iter().collect();
    for (number, seq) in &model.sent {
        let text = if model.recalled.contains(number) { String::new() } else { format!("text-{number}") };
        assert_eq!(said.get(seq), Some(&text), "message {number} at {seq}");
    }
    assert_eq!(said.len(), model.sent.len(), "nothing that was not answered");
    let members: Vec<String> = members_of(&log).into_iter().collect();
    assert_eq!(bench.members("alice").await, members);
    for (number, seq) in &model.sent {
        let author = author_of(bench, *seq).await;
        let could = |(uid, joined): &(&String, u64)| *joined < *seq && **uid != author;
        let all = members.iter().map(|uid| (uid, joined_at(&log, uid))).filter(could);
        let of: Vec<u64> = all.map(|(uid, _)| model.read.get(uid.as_str()).copied().unwrap_or_default()).collect();
        let count = of.iter().filter(|read| **read >= *seq).count();
        assert_eq!(bench.read_by("alice", *seq).await, (count as u64, of.len() as u64), "message {number} at {seq}");
    }
    for name in ["bob", "carol", "dave", "erin"] {
        let readable = bench.sync(name, 0).await;
        assert_eq!(readable.is_ok(), members.iter().any(|member| member == name), "{name}");
        if let Ok(page) = readable {
            assert_eq!(page.seqs.first().copied(), Some(joined_at(&log, name)), "{name} reads from its joining on");
        }
    }
}

/// The row that made a member one.
fn joined_at(log: &[wire::Entry], name: &str) -> u64 {
    let joins = |entry: &&wire::Entry| match &entry.body {
        Some(Entry::MembersJoined(joined)) => joined.uids.iter().any(|uid| uid == name),
        Some(Entry::GroupCreated(created)) => created.by == name,
        _ => false,
    };
    log.iter().rfind(joins).map_or(0, |entry| entry.seq)
}

async fn history(seed: u64) {
    let mut random = Random(seed);
    let store = MemoryStore::new();
    let mut bench = Bench::again(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    let (mut store, mut model) = (store, Model::default());
    for _ in 0..6 {
        for _ in 0..random.below(25) {
            step(&mut bench, &mut random, &mut model).await;
        }
        check(&mut bench, &model).await;
        // What was answered is durable, and cursors a little later; the next process finds that and no more.
        bench.a_while().await;
        store = store.durable_copy();
        bench = bench.after_crash(Arc::new(store.clone()));
        check(&mut bench, &model).await;
        for (number, seq) in &model.sent {
            let author = author_of(&mut bench, *seq).await;
            let again = bench.say_again(&author, *number, &format!("text-{number}")).await;
            assert!(matches!(&again, wire::server_frame::Body::SendAck(ack) if ack.seq == *seq), "{number} {again:?}");
        }
    }
}

#[actix::test]
async fn whatever_happens_what_was_answered_stays() {
    let began = std::env::var("TIDINGS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = began.map_or(1..=12, |seed: u64| seed..=seed);
    tokio::time::pause();
    for seed in seeds {
        println!("TIDINGS_SEED={seed}");
        history(seed).await;
    }
}

impl Bench {
    /// Rows that were answered until nothing more is.
    async fn rows_answered(&mut self) -> Vec<u64> {
        let mut rows = Vec::new();
        while let Ok(Some((_, part))) = timeout(A_WHILE, self.told.recv()).await {
            match part {
                ToConnection::Answer(_, wire::server_frame::Body::Ok(ok)) if ok.seq > 0 => rows.push(ok.seq),
                ToConnection::Answer(_, wire::server_frame::Body::SendAck(ack)) => rows.push(ack.seq),
                _ => {}
            }
        }
        rows
    }
}

#[actix::test]
async fn a_crash_with_anything_on_its_way_keeps_the_log_whole() {
    tokio::time::pause();
    for seed in 1..=20 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let store = MemoryStore::new();
        let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
        let mut bench = Bench::again(held.clone());
        bench.create(open(), &["bob"]).await;
        assert_eq!(bench.say("bob", 1, "text-1").await, Ok(3));
        held.hold();
        for number in 2..30 {
            let op = match random.below(4) {
                0 => GroupOp::Do(Op::Join),
                1 => GroupOp::Do(Op::AddMembers(vec![uid(random.name())])),
                _ => bench.sending(number, &format!("text-{number}")),
            };
            bench.ask(random.name(), op);
        }
        for _ in 0..random.below(4) {
            held.held(1).await;
            held.release_next();
        }
        let answered = bench.rows_answered().await;
        let mut next = bench.after_crash(Arc::new(store.durable_copy()));
        let log = next.log("alice").await;
        members_of(&log);
        for seq in answered {
            assert!(log.iter().any(|entry| entry.seq == seq), "row {seq} was answered");
        }
    }
}
