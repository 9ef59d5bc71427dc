//! A client that does not read costs its own place in the out queue, and no time of anyone else.

use std::time::Duration;

use tidings_schema::json;
use tokio::{io::AsyncWriteExt as _, net::TcpSocket};

use super::talk::{Form, Talk, hello};
use crate::{
    bad_input::{upgrade, ws_frame},
    server::Server,
};

/// Messages it is owed.
const OWED: usize = 20;
/// How long the server is watched.
const WATCHED: Duration = Duration::from_secs(4);
/// A commit, a drained report and a second each may try again, no more: several times what that makes, for a slow
/// machine. Trying again at once made tens of thousands.
const TRIES_MAX: f64 = 1_000.0;

#[tokio::test]
async fn a_refused_push_waits_for_room_instead_of_being_tried_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let token = server.token("bob").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut stalled = socket.connect(server.address()).await.unwrap();
    assert!(upgrade(&mut stalled).await.contains("101"));
    let frame = tidings_schema::wire::ClientFrame { id: 1, op: Some(hello(&token, "d", None)) };
    stalled.write_all(&ws_frame(1, json::encode_client(&frame).as_bytes())).await.unwrap();

    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    // In JSON each character is six: one such message fits the out queue, a second beside it does not.
    let words = "\u{1}".repeat(29_000);
    for _ in 0..OWED {
        alice.send("bob", &words).await;
    }
    alice.listen(WATCHED).await;
    let tries = server.metric("tidings_pushes_dropped_total").await;
    assert!(tries >= 1.0, "nothing was refused, so nothing was tried");
    assert!(server.metric("tidings_out_queued_bytes").await > 100_000.0, "what waits for it is measured");
    assert!(tries < TRIES_MAX, "{tries} pushes were refused");
    drop(stalled);
}
