//! A store that takes no writes: what is stored stays readable, for those who are there and those who come, however long
//! it lasts.

use std::time::Duration;

use tidings_schema::{error_code::ErrorCode, wire};

use super::talk::{Form, Talk, is, send, words};
use crate::server::Server;

/// More than a mailbox here may be idle for, with the time it takes to try to leave memory.
const IDLE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn with_a_full_disk_reads_and_hello_go_on_also_after_a_quiet_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    let (mut laptop, _) = Talk::hello(&server, Form::Json, "alice", "laptop").await;
    // To herself: nobody else owes her anything, and all that keeps her in memory is over at once.
    assert_eq!(alice.send("alice", "before").await.seq, 1);
    for device in [&mut alice, &mut laptop] {
        let seq = device.entry().await.seq;
        device.ack(seq).await;
        device.settle().await;
    }
    server.kill().await;

    // No disk has that much left.
    server.set("TIDINGS_STORE_DISK_RESERVE_MB", Some("1000000000"));
    server.set("TIDINGS_LIMITS_MAILBOX_IDLE_MS", Some("300"));
    server.restart().await;
    let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    assert_eq!(welcome.inbox_head, 1);
    alice.ack(1).await;
    for _ in 0..2 {
        alice.listen(IDLE).await;
        let page = alice.sync(0, 0).await;
        assert_eq!(page.entries.first().and_then(words).as_deref(), Some("before"));
        let resume = wire::Resume { inbox: Some(0), ..wire::Resume::default() };
        let (mut laptop, _) = Talk::resume(&server, Form::Json, "alice", "laptop", Some(resume)).await;
        assert_eq!(words(&laptop.entry().await).as_deref(), Some("before"));
        laptop.ack(1).await;
        laptop.settle().await;
    }
    is(&alice.refused(send("alice", "not now")).await, ErrorCode::OutcomeUnknown);
    assert_eq!(server.get("/readyz").await, "not ready: disk is nearly full\n");

    server.kill().await;
    server.set("TIDINGS_STORE_DISK_RESERVE_MB", None);
    server.restart().await;
    let (mut alice, welcome) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    assert_eq!((welcome.inbox_head, alice.send("bob", "after").await.seq), (1, 2));
}
