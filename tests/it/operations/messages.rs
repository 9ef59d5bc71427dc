//! `send`, `block`, `unblock`, `ack` and `ping`: what is taken, in which order, and what is refused with which number.

use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, client_frame::Op, entry, server_frame::Body},
};

use super::talk::{FORMS, Form, Talk, ack, error, id_made_at, is, new_id, ok, send, send_as, text, words};
use crate::server::Server;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

#[tokio::test]
async fn a_message_has_one_place_at_each_end_and_a_retry_has_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let (me, peer) = (format!("a{form:?}"), format!("b{form:?}"));
        let (mut alice, _) = Talk::hello(&server, form, &me, "d").await;
        let (mut bob, _) = Talk::hello(&server, form, &peer, "d").await;
        let id = new_id();
        let first = ack(alice.ask(send_as(&id, &peer, "hi")).await);
        assert_eq!((first.message_id.as_str(), first.seq, first.duplicate), (id.as_str(), 1, false));
        let again = ack(alice.ask(send_as(&id, &peer, "hi")).await);
        assert_eq!((again.seq, again.time, again.duplicate), (first.seq, first.time, true));
        is(&alice.refused(send_as(&id, &peer, "another body")).await, ErrorCode::MessageIdConflict);
        is(&alice.refused(send_as(&id, "carol", "hi")).await, ErrorCode::MessageIdConflict);

        let (out, inn) = (alice.entry().await, bob.entry().await);
        assert_eq!((out.seq, out.time, inn.seq, inn.time), (1, first.time, 1, first.time));
        let (Some(entry::Body::Message(out)), Some(entry::Body::Message(inn))) = (out.body, inn.body) else {
            panic!("no messages")
        };
        assert_eq!((&out.from, &inn.from), (&me, &me));
        assert_eq!((&out.message_id, &inn.message_id), (&id, &id));
        assert_eq!((out.conversation, inn.conversation), (super::talk::with(&peer), super::talk::with(&me)));
        assert_eq!(alice.send(&peer, "next").await.seq, 2);
        assert_eq!(words(&bob.entry().await).unwrap(), "next", "the retries brought nothing");
    }
}

#[tokio::test]
async fn a_message_to_oneself_is_one_entry_without_receipts_or_unread() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    assert_eq!(alice.send("alice", "note").await.seq, 1);
    alice.ack(1).await;
    assert_eq!(alice.send("alice", "note 2").await.seq, 2);
    let page = alice.sync(0, 0).await;
    assert_eq!(page.entries.iter().filter_map(words).collect::<Vec<_>>(), ["note", "note 2"]);
    let listed = alice.conversations(0, 0).await;
    assert_eq!((listed.conversations.len(), listed.conversations[0].unread), (1, 0));
}

#[tokio::test]
async fn pipelined_sends_keep_their_order_at_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let (me, peer) = (format!("a{form:?}"), format!("b{form:?}"));
        let (mut alice, _) = Talk::hello(&server, form, &me, "d").await;
        let (mut bob, _) = Talk::hello(&server, form, &peer, "d").await;
        let sent: Vec<String> = (0..200).map(|n| format!("message {n}")).collect();
        for burst in sent.chunks(50) {
            let mut ids = Vec::new();
            for words in burst {
                ids.push(alice.put(send(&peer, words)).await);
            }
            let mut last = 0;
            for id in ids {
                let seq = ack(alice.answer(id).await).seq;
                assert!(seq > last, "{seq} after {last}");
                last = seq;
            }
        }
        let mut got = Vec::new();
        for seq in 1..=200 {
            let entry = bob.entry().await;
            assert_eq!(entry.seq, seq);
            got.push(words(&entry).unwrap());
            bob.ack(seq).await;
        }
        assert_eq!(got, sent);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_send_is_named_and_the_connection_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let (mut alice, welcome) = Talk::hello(&server, form, "alice", &format!("{form:?}")).await;
        for bad in ["al ice", "", "ä", "a/b", &"x".repeat(65)] {
            let refused = alice.refused(send(bad, "hi")).await;
            is(&refused, ErrorCode::BadId);
            assert!(refused.text.contains("to.uid"), "{}", refused.text);
        }
        for bad in ["", "hello", "0198e0c2-0000-7000-8000-00000000000", "0198e0c2-0000-7000-8000-0000000000zz"] {
            let refused = alice.refused(send_as(bad, "bob", "hi")).await;
            is(&refused, ErrorCode::BadId);
            assert!(refused.text.contains("messageId"), "{}", refused.text);
        }
        let now = welcome.server_time;
        is(
            &alice.refused(send_as(&id_made_at(now - 13 * DAY_MS - 60_000), "bob", "hi")).await,
            ErrorCode::MessageIdTooOld,
        );
        assert!(ack(alice.ask(send_as(&id_made_at(now - 12 * DAY_MS), &format!("b{form:?}"), "hi")).await).seq > 0);
        is(&alice.refused(send("bob", &"x".repeat(65_536))).await, ErrorCode::BodyTooLarge);
        is(&alice.refused(send("@system", "hi")).await, ErrorCode::NotAllowed);
        let empty = wire::Send { message_id: new_id(), ..wire::Send::default() };
        is(&alice.refused(Op::Send(empty.clone())).await, ErrorCode::BadField);
        let to = Some(wire::Target { target: Some(wire::target::Target::Uid("bob".into())) });
        is(&alice.refused(Op::Send(wire::Send { to, ..empty.clone() })).await, ErrorCode::BadField);
        is(&alice.refused(Op::Send(wire::Send { content: text("hi"), ..empty })).await, ErrorCode::BadField);
        // The largest legal body: content and its tags together.
        assert!(alice.send("bob", &"\u{1}".repeat(65_536 - 8)).await.seq > 0);
    }
}

