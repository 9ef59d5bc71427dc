//! Frames: contiguous, once each, cut at the end of a membership; what a node does not take is told again.

use std::sync::Arc;

use tidings_schema::{error_code::ErrorCode, group::Settings};
use tidings_state::group::{
    Op,
    audience::{FRAME_ROWS_MAX, Revoked},
};

use super::{Bench, Seen, open, uid};
use crate::{
    group::fan_out::UNTOLD_MAX,
    port::link::GroupOp,
    testkit::{held::HeldSync, memory::MemoryStore},
};

fn frame(prev: u64, upto: u64, revoked: Revoked) -> Seen {
    Seen { prev, upto, seqs: (prev + 1..=upto).collect(), revoked }
}

#[actix::test]
async fn rows_that_are_committed_together_share_a_frame_up_to_the_end_of_a_membership() {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::new(held.clone());
    bench.create(open(), &["bob", "carol"]).await;
    assert_eq!(bench.frames(), [frame(0, 2, Revoked::Nobody)]);
    held.hold();
    let first = bench.sending(1, "alone");
    bench.ask("alice", first);
    held.held(1).await;
    let two = bench.sending(2, "hi");
    bench.ask("bob", two);
    bench.ask("alice", GroupOp::Do(Op::RemoveMember(uid("bob"))));
    let three = bench.sending(3, "he is gone");
    bench.ask("alice", three);
    let four = bench.sending(4, "yes");
    let last = bench.ask("carol", four);
    bench.silence().await;
    assert_eq!(bench.frames(), [], "nothing is committed");
    held.stop_holding();
    held.release_all();
    bench.answer_to(last).await;
    let bob = Revoked::User(uid("bob"));
    assert_eq!(bench.frames(), [frame(2, 3, Revoked::Nobody), frame(3, 5, bob), frame(5, 7, Revoked::Nobody)]);
    assert_eq!(bench.operate("alice", Op::Dismiss).await, Ok(8));
    assert_eq!(bench.frames(), [frame(7, 8, Revoked::Everyone)]);
}

#[actix::test]
async fn the_newest_frame_that_was_not_taken_is_told_again() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(open(), &["bob"]).await;
    bench.frames();
    bench.set_full(true);
    for number in 1..=5 {
        assert_eq!(bench.say("alice", number, "hi").await, Ok(2 + number));
    }
    bench.a_while().await;
    assert_eq!(bench.frames(), []);
    bench.set_full(false);
    bench.a_while().await;
    // The hub sees by `prev` that it missed some, and its connections pull.
    assert_eq!(bench.frames(), [frame(6, 7, Revoked::Nobody)]);
    assert_eq!(bench.say("alice", 6, "hi").await, Ok(8));
    assert_eq!(bench.frames(), [frame(7, 8, Revoked::Nobody)]);
}

#[actix::test]
async fn no_end_of_a_membership_is_lost_however_long_the_node_takes_nothing() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(open(), &["bob", "carol", "dave"]).await;
    bench.frames();
    bench.set_full(true);
    assert_eq!(bench.say("alice", 1, "hi").await, Ok(3));
    assert_eq!(bench.operate("alice", Op::RemoveMember(uid("bob"))).await, Ok(4));
    assert_eq!(bench.say("alice", 2, "hi").await, Ok(5));
    assert_eq!(bench.say("alice", 3, "hi").await, Ok(6));
    assert_eq!(bench.operate("carol", Op::Leave).await, Ok(7));
    assert_eq!(bench.say("alice", 4, "hi").await, Ok(8));
    // Not even for a passivation.
    bench.idle().await;
    assert_eq!(bench.say("alice", 5, "hi").await, Ok(9));
    bench.set_full(false);
    bench.a_while().await;
    let (bob, carol) = (Revoked::User(uid("bob")), Revoked::User(uid("carol")));
    assert_eq!(bench.frames(), [frame(3, 4, bob), frame(6, 7, carol), frame(8, 9, Revoked::Nobody)]);
}

#[actix::test]
async fn while_too_many_ends_wait_for_a_node_no_further_membership_ends() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(open(), &[]).await;
    bench.set_full(true);
    for number in 0..UNTOLD_MAX {
        let name = format!("u{number}");
        bench.ask(&name, GroupOp::Do(Op::Join));
        assert!(bench.operate(&name, Op::Leave).await.is_ok());
    }
    assert!(bench.operate("bob", Op::Join).await.is_ok());
    assert_eq!(bench.operate("bob", Op::Leave).await, Err(ErrorCode::Busy.number()));
    assert!(bench.say("bob", 1, "I stay").await.is_ok());
    bench.set_full(false);
    bench.a_while().await;
    assert!(bench.operate("bob", Op::Leave).await.is_ok());
    let ends = bench.frames().iter().filter(|frame| frame.revoked != Revoked::Nobody).count();
    assert_eq!(ends, UNTOLD_MAX + 1);
}

#[actix::test]
async fn a_frame_is_bounded() {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::new(held.clone());
    bench.create(Settings::default(), &[]).await;
    bench.frames();
    held.hold();
    let first = bench.sending(1_000, "first");
    bench.ask("alice", first);
    held.held(1).await;
    let mut last = 0;
    for number in 1..=100 {
        let said = bench.sending(number, "hi");
        last = bench.ask("alice", said);
    }
    bench.silence().await;
    held.stop_holding();
    held.release_all();
    bench.answer_to(last).await;
    let frames = bench.frames();
    let seqs: Vec<u64> = frames.iter().flat_map(|frame| frame.seqs.clone()).collect();
    assert_eq!(seqs, (2..=102).collect::<Vec<_>>());
    assert!(frames.iter().all(|frame| frame.seqs.len() <= FRAME_ROWS_MAX));
}
