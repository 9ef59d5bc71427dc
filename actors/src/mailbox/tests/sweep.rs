//! Forgetting what is old: what goes, what stays, what devices learn of it, and a crash between any two steps.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use prost::Message as _;
use tidings_schema::{
    id::{MessageId, Millis, Seq, ShardId},
    message::Draft,
    record,
    wire::{self, server_frame::Body},
};
use tidings_state::retention::Horizon;
use tokio::{sync::Semaphore, time::timeout};

use super::{Bench, LONG, Told};
use crate::{
    limits::INBOX_MS,
    port::{
        clock::Clock as _,
        link::{Attach, Link as _, Op, OpId, ResumePoint, SendOp, ToConnection, Visit},
        store::{Key, Store},
    },
    testkit::{
        faults::{Fault, Faults, Method},
        held::HeldSync,
        memory::MemoryStore,
        suite::{everything, inbox, uid},
    },
};

const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// Longer than rows are kept.
const LONG_AGO_MS: u64 = INBOX_MS + DAY_MS;
/// The connection that asks; it is no device.
pub(super) const ASKS: u64 = 90;

impl Bench {
    /// Offers a visit that takes what is old now, and waits until it is over.
    pub(super) async fn sweep(&self, user: &str) {
        self.sweep_older(user, Horizon::at(self.clock.now(), INBOX_MS)).await;
    }

    async fn sweep_older(&self, user: &str, horizon: Horizon) {
        let permits = self.visit(user, horizon).await;
        drop(timeout(LONG, permits.acquire()).await.expect("the sweep ends").unwrap());
    }

    /// Offers a visit; its permit comes back when it is over.
    async fn visit(&self, user: &str, horizon: Horizon) -> Arc<Semaphore> {
        let permits = Arc::new(Semaphore::new(1));
        let permit = permits.clone().acquire_owned().await.unwrap();
        let visit = Visit { uid: uid(user), horizon, permit };
        assert!(self.link.sweep(ShardId::new(0), visit).is_taken());
        permits
    }

    /// Sends a message with an id that is made now, and waits for the ack: its place, and the id.
    pub(super) async fn send_now(&mut self, from: &str, op_id: OpId, to: &str) -> (u64, MessageId) {
        let id = MessageId::v7(self.clock.now(), [u8::try_from(op_id % 251).unwrap(); 10]);
        (self.send_id(from, op_id, to, id, false).await.0, id)
    }

    /// Sends a message: its place, and whether it was there before.
    pub(super) async fn send_id(
        &mut self,
        from: &str,
        op_id: OpId,
        to: &str,
        id: MessageId,
        retry: bool,
    ) -> (u64, bool) {
        let kind = wire::content::Kind::Text(wire::Text { text: "hi".into() });
        let send = wire::Send {
            message_id: id.to_string(),
            to: Some(wire::Target { target: Some(wire::target::Target::Uid(to.into())) }),
            content: Some(wire::Content { kind: Some(kind) }),
            ..wire::Send::default()
        };
        let draft = Draft::new(&send, 1_000).unwrap();
        self.ask(from, ASKS, op_id, Op::Send(SendOp { draft, retry, after: 0 }));
        match self.answer(op_id).await {
            Body::SendAck(ack) => (ack.seq, ack.duplicate),
            other => panic!("a send is acked: {other:?}"),
        }
    }

    pub(super) async fn answer(&mut self, op_id: OpId) -> Body {
        let next = async {
            loop {
                if let (ASKS, ToConnection::Answer(of, body)) = self.told.recv().await.unwrap()
                    && of == op_id
                {
                    return body;
                }
            }
        };
        timeout(LONG, next).await.expect("an answer")
    }

    pub(super) async fn page(&mut self, user: &str, op: Op) -> wire::Page {
        self.ask(user, ASKS, 7, op);
        match self.answer(7).await {
            Body::Page(page) => page,
            other => panic!("a page: {other:?}"),
        }
    }

    async fn synced(&mut self, user: &str, after: u64) -> Vec<u64> {
        let page = self.page(user, Op::Sync(Seq::new(after), 0)).await;
        page.entries.iter().map(|entry| entry.seq).collect()
    }

