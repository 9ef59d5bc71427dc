//! What members read: from memory and from the store the same, bounded, and never what is before their time.

use std::{sync::Arc, time::Duration};

use tidings_schema::{
    error_code::ErrorCode,
    group::{HistoryForNew, Settings, SettingsPatch},
    id::Seq,
    wire::server_frame::Body,
};
use tidings_state::group::Op;

use super::{Bench, Shown, code_of, open, uid, uids};
use crate::{
    limits::PAGE_ENTRIES_MAX,
    port::{link::GroupOp, store::Unavailable},
    testkit::{
        faults::{Fault, Faults, Method},
        memory::MemoryStore,
    },
};

fn shown(seqs: impl IntoIterator<Item = u64>, head: u64, more: bool) -> Result<Shown, u32> {
    Ok(Shown { seqs: seqs.into_iter().collect(), head, more })
}

#[actix::test]
async fn pages_are_the_same_from_memory_and_from_the_store() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    for number in 1..=600 {
        assert_eq!(bench.say("alice", number, "hi").await, Ok(2 + number));
    }
    for round in 0..3 {
        assert_eq!(bench.sync("alice", 0).await, shown(1..=200, 602, true), "{round}");
        assert_eq!(bench.sync("alice", 200).await, shown(201..=400, 602, true), "{round}");
        assert_eq!(bench.sync("alice", 500).await, shown(501..=602, 602, false), "{round}");
        assert_eq!(bench.sync("alice", 602).await, shown([], 602, false), "{round}");
        assert_eq!(bench.sync("alice", 999).await, shown([], 602, false), "{round}");
        let few = bench.page("alice", GroupOp::Sync(Seq::new(10), 3)).await;
        assert_eq!(few, shown(11..=13, 602, true));
        let many = bench.page("alice", GroupOp::Sync(Seq::ZERO, 10_000)).await;
        assert_eq!(many.map(|page| page.seqs.len()), Ok(PAGE_ENTRIES_MAX));
        assert_eq!(bench.history("alice").await, shown((403..=602).rev(), 602, true), "{round}");
        let older = bench.page("alice", GroupOp::History(Seq::new(403), 0)).await;
        assert_eq!(older, shown((203..=402).rev(), 602, true), "{round}");
        let oldest = bench.page("alice", GroupOp::History(Seq::new(5), 10)).await;
        assert_eq!(oldest.map(|page| page.seqs), Ok(vec![4, 3]), "rows that are no messages are left out");
        if round == 0 {
            bench.idle().await;
        } else {
            bench = bench.after_crash(Arc::new(store.durable_copy()));
        }
    }
}

#[actix::test]
async fn who_came_later_reads_nothing_of_before_by_any_path() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(Settings::default(), &[]).await;
    for number in 1..=5 {
        assert_eq!(bench.say("alice", number, "secret").await, Ok(1 + number));
    }
    assert_eq!(bench.operate("alice", Op::AddMembers(uids(&["bob"]))).await, Ok(7));
    let all = SettingsPatch { history_for_new: Some(HistoryForNew::All), ..SettingsPatch::default() };
    assert_eq!(bench.operate("alice", Op::Update(all)).await, Ok(8));
    assert_eq!(bench.operate("alice", Op::AddMembers(uids(&["carol"]))).await, Ok(9));
    assert_eq!(bench.say("alice", 6, "hello").await, Ok(10));
    for _ in 0..3 {
        assert_eq!(bench.sync("bob", 0).await, shown(7..=10, 10, false));
        assert_eq!(bench.sync("bob", 3).await, shown(7..=10, 10, false));
        assert_eq!(bench.history("bob").await, shown([10], 10, false));
        let below = bench.page("bob", GroupOp::History(Seq::new(6), 0)).await;
        assert_eq!(below, shown([], 10, false));
        let read_by = GroupOp::ReadBy { seq: Seq::new(2), after: None, limit: 5 };
        assert_eq!(bench.done("bob", read_by).await, Err(ErrorCode::NoSuchSeq.number()));
        assert_eq!(bench.history("carol").await, shown([10, 6, 5, 4, 3, 2], 10, false));
        assert_eq!(bench.sync("carol", 0).await, shown(1..=10, 10, false));
        for op in [GroupOp::Sync(Seq::ZERO, 0), GroupOp::History(Seq::ZERO, 0)] {
            assert_eq!(bench.page("eve", op).await, Err(ErrorCode::NotMember.number()));
        }
        for op in [GroupOp::Info, GroupOp::Members(None, 0), GroupOp::Ack(Seq::new(1)), GroupOp::Read(Seq::new(1))] {
            assert_eq!(bench.done("eve", op).await, Err(ErrorCode::NotMember.number()));
        }
        bench.idle().await;
    }
    // A second membership is a new one.
    assert_eq!(bench.operate("carol", Op::Leave).await, Ok(11));
    assert_eq!(bench.sync("carol", 0).await, Err(ErrorCode::NotMember.number()));
    let none = SettingsPatch { history_for_new: Some(HistoryForNew::None), ..SettingsPatch::default() };
    assert_eq!(bench.operate("alice", Op::Update(none)).await, Ok(12));
    assert_eq!(bench.operate("alice", Op::AddMembers(uids(&["carol"]))).await, Ok(13));
    assert_eq!(bench.sync("carol", 0).await, shown([13], 13, false));
}

