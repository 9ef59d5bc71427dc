//! Recall, edit, reactions, deletions and settings: what either side reads afterwards, also after a crash at any point.

use std::sync::Arc;

use prost::Message as _;
use tidings_schema::{
    change::{Change, MessageName},
    error_code::ErrorCode,
    id::{MessageId, Millis, Seq, Uid},
    message::Draft,
    wire::{self, entry, server_frame::Body},
};

use super::{A_WHILE, Bench, LONG, timeout};
use crate::{
    port::{
        link::{ChangeOp, DeleteOp, Deletion, Op, OpId, SendOp, ToConnection},
        store::{PageLimit, Store, TimelineId},
    },
    testkit::{held::HeldSync, memory::MemoryStore},
};

fn uid(name: &str) -> Uid {
    name.parse().unwrap()
}

fn id(number: u64) -> MessageId {
    MessageId::v7(Millis::new(1_700_000_000_000 + number), [9; 10])
}

fn content(text: &str) -> wire::Content {
    wire::Content { kind: Some(wire::content::Kind::Text(wire::Text { text: text.into() })) }
}

/// Text of whatever has one.
fn text_of(content: Option<&wire::Content>) -> String {
    match content.and_then(|content| content.kind.as_ref()) {
        Some(wire::content::Kind::Text(text)) => text.text.clone(),
        _ => String::new(),
    }
}

fn message_of(entry: &wire::Entry) -> Option<&wire::Message> {
    match &entry.body {
        Some(entry::Body::Message(message)) => Some(message),
        _ => None,
    }
}

/// The texts that a page says, by seq.
fn texts(entries: &[wire::Entry]) -> Vec<(u64, String)> {
    let said = |entry: &wire::Entry| match &entry.body {
        Some(entry::Body::Message(message)) => Some((entry.seq, text_of(message.content.as_ref()))),
        Some(entry::Body::Edited(edited)) => Some((entry.seq, text_of(edited.content.as_ref()))),
        _ => None,
    };
    entries.iter().filter_map(said).collect()
}

fn pairs(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(seq, text)| (*seq, (*text).to_owned())).collect()
}

impl Bench {
    /// Alice on connection 1 and bob on connection 2.
    async fn pair(store: Arc<dyn Store>) -> Self {
        let mut bench = Self::new(store);
        bench.online("alice", 1).await;
        bench.online("bob", 2).await;
        bench
    }

    async fn answer_to(&mut self, connection: u64, op_id: OpId) -> Body {
        let next = async {
            loop {
                let (to, part) = self.told.recv().await.unwrap();
                match part {
                    ToConnection::Answer(re, body) if (to, re) == (connection, op_id) => return body,
                    _ => {}
                }
            }
        };
        timeout(LONG, next).await.expect("an answer")
    }

    async fn done(&mut self, user: (&str, u64), op_id: OpId, op: Op) -> Result<u64, u32> {
        self.ask(user.0, user.1, op_id, op);
        match self.answer_to(user.1, op_id).await {
            Body::Ok(ok) => Ok(ok.seq),
            Body::SendAck(ack) => Ok(ack.seq),
            Body::Error(error) => Err(error.code),
            other => panic!("{other:?}"),
        }
    }

    async fn say(&mut self, user: (&str, u64), to: &str, number: u64, text: &str) -> u64 {
        self.say_about(user, to, number, text, None).await.unwrap()
    }

    async fn say_about(
        &mut self,
        user: (&str, u64),
        to: &str,
        number: u64,
        text: &str,
        reply_to: Option<wire::MessageRef>,
    ) -> Result<u64, u32> {
        let send = wire::Send {
            message_id: id(number).to_string(),
            to: Some(wire::Target { target: Some(wire::target::Target::Uid(to.into())) }),
            content: Some(content(text)),
            reply_to,
            ..Default::default()
        };
        let draft = Draft::new(&send, 1_000).unwrap();
        self.done(user, 1_000 + number, Op::Send(SendOp { draft, retry: false, after: 0 })).await
    }

    async fn change(
        &mut self,
        user: (&str, u64),
        op_id: OpId,
        peer: &str,
        at: (u64, &str, u64),
        change: Change,
    ) -> Result<u64, u32> {
        self.done(user, op_id, change_op(peer, at, change)).await
    }

