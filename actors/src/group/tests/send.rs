//! Sending: a retry comes first, then age, rights and limits; order is kept; a message is sent once, whatever is forgotten.

use std::sync::Arc;

use tidings_schema::{
    error_code::ErrorCode,
    group::Settings,
    id::{Gid, MessageId, Millis},
    message::GroupDraft,
    wire::{self, server_frame::Body},
};
use tidings_state::group::Op;

use super::{BEGAN, Bench, code_of, content, draft, id, open, uid};
use crate::{
    limits::GROUP_SENDS_BURST,
    port::link::{GroupOp, GroupSend},
    testkit::memory::MemoryStore,
};

fn is_duplicate(body: &Body, seq: u64) -> bool {
    matches!(body, Body::SendAck(ack) if ack.duplicate && ack.seq == seq)
}

#[actix::test]
async fn a_retry_is_answered_before_rights_are_asked_and_another_payload_is_a_conflict() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.say("bob", 1, "hi").await, Ok(3));
    assert_eq!(bench.operate("alice", Op::RemoveMember(uid("bob"))).await, Ok(4));
    for _ in 0..2 {
        assert!(is_duplicate(&bench.say_again("bob", 1, "hi").await, 3));
        let conflict = ErrorCode::MessageIdConflict.number();
        assert_eq!(code_of(&bench.say_again("bob", 1, "ho").await), Some(conflict));
        assert_eq!(code_of(&bench.say_again("bob", 2, "hi").await), Some(ErrorCode::NotMember.number()));
        bench = bench.after_crash(Arc::new(store.durable_copy()));
    }
    // An id is the sender's own, and the group's own.
    assert_eq!(bench.say("alice", 1, "mine").await, Ok(5));
    let other: Gid = "g2".parse().unwrap();
    bench.gid = other;
    bench.create(open(), &[]).await;
    assert_eq!(bench.say("alice", 1, "mine").await, Ok(2));
}

#[actix::test]
async fn whoever_may_not_send_is_told_why() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(Settings::default(), &["bob", "carol"]).await;
    assert_eq!(bench.say("eve", 1, "hi").await, Err(ErrorCode::NotMember.number()));
    let until = Millis::new(BEGAN.get() + 60_000);
    assert_eq!(bench.operate("alice", Op::MuteMember(uid("bob"), until)).await, Ok(3));
    let said = bench.sending(1, "hi");
    match bench.asked("bob", said).await {
        Body::Error(error) => {
            assert_eq!(error.code, ErrorCode::Muted.number());
            assert!(error.retry_after_ms > 59_000 && error.retry_after_ms <= 60_000, "{}", error.retry_after_ms);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.operate("alice", Op::MuteGroup(true)).await, Ok(4));
    assert_eq!(bench.say("carol", 1, "hi").await, Err(ErrorCode::GroupMuted.number()));
    assert_eq!(bench.say("alice", 1, "hi").await, Ok(5));
    let all = wire::Mention { who: Some(wire::mention::Who::All(true)) };
    let send = wire::Send {
        message_id: id(7).to_string(),
        to: Some(wire::Target { target: Some(wire::target::Target::Gid("g1".into())) }),
        content: Some(content("all of you")),
        mentions: vec![all],
        ..Default::default()
    };
    let op = || GroupOp::Send(GroupSend { draft: GroupDraft::new(&send, 100).unwrap(), retry: false, after: 0 });
    assert_eq!(bench.operate("alice", Op::MuteGroup(false)).await, Ok(6));
    assert_eq!(bench.done("carol", op()).await, Err(ErrorCode::RoleTooLow.number()));
    assert_eq!(bench.done("alice", op()).await, Ok(7));
    let old = MessageId::v7(Millis::new(BEGAN.get() - 14 * 24 * 3_600_000), [1; 10]);
    let draft = GroupDraft { message_id: old, ..draft(&bench.gid, 1, "old") };
    let sent = GroupOp::Send(GroupSend { draft, retry: false, after: 0 });
    assert_eq!(bench.done("carol", sent).await, Err(ErrorCode::MessageIdTooOld.number()));
}

