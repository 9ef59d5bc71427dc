//! Clients that say too much, break off in the middle, or claim what is not so: it costs them, and nobody else.

use tidings_schema::{
    error_code::ErrorCode,
    wire::{self, client_frame::Op, server_frame::Body},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::{
    bad_input::{upgrade, ws_frame, ws_header},
    operations::talk::{FORMS, Form, Talk, error, is, new_id, ok, read, send_as, words},
    server::Server,
};

/// Frames of one flood, far above the burst that is allowed.
const FLOOD: usize = 5_000;
/// Pings of the WebSocket, so many times so many.
const ROUNDS: u64 = 50;
const PINGS_AT_ONCE: usize = 500;
const PING: u8 = 9;

#[tokio::test]
async fn frames_that_end_in_the_middle_are_forgotten_with_their_connection() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let whole = ws_frame(1, b"{\"id\":1,\"ping\":{}}");
    let mut broken: Vec<Vec<u8>> = (1..whole.len()).map(|cut| whole[..cut].to_vec()).collect();
    broken.extend([ws_header(2, 16_000), ws_header(2, 70_000)[..5].to_vec()]);
    let count = broken.len();
    for bytes in broken {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        assert!(upgrade(&mut stream).await.contains("101"));
        stream.write_all(&bytes).await.unwrap();
    }
    server.until_metric("tidings_connections_closed_total{reason=\"gone\"}", count as f64).await;
    server.until_connections(1.0).await;
    assert_eq!(alice.send("alice", "undisturbed").await.seq, 1);
}

#[tokio::test]
async fn a_flood_of_control_frames_costs_its_sender_only() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Json, "alice", "d").await;
    let (mut rude, _) = Talk::hello(&server, Form::Json, "mallory", "d").await;
    let before = server.rss_bytes();
    // So small that all pongs find room: this client reads late.
    let pings = ws_frame(PING, b"").repeat(PINGS_AT_ONCE);
    for round in 0..ROUNDS {
        rude.write_bytes(&pings).await.unwrap();
        assert_eq!(alice.send("alice", "undisturbed").await.seq, round + 1);
        alice.ack(round + 1).await;
    }
    assert!(server.rss_bytes().saturating_sub(before) < 16 * 1024 * 1024);
    rude.settle().await;
    server.until_connections(2.0).await;
}

#[tokio::test]
async fn a_flood_of_frames_is_refused_by_number_and_the_connection_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[("TIDINGS_LIMITS_CONNECTION_FRAMES_PER_S", "5")]).await;
    for form in FORMS {
        let (mut rude, _) = Talk::hello(&server, form, "mallory", &format!("{form:?}")).await;
        let mut refused = 0;
        let mut asked = Vec::new();
        for _ in 0..60 {
            asked.push(rude.put(Op::Ping(wire::Ping { interval_ms: 0 })).await);
        }
        for id in asked {
            if let Body::Error(why) = rude.answer(id).await {
                is(&why, ErrorCode::RateLimited);
                assert!(why.retry_after_ms > 0);
                refused += 1;
            }
        }
        assert!(refused >= 40, "{refused}");
        let counted = server.labelled("tidings_ops_refused_total{code=\"5004\"}").await;
        assert!(counted >= f64::from(refused), "{counted}");
    }
}

#[tokio::test]
async fn a_flood_of_acks_reaches_the_mailbox_as_few_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    for n in 1..=20 {
        bob.send("alice", &n.to_string()).await;
    }
    for n in 1..=20 {
        assert_eq!(alice.entry().await.seq, n);
    }
    for n in 0..FLOOD as u64 {
        alice.ack(n % 20 + 1).await;
    }
    // An ack counts although far too many were said: the sender hears that everything arrived.
    bob.entry_with(|entry| match &entry.body {
        Some(wire::entry::Body::Receipt(receipt)) if receipt.delivered_upto >= 20 => Some(()),
        _ => None,
    })
    .await;
    drop(alice);
    let (_, welcome) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    assert_eq!(welcome.resume_after, 20);
    assert_eq!(server.metric("tidings_devices_dead_total").await, 0.0);
}

#[tokio::test]
async fn an_ack_above_the_head_is_named_counted_and_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    for form in FORMS {
        let uid = format!("{form:?}");
        let (mut talk, _) = Talk::hello(&server, form, &uid, "d").await;
        assert_eq!(talk.send(&uid, "one").await.seq, 1);
        talk.ack(1_000_000).await;
        is(&error(talk.push().await), ErrorCode::AckAboveHead);
        assert_eq!(talk.send(&uid, "two").await.seq, 2);
        assert_eq!((talk.entry().await.seq, talk.entry().await.seq), (1, 2), "no hole");
        drop(talk);
        let (_, welcome) = Talk::hello(&server, form, &uid, "d").await;
        assert_eq!(welcome.resume_after, 0, "its place did not move");
    }
    assert_eq!(server.labelled("tidings_ops_refused_total{code=\"4003\"}").await, 2.0);
}

#[tokio::test]
async fn pipelined_sends_keep_their_order_when_one_in_the_middle_is_refused() {
    const MESSAGES: usize = 40;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[("TIDINGS_LIMITS_USER_SENDS_PER_S", "10")]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    let (mut bob, _) = Talk::hello(&server, Form::Json, "bob", "d").await;
    let mut waiting: Vec<(String, String)> = (0..MESSAGES).map(|n| (new_id(), n.to_string())).collect();
    let mut refusals = 0;
    while !waiting.is_empty() {
        let mut asked = Vec::new();
        for (id, text) in &waiting {
            asked.push(alice.put(send_as(id, "bob", text)).await);
        }
        let mut refused = Vec::new();
        for (op_id, message) in asked.into_iter().zip(std::mem::take(&mut waiting)) {
            match alice.answer(op_id).await {
                Body::SendAck(_) => assert!(refused.is_empty(), "{} overtook", message.1),
                Body::Error(why) => {
                    assert!([5003, 5004].contains(&why.code), "{why:?}");
                    refused.push(message);
                }
                other => panic!("{other:?}"),
            }
        }
        refusals += refused.len();
        waiting = refused;
    }
    assert!(refusals > 0, "none was refused");
    for n in 0..MESSAGES {
        let text = bob.entry_with(|entry| words(entry).map(|text| (entry.seq, text))).await;
        assert_eq!(text, (n as u64 + 1, n.to_string()));
        bob.ack(text.0).await;
    }
    assert!(ok(bob.ask(read("alice", MESSAGES as u64)).await) > 0);
    let counted = server.labelled("tidings_ops_refused_total{code=\"5003\"}").await;
    let limited = server.labelled("tidings_ops_refused_total{code=\"5004\"}").await;
    assert!(counted + limited >= refusals as f64, "{counted} and {limited}");
}
