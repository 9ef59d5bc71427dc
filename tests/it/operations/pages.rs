//! `sync`, `history` and `conversations`: nothing is missing, nothing is twice, also from a store that was killed.

use tidings_schema::{error_code::ErrorCode, wire};

use super::talk::{FORMS, Form, Talk, ack, is, send, with, words};
use crate::server::Server;

/// Sends so many texts `0`, `1`, ... and waits for each burst.
async fn send_many(from: &mut Talk, to: &str, count: usize) {
    for start in (0..count).step_by(50) {
        let mut asked = Vec::new();
        for n in start..(start + 50).min(count) {
            asked.push(from.put(send(to, &n.to_string())).await);
        }
        for id in asked {
            ack(from.answer(id).await);
        }
    }
}

/// All pages of a history, newest first; how many entries each had.
async fn whole_history(talk: &mut Talk, peer: &str, limit: u32) -> (Vec<String>, Vec<usize>) {
    let (mut all, mut sizes, mut before) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = talk.history(peer, before, limit).await;
        sizes.push(page.entries.len());
        assert!(page.entries.windows(2).all(|pair| pair[0].seq > pair[1].seq), "newest first");
        assert!(page.entries.iter().all(|entry| before == 0 || entry.seq < before));
        all.extend(page.entries.iter().filter_map(words));
        before = page.entries.last().map_or(0, |entry| entry.seq);
        if !page.more {
            return (all, sizes);
        }
    }
}

/// All pages of the inbox, oldest first.
async fn whole_inbox(talk: &mut Talk, limit: u32) -> Vec<wire::Entry> {
    let mut all: Vec<wire::Entry> = Vec::new();
    loop {
        let after = all.last().map_or(0, |entry| entry.seq);
        let page = talk.sync(after, limit).await;
        assert_eq!(!page.log_id.is_empty(), after == 0, "the log is named with seq 1");
        assert!(page.entries.len() <= 200);
        all.extend(page.entries);
        if !page.more {
            assert_eq!(all.last().map(|entry| entry.seq), Some(page.head));
            return all;
        }
    }
}

#[tokio::test]
async fn long_pages_hold_everything_once_before_and_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    send_many(&mut alice, "bob", 450).await;
    alice.send("carol", "apart").await;
    let newest_first: Vec<String> = (0..450).rev().map(|n| n.to_string()).collect();
    for _ in 0..2 {
        for form in FORMS {
            let (mut alice, _) = Talk::hello(&server, form, "alice", &format!("{form:?}")).await;
            let (all, sizes) = whole_history(&mut alice, "bob", 0).await;
            assert_eq!(all, newest_first);
            assert_eq!(sizes, [200, 200, 50], "a page is full unless it is the last");
            assert_eq!(whole_history(&mut alice, "bob", 90).await.0, newest_first);
            assert_eq!(whole_history(&mut alice, "bob", 100_000).await.1, [200, 200, 50]);
            assert_eq!(whole_history(&mut alice, "carol", 1).await.0, ["apart"]);
            assert_eq!(whole_history(&mut alice, "nobody", 0).await, (vec![], vec![0]));
            for limit in [0, 7, 100_000] {
                let inbox = whole_inbox(&mut alice, limit).await;
                assert!(inbox.iter().enumerate().all(|(at, entry)| entry.seq == at as u64 + 1), "no gap");
                assert_eq!(inbox.iter().filter_map(words).count(), 451);
            }
        }
        server.kill().await;
        server.restart().await;
    }
}

#[tokio::test]
async fn a_page_above_the_head_is_empty_and_a_page_of_large_messages_ends_at_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let uid = format!("{form:?}");
        let (mut alice, _) = Talk::hello(&server, form, &uid, "d").await;
        let page = alice.sync(5, 10).await;
        assert_eq!((page.entries.len(), page.head, page.more), (0, 0, false));
        for _ in 0..5 {
            alice.send(&uid, &"x".repeat(60_000)).await;
        }
        let page = alice.sync(0, 10).await;
        assert_eq!((page.entries.len(), page.head, page.more), (2, 5, true));
        let page = alice.history(&uid, 0, 10).await;
        assert_eq!((page.entries.len(), page.more), (2, true));
        assert_eq!(whole_inbox(&mut alice, 0).await.len(), 5);
        assert_eq!(whole_history(&mut alice, &uid, 0).await.0.len(), 5);
        let bad = wire::History { conversation: with("a b"), before: 0, limit: 1 };
        is(&alice.refused(wire::client_frame::Op::History(bad)).await, ErrorCode::BadId);
    }
}

#[tokio::test]
async fn conversations_are_listed_newest_first_page_by_page_with_what_is_unread() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    for peer in ["p1", "p2", "p3", "p4", "p5"] {
        let (mut talk, _) = Talk::hello(&server, Form::Json, peer, "d").await;
        talk.send("alice", "first").await;
        let last = talk.send("alice", peer).await;
        assert_eq!(last.seq, 2);
        let entry = alice.entry_with(|entry| (words(entry).as_deref() == Some(peer)).then(|| entry.clone())).await;
        if peer == "p2" {
            alice.read(peer, entry.seq).await;
        }
    }
    for limit in [1, 2, 200] {
        for form in FORMS {
            let (mut alice, welcome) = Talk::hello(&server, form, "alice", &format!("{form:?}")).await;
            let (mut views, mut after) = (Vec::new(), 0);
            loop {
                let page = alice.conversations(after, limit).await;
                assert!(page.conversations.len() <= limit as usize);
                assert_eq!(page.as_of, welcome.inbox_head);
                views.extend(page.conversations);
                after = views.last().and_then(|view| view.last.as_ref()).map_or(0, |entry| entry.seq);
                if !page.more {
                    break;
                }
            }
            let seen: Vec<(String, u64)> =
                views.iter().map(|view| (words(view.last.as_ref().unwrap()).unwrap(), view.unread)).collect();
            let expected = [("p5", 2), ("p4", 2), ("p3", 2), ("p2", 0), ("p1", 2)];
            assert_eq!(seen, expected.map(|(peer, unread)| (peer.to_owned(), unread)));
            assert_eq!(welcome.unread_total, 8);
            assert!(views.iter().all(|view| view.upto == welcome.inbox_head));
        }
        server.kill().await;
        server.restart().await;
    }
}

#[tokio::test]
async fn users_that_were_only_blocked_are_listed_once_and_paging_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    for uid in ["m1", "m2", "m3"] {
        alice.ask(wire::client_frame::Op::Block(wire::Block { uid: uid.into() })).await;
    }
    for peer in ["carol", "bob"] {
        alice.send(peer, "hi").await;
    }
    let first = alice.conversations(0, 1).await;
    assert_eq!(
        (first.conversations[0].conversation.clone(), first.conversations.len(), first.more),
        (with("bob"), 1, true)
    );
    // They have no seq that a page could go on after, so they come with the last page.
    let rest = alice.conversations(first.conversations[0].last.as_ref().unwrap().seq, 1).await;
    assert_eq!(
        (rest.conversations[0].conversation.clone(), rest.conversations.len(), rest.more),
        (with("carol"), 4, false)
    );
    assert!(rest.conversations[1..].iter().all(|view| view.blocked && view.last.is_none()));
}
