//! Recall, edit and reactions: what is taken back is seen by nobody from the `ok` on, by no path, and not after a crash.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use tidings_schema::{
    change::Change,
    error_code::ErrorCode,
    group::Role,
    id::{Millis, Seq},
    wire,
};
use tidings_state::group::Op;

use super::{BEGAN, Bench, content, open, texts, uid};
use crate::{
    limits::RECALL_MS_MAX,
    port::{
        link::GroupOp,
        store::{PageLimit, Store, TimelineId},
    },
    testkit::{
        faults::{Fault, Faults, Method},
        held::HeldSync,
        memory::MemoryStore,
    },
};

fn edit(text: &str) -> Change {
    Change::Edit { content: content(text).encode_to_vec().into() }
}

fn react(name: &str, reaction: &str, removed: bool) -> Change {
    Change::React { from: uid(name), reaction: reaction.into(), removed }
}

/// Whether any row of the log still says it.
async fn says(store: &MemoryStore, text: &str) -> bool {
    let limit = PageLimit { rows: 10_000, bytes: usize::MAX };
    let log = TimelineId::Group("g1".parse().unwrap());
    let rows = store.read(log, Seq::ZERO, Seq::new(u64::MAX), limit).await.unwrap().rows;
    assert!(!rows.is_empty());
    rows.iter().any(|row| row.value.windows(text.len()).any(|bytes| bytes == text.as_bytes()))
}

impl Bench {
    /// Everything a member is shown of the log, by every path.
    async fn all_shown(&mut self, name: &str) -> Vec<wire::Entry> {
        let mut all = self.log(name).await;
        all.extend(self.entries(name, GroupOp::History(Seq::ZERO, 0)).await.unwrap().entries);
        all.extend(self.framed());
        all
    }

    async fn shows(&mut self, name: &str, text: &str) -> bool {
        let all = self.all_shown(name).await;
        all.iter().any(|entry| entry.encode_to_vec().windows(text.len()).any(|bytes| bytes == text.as_bytes()))
    }
}

#[actix::test]
async fn what_was_recalled_or_edited_is_shown_by_no_path_from_the_ok_on() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.say("bob", 1, "first secret").await, Ok(3));
    assert_eq!(bench.change("bob", "bob", 1, 3, edit("second secret")).await, Ok(4));
    assert_eq!(bench.say("alice", 2, "typo").await, Ok(5));
    bench.frames();
    assert_eq!(bench.change("bob", "bob", 1, 3, Change::Recall).await, Ok(6));
    assert_eq!(bench.change("alice", "alice", 2, 5, edit("text")).await, Ok(7));
    for round in 0..3 {
        for gone in ["secret", "typo"] {
            assert!(!bench.shows("bob", gone).await, "{gone} {round}");
            assert!(!says(&store, gone).await, "{gone} {round}");
        }
        let said = texts(&bench.log("bob").await);
        assert_eq!(said, [(3, String::new()), (4, String::new()), (5, "text".into()), (7, "text".into())]);
        assert_eq!(bench.change("bob", "bob", 1, 3, Change::Recall).await, Ok(0), "a retry");
        assert_eq!(bench.change("bob", "bob", 1, 3, edit("again")).await, Err(ErrorCode::MessageRecalled.number()));
        if round == 0 {
            bench.idle().await;
        } else {
            bench = bench.after_crash(Arc::new(store.durable_copy()));
        }
    }
}

#[actix::test]
async fn the_ok_waits_until_the_row_is_written_anew_and_reads_do_not() {
    let store = MemoryStore::new();
    let held = Arc::new(HeldSync::new(Arc::new(store.clone())));
    let mut bench = Bench::new(held.clone());
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.say("bob", 1, "secret").await, Ok(3));
    bench.frames();
    held.hold();
    let name = tidings_schema::change::MessageName { author: uid("bob"), message_id: super::id(1) };
    let change = crate::port::link::GroupChange { seq: Seq::new(3), name, change: Change::Recall };
    let recall = bench.ask("bob", GroupOp::Change(change));
    held.held(1).await;
    assert!(bench.shows("alice", "secret").await, "nothing is committed");
    held.release_next();
    held.held(1).await;
    // The row of the recall is committed; the message's own is on its way.
    assert!(!bench.shows("alice", "secret").await);
    assert!(says(&store, "secret").await);
    // A crash now must not bring it back.
    let mut next = bench.after_crash(Arc::new(store.durable_copy()));
    assert!(!next.shows("alice", "secret").await);
    held.stop_holding();
    held.release_all();
    let body = bench.answer_to(recall).await;
    assert!(matches!(body, wire::server_frame::Body::Ok(wire::Ok { seq: 4 })), "{body:?}");
    assert!(!says(&store, "secret").await);
}

