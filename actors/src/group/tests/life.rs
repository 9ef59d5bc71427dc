//! A group leaves memory and comes back as it was; after a crash its mark brings it back.

use std::sync::Arc;

use tidings_schema::{error_code::ErrorCode, id::ShardId, wire::server_frame::Body};
use tidings_state::group::Op;

use super::{Bench, Seen, Shown, open, uid};
use crate::{
    offer::offer,
    port::{
        link::{Command, ConnectionRef, GroupOp, Link, Op as InboxOp},
        store::{GroupScan, Scan, Store, Unavailable},
    },
    shard::Retire,
    testkit::{
        faults::{Fault, Faults, Method},
        held::HeldSync,
        memory::MemoryStore,
    },
};
use tidings_schema::id::{Gid, Seq};
use tidings_state::group::audience::Revoked;

async fn marked(store: &MemoryStore) -> Vec<Gid> {
    store.scan_groups(GroupScan::Marks(ShardId::new(0)), None, 10).await.unwrap().gids
}

#[actix::test]
async fn a_group_that_left_memory_comes_back_as_it_was() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.say("bob", 1, "hi").await, Ok(3));
    assert_eq!(marked(&store).await.len(), 1, "what is in memory is marked");
    bench.idle().await;
    assert_eq!(marked(&store).await, Vec::<Gid>::new(), "what has left is clean");

    assert_eq!(bench.say("bob", 1, "hi").await, Ok(3), "a retry is answered as the first time");
    assert_eq!(bench.sync("bob", 0).await, Ok(Shown { seqs: vec![2, 3], head: 3, more: false }));
    assert_eq!(bench.say("alice", 1, "ho").await, Ok(4));
    assert_eq!(bench.members("bob").await, ["alice", "bob"]);
}

#[actix::test]
async fn a_crash_loses_nothing_that_was_answered_and_the_mark_brings_the_group_back() {
    let store = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
    let mut bench = Bench::new(held.clone());
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.say("bob", 1, "hi").await, Ok(3));
    held.hold();
    let sent = bench.sending(2, "lost");
    bench.ask("bob", sent);
    held.held(1).await;
    bench.silence().await;

    // Nobody asks: the mark alone starts it, and it tells again what the first process may not have told.
    let mut bench = bench.after_crash(Arc::new(store.durable_copy()));
    bench.a_while().await;
    let seqs = vec![1, 2, 3];
    assert_eq!(bench.frames(), [Seen { prev: 0, upto: 3, seqs, revoked: Revoked::Nobody }]);
    assert_eq!(bench.sync("alice", 0).await, Ok(Shown { seqs: vec![1, 2, 3], head: 3, more: false }));
    assert_eq!(bench.say("bob", 2, "lost").await, Ok(4));
}

#[actix::test]
async fn nothing_is_answered_or_fanned_out_before_it_is_durable() {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::new(held.clone());
    bench.create(open(), &["bob"]).await;
    bench.frames();
    held.hold();
    let sent = bench.sending(1, "hi");
    let first = bench.ask("bob", sent);
    let kick = bench.ask("alice", GroupOp::Do(Op::RemoveMember(uid("bob"))));
    let sent = bench.sending(2, "ho");
    let refused = bench.ask("bob", sent);
    held.held(1).await;
    bench.silence().await;
    assert_eq!(bench.frames(), []);
    assert_eq!(bench.sync("alice", 0).await, Ok(Shown { seqs: vec![1, 2], head: 2, more: false }));
    held.stop_holding();
    held.release_all();
    // In the order in which they were asked, the refusal included: it rests on the row before it.
    for (op_id, seq) in [(first, Some(3)), (kick, Some(4)), (refused, None)] {
        let (answered, body) = bench.answered().await;
        assert_eq!(answered, op_id);
        match (body, seq) {
            (Body::SendAck(ack), Some(seq)) => assert_eq!(ack.seq, seq),
            (Body::Ok(ok), Some(seq)) => assert_eq!(ok.seq, seq),
            (Body::Error(error), None) => assert_eq!(error.code, ErrorCode::NotMember.number()),
            other => panic!("{other:?}"),
        }
    }
}

