//! `serve`, `token`, `send` and `chat` as a person or a script meets them.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use super::{complaint, last_line, path, tidings};
use crate::server::{Server, tidings_command};

#[tokio::test]
async fn a_sent_message_is_printed_with_its_place_and_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (url, state) = (server.url(), dir.path().join("state"));
    let common = ["--server", &url, "--state", path(&state)];
    let sent = tidings(["send", "--as", "alice", "--to", "bob", "hello"].into_iter().chain(common)).await;
    let line = last_line(&sent);
    assert!(line.starts_with("sent ") && line.contains(" seq 1 time "), "{line}");

    let token = last_line(&tidings(["token", "alice", "--data", path(&server.data()), "--ttl", "1m"]).await);
    let with_token = ["send", "--as", "alice", "--to", "bob", "again", "--token", &token];
    assert!(last_line(&tidings(with_token.into_iter().chain(common)).await).contains(" seq 2 "));

    let other = ["send", "--as", "carol", "--to", "bob", "not mine", "--token", &token];
    let refused = complaint(&tidings(other.into_iter().chain(common)).await);
    assert!(refused.contains("the token is for alice, not for carol"), "{refused}");
    let forged = ["send", "--as", "alice", "--to", "bob", "x", "--token", "a.b.c"];
    let refused = complaint(&tidings(forged.into_iter().chain(common)).await);
    assert!(refused.contains("token is not valid") && refused.contains("--token"), "{refused}");
    let system = ["send", "--as", "alice", "--to", "@system", "x"];
    let refused = complaint(&tidings(system.into_iter().chain(common)).await);
    assert!(refused.contains("3001"), "{refused}");
}

#[tokio::test]
async fn without_a_server_a_message_is_kept_and_the_next_command_sends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (url, state) = (server.url(), dir.path().join("state"));
    let common = ["--server", &url, "--state", path(&state)];
    server.kill().await;
    let offline = ["send", "--as", "alice", "--to", "bob", "later", "--timeout", "1"];
    let refused = complaint(&tidings(offline.into_iter().chain(common)).await);
    assert!(refused.contains("is the server running?") && refused.contains("waits in the queue"), "{refused}");
    server.restart().await;
    let next = tidings(["send", "--as", "alice", "--to", "bob", "now"].into_iter().chain(common)).await;
    assert!(last_line(&next).contains(" seq 2 "), "the kept one went first: {}", last_line(&next));
}

#[tokio::test]
async fn what_a_server_cannot_start_with_is_said_in_one_line_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = path(&data);
    let cases: [(&[&str], &str); 6] = [
        (&["serve", "--data", data], "use --dev"),
        (&["serve", "--dev", "--listen", "0.0.0.0:7400", "--data", data], "loopback only"),
        (&["serve", "--dev", "--config", "/no/such/file", "--data", data], "/no/such/file cannot be read"),
        (&["token", "alice", "--data", data], "--key FILE"),
        (&["send", "--as", "a", "--to", "b", "x", "--server", "http://a"], "expected ws://"),
        (&["send", "--as", "a b", "--to", "b", "x"], "outside [A-Za-z0-9._:@-]"),
    ];
    for (args, expected) in cases {
        let said = complaint(&tidings(args).await);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    assert!(!std::path::Path::new(data).exists(), "a server that may not start touches no data");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = complaint(&tidings(["serve", "--dev", "--data", path(&file)]).await);
    assert!(said.contains("cannot be used; it must exist or be creatable"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (listen, data) = (server.address().to_string(), dir.path().join("other"));
    let said = complaint(&tidings(["serve", "--dev", "--listen", &listen, "--data", path(&data)]).await);
    assert!(said.contains("cannot listen on") && said.contains("--listen"), "{said}");
}

/// A chat with piped input.
struct Chat {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Every line so far.
    seen: Vec<String>,
}

impl Chat {
    fn start(server: &Server, user: &str, to: &str) -> Self {
        let state = server.queue_dir(user, "chat");
        let mut child = tidings_command()
            .args(["chat", "--as", user, "--to", to, "--server", &server.url(), "--state", path(&state)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    async fn type_in(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line that contains this.
    async fn shows(&mut self, wanted: &str) -> String {
        let seen = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if line.contains(wanted) {
                    return line;
                }
            }
            panic!("the chat ended before it showed {wanted}");
        };
        tokio::time::timeout(super::PATIENCE, seen).await.unwrap_or_else(|_| panic!("never shown: {wanted}"))
    }

    /// Leaves, and returns every line it ever showed.
    async fn leave(mut self) -> Vec<String> {
        self.type_in("/quit").await;
        let rest = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line);
            }
            assert!(self.child.wait().await.unwrap().success());
        };
        tokio::time::timeout(super::PATIENCE, rest).await.expect("the chat ends");
        self.seen
    }
}

/// How many lines contain this.
fn times(lines: &[String], text: &str) -> usize {
    lines.iter().filter(|line| line.contains(text)).count()
}

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