#[actix::test]
async fn admins_recall_what_others_said_and_authors_for_a_while_only() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob", "carol"]).await;
    assert_eq!(bench.say("bob", 1, "one").await, Ok(3));
    assert_eq!(bench.say("alice", 2, "two").await, Ok(4));
    let low = ErrorCode::RoleTooLow.number();
    assert_eq!(bench.change("carol", "bob", 1, 3, Change::Recall).await, Err(low));
    assert_eq!(bench.change("alice", "bob", 1, 3, edit("no")).await, Err(ErrorCode::NotAuthor.number()));
    assert_eq!(bench.change("eve", "bob", 1, 3, Change::Recall).await, Err(ErrorCode::NotMember.number()));
    assert_eq!(bench.change("bob", "bob", 2, 3, Change::Recall).await, Err(ErrorCode::NoSuchSeq.number()));
    assert_eq!(bench.change("bob", "bob", 1, 99, Change::Recall).await, Err(ErrorCode::NoSuchSeq.number()));
    assert_eq!(bench.operate("alice", Op::SetRole(uid("carol"), Role::Admin)).await, Ok(5));
    bench.clock.wall_at_start.fetch_add(RECALL_MS_MAX + 1, std::sync::atomic::Ordering::Relaxed);
    let late = ErrorCode::TooLate.number();
    assert_eq!(bench.change("bob", "bob", 1, 3, Change::Recall).await, Err(late));
    assert_eq!(bench.change("bob", "bob", 1, 3, edit("late")).await, Err(late));
    assert_eq!(bench.change("carol", "bob", 1, 3, Change::Recall).await, Ok(6));
    assert!(!says(&store, "one").await);
    let until = Millis::new(BEGAN.get() + 2 * RECALL_MS_MAX);
    assert_eq!(bench.operate("carol", Op::MuteMember(uid("bob"), until)).await, Ok(7));
    assert_eq!(bench.change("bob", "alice", 2, 4, react("bob", "+1", false)).await, Err(ErrorCode::Muted.number()));
}

#[actix::test]
async fn a_reaction_stands_once_for_everybody_until_it_is_taken_back() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.say("alice", 1, "hi").await, Ok(3));
    assert_eq!(bench.change("bob", "alice", 1, 3, react("bob", "+1", false)).await, Ok(4));
    assert_eq!(bench.change("bob", "alice", 1, 3, react("bob", "+1", false)).await, Ok(0));
    assert_eq!(bench.change("alice", "alice", 1, 3, react("alice", "+1", false)).await, Ok(5));
    assert_eq!(bench.change("bob", "alice", 1, 3, react("bob", "+1", true)).await, Ok(6));
    for _ in 0..2 {
        let page = bench.entries("bob", GroupOp::History(Seq::ZERO, 0)).await.unwrap();
        let given: Vec<String> = page
            .entries
            .iter()
            .flat_map(|entry| match &entry.body {
                Some(wire::entry::Body::Message(message)) => message.reactions.clone(),
                _ => Vec::new(),
            })
            .map(|given| given.from)
            .collect();
        assert_eq!(given, ["alice"]);
        bench = bench.after_crash(Arc::new(store.durable_copy()));
    }
    for number in 0..8 {
        let reaction = react("bob", &format!("r{number}"), false);
        assert_eq!(bench.change("bob", "alice", 1, 3, reaction).await, Ok(7 + number));
    }
    let ninth = bench.change("bob", "alice", 1, 3, react("bob", "r8", false)).await;
    assert_eq!(ninth, Err(ErrorCode::TooManyReactions.number()));
}

#[actix::test]
async fn a_message_that_left_memory_long_ago_is_changed_all_the_same() {
    let store = MemoryStore::new();
    let mut bench = Bench::new(Arc::new(store.clone()));
    bench.create(open(), &["bob"]).await;
    assert_eq!(bench.say("bob", 1, "secret").await, Ok(3));
    for number in 2..=400 {
        assert_eq!(bench.say("alice", number, "hi").await, Ok(2 + number));
    }
    bench.idle().await;
    let faults = Arc::new(Faults::new(Arc::new(store.clone())));
    let mut bench = bench.after_crash(faults.clone());
    assert_eq!(bench.sync("alice", 402).await.map(|page| page.head), Ok(402));
    // A page that was read before the change was made, and is told after it, does not say it either.
    faults.once(Method::Read, Fault::Late(Duration::from_secs(1)));
    let pull = bench.ask("alice", GroupOp::Sync(Seq::new(1), 0));
    assert_eq!(bench.change("bob", "bob", 1, 3, Change::Recall).await, Ok(403));
    assert!(!says(&store, "secret").await);
    match bench.answer_to(pull).await {
        wire::server_frame::Body::Page(page) => assert_eq!(texts(&page.entries)[0], (3, String::new())),
        other => panic!("{other:?}"),
    }
    assert!(!bench.shows("alice", "secret").await);
    assert_eq!(bench.read_by("alice", 3).await, (0, 1), "it still is a message of bob's");
}
