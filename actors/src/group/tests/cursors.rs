//! Cursors of members: they move at once, are written within the time that is promised, and never go back or above what is
//! committed.

use std::sync::Arc;

use tidings_schema::{
    error_code::ErrorCode,
    group::{MemberRecord, Seat, Standing},
    id::Seq,
};
use tidings_state::group::Op;

use super::{Bench, open, uid};
use crate::{
    port::{
        link::GroupOp,
        store::{Key, Store},
    },
    testkit::{held::HeldSync, memory::MemoryStore},
};

async fn record(store: &MemoryStore, name: &str) -> Option<MemberRecord> {
    let key = Key::Member("g1".parse().unwrap(), uid(name));
    let value = store.get(vec![key]).await.unwrap().pop().flatten();
    value.map(|value| MemberRecord::decode(value).unwrap())
}

async fn stored(store: &MemoryStore, name: &str) -> Option<Seat> {
    match record(store, name).await?.standing {
        Standing::Member(seat) => Some(seat),
        Standing::Gone { .. } => None,
    }
}

#[actix::test]
async fn cursors_are_written_soon_and_survive_a_crash_before_the_first_checkpoint() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    for number in 1..=5 {
        assert_eq!(bench.say("alice", number, "hi").await, Ok(2 + number));
    }
    bench.ask("bob", GroupOp::Ack(Seq::new(6)));
    assert_eq!(bench.done("bob", GroupOp::Read(Seq::new(4))).await, Ok(0));
    bench.ask("bob", GroupOp::Ack(Seq::new(5)));
    assert_eq!(bench.done("bob", GroupOp::Ack(Seq::new(8))).await, Err(ErrorCode::AckAboveHead.number()));
    assert_eq!(bench.done("bob", GroupOp::Read(Seq::new(3))).await, Ok(0), "it does not go back");
    assert_eq!((bench.read_by("alice", 4).await, bench.read_by("alice", 5).await), ((1, 1), (0, 1)));
    bench.a_while().await;
    let seat = stored(&store, "bob").await.unwrap();
    assert_eq!((seat.last_ack, seat.last_read, seat.last_read_n), (Seq::new(6), Seq::new(4), 2));

    let mut bench = bench.after_crash(Arc::new(store.durable_copy()));
    assert_eq!((bench.read_by("alice", 4).await, bench.read_by("alice", 5).await), ((1, 1), (0, 1)));
    bench.ask("bob", GroupOp::Ack(Seq::new(3)));
    bench.idle().await;
    let store = store.durable_copy();
    assert_eq!(stored(&store, "bob").await.unwrap().last_ack, Seq::new(6));
}

#[actix::test]
async fn a_cursor_stands_only_on_what_is_committed() {
    let store = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
    let mut bench = Bench::new(held.clone());
    bench.create(open(), &["bob"]).await;
    held.hold();
    let said = bench.sending(1, "hi");
    bench.ask("alice", said);
    held.held(1).await;
    assert_eq!(bench.done("bob", GroupOp::Ack(Seq::new(3))).await, Err(ErrorCode::AckAboveHead.number()));
    // Above the head a read means the head.
    assert_eq!(bench.done("bob", GroupOp::Read(Seq::new(3))).await, Ok(0));
    held.stop_holding();
    held.release_all();
    bench.answered().await;
    bench.ask("bob", GroupOp::Ack(Seq::new(3)));
    assert_eq!(bench.read_by("alice", 3).await, (0, 1), "the message came after the read");
    bench.idle().await;
    let seat = stored(&store, "bob").await.unwrap();
    assert_eq!((seat.last_ack, seat.last_read), (Seq::new(3), Seq::new(2)));
}

#[actix::test]
async fn a_marker_far_back_counts_own_messages_in_the_log() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    // Bob writes every other message, far more than are kept one by one.
    for number in 1..=600 {
        let name = if number % 2 == 0 { "bob" } else { "alice" };
        assert_eq!(bench.say(name, number, "hi").await, Ok(2 + number));
    }
    for (round, at) in [(0_u64, 10), (1, 21), (2, 590)] {
        assert_eq!(bench.done("bob", GroupOp::Read(Seq::new(at))).await, Ok(0));
        bench.idle().await;
        let seat = stored(&store, "bob").await.unwrap();
        let own = (at + 1..=602).filter(|seq| *seq > 2 && seq % 2 == 0).count() as u64;
        assert_eq!((seat.last_read, seat.last_read_n, seat.own.count()), (Seq::new(at), at - 2, own), "{round}");
    }
}

#[actix::test]
async fn of_who_left_the_store_says_when_and_how() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.operate("bob", Op::Leave).await, Ok(3));
    bench.idle().await;
    let gone = record(&store, "bob").await.unwrap().standing;
    assert!(matches!(gone, Standing::Gone { seq, .. } if seq == Seq::new(3)), "{gone:?}");
    assert_eq!(bench.operate("bob", Op::Join).await, Ok(4));
    bench.idle().await;
    assert_eq!(stored(&store, "bob").await.unwrap().joined, Seq::new(4));
}

#[actix::test]
async fn a_crash_between_any_two_writes_of_a_leaving_group_loses_nothing() {
    // A checkpoint is put behind the members that it speaks for: with the store's writes let through one by one, a crash
    // after any of them finds a group that counts the same.
    let store = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
    let mut bench = Bench::new(held.clone());
    bench.create(open(), &["bob"]).await;
    for number in 1..=300 {
        assert_eq!(bench.say("alice", number, "hi").await, Ok(2 + number));
    }
    bench.ask("bob", GroupOp::Ack(Seq::new(100)));
    assert_eq!(bench.done("bob", GroupOp::Read(Seq::new(100))).await, Ok(0));
    bench.a_while().await;
    held.hold();
    assert_eq!(bench.done("bob", GroupOp::Read(Seq::new(200))).await, Ok(0));
    tokio::time::advance(std::time::Duration::from_secs(40)).await;
    for _ in 0..8 {
        bench.a_while().await;
        let mut next = bench.after_crash(Arc::new(store.durable_copy()));
        let ((early, _), (late, _)) = (next.read_by("alice", 100).await, next.read_by("alice", 201).await);
        assert_eq!((early, late), (1, 0));
        assert_eq!(next.say_again("alice", 300, "hi").await, ack_of(302));
        assert_eq!(next.say_again("alice", 1, "hi").await, ack_of(3));
        assert_eq!(next.sync("bob", 300).await.map(|page| page.seqs), Ok(vec![301, 302]));
        held.release_next();
    }
    let left = store.get(vec![Key::GroupCheckpoint("g1".parse().unwrap())]).await.unwrap().pop().flatten();
    assert!(left.is_some(), "the group has left");
}

fn ack_of(seq: u64) -> tidings_schema::wire::server_frame::Body {
    use tidings_schema::wire;
    let time = super::BEGAN.get();
    let message_id = super::id(seq - 2).to_string();
    wire::server_frame::Body::SendAck(wire::SendAck { message_id, seq, time, duplicate: true })
}
