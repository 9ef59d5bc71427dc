//! Clients that fall behind: one that acknowledges nothing, one that acknowledges late, and one that asks for much but
//! reads all of it.

use std::time::Duration;

use tidings_client::raw::Came;
use tidings_schema::wire::{self, GoAwayReason, client_frame::Op, server_frame::Body};

use crate::{
    operations::talk::{FORMS, Form, Talk, ack, page, send, with, words},
    server::Server,
};

const FAST: [(&str, &str); 2] =
    [("TIDINGS_LIMITS_USER_SENDS_PER_S", "100000"), ("TIDINGS_LIMITS_CONNECTION_FRAMES_PER_S", "100000")];
/// Entries a device may have unacknowledged.
const WINDOW: usize = 256;
const SENT: usize = WINDOW + 44;
const HISTORY_CALLS: usize = 64;
const LARGE_BYTES: usize = 30_000;

/// Sends one after the other, as a burst.
async fn burst(alice: &mut Talk, to: &str, texts: impl Iterator<Item = String>) {
    let mut asked = Vec::new();
    for text in texts {
        asked.push(alice.put(send(to, &text)).await);
        if asked.len() == 32 {
            for id in asked.drain(..) {
                ack(alice.answer(id).await);
            }
        }
    }
    for id in asked {
        ack(alice.answer(id).await);
    }
    let head = alice.settle().await.inbox_head;
    alice.ack(head).await;
}

#[tokio::test]
async fn a_device_with_a_full_window_waits_alone_and_goes_on_when_it_acknowledges() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &FAST).await;
    let (mut slow, _) = Talk::hello(&server, Form::Protobuf, "bob", "slow").await;
    let (mut quick, _) = Talk::hello(&server, Form::Json, "bob", "quick").await;
    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    burst(&mut alice, "bob", (1..=SENT).map(|n| n.to_string())).await;
    for n in 1..=SENT as u64 {
        let entry = quick.entry().await;
        assert_eq!((entry.seq, words(&entry)), (n, Some(n.to_string())));
        quick.ack(n).await;
    }
    for n in 1..=WINDOW as u64 {
        assert_eq!(next_after(&mut slow, n - 1).await, n);
    }
    // All of it was pushed to the other device, so this one was passed over.
    // It is told how far the inbox has come with the mailbox's next tick.
    while slow.settle().await.inbox_head < SENT as u64 {}
    assert!(slow.seqs_waiting().iter().all(|seq| *seq <= WINDOW as u64));
    slow.ack(WINDOW as u64).await;
    for n in WINDOW as u64 + 1..=SENT as u64 {
        assert_eq!(next_after(&mut slow, n - 1).await, n);
    }
    assert_eq!(server.metric("tidings_devices_dead_total").await, 0.0);
    assert_eq!(server.metric("tidings_devices_online").await, 3.0);
}

/// The next entry after `last`; on a slow machine what is not acknowledged comes again meanwhile.
async fn next_after(talk: &mut Talk, last: u64) -> u64 {
    talk.entry_with(|entry| (entry.seq > last).then_some(entry.seq)).await
}

/// The next frame, which must be entries: their seqs, and whether they come again.
async fn entries(talk: &mut Talk) -> (Vec<u64>, bool) {
    match talk.next().await {
        Came::Frame(frame) => match frame.body {
            Some(Body::Entries(entries)) => (entries.entries.iter().map(|e| e.seq).collect(), entries.redelivery),
            other => panic!("{other:?} instead of entries"),
        },
        other => panic!("{other:?} instead of entries"),
    }
}

#[tokio::test]
async fn who_acknowledges_nothing_gets_it_once_more_and_is_then_closed_as_dead() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut bob, _) = Talk::hello(&server, Form::Protobuf, "bob", "mute").await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    alice.send("bob", "are you there").await;
    alice.ack(1).await;
    assert_eq!(entries(&mut bob).await, (vec![1], false));
    assert_eq!(entries(&mut bob).await, (vec![1], true));
    // It reads and answers pings, and still acknowledges nothing.
    bob.listen(Duration::from_secs(1)).await;
    let Body::GoAway(go_away) = bob.push().await else { panic!("no good-bye") };
    assert_eq!(go_away.reason(), GoAwayReason::Dead);
    assert_eq!(bob.closed().await, 4003);
    assert_eq!(bob.seqs_waiting(), Vec::<u64>::new(), "once more, not twice");
    assert_eq!(server.metric("tidings_redeliveries_total").await, 1.0);
    assert_eq!(server.metric("tidings_devices_dead_total").await, 1.0);
    assert_eq!(server.labelled("tidings_connections_closed_total{reason=\"dead, resume\"}").await, 1.0);
    let (mut bob, welcome) = Talk::hello(&server, Form::Protobuf, "bob", "mute").await;
    assert_eq!(welcome.resume_after, 0, "nothing is lost by it");
    assert_eq!(bob.entry().await.seq, 1);
}

#[tokio::test]
async fn many_pages_at_once_are_all_answered_to_who_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    // Each page waits for the one before it, which is no matter of seconds on a machine that does nothing else.
    let patient = [FAST[0], FAST[1], ("TIDINGS_LIMITS_OP_DEADLINE_MS", "60000")];
    let server = Server::start(dir.path(), &patient).await;
    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    let body = "x".repeat(LARGE_BYTES);
    burst(&mut alice, "bob", (0..20).map(|_| body.clone())).await;
    for form in FORMS {
        let (mut reader, _) = Talk::hello(&server, form, "alice", "reader").await;
        let mut asked = Vec::new();
        for _ in 0..HISTORY_CALLS {
            let history = wire::History { conversation: with("bob"), before: 0, limit: 0 };
            asked.push(reader.put(Op::History(history)).await);
        }
        for id in asked {
            let page = page(reader.answer(id).await);
            assert!(page.entries.len() >= 4 && page.more, "{}", page.entries.len());
        }
        reader.settle().await;
    }
    assert_eq!(server.labelled("tidings_connections_closed_total{reason=\"slow, resume\"}").await, 0.0);
    assert_eq!(server.metric("tidings_out_refused_total").await, 0.0);
}