#[actix::test]
async fn a_user_and_a_group_of_the_same_name_never_meet() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.gid = "alice".parse().unwrap();
    bench.create(open(), &["bob"]).await;
    let from = ConnectionRef { worker: 0, connection: 900 };
    let block = Command { from, op_id: 900, uid: uid("alice"), op: InboxOp::Block(uid("bob")) };
    assert!(bench.link.command(ShardId::new(0), block).is_taken());
    assert!(matches!(bench.answer_to(900).await, Body::Ok(ok) if ok.seq == 1));
    assert_eq!(bench.say("bob", 1, "hi").await, Ok(3));
    assert_eq!(store.scan(Scan::Marks(ShardId::new(0)), None, 10).await.unwrap().uids, [uid("alice")]);
    assert_eq!(marked(&store).await, [bench.gid.clone()]);

    let gid = bench.gid.clone();
    let mut bench = bench.after_crash(Arc::new(store.durable_copy()));
    bench.gid = gid;
    assert_eq!(bench.sync("bob", 0).await, Ok(Shown { seqs: vec![2, 3], head: 3, more: false }));
    let sync = Command { from, op_id: 901, uid: uid("alice"), op: InboxOp::Sync(Seq::ZERO, 10) };
    assert!(bench.link.command(ShardId::new(0), sync).is_taken());
    assert!(matches!(bench.answer_to(901).await, Body::Page(page) if page.head == 1));
}

#[actix::test]
async fn a_group_that_nobody_created_is_unknown_and_does_not_stay_in_memory() {
    let store = MemoryStore::new();
    let faults = Arc::new(Faults::new(Arc::new(store.clone())));
    let mut bench = Bench::new(faults.clone());
    let unknown = Err(ErrorCode::NoSuchGroup.number());
    assert_eq!(bench.say("bob", 1, "hi").await, unknown);
    assert_eq!(bench.sync("bob", 0).await.map(|_| 0), unknown);
    assert_eq!(bench.done("bob", GroupOp::Read(Seq::new(1))).await, unknown);
    bench.a_while().await;
    // What left has to be read again.
    faults.once(Method::Get, Fault::Fail(Unavailable::Down));
    assert_eq!(bench.say("bob", 1, "hi").await, Err(ErrorCode::Unavailable.number()));
    assert_eq!(marked(&store).await, Vec::<Gid>::new());
    bench.create(open(), &[]).await;
}

#[actix::test]
async fn before_the_process_ends_a_group_leaves_without_having_been_idle() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    assert!(offer(bench.link.shard.get().unwrap(), Retire).is_taken());
    bench.silence().await;
    assert_eq!(marked(&store).await, Vec::<Gid>::new(), "the next start finds it clean");
}

#[actix::test]
async fn a_group_that_has_ended_stays_ended() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.operate("alice", Op::Dismiss).await, Ok(3));
    assert_eq!(bench.operate("alice", Op::Dismiss).await, Ok(0), "a retry");
    let ended = ErrorCode::GroupDismissed.number();
    for _ in 0..2 {
        assert_eq!(bench.say("bob", 1, "hi").await, Err(ended));
        assert_eq!(bench.sync("bob", 0).await, Err(ended));
        assert_eq!(bench.history("alice").await, Err(ended));
        assert_eq!(bench.done("bob", GroupOp::Ack(Seq::new(1))).await, Err(ended));
        let create = Op::Create { settings: open(), members: Vec::new() };
        assert_eq!(bench.operate("alice", create).await, Err(ended));
        bench.idle().await;
    }
    let mut bench = bench.after_crash(Arc::new(store.durable_copy()));
    assert_eq!(bench.operate("bob", Op::Join).await, Err(ended));
}