#[tokio::test]
async fn a_blocked_user_learns_nothing_and_what_it_sent_never_shows() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let (me, peer) = (format!("a{form:?}"), format!("b{form:?}"));
        let (mut alice, _) = Talk::hello(&server, form, &me, "d").await;
        let (mut bob, _) = Talk::hello(&server, form, &peer, "d").await;
        let (block, unblock) = (wire::Block { uid: me.clone() }, wire::Unblock { uid: me.clone() });
        assert_eq!(ok(bob.ask(Op::Unblock(unblock.clone())).await), 0, "nothing had to change");
        assert_eq!(ok(bob.ask(Op::Block(block.clone())).await), 1);
        assert_eq!(ok(bob.ask(Op::Block(block.clone())).await), 0, "blocked already");
        assert_eq!(bob.entry().await.body, Some(entry::Body::Blocked(wire::Blocked { uid: me.clone() })));
        assert!(bob.conversations(0, 0).await.conversations[0].blocked);
        is(&bob.refused(send(&me, "no")).await, ErrorCode::PeerBlocked);

        assert_eq!(alice.send(&peer, "are you there").await.seq, 1);
        assert_eq!(alice.send(&peer, "hello?").await.seq, 2);
        assert_eq!(ok(bob.ask(Op::Unblock(unblock)).await), 2);
        assert_eq!(bob.entry().await.body, Some(entry::Body::Unblocked(wire::Unblocked { uid: me.clone() })));
        assert_eq!(alice.send(&peer, "back again").await.seq, 3);
        let entry = bob.entry().await;
        assert_eq!(words(&entry).unwrap(), "back again");
        is(&bob.refused(Op::Block(wire::Block { uid: peer.clone() })).await, ErrorCode::NotAllowed);
        is(&bob.refused(Op::Block(wire::Block { uid: "a b".into() })).await, ErrorCode::BadId);
    }
}

#[tokio::test]
async fn an_ack_above_the_head_counts_for_nothing_and_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let uid = format!("{form:?}");
        let (mut alice, _) = Talk::hello(&server, form, &uid, "d").await;
        alice.send(&uid, "one").await;
        assert_eq!(alice.entry().await.seq, 1);
        alice.ack(9).await;
        is(&error(alice.push().await), ErrorCode::AckAboveHead);
        // It is not kept either: the device still goes on before what it never had.
        let (mut again, welcome) = Talk::hello(&server, form, &uid, "d").await;
        assert_eq!((welcome.resume_after, again.entry().await.seq), (0, 1));
        again.ack(9).await;
        is(&error(again.push().await), ErrorCode::AckAboveHead);
        again.ack(1).await;
        again.settle().await;
        let (_, welcome) = Talk::hello(&server, form, &uid, "d").await;
        assert_eq!(welcome.resume_after, 1);
    }
}

#[tokio::test]
async fn a_pong_says_how_far_the_inbox_is() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let uid = format!("{form:?}");
        let (mut alice, _) = Talk::hello(&server, form, &uid, "d").await;
        assert_eq!(alice.settle().await.inbox_head, 0);
        let acked = alice.send(&uid, "one").await;
        let pong = alice.settle().await;
        assert_eq!(pong.inbox_head, 1);
        assert!(pong.time >= acked.time);
    }
}

#[tokio::test]
async fn who_sends_too_fast_is_told_when_to_come_back_and_no_later_message_overtakes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[("TIDINGS_LIMITS_USER_SENDS_PER_S", "1")]).await;
    for form in FORMS {
        let (mut alice, _) = Talk::hello(&server, form, &format!("{form:?}"), "d").await;
        let mut asked = Vec::new();
        for n in 0..20 {
            asked.push(alice.put(send("bob", &format!("{n}"))).await);
        }
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for id in asked {
            match alice.answer(id).await {
                Body::SendAck(ack) => taken.push((id, ack.seq)),
                Body::Error(error) => refused.push((id, error)),
                other => panic!("{other:?}"),
            }
        }
        assert!(!taken.is_empty() && taken.len() < 10, "{taken:?}");
        assert!(taken.iter().map(|(id, _)| id).max() < refused.iter().map(|(id, _)| id).min(), "none overtakes");
        let (_, first) = &refused[0];
        is(first, ErrorCode::RateLimited);
        assert!(first.retry_after_ms > 0 && first.retry_after_ms <= 1_000, "{}", first.retry_after_ms);
        assert!(refused.iter().all(|(_, error)| [5003, 5004].contains(&error.code)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_connection_that_says_too_much_is_slowed_down_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[("TIDINGS_LIMITS_CONNECTION_FRAMES_PER_S", "5")]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let mut asked = Vec::new();
    for _ in 0..30 {
        asked.push(alice.put(Op::Ping(wire::Ping { interval_ms: 0 })).await);
    }
    let mut refused = Vec::new();
    for id in asked {
        if let Body::Error(error) = alice.answer(id).await {
            refused.push(error);
        }
    }
    assert!(refused.len() >= 10, "{}", refused.len());
    refused.iter().for_each(|error| is(error, ErrorCode::RateLimited));
    assert!(refused[0].retry_after_ms > 0);
}
