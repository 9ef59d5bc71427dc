//! A log that lost a row in its middle: it stops, and nothing is written over what comes after the hole.

use tidings_schema::error_code::ErrorCode;

use super::store::{Rows, row_key};
use crate::{
    operations::talk::{Form, Talk, error, hello, is},
    server::Server,
};

#[tokio::test]
async fn a_hole_in_a_log_is_not_taken_for_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    for n in 1..=5 {
        assert_eq!(alice.send("alice", &n.to_string()).await.seq, n);
    }
    server.kill().await;
    Rows::open(&server.data(), "log").remove(&row_key("alice", 3));
    server.restart().await;

    for _ in 0..2 {
        let mut alice = Talk::silent(&server, Form::Json).await;
        let token = server.token("alice").await;
        is(&error(alice.ask(hello(&token, "d", None)).await), ErrorCode::Corrupt);
    }
    let (mut carol, _) = Talk::hello(&server, Form::Json, "carol", "d").await;
    assert_eq!(carol.send("carol", "hers is whole").await.seq, 1);
    server.kill().await;
    let rows = Rows::open(&server.data(), "log");
    let left: Vec<bool> = (1..=6).map(|seq| rows.has(&row_key("alice", seq))).collect();
    assert_eq!(left, [true, true, false, true, true, false], "nothing was written over the rest");
}