    /// Everything in the inbox.
    async fn inbox(&mut self, user: (&str, u64)) -> Vec<wire::Entry> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            self.ask(user.0, user.1, 900, Op::Sync(Seq::new(after), 200));
            let Body::Page(page) = self.answer_to(user.1, 900).await else { panic!("no page") };
            after = page.entries.last().map_or(after, |entry| entry.seq);
            all.extend(page.entries);
            if !page.more {
                return all;
            }
        }
    }

    /// The history with a peer, newest first.
    async fn history(&mut self, user: (&str, u64), peer: &str) -> Vec<wire::Entry> {
        let (mut all, mut before) = (Vec::new(), 0);
        loop {
            self.ask(user.0, user.1, 901, Op::History(uid(peer), Seq::new(before), 200));
            let Body::Page(page) = self.answer_to(user.1, 901).await else { panic!("no page") };
            before = page.entries.last().map_or(before, |entry| entry.seq);
            all.extend(page.entries);
            if !page.more {
                return all;
            }
        }
    }

    async fn views(&mut self, user: (&str, u64)) -> Vec<wire::ConversationView> {
        self.ask(user.0, user.1, 902, Op::Conversations(Seq::ZERO, 200));
        let Body::Conversations(list) = self.answer_to(user.1, 902).await else { panic!("no list") };
        list.conversations
    }

    async fn last(&mut self, user: (&str, u64)) -> Option<(u64, String)> {
        let view = self.views(user).await.into_iter().next()?;
        view.last.map(|last| (last.seq, text_of(message_of(&last).and_then(|message| message.content.as_ref()))))
    }

    /// Until what one side did has reached the other, and everything is written.
    async fn settle(&mut self) {
        let everything = async { while self.told.recv().await.is_some() {} };
        let _ = timeout(A_WHILE, everything).await;
    }

    /// Until both mailboxes have left memory.
    async fn pass(&mut self) {
        for _ in 0..45 {
            self.settle().await;
        }
    }
}

/// A disk, and what the present process has of it: nothing that a process writes after its end reaches the disk.
struct Disk {
    memory: Arc<MemoryStore>,
    present: Arc<HeldSync>,
}

impl Disk {
    fn new() -> Self {
        let memory = Arc::new(MemoryStore::new());
        Self { present: Arc::new(HeldSync::new(memory.clone())), memory }
    }

    /// The process is killed; another one serves both users.
    fn restart(&mut self) -> Bench {
        self.present.hold();
        self.present = Arc::new(HeldSync::new(self.memory.clone()));
        let bench = Bench::again(self.present.clone());
        bench.attach("alice", 1);
        bench.attach("bob", 2);
        bench
    }
}

fn change_op(peer: &str, (seq, author, number): (u64, &str, u64), change: Change) -> Op {
    let name = MessageName { author: uid(author), message_id: id(number) };
    Op::Change(ChangeOp { peer: uid(peer), seq: Seq::new(seq), name, change })
}

fn edit(text: &str) -> Change {
    Change::Edit { content: content(text).encode_to_vec().into() }
}

fn react(from: &str, reaction: &str, removed: bool) -> Change {
    Change::React { from: uid(from), reaction: reaction.into(), removed }
}

fn delete(peer: &str, what: Deletion) -> Op {
    Op::Delete(DeleteOp { peer: uid(peer), what })
}

fn seqs(seqs: &[u64]) -> Deletion {
    Deletion::Seqs(seqs.iter().copied().map(Seq::new).collect())
}

const ALICE: (&str, u64) = ("alice", 1);
const BOB: (&str, u64) = ("bob", 2);

fn code(code: ErrorCode) -> Result<u64, u32> {
    Err(code.number())
}

