//! A panic while a group works costs that group a start; one that cannot be loaded is stopped alone, and damage is not
//! written over.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tidings_schema::{
    error_code::ErrorCode,
    id::{Gid, Seq},
};
use tokio::time::timeout;

use super::{A_WHILE, Bench, Seen, Shown, open};
use crate::{
    port::{
        link::GroupOp,
        ownership::Stamp,
        store::{Row, Store, TimelineId, Unavailable},
    },
    testkit::{
        faults::{Fault, Faults, Method},
        memory::MemoryStore,
    },
};
use tidings_state::group::audience::Revoked;

#[actix::test]
async fn after_a_panic_the_group_comes_back_and_tells_what_may_not_have_been_told() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(open(), &["bob"]).await;
    bench.frames();
    bench.link.breaks.store(true, Relaxed);
    let said = bench.sending(1, "hi");
    bench.ask("bob", said);
    bench.a_while().await;
    // It died between the commit and the frame.
    assert_eq!(bench.frames(), [Seen { prev: 0, upto: 3, seqs: vec![1, 2, 3], revoked: Revoked::Nobody }]);
    assert!(matches!(
        bench.say_again("bob", 1, "hi").await,
        tidings_schema::wire::server_frame::Body::SendAck(ack) if ack.seq == 3 && ack.duplicate
    ));
}

#[actix::test]
async fn a_group_that_panics_three_times_in_a_row_is_stopped_and_others_are_not() {
    let faults = Arc::new(Faults::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::new(faults.clone());
    bench.create(open(), &[]).await;
    let first = std::mem::replace(&mut bench.gid, "g2".parse::<Gid>().unwrap());
    faults.lasting(Method::Get, Fault::Panic);
    let mut codes = Vec::new();
    for _ in 0..10 {
        bench.ask("bob", GroupOp::Sync(Seq::ZERO, 1));
        // A group that dies answers nothing; the connection would say so by its deadline.
        if let Ok(Some((_, crate::port::link::ToConnection::Answer(_, body)))) =
            timeout(A_WHILE, bench.told.recv()).await
        {
            codes.push(super::code_of(&body));
        }
    }
    faults.heal();
    assert!(codes.len() >= 5, "{codes:?}");
    assert_eq!(codes.last(), Some(&Some(ErrorCode::Corrupt.number())), "{codes:?}");
    bench.gid = first;
    assert_eq!(bench.say("alice", 1, "hi").await, Ok(2));
}

#[actix::test]
async fn a_log_with_damage_is_stopped_and_not_written_over() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    for number in 1..=5 {
        assert_eq!(bench.say("bob", number, "hi").await, Ok(2 + number));
    }
    let log = TimelineId::Group(bench.gid.clone());
    let damaged: [(u64, Option<Row>); 3] = [
        // A row that says it stands elsewhere, one that cannot be read, and one that is not there.
        (4, Some(Row { seq: Seq::new(4), value: copy(&store, &log, 5).await })),
        (4, Some(Row { seq: Seq::new(4), value: "damage".into() })),
        (4, None),
    ];
    for (seq, row) in damaged {
        let store = store.durable_copy();
        match row {
            Some(row) => store.redact(log.clone(), row, Stamp(9)).await.unwrap(),
            None => store.sweep(log.clone(), Seq::new(seq), Seq::new(seq + 1)).await.unwrap(),
        }
        let mut bench = bench.after_crash(Arc::new(store.clone()));
        for _ in 0..2 {
            assert_eq!(bench.sync("bob", 0).await, Err(ErrorCode::Corrupt.number()));
            assert_eq!(bench.say("bob", 9, "more").await, Err(ErrorCode::Corrupt.number()));
        }
        bench.gid = "g2".parse().unwrap();
        bench.create(open(), &[]).await;
    }
}

async fn copy(store: &MemoryStore, log: &TimelineId, seq: u64) -> bytes::Bytes {
    let limit = crate::port::store::PageLimit { rows: 1, bytes: 1 };
    let page = store.read(log.clone(), Seq::new(seq - 1), Seq::new(seq), limit).await.unwrap();
    page.rows.into_iter().next().unwrap().value
}

#[actix::test]
async fn a_store_that_cannot_be_written_refuses_what_is_new_and_takes_it_later() {
    let faults = Arc::new(Faults::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::new(faults.clone());
    bench.create(open(), &["bob"]).await;
    faults.lasting(Method::Append, Fault::Fail(Unavailable::DiskFull));
    let said = bench.sending(1, "waits");
    let first = bench.ask("bob", said);
    bench.a_while().await;
    assert_eq!(bench.say("bob", 2, "refused").await, Err(ErrorCode::Unavailable.number()));
    assert_eq!(bench.sync("bob", 0).await, Ok(Shown { seqs: vec![2], head: 2, more: false }));
    faults.heal();
    assert!(matches!(
        bench.answer_to(first).await,
        tidings_schema::wire::server_frame::Body::SendAck(ack) if ack.seq == 3
    ));
    assert_eq!(bench.say("bob", 2, "taken").await, Ok(4));
}

#[actix::test]
async fn a_group_that_cannot_be_loaded_now_is_loaded_later() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    let faults = Arc::new(Faults::new(Arc::new(store.durable_copy())));
    faults.lasting(Method::Members, Fault::Fail(Unavailable::Down));
    let mut bench = bench.after_crash(faults.clone());
    assert_eq!(bench.say("bob", 1, "hi").await, Err(ErrorCode::Unavailable.number()));
    faults.heal();
    bench.a_while().await;
    assert_eq!(bench.say("bob", 1, "hi").await, Ok(3));
}
