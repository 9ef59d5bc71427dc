//! `read` and receipts: what moves a marker, who learns of it, and how often.

use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, entry},
};

use super::talk::{FORMS, Form, Talk, is, read, with};
use crate::server::Server;

fn receipt(entry: &wire::Entry) -> Option<(u64, wire::Receipt)> {
    match &entry.body {
        Some(entry::Body::Receipt(receipt)) => Some((entry.time, receipt.clone())),
        _ => None,
    }
}

fn marker(entry: &wire::Entry) -> Option<(u64, wire::ReadMarker)> {
    match &entry.body {
        Some(entry::Body::Read(marker)) => Some((entry.seq, marker.clone())),
        _ => None,
    }
}

#[tokio::test]
async fn a_marker_moves_forward_to_messages_of_its_conversation_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let (me, peer) = (format!("a{form:?}"), format!("b{form:?}"));
        let (mut alice, _) = Talk::hello(&server, form, &me, "d").await;
        let (mut bob, _) = Talk::hello(&server, form, &peer, "d").await;
        is(&bob.refused(read(&me, 1)).await, ErrorCode::NoSuchConversation);
        is(&bob.refused(read("a b", 1)).await, ErrorCode::BadId);
        let nothing = wire::Read { conversation: None, seq: 1 };
        is(&bob.refused(wire::client_frame::Op::Read(nothing)).await, ErrorCode::BadField);

        alice.send(&peer, "one").await;
        alice.send(&peer, "two").await;
        assert_eq!((bob.entry().await.seq, bob.entry().await.seq), (1, 2));
        assert_eq!(bob.send(&peer, "a note between").await.seq, 3);
        alice.send(&peer, "three").await;
        bob.entry_with(|entry| (entry.seq == 4).then_some(())).await;

        is(&bob.refused(read(&me, 3)).await, ErrorCode::NoSuchSeq);
        let row = bob.read(&me, 1).await;
        assert_eq!(row, 5);
        let (seq, moved) = bob.entry_with(marker).await;
        assert_eq!((seq, moved.upto, moved.conversation), (5, 1, with(&me)));
        assert_eq!(bob.conversations(0, 0).await.conversations.iter().map(|c| c.unread).sum::<u64>(), 2);
        assert_eq!(bob.read(&me, 1).await, 0, "there already");
        // Anything at or above the last message means the last.
        bob.read(&me, 1_000).await;
        assert_eq!(bob.entry_with(marker).await.1.upto, 4);
        assert_eq!(bob.read(&me, 2).await, 0, "never back");
        let view = bob.conversations(0, 0).await.conversations.into_iter().find(|c| c.conversation == with(&me));
        assert_eq!(view.map(|view| (view.unread, view.last_read)), Some((0, 4)));
    }
}

#[tokio::test]
async fn the_sender_learns_what_arrived_and_what_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let (me, peer) = (format!("a{form:?}"), format!("b{form:?}"));
        let (mut alice, _) = Talk::hello(&server, form, &me, "d").await;
        let (mut bob, _) = Talk::hello(&server, form, &peer, "d").await;
        let sent = alice.send(&peer, "one").await.seq;
        let seq = bob_entry(&mut bob).await;
        bob.ack(seq).await;
        let (_, delivered) = alice.entry_with(receipt).await;
        assert_eq!((delivered.conversation, delivered.delivered_upto), (with(&peer), sent));
        bob.read(&me, 1).await;
        let (_, read) = alice.entry_with(receipt).await;
        assert_eq!((read.read_upto, read.delivered_upto >= sent), (sent, true));
        let view = &alice.conversations(0, 0).await.conversations[0];
        assert_eq!((view.delivered_upto, view.read_upto), (sent, sent));
    }
}

async fn bob_entry(bob: &mut Talk) -> u64 {
    bob.entry().await.seq
}

#[tokio::test]
async fn receipts_of_one_conversation_come_at_most_once_a_second_and_the_last_says_all() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    let (mut bob, _) = Talk::hello(&server, Form::Protobuf, "bob", "d").await;
    let mut last = 0;
    for n in 0..30 {
        last = alice.send("bob", &format!("{n}")).await.seq;
        let seq = bob_entry(&mut bob).await;
        bob.ack(seq).await;
        bob.settle().await;
    }
    bob.read("alice", last).await;
    let mut times = Vec::new();
    let mut all = wire::Receipt::default();
    while all.delivered_upto < last || all.read_upto < last {
        let (time, receipt) = alice.entry_with(receipt).await;
        assert!(receipt.delivered_upto >= all.delivered_upto && receipt.read_upto >= all.read_upto, "cumulative");
        times.push(time);
        all = receipt;
    }
    // Entries tell wall time, the limit counts uptime: a few milliseconds between the two.
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 950), "{times:?}");
}

#[tokio::test]
async fn an_own_message_before_the_first_answer_can_be_read_up_to() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    alice.send("bob", "one").await;
    alice.send("bob", "two").await;
    bob.send("alice", "three").await;
    let answer =
        alice.entry_with(|entry| (super::talk::words(entry).as_deref() == Some("three")).then_some(entry.seq)).await;
    assert!(alice.read("bob", 1).await > answer, "an entry of its own");
    assert_eq!(alice.entry_with(marker).await.1.upto, 1);
    let view = &alice.conversations(0, 0).await.conversations[0];
    assert_eq!((view.last_read, view.unread), (1, 1), "what came after it is unread");
}