#[actix::test]
async fn a_recalled_message_is_read_by_nobody_also_after_a_restart() {
    let mut disk = Disk::new();
    let mut bench = Bench::pair(disk.present.clone()).await;
    bench.say(ALICE, "bob", 1, "secret").await;
    bench.say(ALICE, "bob", 2, "other").await;
    bench.settle().await;
    assert_eq!(bench.change(ALICE, 50, "bob", (1, "alice", 1), Change::Recall).await.map(|seq| seq > 2), Ok(true));
    assert_eq!(bench.change(ALICE, 51, "bob", (1, "alice", 1), Change::Recall).await, Ok(0), "once is enough");
    bench.settle().await;
    for round in 0..2 {
        for (user, peer) in [(ALICE, "bob"), (BOB, "alice")] {
            assert_eq!(texts(&bench.inbox(user).await), pairs(&[(1, ""), (2, "other")]), "round {round}");
            let history = bench.history(user, peer).await;
            assert_eq!(texts(&history), pairs(&[(2, "other"), (1, "")]), "round {round}");
            assert!(message_of(&history[1]).unwrap().recalled);
        }
        let recalled = bench.inbox(BOB).await.into_iter().filter(|entry| {
            matches!(&entry.body, Some(entry::Body::Recalled(it)) if (it.seq, it.author.as_str()) == (1, "alice"))
        });
        assert_eq!(recalled.count(), 1);
        bench = disk.restart();
    }
}

#[actix::test]
async fn the_ok_of_a_recall_waits_for_the_redaction_and_reads_do_not() {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::pair(held.clone()).await;
    bench.say(ALICE, "bob", 1, "secret").await;
    bench.settle().await;
    held.hold();
    bench.ask("alice", 1, 50, change_op("bob", (1, "alice", 1), Change::Recall));
    held.held(1).await;
    assert_eq!(texts(&bench.inbox(ALICE).await), pairs(&[(1, "secret")]), "it is not committed yet");
    // The row of the recall is durable, the message not written anew.
    assert!(held.release_next());
    held.held(1).await;
    assert_eq!(texts(&bench.inbox(ALICE).await), pairs(&[(1, "")]));
    assert_eq!(texts(&bench.history(ALICE, "bob").await), pairs(&[(1, "")]));
    assert_eq!(bench.last(ALICE).await, Some((1, String::new())));
    let told = timeout(A_WHILE, bench.answer_to(1, 50)).await;
    assert!(told.is_err(), "ok before the redaction is durable");
    held.stop_holding();
    held.release_all();
    assert!(matches!(bench.answer_to(1, 50).await, Body::Ok(_)));
}

#[actix::test]
async fn a_crash_between_the_recall_and_the_redaction_is_made_good_on_both_sides() {
    let mut disk = Disk::new();
    let (memory, held) = (disk.memory.clone(), disk.present.clone());
    let mut bench = Bench::pair(held.clone()).await;
    bench.say(ALICE, "bob", 1, "secret").await;
    bench.settle().await;
    held.hold();
    bench.ask("alice", 1, 50, change_op("bob", (1, "alice", 1), Change::Recall));
    held.held(1).await;
    assert!(held.release_next());
    held.held(1).await;
    // What is held now is never written.
    let mut bench = disk.restart();
    bench.settle().await;
    for user in [ALICE, BOB] {
        assert_eq!(texts(&bench.inbox(user).await), pairs(&[(1, "")]));
        let limit = PageLimit { rows: 1, bytes: 1 };
        let stored = memory.read(TimelineId::Inbox(uid(user.0)), Seq::ZERO, Seq::new(1), limit).await.unwrap();
        assert!(!stored.rows[0].value.windows(6).any(|bytes| bytes == b"secret"), "the stored row still says it");
    }
}

#[actix::test]
async fn a_message_says_its_newest_edit_in_its_place_and_older_edits_say_nothing() {
    let mut disk = Disk::new();
    let mut bench = Bench::pair(disk.present.clone()).await;
    bench.say(ALICE, "bob", 1, "one").await;
    bench.settle().await;
    let first = bench.change(ALICE, 50, "bob", (1, "alice", 1), edit("two")).await.unwrap();
    assert_eq!(bench.change(ALICE, 51, "bob", (1, "alice", 1), edit("two")).await, Ok(0), "a repetition adds nothing");
    let second = bench.change(ALICE, 52, "bob", (1, "alice", 1), edit("three")).await.unwrap();
    bench.settle().await;
    for round in 0..2 {
        assert_eq!(texts(&bench.inbox(ALICE).await), pairs(&[(1, "three"), (first, ""), (second, "three")]), "{round}");
        let theirs: Vec<String> = texts(&bench.inbox(BOB).await).into_iter().map(|(_, text)| text).collect();
        assert_eq!(theirs, ["three", "", "three"], "{round}");
        for (user, peer) in [(ALICE, "bob"), (BOB, "alice")] {
            let history = bench.history(user, peer).await;
            assert_eq!(texts(&history), pairs(&[(1, "three")]));
            assert!(message_of(&history[0]).unwrap().edited_time > 0);
            assert_eq!(bench.last(user).await, Some((1, "three".into())));
        }
        bench = disk.restart();
    }
    assert!(bench.change(ALICE, 53, "bob", (1, "alice", 1), Change::Recall).await.is_ok());
    bench.settle().await;
    for user in [ALICE, BOB] {
        assert!(texts(&bench.inbox(user).await).iter().all(|(_, text)| text.is_empty()));
    }
    let refused = bench.change(ALICE, 54, "bob", (1, "alice", 1), edit("four")).await;
    assert_eq!(refused, code(ErrorCode::MessageRecalled));
}

