//! Two and three people who chat: nothing missing, nothing twice, unread messages counted, the blocked not heard.

use super::pipe::{Chat, times};
use crate::server::Server;

#[tokio::test]
async fn two_people_chat_through_a_kill_and_nothing_is_missing_or_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, mut bob) = (Chat::start(&server, "alice", "bob"), Chat::start(&server, "bob", "alice"));
    alice.shows("connected").await;
    bob.shows("connected").await;
    alice.type_in("before the kill").await;
    assert!(bob.shows("before the kill").await.contains("alice:"));
    server.kill().await;
    alice.shows("connection lost").await;
    alice.type_in("while it was down").await;
    alice.shows("kept, sent when the server is back").await;
    server.restart().await;
    assert!(bob.shows("while it was down").await.contains("alice:"));
    bob.type_in("answer after it").await;
    alice.shows("bob: answer after it").await;
    // What comes last comes behind anything that came twice.
    alice.type_in("the last word").await;
    bob.shows("alice: the last word").await;
    let (of_alice, of_bob) = (alice.leave().await, bob.leave().await);
    for text in ["alice: before the kill", "alice: while it was down", "alice: the last word"] {
        assert_eq!(times(&of_bob, text), 1, "{text}: {of_bob:#?}");
    }
    assert_eq!(times(&of_alice, "bob: answer after it"), 1, "{of_alice:#?}");

    // A start of its own shows each once, too.
    let mut again = Chat::start(&server, "alice", "bob");
    again.shows("── bob ──").await;
    again.shows("the last word").await;
    let again = again.leave().await;
    for text in ["you: before the kill", "you: while it was down", "bob: answer after it", "you: the last word"] {
        assert_eq!(times(&again, text), 1, "{text}: {again:#?}");
    }
}

#[tokio::test]
async fn a_chat_obeys_its_commands_and_says_what_is_no_command() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut carol = Chat::start(&server, "carol", "bob");
    carol.shows("connected").await;
    carol.type_in("/nonsense").await;
    carol.shows("no command /nonsense; /help lists them").await;
    carol.type_in("/dm a/b").await;
    carol.shows("/dm USER").await;
    carol.type_in("/dm alice").await;
    carol.shows("── alice ──").await;
    carol.type_in("said to alice").await;
    carol.shows("said to alice").await;
    carol.type_in("/history").await;
    carol.shows("── alice ──").await;
    assert!(carol.shows("said to alice").await.contains("you:"));
    carol.leave().await;
}

#[tokio::test]
async fn a_chat_counts_what_is_unread_elsewhere_and_hears_nothing_of_the_blocked() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, mut bob) = (Chat::start(&server, "alice", "carol"), Chat::start(&server, "bob", "alice"));
    let mut carol = Chat::start(&server, "carol", "alice");
    for chat in [&mut alice, &mut bob, &mut carol] {
        chat.shows("connected").await;
    }
    bob.type_in("the first").await;
    assert!(alice.shows("[bob] the first").await.contains("(1 unread, /dm bob)"));
    bob.type_in("the second").await;
    assert!(alice.shows("[bob] the second").await.contains("(2 unread, /dm bob)"));
    alice.type_in("/dm bob").await;
    alice.shows("── bob ──").await;
    alice.shows("bob: the second").await;
    alice.type_in("/conversations").await;
    alice.shows("bob: 0 unread").await;

    alice.type_in("/block bob").await;
    alice.shows("bob is blocked").await;
    bob.type_in("not heard").await;
    // One thing after the other: when alice hears of carol, what bob wrote before has had its turn.
    bob.type_in("/dm carol").await;
    bob.shows("── carol ──").await;
    bob.type_in("tell alice").await;
    carol.shows("[bob] tell alice").await;
    carol.type_in("bob says hello").await;
    alice.shows("[carol] bob says hello").await;
    alice.type_in("/conversations").await;
    alice.shows("bob: 0 unread, blocked").await;
    alice.type_in("/unblock bob").await;
    alice.shows("bob is unblocked").await;
    bob.type_in("/dm alice").await;
    bob.shows("── alice ──").await;
    bob.type_in("is this better").await;
    alice.shows("bob: is this better").await;
    let alice = alice.leave().await;
    assert_eq!((times(&alice, "not heard"), times(&alice, "is this better")), (0, 1), "{alice:#?}");
}
