//! `hello`: where a device goes on, when it is told to start over, and who takes whose place.

use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, server_frame::Body},
};

use super::talk::{FORMS, Form, Talk, error, hello, is, words};
use crate::{chat_cli::token_of_device, server::Server};

fn resume(inbox: u64, log_id: &[u8]) -> Option<wire::Resume> {
    Some(wire::Resume { inbox: Some(inbox), log_id: log_id.to_vec().into() })
}

/// A user with three messages to itself, on device `d1`; the log id.
async fn three_notes(server: &Server, form: Form, uid: &str) -> (Talk, Vec<u8>) {
    let (mut talk, welcome) = Talk::hello(server, form, uid, "d1").await;
    assert_eq!((welcome.uid.as_str(), welcome.device_id.as_str()), (uid, "d1"));
    assert_eq!((welcome.inbox_head, welcome.resume_after, welcome.log_id.len()), (0, 0, 0));
    assert!(welcome.reset.is_none() && welcome.server_time > 0 && !welcome.connection_id.is_empty());
    let limits = welcome.limits.unwrap();
    assert_eq!((limits.body_bytes_max, limits.frame_bytes_max), (65_536, 1_048_576));
    assert_eq!((limits.heartbeat_ms_min, limits.heartbeat_ms_max), (15_000, 300_000));
    assert_eq!((limits.ack_entries_max, limits.ack_delay_ms_max), (64, 500));
    assert_eq!((limits.unanswered_max, limits.page_entries_max), (64, 200));
    for note in ["one", "two", "three"] {
        talk.send(uid, note).await;
    }
    for seq in 1..=3 {
        assert_eq!(talk.entry().await.seq, seq);
    }
    let log_id = talk.log_id.clone().expect("entries with seq 1 name the log");
    assert_eq!(log_id.len(), 16);
    (talk, log_id)
}

#[tokio::test]
async fn a_device_goes_on_where_it_says_or_where_it_acknowledged_or_at_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let uid = format!("{form:?}");
        let (mut first, log_id) = three_notes(&server, form, &uid).await;
        first.ack(2).await;
        first.settle().await;

        let (mut known, welcome) = Talk::hello(&server, form, &uid, "d1").await;
        assert_eq!((welcome.inbox_head, welcome.resume_after, &welcome.log_id[..]), (3, 2, &log_id[..]));
        assert_eq!(words(&known.entry().await).unwrap(), "three");

        let (mut new, welcome) = Talk::hello(&server, form, &uid, "d2").await;
        assert_eq!((welcome.inbox_head, welcome.resume_after), (3, 3));
        known.send(&uid, "four").await;
        assert_eq!(words(&new.entry().await).unwrap(), "four");

        for (at, next) in [(0, "one"), (1, "two"), (3, "four")] {
            let (mut said, welcome) = Talk::resume(&server, form, &uid, "d3", resume(at, &log_id)).await;
            assert!(welcome.reset.is_none());
            assert_eq!((welcome.resume_after, words(&said.entry().await).unwrap().as_str()), (at, next));
            assert_eq!(said.log_id.is_some(), at == 0);
        }
        // A client that saw no entry yet cannot name the log.
        let (mut nameless, welcome) = Talk::resume(&server, form, &uid, "d4", resume(0, &[])).await;
        assert!(welcome.reset.is_none());
        assert_eq!(nameless.entry().await.seq, 1);
    }
}