#[actix::test]
async fn only_the_author_changes_a_message_and_only_the_one_that_is_meant() {
    let mut bench = Bench::pair(Arc::new(MemoryStore::new())).await;
    bench.say(ALICE, "bob", 1, "one").await;
    bench.settle().await;
    let not_author = code(ErrorCode::NotAuthor);
    assert_eq!(bench.change(BOB, 50, "alice", (1, "alice", 1), Change::Recall).await, not_author);
    assert_eq!(bench.change(BOB, 51, "alice", (1, "alice", 1), edit("x")).await, not_author);
    let no_such = code(ErrorCode::NoSuchSeq);
    assert_eq!(bench.change(ALICE, 52, "bob", (2, "alice", 1), Change::Recall).await, no_such);
    assert_eq!(bench.change(ALICE, 53, "bob", (1, "alice", 2), Change::Recall).await, no_such);
    assert_eq!(bench.change(ALICE, 54, "bob", (1, "bob", 1), Change::Recall).await, no_such);
    assert_eq!(bench.change(ALICE, 55, "eve", (1, "alice", 1), Change::Recall).await, no_such);
    assert_eq!(bench.change(ALICE, 56, "bob", (99, "alice", 1), Change::Recall).await, no_such);
    assert_eq!(texts(&bench.inbox(BOB).await), pairs(&[(1, "one")]));
}

#[actix::test]
async fn reactions_of_both_stand_on_the_message_on_both_sides() {
    let mut disk = Disk::new();
    let mut bench = Bench::pair(disk.present.clone()).await;
    bench.say(ALICE, "bob", 1, "one").await;
    bench.settle().await;
    assert!(bench.change(BOB, 50, "alice", (1, "alice", 1), react("bob", "+1", false)).await.is_ok());
    assert_eq!(bench.change(BOB, 51, "alice", (1, "alice", 1), react("bob", "+1", false)).await, Ok(0));
    assert!(bench.change(ALICE, 52, "bob", (1, "alice", 1), react("alice", "heart", false)).await.is_ok());
    assert!(bench.change(BOB, 53, "alice", (1, "alice", 1), react("bob", "smile", false)).await.is_ok());
    assert!(bench.change(BOB, 54, "alice", (1, "alice", 1), react("bob", "+1", true)).await.is_ok());
    for number in 0..7 {
        let more = react("bob", &format!("r{number}"), false);
        assert!(bench.change(BOB, 60 + number, "alice", (1, "alice", 1), more).await.is_ok());
    }
    let ninth = bench.change(BOB, 70, "alice", (1, "alice", 1), react("bob", "r9", false)).await;
    assert_eq!(ninth, code(ErrorCode::TooManyReactions));
    bench.pass().await;
    let mut bench = disk.restart();
    for (user, peer) in [(ALICE, "bob"), (BOB, "alice")] {
        let history = bench.history(user, peer).await;
        let mut given: Vec<_> = message_of(&history[0]).unwrap().reactions.iter().map(|r| r.reaction.clone()).collect();
        given.sort();
        assert_eq!(given, ["heart", "r0", "r1", "r2", "r3", "r4", "r5", "r6", "smile"]);
    }
}

