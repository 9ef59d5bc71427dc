//! Single crashes around recalls, edits, reactions, deletions and settings.

use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, client_frame::Op, server_frame::Body},
};

use super::{
    deeds::op_of,
    raw::RawDevice,
    scene::{FROM_THE_START, Scene, next_message},
};
use crate::checker::{Asked, Fate, Target, What};

/// The newest message that somebody was noted to have sent, at this seq of whoever names it.
fn newest(scene: &Scene, seq: u64) -> Target {
    let sending = scene.history.sendings.last().unwrap();
    Target { seq, author: sending.from.clone(), id: sending.id.clone() }
}

fn edit(target: Target, text: &str) -> Asked {
    Asked::Edit { target, text: text.to_owned() }
}

fn react(target: Target, reaction: &str, removed: bool) -> Asked {
    Asked::React { target, reaction: reaction.to_owned(), removed }
}

fn ok(answer: &Body) -> u64 {
    match answer {
        Body::Ok(ok) => ok.seq,
        other => panic!("refused: {other:?}"),
    }
}

fn refused(answer: Body) -> Option<ErrorCode> {
    match answer {
        Body::Error(error) => ErrorCode::from_number(error.code),
        other => panic!("not refused: {other:?}"),
    }
}

/// Alice sends Bob a message, which both have; its name in both inboxes, where it is the first one.
async fn one_message(scene: &mut Scene) -> Target {
    let mut alice = scene.device("alice", "raw").await;
    let seq = scene.send(&mut alice, "bob").await;
    let mut bob = scene.resumed("bob", "phone", FROM_THE_START).await;
    next_message(&mut bob).await;
    newest(scene, seq)
}

/// Bob comes back, sees the entry, and looks everywhere.
async fn bob_sees(scene: &mut Scene, fits: impl Fn(&What) -> bool) {
    let mut bob = scene.resumed("bob", "phone", FROM_THE_START).await;
    scene.see(&mut bob, fits).await;
    scene.look(&mut bob, "alice").await;
}

#[tokio::test]
async fn a_change_that_only_its_author_had_at_the_kill_arrives_although_the_author_never_returns() {
    let mut scene = Scene::new("").await;
    let target = one_message(&mut scene).await;
    scene.kill("drop_deliver").await;
    let mut alice = scene.device("alice", "raw").await;
    for what in [edit(target.clone(), "better"), react(target.clone(), "+1", false), Asked::Recall(target)] {
        ok(&scene.change(&mut alice, "bob", what).await);
        scene.look(&mut alice, "bob").await;
    }
    drop(alice);
    scene.kill("").await;
    bob_sees(&mut scene, |what| matches!(what, What::Recalled { .. })).await;
    assert_eq!(scene.judge(&["bob", "alice"]).await, []);
}

