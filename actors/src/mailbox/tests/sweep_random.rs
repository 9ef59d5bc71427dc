//! After any history of sends, days, sweeps and crashes every way of reading gives what it gave before, from the floor
//! on, and an id is answered with its first place for as long as it is kept.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tidings_schema::{
    id::{MessageId, Millis, Seq},
    message::conversation_with,
    wire,
};
use tidings_state::retention::MESSAGE_ID_KEPT_MS;

use super::Bench;
use crate::{
    port::{clock::Clock as _, link::Op},
    testkit::{memory::MemoryStore, suite::uid},
};

const STEPS: usize = 120;
const SEEDS: std::ops::Range<u64> = 1..13;

/// A sequence of numbers that a seed determines.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct Sent {
    id: MessageId,
    to: &'static str,
    seq: u64,
    at: Millis,
}

struct World {
    seed: u64,
    chance: Chance,
    store: MemoryStore,
    bench: Bench,
    op_id: u64,
    sent: Vec<Sent>,
    /// Every entry of alice's inbox that was ever read.
    seen: BTreeMap<u64, wire::Entry>,
    floor: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let store = MemoryStore::new();
        let bench = Bench::without_rounds(Arc::new(store.clone()));
        let chance = Chance(seed);
        Self { seed, chance, store, bench, op_id: 100, sent: Vec::new(), seen: BTreeMap::new(), floor: 1 }
    }

    async fn step(&mut self) {
        self.op_id += 1;
        match self.chance.below(20) {
            0..7 => self.send().await,
            7..9 => {
                self.bench.send_now("bob", self.op_id, "alice").await;
            }
            9..12 => self.retry().await,
            12..14 => {
                self.read_all().await;
                let ms = self.chance.below(12 * 24 * 3_600_000);
                self.bench.days_pass(ms);
                // Checkpoints are written, and a mailbox that nobody needs leaves memory.
                tokio::time::advance(Duration::from_secs(self.chance.below(70))).await;
            }
            14..16 => {
                self.read_all().await;
                self.bench.sweep("alice").await;
            }
            16 => self.crash(),
            _ => self.read_all().await,
        }
    }

    async fn send(&mut self) {
        let to = if self.chance.below(2) == 0 { "alice" } else { "bob" };
        let at = self.bench.clock.now();
        let (seq, id) = self.bench.send_now("alice", self.op_id, to).await;
        self.sent.push(Sent { id, to, seq, at });
    }

    /// The same message again: its first place while ids are kept, and another life after that at most.
    async fn retry(&mut self) {
        let Some(last) = self.sent.len().checked_sub(1) else { return };
        let at = usize::try_from(self.chance.below(last as u64 + 1)).unwrap();
        let Sent { id, to, seq, at } = &self.sent[at];
        // Older ones of this kind are refused by their age.
        if self.bench.clock.now().since(*at) >= MESSAGE_ID_KEPT_MS - 24 * 3_600_000 {
            return;
        }
        let answer = self.bench.send_id("alice", self.op_id, to, *id, true).await;
        assert_eq!(answer, (*seq, true), "seed {}", self.seed);
    }

    fn crash(&mut self) {
        // A floor that was decided and not durable yet falls back.
        self.floor = 1;
        self.store = self.store.durable_copy();
        self.bench = self.bench.after_crash(Arc::new(self.store.clone()));
    }

    async fn read_all(&mut self) {
        // What is on its way between the two arrives.
        self.bench.silence().await;
        let from = self.chance.below(1 + self.seen.len() as u64);
        for after in [0, from] {
            self.sync(after).await;
        }
        for peer in ["alice", "bob"] {
            self.history(peer).await;
        }
    }

    async fn sync(&mut self, mut after: u64) {
        let seed = self.seed;
        let begin = after;
        loop {
            let limit = usize::try_from(self.chance.below(7)).unwrap();
            let page = self.bench.page("alice", Op::Sync(Seq::new(after), limit)).await;
            let Some(first) = page.entries.first().map(|entry| entry.seq) else {
                assert_eq!(after, page.head, "seed {seed}: a page without entries is the end");
                return;
            };
            if begin == 0 && after == 0 {
                assert!(first >= self.floor, "seed {seed}: the floor does not fall");
                self.floor = first;
            }
            assert_eq!(first, (after + 1).max(self.floor), "seed {seed}");
            for (place, entry) in (first..).zip(page.entries) {
                assert_eq!(entry.seq, place, "seed {seed}: no hole");
                let before = self.seen.entry(place).or_insert_with(|| entry.clone());
                assert_eq!(*before, entry, "seed {seed}: an entry never changes");
                after = place;
            }
            assert_eq!(page.more, after < page.head, "seed {seed}");
        }
    }

    /// All messages that were ever seen are there, swept or not.
    async fn history(&mut self, peer: &str) {
        let (mut before, mut all) = (Seq::ZERO, Vec::new());
        loop {
            let page = self.bench.page("alice", Op::History(uid(peer), before, 5)).await;
            before = page.entries.last().map_or(before, |entry| Seq::new(entry.seq));
            all.extend(page.entries);
            if !page.more {
                break;
            }
        }
        let with = Some(conversation_with(&uid(peer)));
        let of_peer = |entry: &&wire::Entry| match &entry.body {
            Some(wire::entry::Body::Message(message)) => message.conversation == with,
            _ => false,
        };
        let expected: Vec<&wire::Entry> = self.seen.values().rev().filter(of_peer).collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), expected, "seed {}", self.seed);
    }
}

#[actix::test]
async fn whatever_happens_reads_give_the_same_from_the_floor_on_and_ids_their_first_place() {
    tokio::time::pause();
    let mut swept = 0;
    for seed in SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step().await;
        }
        world.read_all().await;
        swept += usize::from(world.floor > 1);
    }
    assert!(swept > 6, "most histories forget something: {swept}");
}