#[actix::test]
async fn a_message_long_out_of_memory_is_found_on_both_sides() {
    let disk = Disk::new();
    let mut bench = Bench::pair(disk.present.clone()).await;
    for number in 1..=150 {
        bench.say(ALICE, "bob", number, &format!("a{number}")).await;
        bench.say(BOB, "alice", 500 + number, &format!("b{number}")).await;
    }
    bench.settle().await;
    let all = bench.history(ALICE, "bob").await;
    assert_eq!(all.len(), 300);
    for number in [1, 2, 70, 75, 140, 150] {
        let seq = all.iter().find(|entry| text_of(message_of(entry).unwrap().content.as_ref()) == format!("a{number}"));
        let at = (seq.unwrap().seq, "alice", number);
        assert!(bench.change(ALICE, 5_000 + number, "bob", at, Change::Recall).await.is_ok(), "{number}");
    }
    bench.settle().await;
    for (user, peer) in [(ALICE, "bob"), (BOB, "alice")] {
        let history = bench.history(user, peer).await;
        let gone: Vec<_> = history.iter().filter(|entry| message_of(entry).unwrap().recalled).collect();
        assert_eq!(gone.len(), 6, "{user:?}");
        for number in [1, 2, 70, 75, 140, 150] {
            let text = format!("a{number}");
            assert!(texts(&bench.inbox(user).await).iter().all(|(_, said)| *said != text), "{user:?} {text}");
            assert!(texts(&history).iter().all(|(_, said)| *said != text), "{user:?} {text}");
        }
    }
}

#[actix::test]
async fn a_reply_names_the_message_in_the_inbox_of_whoever_reads_it() {
    let mut bench = Bench::pair(Arc::new(MemoryStore::new())).await;
    bench.online("eve", 3).await;
    bench.say(("eve", 3), "bob", 7, "first here").await;
    bench.settle().await;
    bench.say(ALICE, "bob", 1, "question").await;
    bench.settle().await;
    let refers = |seq, author: &str, number| {
        Some(wire::MessageRef { seq, author: author.into(), message_id: id(number).to_string() })
    };
    let refused = bench.say_about(BOB, "alice", 2, "to nothing", refers(9, "alice", 1)).await;
    assert_eq!(refused, code(ErrorCode::NoSuchSeq));
    let at_bob = texts(&bench.history(BOB, "alice").await)[0].0;
    assert!(at_bob > 1);
    assert!(bench.say_about(BOB, "alice", 3, "answer", refers(at_bob, "alice", 1)).await.is_ok());
    bench.settle().await;
    let answer = bench.history(ALICE, "bob").await.into_iter().next().unwrap();
    assert_eq!(message_of(&answer).unwrap().reply_to, refers(1, "alice", 1));
    let answer_seq = answer.seq;
    assert!(bench.say_about(ALICE, "bob", 4, "and mine", refers(1, "alice", 1)).await.is_ok());
    assert!(bench.say_about(ALICE, "bob", 5, "yours", refers(answer_seq, "bob", 3)).await.is_ok());
    bench.settle().await;
    let history = bench.history(BOB, "alice").await;
    assert_eq!(message_of(&history[1]).unwrap().reply_to, refers(at_bob, "alice", 1));
    let own = history.iter().find(|entry| message_of(entry).unwrap().from == "bob").unwrap().seq;
    assert_eq!(message_of(&history[0]).unwrap().reply_to, refers(own, "bob", 3));
}

