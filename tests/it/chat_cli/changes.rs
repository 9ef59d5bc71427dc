//! Messages that are edited, taken back, answered, reacted to and deleted in two chats at once.

use super::pipe::{Chat, times};
use crate::server::Server;

/// Two chats that talk to each other.
async fn both(server: &Server) -> (Chat, Chat) {
    let (mut alice, mut bob) = (Chat::start(server, "alice", "bob"), Chat::start(server, "bob", "alice"));
    alice.shows("── bob ──").await;
    bob.shows("── alice ──").await;
    (alice, bob)
}

/// What stands before a message.
fn number(line: &str) -> u32 {
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn edits_reactions_answers_and_recalls_arrive_and_what_was_taken_back_is_shown_nowhere_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, mut bob) = both(&server).await;
    alice.type_in("the first word").await;
    let at_bob = number(&bob.shows("alice: the first word").await);
    let at_alice = number(&alice.shows("you: the first word").await);
    alice.type_in("/edit the second word").await;
    alice.shows(&format!("* you edited {at_alice} \"the first word\", now: the second word")).await;
    bob.shows(&format!("* alice edited {at_bob} \"the first word\", now: the second word")).await;
    bob.type_in("/react +1").await;
    alice.shows(&format!("* bob reacted 👍 to {at_alice} \"the second word\"")).await;
    bob.type_in("/history").await;
    bob.shows("alice: the second word (edited)  [👍 you]").await;
    bob.type_in(&format!("/unreact {at_bob} 👍")).await;
    alice.shows(&format!("* bob took 👍 back from {at_alice}")).await;
    bob.type_in(&format!("/reply {at_bob} is it")).await;
    alice.shows(&format!("bob (to {at_alice} \"the second word\"): is it")).await;

    alice.type_in(&format!("/recall {at_alice}")).await;
    alice.shows(&format!("* you took message {at_alice} back")).await;
    bob.shows(&format!("* alice took message {at_bob} back")).await;
    alice.type_in("/edit too late").await;
    alice.shows("the edit was not made: that message was taken back (4008)").await;
    alice.type_in(&format!("/recall {at_alice}")).await;
    alice.shows("the recall changes nothing: it is so already").await;
    bob.type_in(&format!("/edit {at_bob} mine")).await;
    bob.shows("the edit was not made: only its author can do that").await;
    let before = bob.seen.len();
    bob.type_in("/history").await;
    bob.shows("alice: (taken back)").await;
    bob.shows(&format!("you (to {at_bob}): is it")).await;
    for words in ["first word", "second word"] {
        assert_eq!(times(&bob.seen[before..], words), 0, "{words}");
        let kept = std::fs::read(server.queue_dir("alice", "chat").join("queue.log")).unwrap();
        assert!(!kept.windows(words.len()).any(|part| part == words.as_bytes()), "{words} is on the disk");
    }
    alice.leave().await;
    bob.leave().await;
}

#[tokio::test]
async fn what_one_deletes_the_other_keeps_and_a_conversation_is_pinned_muted_and_taken_off_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, mut bob) = both(&server).await;
    for words in ["one", "two", "three"] {
        bob.type_in(words).await;
        alice.shows(&format!("bob: {words}")).await;
    }
    alice.type_in("/delete 2").await;
    alice.shows("* messages are deleted on your side").await;
    alice.type_in("/react 2 +1").await;
    alice.shows("no message 2 here").await;
    let before = alice.seen.len();
    alice.type_in("/history").await;
    alice.shows("bob: three").await;
    assert_eq!((times(&alice.seen[before..], "bob: one"), times(&alice.seen[before..], "bob: two")), (1, 0));
    bob.type_in("/history").await;
    bob.shows("── alice ──").await;
    bob.shows("you: two").await;

    alice.type_in("/pin").await;
    alice.shows("bob is pinned").await;
    alice.type_in("/mute bob").await;
    alice.shows("bob is muted").await;
    alice.type_in("/conversations").await;
    alice.shows("bob: 0 unread, pinned, muted").await;
    alice.type_in("/blocked").await;
    alice.shows("nobody is blocked").await;
    alice.type_in("/delete all").await;
    alice.shows("the conversation is deleted on your side").await;
    alice.type_in("/conversations").await;
    alice.shows("no conversations yet").await;
    let alice = alice.leave().await;
    assert_eq!(times(&alice, "bob: three"), 2, "{alice:#?}");
    bob.leave().await;
}

#[tokio::test]
async fn changes_made_while_the_server_is_dead_are_made_once_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, mut bob) = both(&server).await;
    alice.type_in("before the kill").await;
    bob.shows("alice: before the kill").await;
    alice.shows("you: before the kill").await;
    server.kill().await;
    alice.shows("connection lost").await;
    alice.type_in("/edit first change").await;
    alice.shows("the edit waits until the server is back").await;
    alice.type_in("/edit second change").await;
    alice.shows("the edit waits until the server is back").await;
    alice.type_in("/history").await;
    alice.shows("there is no connection; try again when it is back").await;
    server.restart().await;
    alice.shows("now: second change").await;
    bob.shows("now: second change").await;
    // What comes last comes behind anything that came twice.
    alice.type_in("the last word").await;
    bob.shows("alice: the last word").await;
    alice.shows("you: the last word").await;
    bob.type_in("/history").await;
    bob.shows("alice: second change (edited)").await;
    let (of_alice, of_bob) = (alice.leave().await, bob.leave().await);
    for seen in [of_alice, of_bob] {
        assert_eq!(times(&seen, "now: second change"), 1, "{seen:#?}");
        assert!(times(&seen, "now: first change") <= 1, "{seen:#?}");
    }
}