    /// The device comes online with this place and leaves; what it is welcomed with.
    async fn welcomed(&mut self, user: &str, inbox: Option<u64>) -> wire::Welcome {
        let resume = inbox.map(|inbox| ResumePoint { inbox: Seq::new(inbox), log_id: None });
        let attach =
            Attach { device: "phone".parse().unwrap(), platform: String::new(), issued: Millis::new(u64::MAX), resume };
        self.ask(user, 1, 1, Op::Attach(attach));
        let next = async {
            loop {
                if let (1, ToConnection::Welcome(_, welcome)) = self.told.recv().await.unwrap() {
                    return *welcome;
                }
            }
        };
        let welcome = timeout(LONG, next).await.expect("a welcome");
        self.ask(user, 1, 0, Op::Detach);
        welcome
    }

    /// The wall clock is later; nothing else happens.
    pub(super) fn days_pass(&self, ms: u64) {
        self.clock.wall_at_start.fetch_add(ms, Relaxed);
    }

    /// Lets mailboxes write what they know and leave memory.
    pub(super) async fn rest(&mut self) {
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(60)).await;
            self.silence().await;
        }
    }
}

async fn stored(store: &MemoryStore, user: &str) -> Vec<u64> {
    let page = store.read_back(inbox(user), Seq::new(u64::MAX), everything()).await.unwrap();
    page.rows.iter().rev().map(|row| row.seq.get()).collect()
}

async fn checkpoint(store: &MemoryStore, user: &str) -> record::MailboxCheckpoint {
    let value = store.get(vec![Key::Checkpoint(uid(user))]).await.unwrap().pop().flatten().unwrap();
    record::MailboxCheckpoint::decode(value).unwrap()
}

async fn id_record(store: &MemoryStore, user: &str, id: MessageId) -> Option<u64> {
    let value = store.get(vec![Key::MessageId(inbox(user), uid(user), id)]).await.unwrap().pop().flatten();
    value.map(|value| record::MessageId::decode(value).unwrap().seq)
}

/// Five messages of alice to herself, long ago, and two from now.
async fn five_old_two_new(store: Arc<dyn Store>) -> (Bench, Vec<MessageId>) {
    tokio::time::pause();
    let mut bench = Bench::without_rounds(store);
    let ids = fill(&mut bench).await;
    (bench, ids)
}

async fn fill(bench: &mut Bench) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for op_id in 11..16 {
        ids.push(bench.send_now("alice", op_id, "alice").await.1);
    }
    bench.rest().await;
    bench.days_pass(LONG_AGO_MS);
    for op_id in 16..18 {
        ids.push(bench.send_now("alice", op_id, "alice").await.1);
    }
    bench.rest().await;
    ids
}

#[actix::test]
async fn old_rows_and_ids_go_and_what_is_read_begins_at_the_floor() {
    let store = MemoryStore::new();
    let (mut bench, ids) = five_old_two_new(Arc::new(store.clone())).await;
    bench.sweep("alice").await;
    assert_eq!(stored(&store, "alice").await, [6, 7]);
    for after in [0, 3, 5] {
        assert_eq!(bench.synced("alice", after).await, [6, 7], "after {after}");
    }
    assert_eq!(bench.synced("alice", 6).await, [7]);
    assert_eq!(id_record(&store, "alice", ids[4]).await, None);
    assert_eq!(id_record(&store, "alice", ids[5]).await, Some(6));
    let history = bench.page("alice", Op::History(uid("alice"), Seq::ZERO, 0)).await;
    assert_eq!(history.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1]);
    // It says so also after it has left memory, and goes on.
    bench.rest().await;
    let kept = checkpoint(&store, "alice").await;
    assert_eq!((kept.swept, kept.floor, kept.ids_floor), (6, 6, 6));
    assert_eq!(bench.send_now("alice", 30, "alice").await.0, 8);
    assert_eq!(bench.synced("alice", 0).await, [6, 7, 8]);
}