#[actix::test]
async fn deleted_messages_are_gone_on_one_side_only_also_after_a_restart() {
    let mut disk = Disk::new();
    let mut bench = Bench::pair(disk.present.clone()).await;
    for number in 1..=5 {
        bench.say(ALICE, "bob", number, &format!("m{number}")).await;
        bench.settle().await;
    }
    let theirs = texts(&bench.history(BOB, "alice").await);
    let seq = |text: &str| theirs.iter().find(|(_, said)| said == text).unwrap().0;
    let (m1, m2, m4, m5) = (seq("m1"), seq("m2"), seq("m4"), seq("m5"));
    assert_eq!(bench.done(BOB, 50, delete("alice", seqs(&[m4 + 1_000]))).await, code(ErrorCode::NoSuchSeq));
    assert_eq!(bench.done(BOB, 51, delete("eve", seqs(&[m1]))).await, code(ErrorCode::NoSuchConversation));
    assert!(bench.done(BOB, 52, delete("alice", seqs(&[m5, m2, m5]))).await.is_ok());
    assert_eq!(bench.done(BOB, 53, delete("alice", seqs(&[m2]))).await, Ok(0));
    assert_eq!(bench.last(BOB).await, Some((m4, "m4".into())), "the newest that is left is shown");
    assert_eq!(bench.views(BOB).await[0].unread, 5, "as little as a recall");
    assert!(bench.done(BOB, 54, delete("alice", Deletion::Upto(Seq::new(m1)))).await.is_ok());
    assert_eq!(bench.views(BOB).await[0].unread, 4);
    assert!(bench.done(BOB, 55, Op::Read(uid("alice"), Seq::new(m4))).await.is_ok());
    assert_eq!(bench.done(BOB, 56, delete("alice", Deletion::Upto(Seq::new(m1)))).await, Ok(0));
    for _ in 0..2 {
        let texts: Vec<String> = texts(&bench.history(BOB, "alice").await).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["m4", "m3"]);
        assert_eq!(bench.last(BOB).await, Some((m4, "m4".into())));
        assert_eq!(bench.history(ALICE, "bob").await.len(), 5);
        bench = disk.restart();
    }
    assert!(bench.done(BOB, 60, Op::Delete(DeleteOp { peer: uid("alice"), what: Deletion::Whole })).await.is_ok());
    assert_eq!(bench.views(BOB).await, []);
    assert_eq!(bench.history(BOB, "alice").await, []);
    bench.say(ALICE, "bob", 9, "again").await;
    bench.settle().await;
    let views = bench.views(BOB).await;
    assert_eq!((views.len(), views[0].unread), (1, 1));
    assert_eq!(texts(&bench.history(BOB, "alice").await).len(), 1);
}

#[actix::test]
async fn a_muted_conversation_is_not_in_the_unread_total() {
    let mut bench = Bench::pair(Arc::new(MemoryStore::new())).await;
    bench.say(ALICE, "bob", 1, "one").await;
    bench.settle().await;
    let set = |pinned, muted| Op::SetConversation { peer: uid("alice"), pinned, muted };
    assert!(bench.done(BOB, 50, set(Some(true), Some(true))).await.is_ok());
    assert_eq!(bench.done(BOB, 51, set(None, Some(true))).await, Ok(0));
    bench.say(ALICE, "bob", 2, "two").await;
    bench.settle().await;
    let view = bench.views(BOB).await.remove(0);
    assert_eq!((view.pinned, view.muted, view.unread), (true, true, 2));
    assert_eq!(bench.total("bob", 12).await, 0);
    assert!(bench.done(BOB, 52, set(None, Some(false))).await.is_ok());
    assert_eq!(bench.total("bob", 13).await, 2);
}

impl Bench {
    /// What a welcome says of unread messages.
    async fn total(&mut self, user: &str, connection: u64) -> u64 {
        self.attach(user, connection);
        let next = async {
            loop {
                let (to, part) = self.told.recv().await.unwrap();
                if let (ToConnection::Welcome(_, welcome), true) = (part, to == connection) {
                    return welcome.unread_total;
                }
            }
        };
        timeout(LONG, next).await.expect("a welcome")
    }
}

#[actix::test]
async fn who_writes_to_many_new_people_has_to_wait_also_after_leaving_memory() {
    let mut bench = Bench::pair(Arc::new(MemoryStore::new())).await;
    for number in 0..60 {
        bench.say(ALICE, &format!("new-{number}"), number, "hi").await;
    }
    let refused = bench.say_about(ALICE, "one-more", 100, "hi", None).await;
    assert_eq!(refused, code(ErrorCode::NewPeersLimited));
    bench.say(ALICE, "new-1", 101, "people one knows are no new people").await;
    bench.pass().await;
    // A minute and a half has passed: one more is allowed, not sixty.
    bench.say(ALICE, "one-more", 102, "hi").await;
    let refused = bench.say_about(ALICE, "another", 103, "hi", None).await;
    assert_eq!(refused, code(ErrorCode::NewPeersLimited));
}

