//! `serve`, `token` and `send` as a person or a script meets them.

use super::{complaint, last_line, path, tidings};
use crate::server::Server;

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
    // Warnings about this machine are logged; they are no words to a person.
    let words = said.lines().filter(|line| !line.starts_with('{'));
    assert_eq!(words.count(), 1, "{said}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (listen, data) = (server.address().to_string(), dir.path().join("other"));
    let said = complaint(&tidings(["serve", "--dev", "--listen", &listen, "--data", path(&data)]).await);
    assert!(said.contains("cannot listen on") && said.contains("--listen"), "{said}");
}
