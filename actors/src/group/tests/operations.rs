//! Members and settings through the actor: answered when committed, refused by rule, repeated without harm, and the same
//! after a crash.

use std::sync::Arc;

use tidings_schema::{
    error_code::ErrorCode,
    group::{JOINED_UIDS_MAX, Role, Settings, SettingsPatch},
    id::Millis,
    wire::server_frame::Body,
};
use tidings_state::group::Op;

use super::{BEGAN, Bench, code_of, open, uid, uids};
use crate::{
    port::link::GroupOp,
    testkit::{held::HeldSync, memory::MemoryStore},
};

#[actix::test]
async fn a_thousand_members_come_in_rows_of_a_hundred_and_one_answer() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    let names: Vec<String> = (0..1_000).map(|number| format!("u{number:04}")).collect();
    let members: Vec<_> = names.iter().map(|name| uid(name)).collect();
    let create = || Op::Create { settings: Settings::default(), members: members.clone() };
    assert_eq!(bench.operate("alice", create()).await, Ok(11));
    assert_eq!(bench.operate("alice", create()).await, Ok(0));
    assert_eq!(bench.operate("bob", create()).await, Err(ErrorCode::GroupTaken.number()));
    for _ in 0..2 {
        match bench.asked("u0500", GroupOp::Members(Some(uid("u0996")), 2)).await {
            Body::Members(page) => {
                let uids: Vec<_> = page.members.iter().map(|member| member.uid.as_str()).collect();
                assert_eq!((uids, page.more), (vec!["u0997", "u0998"], true));
            }
            other => panic!("{other:?}"),
        }
        match bench.asked("alice", GroupOp::Info).await {
            Body::GroupInfo(info) => {
                assert_eq!((info.members, info.head, info.created), (1_001, 11, BEGAN.get()));
                assert_eq!(info.me.map(|me| me.role), Some(Role::Owner.number()));
            }
            other => panic!("{other:?}"),
        }
        bench = bench.after_crash(Arc::new(store.durable_copy()));
    }
}

#[actix::test]
async fn every_operation_is_answered_with_its_row_and_a_retry_with_none() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(Settings::default(), &["bob", "carol"]).await;
    let patch = SettingsPatch { name: Some("Climbing".into()), ..SettingsPatch::default() };
    let soon = Millis::new(BEGAN.get() + 3_600_000);
    let steps = [
        ("alice", Op::AddMembers(uids(&["dave", "bob"]))),
        ("alice", Op::SetRole(uid("bob"), Role::Admin)),
        ("bob", Op::MuteMember(uid("carol"), soon)),
        ("bob", Op::MuteGroup(true)),
        ("bob", Op::Update(patch)),
        ("bob", Op::RemoveMember(uid("dave"))),
        ("carol", Op::Leave),
        ("alice", Op::SetRole(uid("bob"), Role::Owner)),
    ];
    for (at, (name, op)) in steps.into_iter().enumerate() {
        assert_eq!(bench.operate(name, op.clone()).await, Ok(3 + at as u64), "{op:?}");
        assert_eq!(bench.operate(name, op.clone()).await, Ok(0), "{op:?} again");
    }
    let refusals = [
        ("dave", Op::Join, ErrorCode::InviteOnly),
        ("dave", Op::AddMembers(uids(&["erin"])), ErrorCode::NotMember),
        ("alice", Op::RemoveMember(uid("bob")), ErrorCode::RoleTooLow),
        ("alice", Op::Dismiss, ErrorCode::RoleTooLow),
        ("bob", Op::Leave, ErrorCode::OwnerStays),
        ("bob", Op::MuteMember(uid("dave"), soon), ErrorCode::NoSuchMember),
    ];
    for _ in 0..2 {
        for (name, op, code) in &refusals {
            assert_eq!(bench.operate(name, op.clone()).await, Err(code.number()), "{op:?}");
        }
        assert_eq!(bench.members("alice").await, ["alice", "bob"]);
        bench = bench.after_crash(Arc::new(store.durable_copy()));
    }
}

#[actix::test]
async fn those_who_join_while_a_row_is_on_its_way_share_the_next() {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::new(held.clone());
    bench.create(open(), &[]).await;
    held.hold();
    let first = bench.ask("u000", GroupOp::Do(Op::Join));
    held.held(1).await;
    let others: Vec<_> = (1..=150).map(|number| bench.ask(&format!("u{number:03}"), GroupOp::Do(Op::Join))).collect();
    let twice = bench.ask("u001", GroupOp::Do(Op::Join));
    bench.silence().await;
    held.stop_holding();
    held.release_all();
    let mut rows = Vec::new();
    for op_id in std::iter::once(first).chain(others) {
        let (answered, body) = bench.answered().await;
        assert_eq!(answered, op_id, "in the order in which they came");
        match body {
            Body::Ok(ok) => rows.push(ok.seq),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((rows[0], rows[1], rows[JOINED_UIDS_MAX], rows[150]), (2, 3, 3, 4));
    assert!(matches!(bench.answer_to(twice).await, Body::Ok(ok) if ok.seq == 0 || ok.seq == 4));
    assert_eq!(bench.members("alice").await.len(), 152);
}

#[actix::test]
async fn whoever_joins_is_in_before_what_it_asks_next() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(open(), &[]).await;
    bench.ask("bob", GroupOp::Do(Op::Join));
    bench.ask("carol", GroupOp::Do(Op::Join));
    let said = bench.sending(1, "hello");
    let said = bench.ask("carol", said);
    assert!(matches!(bench.answer_to(said).await, Body::SendAck(ack) if ack.seq == 4));
}

#[actix::test]
async fn of_many_who_join_each_is_told_what_holds_for_itself() {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::new(held.clone());
    bench.create(open(), &["bob"]).await;
    held.hold();
    bench.ask("first", GroupOp::Do(Op::Join));
    held.held(1).await;
    let closed = SettingsPatch { join: Some(tidings_schema::group::JoinPolicy::Invite), ..SettingsPatch::default() };
    let close = bench.ask("alice", GroupOp::Do(Op::Update(closed)));
    let (member, stranger) = (bench.ask("bob", GroupOp::Do(Op::Join)), bench.ask("eve", GroupOp::Do(Op::Join)));
    held.stop_holding();
    held.release_all();
    assert!(matches!(bench.answer_to(close).await, Body::Ok(ok) if ok.seq == 4));
    assert!(matches!(bench.answer_to(member).await, Body::Ok(ok) if ok.seq == 0));
    assert_eq!(code_of(&bench.answer_to(stranger).await), Some(ErrorCode::InviteOnly.number()));
}

#[actix::test]
async fn the_apps_own_server_acts_in_every_group_and_is_in_none() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(Settings::default(), &["bob"]).await;
    assert_eq!(bench.say("@app", 1, "welcome").await, Ok(3));
    assert_eq!(bench.operate("@app", Op::AddMembers(uids(&["carol"]))).await, Ok(4));
    assert_eq!(bench.operate("@app", Op::Join).await, Err(ErrorCode::RoleTooLow.number()));
    assert_eq!(bench.members("@app").await, ["alice", "bob", "carol"]);
}