#[actix::test]
async fn a_send_whose_predecessor_was_not_taken_is_refused() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(open(), &["bob"]).await;
    let send = |bench: &Bench, op_id, after| {
        let draft = draft(&bench.gid, op_id, "hi");
        bench.ask_from(50, op_id, "bob", GroupOp::Send(GroupSend { draft, retry: false, after }));
    };
    send(&bench, 100, 0);
    send(&bench, 101, 100);
    // 102 never came.
    send(&bench, 103, 102);
    send(&bench, 104, 101);
    let mut answers = Vec::new();
    for _ in 0..4 {
        let (op_id, body) = bench.answered().await;
        answers.push((op_id, code_of(&body)));
    }
    answers.sort_unstable();
    let busy = Some(ErrorCode::Busy.number());
    assert_eq!(answers, [(100, None), (101, None), (103, busy), (104, None)]);
    send(&bench, 105, 103);
    assert_eq!(code_of(&bench.answer_to(105).await), busy, "a refused one is no predecessor");
}

#[actix::test]
async fn an_id_that_the_window_has_forgotten_is_looked_up() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    for number in 1..=150 {
        assert_eq!(bench.say("bob", number, "hi").await, Ok(2 + number));
    }
    // The checkpoint carries the newest hundred.
    bench.idle().await;
    assert!(is_duplicate(&bench.say_again("bob", 1, "hi").await, 3));
    let conflict = Some(ErrorCode::MessageIdConflict.number());
    assert_eq!(code_of(&bench.say_again("bob", 1, "other").await), conflict);
    assert!(matches!(bench.say_again("alice", 1, "hi").await, Body::SendAck(ack) if ack.seq == 153 && !ack.duplicate));
    let mut bench = bench.after_crash(Arc::new(store.durable_copy()));
    assert!(is_duplicate(&bench.say_again("bob", 2, "hi").await, 4));
    // What is behind a look-up waits for it.
    let again = GroupOp::Send(GroupSend { draft: draft(&bench.gid, 3, "hi"), retry: true, after: 0 });
    let (looked_up, next) = (bench.ask("bob", again), bench.sending(999, "next"));
    let next = bench.ask("bob", next);
    assert!(matches!(bench.answered().await, (op_id, body) if op_id == looked_up && is_duplicate(&body, 5)));
    assert!(matches!(bench.answered().await, (op_id, Body::SendAck(ack)) if op_id == next && ack.seq == 154));
}

#[actix::test]
async fn an_answer_names_a_message_of_the_group_that_its_author_may_read() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(open(), &[]).await;
    assert_eq!(bench.say("alice", 1, "before").await, Ok(2));
    assert_eq!(bench.operate("bob", Op::Join).await, Ok(3));
    assert_eq!(bench.say("alice", 2, "after").await, Ok(4));
    let reply = |number: u64, seq: u64, of: u64| {
        let of = wire::MessageRef { seq, author: "alice".into(), message_id: id(of).to_string() };
        let send = wire::Send {
            message_id: id(number).to_string(),
            to: Some(wire::Target { target: Some(wire::target::Target::Gid("g1".into())) }),
            content: Some(content("yes")),
            reply_to: Some(of),
            ..Default::default()
        };
        GroupOp::Send(GroupSend { draft: GroupDraft::new(&send, 100).unwrap(), retry: false, after: 0 })
    };
    let none = Err(ErrorCode::NoSuchSeq.number());
    assert_eq!(bench.done("bob", reply(10, 2, 1)).await, none, "it was before his time");
    assert_eq!(bench.done("bob", reply(11, 4, 1)).await, none, "another message stands there");
    assert_eq!(bench.done("bob", reply(12, 3, 2)).await, none, "that is no message");
    assert_eq!(bench.done("bob", reply(13, 99, 2)).await, none);
    assert_eq!(bench.done("bob", reply(14, 4, 2)).await, Ok(5));
    bench.idle().await;
    assert_eq!(bench.done("alice", reply(15, 2, 1)).await, Ok(6), "it is read from the store");
}

#[actix::test]
async fn more_messages_per_second_than_a_group_takes_are_refused() {
    let mut bench = Bench::new(Arc::new(MemoryStore::new()));
    bench.create(open(), &[]).await;
    let mut limited = 0;
    for number in 0..u64::from(GROUP_SENDS_BURST) + 10 {
        match bench.say("alice", number, "flood").await {
            Ok(_) => {}
            Err(code) => {
                assert_eq!(code, ErrorCode::RateLimited.number());
                limited += 1;
            }
        }
    }
    assert!((1..=10).contains(&limited), "{limited}");
}
