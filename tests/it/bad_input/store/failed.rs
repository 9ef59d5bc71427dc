//! A store that fails while it serves: the process ends with the code for an I/O error, says so to whoever is there, and
//! has lost nothing that it acked.

use std::{collections::BTreeMap, fs};

use tidings_client::raw::Came;
use tidings_schema::wire::{GoAwayReason, server_frame::Body};

use super::{newest_journal, noise, written};
use crate::{
    operations::talk::{Form, Talk, ack, new_id, send_as, words},
    server::Server,
};

/// Exit code for an I/O error, as in `sysexits.h`.
const EXIT_IO: i32 = 74;
/// Bytes of each text.
const TEXT_BYTES: usize = 4_096;
/// Texts that the disk has space for, about: some are acked, and some are not.
const TEXTS_BEFORE_FAILURE: usize = 24;
const TEXTS: usize = 60;

/// What came until the end of a connection.
#[derive(Default)]
struct Last {
    /// Seqs by the id of the operation.
    acks: BTreeMap<u64, u64>,
    reconnect_after_ms: Option<u64>,
}

async fn until_closed(talk: &mut Talk) -> Last {
    let mut last = Last::default();
    loop {
        match talk.next().await {
            Came::Closed(..) => return last,
            Came::Frame(frame) => match frame.body {
                // Also behind the good-bye, which takes another way: what was durable before the failure is acked. Whether it
                // was is seen after the restart.
                Some(Body::SendAck(ack)) => drop(last.acks.insert(frame.re, ack.seq)),
                Some(Body::GoAway(away)) => {
                    assert_eq!(away.reason(), GoAwayReason::Drain);
                    last.reconnect_after_ms = Some(away.reconnect_after_ms);
                }
                _ => {}
            },
            other => panic!("{other:?} instead of a close frame"),
        }
    }
}

#[tokio::test]
async fn a_write_error_ends_the_process_with_74_and_nothing_that_was_acked_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[("TIDINGS_LIMITS_USER_SENDS_PER_S", "1000")]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "phone").await;
    assert_eq!(alice.send("alice", "before").await.seq, 1);
    let journal = written(&fs::read(newest_journal(&server.data())).unwrap());
    server.limit_files_to((journal + TEXTS_BEFORE_FAILURE * TEXT_BYTES) as u64);

    let mut sent = Vec::new();
    for n in 0..TEXTS {
        let (id, text) = (new_id(), noise(TEXT_BYTES));
        let op_id = alice.put(send_as(&id, "alice", &text)).await;
        sent.push((op_id, id, text));
        if n < 3 {
            // Some go one by one, so that not all is one batch.
            ack(alice.answer(op_id).await);
        }
    }
    let (alices, bobs) = tokio::join!(until_closed(&mut alice), until_closed(&mut bob));
    assert!(alices.acks.len() < TEXTS - 3, "the disk failed before all was written");
    let told = [alices.reconnect_after_ms, bobs.reconnect_after_ms];
    assert!(told.iter().all(|after| after.is_some_and(|ms| ms > 0)), "both were told when to come back: {told:?}");
    assert_ne!(server.get("/readyz").await, "ready\n");
    assert_eq!(server.ended().await.code(), Some(EXIT_IO), "{}", server.log());
    assert!(server.log().contains("engine failed") && !server.log().contains("panicked"), "{}", server.log());

    server.restart().await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "phone").await;
    for (n, (op_id, id, text)) in sent.iter().enumerate() {
        let seq = ack(alice.ask(send_as(id, "alice", text)).await).seq;
        let acked = alices.acks.get(op_id).copied().or((n < 3).then_some(n as u64 + 2));
        assert!(acked.is_none_or(|acked| acked == seq), "acked at {acked:?}, said again it is at {seq}");
        let page = alice.sync(seq - 1, 1).await;
        assert_eq!(page.entries.first().and_then(words).as_ref(), Some(text), "{seq}");
    }
    assert_eq!(alice.settle().await.inbox_head, TEXTS as u64 + 1, "each is there once");
}