#[tokio::test]
async fn what_was_recalled_or_edited_is_gone_on_every_path_after_a_kill_right_after_the_ok() {
    let mut scene = Scene::new("").await;
    let first = one_message(&mut scene).await;
    let mut alice = scene.device("alice", "raw").await;
    let seq = scene.send(&mut alice, "bob").await;
    let second = newest(&scene, seq);
    // One of the two is not in memory any more when it is changed.
    drop(alice);
    scene.pass_time(2_500).await;
    let steps = [
        edit(first.clone(), "first, better"),
        edit(second.clone(), "second, better"),
        edit(first.clone(), "first, best"),
        Asked::Recall(second),
        Asked::Recall(first),
    ];
    for what in steps {
        let mut alice = scene.device("alice", "raw").await;
        ok(&scene.change(&mut alice, "bob", what).await);
        scene.look(&mut alice, "bob").await;
        scene.kill("").await;
        let mut alice = scene.device("alice", "raw").await;
        scene.look(&mut alice, "bob").await;
    }
    let last = scene.history.changes.last().unwrap().what.clone();
    let is_last = |what: &What| matches!((what, &last), (What::Recalled { target, .. }, Asked::Recall(last)) if target.id == last.id);
    bob_sees(&mut scene, is_last).await;
    scene.kill("").await;
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

/// Asks for a change, kills the server before it answers, and returns who is back and the change's number.
async fn in_flight_at_the_kill(scene: &mut Scene, what: Asked) -> (RawDevice, usize) {
    let mut alice = scene.device("alice", "raw").await;
    let number = scene.note_change(&alice, "bob", what);
    let op = op_of(scene.tried(number));
    alice.start(op).await.unwrap();
    // A ping behind it: its pong says that the change has been taken in, while the store is still slow.
    let pong = alice.ask(Op::Ping(wire::Ping { interval_ms: 60_000 })).await.unwrap();
    assert!(matches!(pong, Body::Pong(_)), "{pong:?}");
    scene.kill("").await;
    (scene.device("alice", "raw").await, number)
}

#[tokio::test]
async fn a_change_in_flight_at_the_kill_may_be_repeated_and_is_there_once() {
    let changes: [fn(Target) -> Asked; 4] = [
        Asked::Recall,
        |target| edit(target, "better"),
        |target| react(target, "+1", false),
        |_| Asked::Set { pinned: Some(true), muted: None },
    ];
    for change in changes {
        let mut scene = Scene::new("").await;
        let target = one_message(&mut scene).await;
        scene.kill("slow_store").await;
        let (mut alice, number) = in_flight_at_the_kill(&mut scene, change(target)).await;
        ok(&scene.try_change(&mut alice, number).await);
        scene.history.changes[number].fate = Fate::Open;
        assert_eq!(ok(&scene.try_change(&mut alice, number).await), 0, "the third time it changes nothing");
        scene.look(&mut alice, "bob").await;
        let shared = !matches!(scene.history.changes[number].what, Asked::Set { .. });
        if shared {
            bob_sees(&mut scene, |what| what.target().is_some()).await;
        }
        assert_eq!(scene.judge(&["alice", "bob"]).await, []);
    }
}

#[tokio::test]
async fn deletions_and_settings_hold_after_a_kill_right_after_the_ok() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let mut seqs = Vec::new();
    for _ in 0..5 {
        seqs.push(scene.send(&mut alice, "bob").await);
    }
    let steps = [
        Asked::Delete { seqs: vec![seqs[4], seqs[2]], upto: 0 },
        Asked::Set { pinned: None, muted: Some(true) },
        Asked::Delete { seqs: Vec::new(), upto: seqs[1] },
        Asked::Set { pinned: Some(true), muted: Some(false) },
        Asked::Set { pinned: Some(false), muted: None },
        Asked::DeleteAll,
    ];
    for what in steps {
        ok(&scene.change(&mut alice, "bob", what).await);
        scene.look(&mut alice, "bob").await;
        scene.kill("").await;
        alice = scene.device("alice", "raw").await;
        scene.look(&mut alice, "bob").await;
    }
    // Bob keeps everything; the next message brings the conversation back.
    let mut bob = scene.device("bob", "raw").await;
    scene.send(&mut bob, "alice").await;
    next_message(&mut alice).await;
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

/// Alice sends Bob so many messages while the disk is slow, and is still there; their names.
async fn messages_on_a_slow_disk(scene: &mut Scene, count: usize) -> (RawDevice, Vec<Target>) {
    let mut alice = scene.device("alice", "raw").await;
    let mut sent = Vec::new();
    for _ in 0..count {
        let seq = scene.send(&mut alice, "bob").await;
        sent.push(newest(scene, seq));
    }
    (alice, sent)
}

#[tokio::test]
async fn two_deletions_on_their_way_together_show_what_both_leave() {
    let mut scene = Scene::new("slow_store").await;
    let (mut alice, sent) = messages_on_a_slow_disk(&mut scene, 5).await;
    let one = |at: usize| Asked::Delete { seqs: vec![sent[at].seq], upto: 0 };
    let upto = Asked::Delete { seqs: Vec::new(), upto: sent[2].seq };
    scene.change_at_once(&mut alice, "bob", vec![one(4), one(3)]).await;
    scene.look(&mut alice, "bob").await;
    scene.change_at_once(&mut alice, "bob", vec![one(1), upto]).await;
    scene.look(&mut alice, "bob").await;
    scene.kill("").await;
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_deletion_behind_a_recall_on_its_way_brings_nothing_back() {
    let mut scene = Scene::new("slow_store").await;
    let (mut alice, sent) = messages_on_a_slow_disk(&mut scene, 3).await;
    let recall = Asked::Recall(sent[1].clone());
    let delete = Asked::Delete { seqs: vec![sent[2].seq], upto: 0 };
    scene.change_at_once(&mut alice, "bob", vec![recall, delete]).await;
    scene.look(&mut alice, "bob").await;
    bob_sees(&mut scene, |what| matches!(what, What::Recalled { .. })).await;
    scene.kill("").await;
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn an_edit_of_what_a_block_kept_away_says_nothing() {
    let mut scene = Scene::new("").await;
    let (mut alice, mut bob) = (scene.device("alice", "raw").await, scene.device("bob", "raw").await);
    let block = Op::Block(wire::Block { uid: "alice".into() });
    assert!(ok(&bob.ask(block).await.unwrap()) > 0);
    let seq = scene.send(&mut alice, "bob").await;
    let target = newest(&scene, seq);
    scene.pass_time(500).await;
    let unblock = Op::Unblock(wire::Unblock { uid: "alice".into() });
    assert!(ok(&bob.ask(unblock).await.unwrap()) > 0);
    for what in [edit(target.clone(), "better"), edit(target.clone(), "best"), Asked::Recall(target)] {
        ok(&scene.change(&mut alice, "bob", what).await);
    }
    bob_sees(&mut scene, |what| matches!(what, What::Recalled { .. })).await;
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn what_must_be_refused_leaves_nothing_behind() {
    let mut scene = Scene::new("").await;
    let target = one_message(&mut scene).await;
    let (mut alice, mut bob) = (scene.device("alice", "raw").await, scene.device("bob", "raw").await);
    for what in [Asked::Recall(target.clone()), edit(target.clone(), "not mine")] {
        assert_eq!(refused(scene.change(&mut bob, "alice", what).await), Some(ErrorCode::NotAuthor));
    }
    let elsewhere = Target { seq: target.seq + 1, ..target.clone() };
    let another = Target { id: super::raw::fresh_id(), ..target.clone() };
    for what in [Asked::Recall(elsewhere), edit(another, "nowhere")] {
        assert_eq!(refused(scene.change(&mut alice, "bob", what).await), Some(ErrorCode::NoSuchSeq));
    }
    ok(&scene.change(&mut alice, "bob", Asked::Recall(target.clone())).await);
    for what in [edit(target.clone(), "too late"), react(target, "+1", false)] {
        assert_eq!(refused(scene.change(&mut alice, "bob", what).await), Some(ErrorCode::MessageRecalled));
    }
    bob_sees(&mut scene, |what| matches!(what, What::Recalled { .. })).await;
    scene.kill("").await;
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}