#[actix::test]
async fn who_is_removed_while_a_page_is_read_does_not_get_it() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    for number in 1..=300 {
        assert_eq!(bench.say("alice", number, "hi").await, Ok(2 + number));
    }
    // The row that removes bob is committed before the page is read.
    let faults = Arc::new(Faults::new(Arc::new(store.durable_copy())));
    let mut bench = bench.after_crash(faults.clone());
    assert_eq!(bench.sync("alice", 299).await, shown(300..=302, 302, false));
    faults.lasting(Method::Read, Fault::Delay(Duration::from_secs(1)));
    let pull = bench.ask("bob", GroupOp::Sync(Seq::ZERO, 0));
    let kick = bench.ask("alice", GroupOp::Do(Op::RemoveMember(uid("bob"))));
    bench.answer_to(kick).await;
    assert_eq!(code_of(&bench.answer_to(pull).await), Some(ErrorCode::NotMember.number()));
}

#[actix::test]
async fn a_store_that_cannot_be_read_costs_the_page_and_not_the_group() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    for number in 1..=300 {
        assert_eq!(bench.say("alice", number, "hi").await, Ok(2 + number));
    }
    bench.idle().await;
    let faults = Arc::new(Faults::new(Arc::new(store.durable_copy())));
    let mut bench = bench.after_crash(faults.clone());
    assert_eq!(bench.say("bob", 1, "hello").await, Ok(303));
    faults.lasting(Method::Read, Fault::Fail(Unavailable::Down));
    assert_eq!(bench.sync("bob", 0).await, Err(ErrorCode::Unavailable.number()));
    assert_eq!(bench.sync("bob", 302).await, shown([303], 303, false));
    faults.heal();
    assert_eq!(bench.sync("bob", 0).await, shown(2..=201, 303, true));
}

#[actix::test]
async fn equal_pages_are_read_once() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob", "carol"]).await;
    for number in 1..=300 {
        assert_eq!(bench.say("alice", number, "hi").await, Ok(2 + number));
    }
    bench.idle().await;
    let faults = Arc::new(Faults::new(Arc::new(store.durable_copy())));
    let mut bench = bench.after_crash(faults.clone());
    assert_eq!(bench.sync("alice", 302).await, shown([], 302, false));
    faults.once(Method::Read, Fault::Delay(Duration::from_secs(1)));
    faults.lasting(Method::Read, Fault::Fail(Unavailable::Down));
    let pulls = ["bob", "carol", "bob"].map(|name| bench.ask(name, GroupOp::Sync(Seq::new(10), 0)));
    let other = bench.ask("bob", GroupOp::Sync(Seq::new(11), 0));
    assert_eq!(code_of(&bench.answer_to(other).await), Some(ErrorCode::Unavailable.number()));
    for pull in pulls {
        match bench.answered().await {
            (op_id, Body::Page(page)) => assert_eq!((op_id, page.entries.len()), (pull, PAGE_ENTRIES_MAX)),
            other => panic!("{other:?}"),
        }
    }
}
