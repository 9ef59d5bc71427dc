//! The screen of a chat as a person sees it: narrow, resized, without colours, with the server away, and given back.

use rustix::process::Signal;

use super::{person::Person, pipe::Chat};
use crate::server::Server;

fn holds(raw: &[u8], bytes: &str) -> bool {
    raw.windows(bytes.len()).any(|part| part == bytes.as_bytes())
}

#[tokio::test]
async fn twenty_columns_are_enough_and_the_row_that_is_typed_in_stays_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut bob = Chat::start(&server, "bob", "alice");
    bob.shows("── alice ──").await;
    let Some(mut alice) = Person::sit_down(&server, "alice", "bob", 20, &[]) else { return };
    alice.sees("── bob ──").await;
    alice.types("日本語 and many words");
    // The prompt, as much of the end of the line as fits, and one free column.
    alice.types_in("bob > nd many words").await;
    alice.types("\u{1}");
    alice.types_in("bob > 日本語 and ma").await;
    assert_eq!(alice.terminal.cursor(), 6);
    alice.types("\u{5}, 👍\r");
    bob.shows("alice: 日本語 and many words, 👍").await;
    alice.sees("1 you: 日本語 and many words, 👍 ✓\n").await;
    bob.type_in("an answer that takes more than one row").await;
    alice.sees("2 bob: an answer that takes more than one row\n").await;
    alice.types("\u{3}");
    assert!(alice.stands_up().await, "the terminal is given back");
    bob.leave().await;
}

#[tokio::test]
async fn a_window_that_is_resized_is_drawn_anew_and_the_server_that_is_away_is_always_to_be_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let Some(mut alice) = Person::sit_down(&server, "alice", "bob", 80, &[]) else { return };
    alice.sees("── bob ──").await;
    alice.types("half a line");
    alice.types_in("bob > half a line").await;
    server.kill().await;
    alice.sees("connection lost, trying again; what you type is kept").await;
    alice.sees_in_row(" s) > half a line").await;
    alice.resizes(20);
    alice.types_in("bob!> half a line").await;
    alice.resizes(8);
    alice.types_in("…!> ine").await;
    alice.resizes(80);
    server.restart().await;
    alice.types_in("bob > half a line").await;
    let text = alice.terminal.text();
    assert!(text.contains("what you type is kept\n"), "no line was lost: {text}");
    let left_behind = text.contains("(offline") || text.matches("half a line").count() != 1;
    assert!(!left_behind, "rows of the prompt are erased: {text}");
    alice.types("\r");
    alice.sees("you: half a line ✓\n").await;
    alice.signals(Signal::TERM);
    assert!(alice.stands_up().await, "the terminal is given back");
}

#[tokio::test]
async fn colours_are_left_out_when_asked_and_strangers_do_not_move_the_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut bob = Chat::start(&server, "bob", "alice");
    bob.shows("── alice ──").await;
    // Set to nothing, NO_COLOR says nothing.
    let cases = [(("NO_COLOR", ""), true, true), (("NO_COLOR", "1"), false, true), (("TERM", "dumb"), false, false)];
    for (env, colours, moves) in cases {
        let Some(mut alice) = Person::sit_down(&server, "alice", "bob", 80, &[env]) else { return };
        alice.sees("── bob ──").await;
        bob.type_in("\u{1b}[2J\u{1b}]0;title\u{7}of a stranger").await;
        alice.sees("of a stranger").await;
        assert_eq!(holds(&alice.raw, "\u{1b}[36m"), colours, "{env:?}");
        assert_eq!(holds(&alice.raw, "\u{1b}["), moves, "{env:?}");
        assert!(!holds(&alice.raw, "\u{1b}[2J") && !holds(&alice.raw, "\u{1b}]"), "{env:?}");
        alice.types("/quit\r");
        assert!(alice.stands_up().await, "{env:?}");
    }
    bob.leave().await;
}

#[tokio::test]
async fn typing_is_seen_by_the_peer_and_so_is_what_becomes_of_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut bob = Chat::start(&server, "bob", "alice");
    bob.shows("── alice ──").await;
    let Some(mut alice) = Person::sit_down(&server, "alice", "bob", 80, &[]) else { return };
    alice.sees("── bob ──").await;
    bob.type_in("are you there").await;
    alice.sees("bob: are you there\n").await;
    alice.types("y");
    bob.shows("-- alice is typing").await;
    alice.types("es\r");
    bob.shows("alice: yes").await;
    alice.types_in("bob ✓✓ read > ").await;
    alice.types("/edit no\r");
    bob.shows("now: no").await;
    alice.sees("* you edited 2 \"yes\", now: no\n").await;
    alice.types("/quit\r");
    assert!(alice.stands_up().await);
    bob.leave().await;
}