#[actix::test]
async fn a_recall_reaches_somebody_who_has_blocked_its_author_and_an_edit_does_not() {
    let mut bench = Bench::pair(Arc::new(MemoryStore::new())).await;
    bench.say(ALICE, "bob", 1, "one").await;
    bench.say(ALICE, "bob", 2, "two").await;
    bench.settle().await;
    assert!(bench.done(BOB, 50, Op::Block(uid("alice"))).await.is_ok());
    assert!(bench.change(ALICE, 51, "bob", (2, "alice", 2), edit("harm")).await.is_ok());
    assert!(bench.change(ALICE, 52, "bob", (1, "alice", 1), Change::Recall).await.is_ok());
    bench.settle().await;
    let theirs: Vec<String> = texts(&bench.inbox(BOB).await).into_iter().map(|(_, text)| text).collect();
    assert_eq!(theirs, ["", "two"]);
}

/// Three messages; the newest is deleted, and before that is durable something more. What is shown as the newest then.
async fn newest_after(second: Deletion) -> Option<(u64, String)> {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::pair(held.clone()).await;
    for number in 1..=3 {
        bench.say(ALICE, "bob", number, &format!("m{number}")).await;
    }
    bench.settle().await;
    held.hold();
    bench.ask("alice", 1, 50, delete("bob", seqs(&[3])));
    bench.ask("alice", 1, 51, delete("bob", second));
    held.held(1).await;
    held.stop_holding();
    held.release_all();
    assert!(matches!(bench.answer_to(1, 51).await, Body::Ok(_)));
    bench.last(ALICE).await
}

#[actix::test]
async fn a_delete_that_is_not_durable_yet_counts_for_the_one_behind_it() {
    assert_eq!(newest_after(seqs(&[2])).await, Some((1, "m1".into())));
}

#[actix::test]
async fn a_delete_that_is_not_durable_yet_counts_for_one_that_repeats_it() {
    assert_eq!(newest_after(seqs(&[3, 2])).await, Some((1, "m1".into())));
}

#[actix::test]
async fn a_delete_that_is_not_durable_yet_counts_for_one_up_to_a_message() {
    assert_eq!(newest_after(Deletion::Upto(Seq::new(2))).await, None);
}

#[actix::test]
async fn what_is_left_after_a_delete_says_nothing_that_is_being_recalled() {
    let held = Arc::new(HeldSync::new(Arc::new(MemoryStore::new())));
    let mut bench = Bench::pair(held.clone()).await;
    bench.say(ALICE, "bob", 1, "secret").await;
    bench.say(ALICE, "bob", 2, "newest").await;
    bench.settle().await;
    held.hold();
    bench.ask("alice", 1, 50, change_op("bob", (1, "alice", 1), Change::Recall));
    bench.ask("alice", 1, 51, delete("bob", seqs(&[2])));
    held.held(1).await;
    held.stop_holding();
    held.release_all();
    assert!(matches!(bench.answer_to(1, 51).await, Body::Ok(_)));
    assert_eq!(bench.last(ALICE).await, Some((1, String::new())));
}

#[actix::test]
async fn a_message_that_was_never_shown_is_not_shown_by_its_edit() {
    let mut bench = Bench::pair(Arc::new(MemoryStore::new())).await;
    bench.say(BOB, "alice", 9, "hello").await;
    bench.settle().await;
    assert!(bench.done(BOB, 50, Op::Block(uid("alice"))).await.is_ok());
    let seq = bench.say(ALICE, "bob", 1, "insult").await;
    bench.settle().await;
    assert!(bench.done(BOB, 51, Op::Unblock(uid("alice"))).await.is_ok());
    assert!(bench.change(ALICE, 52, "bob", (seq, "alice", 1), edit("insult again")).await.is_ok());
    assert!(bench.change(ALICE, 53, "bob", (seq, "alice", 1), Change::Recall).await.is_ok());
    bench.settle().await;
    let said: Vec<String> = texts(&bench.inbox(BOB).await).into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["hello", ""]);
}

#[actix::test]
async fn only_conversations_that_are_there_are_set_or_deleted() {
    let mut bench = Bench::pair(Arc::new(MemoryStore::new())).await;
    let set = Op::SetConversation { peer: uid("stranger"), pinned: Some(true), muted: None };
    assert_eq!(bench.done(ALICE, 50, set).await, code(ErrorCode::NoSuchConversation));
    assert_eq!(bench.done(ALICE, 51, delete("stranger", Deletion::Whole)).await, code(ErrorCode::NoSuchConversation));
    assert_eq!(bench.views(ALICE).await, []);
}