#[actix::test]
async fn a_device_that_was_away_for_longer_than_rows_are_kept_starts_over() {
    let (mut bench, _) = five_old_two_new(Arc::new(MemoryStore::new())).await;
    bench.sweep("alice").await;
    for (place, resume_after, reset) in [(3, 7, true), (4, 7, true), (5, 5, false), (6, 6, false), (0, 5, false)] {
        let welcome = bench.welcomed("alice", Some(place)).await;
        let expected = reset.then_some(wire::Reset { floor: 6, as_of: 7 });
        assert_eq!((welcome.resume_after, welcome.reset), (resume_after, expected), "resumes after {place}");
    }
}

#[actix::test]
async fn a_device_that_only_has_its_cursor_starts_over_too() {
    tokio::time::pause();
    let mut bench = Bench::without_rounds(Arc::new(MemoryStore::new()));
    assert_eq!(bench.welcomed("alice", Some(0)).await.resume_after, 0);
    for op_id in 11..14 {
        bench.send_now("alice", op_id, "alice").await;
    }
    bench.rest().await;
    bench.days_pass(LONG_AGO_MS);
    bench.send_now("alice", 14, "alice").await;
    bench.rest().await;
    assert_eq!(bench.welcomed("alice", None).await.reset, None, "nothing is gone yet");
    bench.sweep("alice").await;
    let welcome = bench.welcomed("alice", None).await;
    assert_eq!((welcome.resume_after, welcome.reset), (4, Some(wire::Reset { floor: 4, as_of: 4 })));
}

#[actix::test]
async fn the_newest_row_stays_however_old_it_is() {
    let store = MemoryStore::new();
    let (mut bench, _) = five_old_two_new(Arc::new(store.clone())).await;
    bench.days_pass(LONG_AGO_MS);
    bench.sweep("alice").await;
    assert_eq!(stored(&store, "alice").await, [7]);
    assert_eq!(bench.synced("alice", 0).await, [7]);
    assert_eq!(bench.send_now("alice", 30, "alice").await.0, 8);
}

#[actix::test]
async fn what_an_online_device_has_not_acknowledged_stays() {
    let store = MemoryStore::new();
    let (mut bench, _) = five_old_two_new(Arc::new(store.clone())).await;
    let resume = Some(ResumePoint { inbox: Seq::new(2), log_id: None });
    let attach =
        Attach { device: "phone".parse().unwrap(), platform: String::new(), issued: Millis::new(u64::MAX), resume };
    bench.ask("alice", 1, 1, Op::Attach(attach));
    assert_eq!(bench.told(1).await, Told::Welcome { head: 7, resume_after: 2 });
    assert_eq!(bench.told(1).await, Told::Pushed(vec![3, 4, 5, 6, 7]));
    bench.sweep("alice").await;
    assert_eq!(stored(&store, "alice").await, [3, 4, 5, 6, 7]);
    bench.ask("alice", 1, 0, Op::Ack(Seq::new(7)));
    bench.sweep("alice").await;
    assert_eq!(stored(&store, "alice").await, [6, 7]);
}

#[actix::test]
async fn what_a_peer_has_not_accepted_stays_and_arrives() {
    let store = MemoryStore::new();
    tokio::time::pause();
    let mut bench = Bench::without_rounds(Arc::new(store.clone()));
    bench.send_now("alice", 11, "alice").await;
    bench.link.deaf.store(true, Relaxed);
    for op_id in 12..15 {
        bench.send_now("alice", op_id, "bob").await;
    }
    bench.days_pass(LONG_AGO_MS);
    bench.rest().await;
    bench.sweep("alice").await;
    assert_eq!(stored(&store, "alice").await, [2, 3, 4]);
    bench.link.deaf.store(false, Relaxed);
    bench.rest().await;
    assert_eq!(stored(&store, "bob").await.len(), 3);
    bench.sweep("alice").await;
    assert_eq!(stored(&store, "alice").await, [4]);
}