#[tokio::test]
async fn a_place_above_the_head_or_of_another_log_is_reset_to_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut talk, log_id) = three_notes(&server, Form::Json, "alice").await;
    talk.ack(3).await;
    talk.settle().await;
    for (at, log) in [(4, &log_id[..]), (u64::MAX >> 12, &log_id[..]), (2, &[9; 16]), (0, &[9; 16])] {
        for form in FORMS {
            let (_, welcome) = Talk::resume(&server, form, "alice", "d2", resume(at, log)).await;
            let reset = welcome.reset.expect("a reset");
            assert_eq!((reset.floor, reset.as_of, welcome.resume_after), (1, 3, 3), "{at}");
        }
    }
    // The shard answers for a mailbox that sleeps as the mailbox does.
    server.terminate().await;
    server.restart().await;
    let (_, welcome) = Talk::resume(&server, Form::Json, "alice", "d2", resume(4, &log_id)).await;
    assert_eq!(welcome.reset.map(|reset| (reset.floor, reset.as_of)), Some((1, 3)));
    let (_, welcome) = Talk::hello(&server, Form::Json, "alice", "d1").await;
    assert_eq!((welcome.resume_after, welcome.inbox_head, &welcome.log_id[..]), (3, 3, &log_id[..]));
    assert!(welcome.reset.is_none());
}

#[tokio::test]
async fn a_device_that_was_welcomed_is_known_whatever_happens_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    bob.send("alice", "before she came").await;
    let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "new").await;
    let place = welcome.resume_after;
    alice.settle().await;
    server.kill().await;
    server.restart().await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    bob.send("alice", "while she was away").await;
    let (mut elsewhere, _) = Talk::resume(&server, Form::Json, "alice", "elsewhere", resume(0, &[])).await;
    elsewhere.entry_with(|entry| (words(entry).as_deref() == Some("while she was away")).then_some(())).await;
    // No place is said: the server kept it, over the kill.
    let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "new").await;
    assert_eq!(welcome.resume_after, place);
    let found =
        alice.entry_with(|entry| (words(entry).as_deref() == Some("while she was away")).then_some(entry.seq)).await;
    assert!(found > place);
}

#[tokio::test]
async fn an_inbox_without_entries_has_only_the_place_0() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (_, welcome) = Talk::resume(&server, Form::Json, "alice", "d", resume(0, &[])).await;
    assert!(welcome.reset.is_none());
    let (_, welcome) = Talk::resume(&server, Form::Json, "alice", "d", resume(5, &[7; 16])).await;
    assert_eq!((welcome.reset.map(|reset| reset.as_of), welcome.resume_after), (Some(0), 0));
}

#[tokio::test]
async fn a_newer_connection_of_the_same_device_takes_the_place_of_the_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let uid = format!("{form:?}");
        let (mut old, _) = Talk::hello(&server, form, &uid, "d1").await;
        let (mut new, _) = Talk::hello(&server, form, &uid, "d1").await;
        let (mut other, _) = Talk::hello(&server, form, &uid, "d2").await;
        let Body::GoAway(go_away) = old.push().await else { panic!("no go_away") };
        assert_eq!((go_away.reason(), go_away.reconnect_after_ms), (wire::GoAwayReason::Replaced, 0));
        assert_eq!(old.closed().await, 4001);
        let seq = new.send(&uid, "still here").await.seq;
        assert_eq!((new.entry().await.seq, other.entry().await.seq), (seq, seq));
    }
}

#[tokio::test]
async fn the_device_comes_from_the_frame_or_from_the_token_and_they_may_not_differ() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let bound = token_of_device(&server, "alice", "phone").await;
    for form in FORMS {
        let mut talk = Talk::silent(&server, form).await;
        let Body::Welcome(welcome) = talk.ask(hello(&bound, "", None)).await else { panic!("no welcome") };
        assert_eq!(welcome.device_id, "phone");

        let mut talk = Talk::silent(&server, form).await;
        is(&talk.refused(hello(&bound, "laptop", None)).await, ErrorCode::BadToken);
        assert_eq!(talk.closed().await, 4004);

        // Neither names one: the connection stays, and the next hello may be better.
        let mut talk = Talk::silent(&server, form).await;
        let free = server.token("alice").await;
        for bad in ["", "a b", &"x".repeat(65)] {
            is(&error(talk.ask(hello(&free, bad, None)).await), ErrorCode::BadId);
        }
        assert!(matches!(talk.ask(hello(&free, "laptop", None)).await, Body::Welcome(_)));
    }
}
