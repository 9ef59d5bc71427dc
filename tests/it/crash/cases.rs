//! Single crashes, each the smallest that could break a promise.

use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, client_frame::Op, server_frame::Body},
};

use super::{
    raw::{RawDevice, fresh_id, text_send},
    scene::{FROM_THE_START, Retry, Scene, messages, next_message, next_message_named},
};

#[tokio::test]
async fn what_only_the_sender_had_at_the_kill_arrives_although_the_sender_never_returns() {
    let mut scene = Scene::new("drop_deliver").await;
    let mut alice = scene.device("alice", "raw").await;
    scene.send(&mut alice, "bob").await;
    drop(alice);
    scene.kill("").await;
    let mut bob = scene.resumed("bob", "phone", FROM_THE_START).await;
    // `push` waits for 30 seconds, which is the promise.
    let message = next_message(&mut bob).await;
    assert_eq!(message.message_id, scene.history.sendings[0].id);
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_later_delivery_that_arrives_before_the_first_one_is_put_in_order() {
    let mut scene = Scene::new("drop_first_deliver").await;
    let mut alice = scene.device("alice", "raw").await;
    let mut bob = scene.device("bob", "phone").await;
    let first = fresh_id();
    // The first delivery is lost; the second message goes out while the first is still unaccepted.
    scene.send_again(&mut alice, &first, "bob", Retry::No).await;
    scene.send(&mut alice, "bob").await;
    assert_eq!(next_message(&mut bob).await.message_id, first);
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_device_replaced_while_it_catches_up_misses_nothing() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let sent = 700;
    for _ in 0..sent {
        scene.send(&mut alice, "bob").await;
    }
    // More than one ack window: the first connection is in the middle of it when the second one takes its place.
    let mut old = scene.resumed("bob", "phone", FROM_THE_START).await;
    let got = old.push().await.unwrap().entries;
    let last = got.last().unwrap().seq;
    let log_id = old.welcome.log_id.clone();
    let mut new = scene.resumed("bob", "phone", Some(wire::Resume { inbox: Some(last), log_id })).await;
    // An ack of the old connection counts for nothing, and must not disturb the new one.
    let _gone = old.say(Op::Ack(wire::Ack { inbox: last, ..Default::default() })).await;
    let mut next = last + 1;
    while next <= sent {
        let entries = new.push().await.unwrap();
        for entry in entries.entries.iter().filter(|_| !entries.redelivery) {
            assert_eq!(entry.seq, next);
            next += 1;
        }
        new.say(Op::Ack(wire::Ack { inbox: next - 1, ..Default::default() })).await.unwrap();
    }
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_place_above_the_head_or_of_another_log_is_reset() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let seq = scene.send(&mut alice, "alice").await;
    let log_id = scene.device("alice", "other").await.welcome.log_id;
    for (inbox, log_id) in [(seq + 5, log_id.clone()), (seq, bytes::Bytes::from_static(&[7; 16]))] {
        let resume = wire::Resume { inbox: Some(inbox), log_id };
        let welcome = scene.resumed("alice", "lost", Some(resume)).await.welcome;
        assert_eq!(welcome.reset, Some(wire::Reset { floor: 1, as_of: seq }));
        assert_eq!((welcome.resume_after, welcome.inbox_head), (seq, seq));
    }
    let known = scene.resumed("alice", "known", Some(wire::Resume { inbox: Some(seq), log_id })).await.welcome;
    assert_eq!(known.reset, None);
    assert_eq!(scene.judge(&["alice"]).await, []);
}

#[tokio::test]
async fn what_was_blocked_never_shows_although_the_server_was_killed_before_the_unblock() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let mut bob = scene.device("bob", "raw").await;
    scene.send(&mut alice, "bob").await;
    next_message(&mut bob).await;
    let blocked = bob.ask(Op::Block(wire::Block { uid: "alice".into() })).await.unwrap();
    assert!(matches!(blocked, Body::Ok(wire::Ok { seq: 2.. })), "{blocked:?}");
    for _ in 0..5 {
        scene.send(&mut alice, "bob").await;
    }
    scene.kill("").await;
    let mut bob = scene.device("bob", "raw").await;
    let unblocked = bob.ask(Op::Unblock(wire::Unblock { uid: "alice".into() })).await.unwrap();
    assert!(matches!(unblocked, Body::Ok(_)), "{unblocked:?}");
    let mut alice = scene.device("alice", "raw").await;
    let after = fresh_id();
    scene.send_again(&mut alice, &after, "bob", Retry::No).await;
    assert_eq!(next_message_named(&mut bob, &after).await.message_id, after);
    let first = scene.history.sendings[0].id.clone();
    let kept = scene.device("bob", "auditor").await.audit().await.unwrap();
    assert_eq!(messages(&kept), [first.as_str(), after.as_str()]);
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

/// Hands a message over, kills the server before it answers, and returns who is back and the id.
async fn in_flight_at_the_kill(scene: &mut Scene) -> (RawDevice, String) {
    let mut alice = scene.device("alice", "raw").await;
    let id = fresh_id();
    alice.start(text_send(&id, "bob", &format!("text of {id}"), false)).await.unwrap();
    // A ping behind it: its pong says that the send has been taken in, while the store is still slow.
    let pong = alice.ask(Op::Ping(wire::Ping { interval_ms: 60_000 })).await.unwrap();
    assert!(matches!(pong, Body::Pong(_)), "{pong:?}");
    scene.kill("").await;
    (scene.device("alice", "raw").await, id)
}

#[tokio::test]
async fn a_send_in_flight_at_the_kill_may_be_repeated_and_is_there_once() {
    for retry in [Retry::No, Retry::Yes] {
        let mut scene = Scene::new("slow_store").await;
        let (mut alice, id) = in_flight_at_the_kill(&mut scene).await;
        let first = scene.send_again(&mut alice, &id, "bob", retry).await;
        assert_eq!(scene.send_again(&mut alice, &id, "bob", Retry::Yes).await, first);
        let mut bob = scene.resumed("bob", "phone", FROM_THE_START).await;
        assert_eq!(next_message(&mut bob).await.message_id, id);
        assert_eq!(scene.judge(&["alice", "bob"]).await, []);
    }
}

#[tokio::test]
async fn a_send_in_flight_at_the_kill_may_be_repeated_although_its_sender_is_blocked_meanwhile() {
    for retry in [Retry::No, Retry::Yes] {
        let mut scene = Scene::new("slow_store").await;
        let (mut alice, id) = in_flight_at_the_kill(&mut scene).await;
        let mut bob = scene.device("bob", "phone").await;
        bob.ask(Op::Block(wire::Block { uid: "alice".into() })).await.unwrap();
        let first = scene.send_again(&mut alice, &id, "bob", retry).await;
        assert_eq!(scene.send_again(&mut alice, &id, "bob", Retry::Yes).await, first);
        assert_eq!(scene.judge(&["alice", "bob"]).await, []);
    }
}

#[tokio::test]
async fn an_acked_send_may_be_repeated_after_its_sender_was_blocked() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let mut bob = scene.device("bob", "raw").await;
    let id = fresh_id();
    let first = scene.send_again(&mut alice, &id, "bob", Retry::No).await;
    next_message(&mut bob).await;
    bob.ask(Op::Block(wire::Block { uid: "alice".into() })).await.unwrap();
    alice.ask(Op::Block(wire::Block { uid: "bob".into() })).await.unwrap();
    scene.kill("").await;
    let mut alice = scene.device("alice", "raw").await;
    for retry in [Retry::No, Retry::Yes] {
        assert_eq!(scene.send_again(&mut alice, &id, "bob", retry).await, first);
    }
    let answer = alice.ask(text_send(&id, "bob", "another text", true)).await.unwrap();
    let Body::Error(error) = answer else { panic!("{answer:?}") };
    assert_eq!(error.code, ErrorCode::MessageIdConflict.number());
    assert_eq!(scene.judge(&["alice", "bob"]).await, []);
}

#[tokio::test]
async fn a_device_without_a_place_goes_on_where_it_acknowledged_also_after_a_kill() {
    let mut scene = Scene::new("").await;
    let mut alice = scene.device("alice", "raw").await;
    let device = scene.device("alice", "phone").await;
    assert_eq!(device.welcome.resume_after, 0);
    drop(device);
    for _ in 0..10 {
        scene.send(&mut alice, "alice").await;
    }
    let mut device = scene.device("alice", "phone").await;
    let mut got = 0;
    while got < 10 {
        got += device.push().await.unwrap().entries.len();
    }
    device.say(Op::Ack(wire::Ack { inbox: 4, ..Default::default() })).await.unwrap();
    scene.pass_time(super::CURSOR_FLUSH_MS + 2_000).await;
    scene.kill("").await;
    assert_eq!(scene.device("alice", "phone").await.welcome.resume_after, 4);
    assert_eq!(scene.judge(&["alice"]).await, []);
}