#[actix::test]
async fn an_id_that_was_used_again_keeps_its_record() {
    let store = MemoryStore::new();
    tokio::time::pause();
    let mut bench = Bench::without_rounds(Arc::new(store.clone()));
    let old = MessageId::from_slice(&[5; 16]).unwrap();
    assert_eq!(bench.send_id("alice", 11, "alice", old, false).await, (1, false));
    // More than a checkpoint carries: the window of the next activation does not reach back to it.
    for op_id in 12..122 {
        bench.send_now("alice", op_id, "alice").await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    bench.rest().await;
    bench.days_pass(LONG_AGO_MS);
    assert_eq!(
        bench.send_id("alice", 200, "alice", old, false).await,
        (112, false),
        "its client forgot that it used it"
    );
    // No checkpoint covers the newest row: the record still names the first one.
    bench.sweep("alice").await;
    assert_eq!(stored(&store, "alice").await, [111, 112]);
    for _ in 0..2 {
        bench.rest().await;
        assert_eq!(id_record(&store, "alice", old).await, Some(112));
        bench.sweep("alice").await;
    }
    assert_eq!(stored(&store, "alice").await, [112]);
}

#[actix::test]
async fn a_crash_before_the_floor_is_durable_leaves_all_rows() {
    let store = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
    let (bench, _) = five_old_two_new(held.clone()).await;
    held.hold();
    let _permits = bench.visit("alice", Horizon::at(bench.clock.now(), INBOX_MS)).await;
    held.held(1).await;
    assert!(held.release_next(), "the ids");
    held.held(1).await;
    let crashed = store.durable_copy();
    let mut bench = bench.after_crash(Arc::new(crashed.clone()));
    assert_eq!(bench.synced("alice", 0).await, [1, 2, 3, 4, 5, 6, 7]);
    bench.sweep("alice").await;
    assert_eq!(bench.synced("alice", 0).await, [6, 7]);
    assert_eq!(stored(&crashed, "alice").await, [6, 7]);
}

#[actix::test]
async fn a_crash_before_the_rows_are_removed_is_finished_by_the_next_sweep() {
    let store = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
    let (bench, _) = five_old_two_new(held.clone()).await;
    held.hold();
    let _permits = bench.visit("alice", Horizon::at(bench.clock.now(), INBOX_MS)).await;
    for _ in 0..2 {
        held.held(1).await;
        held.release_next();
    }
    held.held(1).await;
    let crashed = store.durable_copy();
    assert_eq!(checkpoint(&crashed, "alice").await.floor, 6);
    assert_eq!(stored(&crashed, "alice").await.len(), 7);
    let mut bench = bench.after_crash(Arc::new(crashed.clone()));
    assert_eq!(bench.synced("alice", 0).await, [6, 7]);
    // Nothing is older than this: only what was decided before is done.
    bench.sweep_older("alice", Horizon::at(Millis::new(0), 0)).await;
    assert_eq!(stored(&crashed, "alice").await, [6, 7]);
}

#[actix::test]
async fn a_store_that_does_not_answer_ends_the_sweep_and_the_next_one_goes_on() {
    let store = MemoryStore::new();
    let faults = Arc::new(Faults::new(Arc::new(store.clone())));
    let (mut bench, _) = five_old_two_new(faults.clone()).await;
    faults.once(Method::Sweep, Fault::LoseReply);
    bench.sweep("alice").await;
    assert_eq!(bench.synced("alice", 0).await, [6, 7]);
    bench.sweep("alice").await;
    bench.rest().await;
    let kept = checkpoint(&store, "alice").await;
    assert_eq!((kept.swept, kept.floor), (6, 6));
}

#[actix::test]
async fn a_round_finds_what_is_old_by_itself() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    fill(&mut bench).await;
    // The mailbox has left memory; the clock has not been believed in that hour.
    assert_eq!(stored(&store, "alice").await, [1, 2, 3, 4, 5, 6, 7]);
    tokio::time::advance(Duration::from_millis(2 * DAY_MS)).await;
    bench.rest().await;
    assert_eq!(stored(&store, "alice").await, [6, 7]);
    assert_eq!(checkpoint(&store, "alice").await.swept, 6);
}
