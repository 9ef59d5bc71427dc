//! Clients that never read while they are owed much: closed, paid for with little memory, noticed by nobody.

use std::time::Duration;

use prost::Message as _;
use tidings_schema::wire;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{upgrade, ws_frame};
use crate::{
    operations::talk::{Form, Talk, ack, hello, send},
    server::Server,
};

/// Devices of one user, at most.
const DEVICES: usize = 16;
const USERS: usize = 13;
const STALLED: usize = 200;
/// Messages each of them is owed, of this size.
const OWED: usize = 40;
const BODY_BYTES: usize = 60_000;
/// 46 MB when nothing else runs; beside other tests more of them are stalled at the same time.
const RSS_MORE_MAX: u64 = 64 * 1024 * 1024;
const CLOSED_WITHIN: Duration = Duration::from_secs(120);
/// Messages there and back of the healthy pair before the others stall: the slowest says what this machine can.
const BEFORE: usize = 20;
/// While the others stall one there and back may take so many times the slowest before, and this much more: 200
/// connections are opened and closed meanwhile, and other tests run beside this one.
const TIMES_SLOWER_MAX: u32 = 10;
const SLOWER_MAX: Duration = Duration::from_secs(2);

/// A client that says hello, asks for everything it is owed, and never reads again.
async fn stall(server: &Server, uid: &str, device: &str, token: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // Little room in the kernel, so that the server is what has to keep it.
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    assert!(upgrade(&mut stream).await.contains("101"), "{uid}");
    let all = wire::Resume { inbox: Some(0), ..wire::Resume::default() };
    let ops = [hello(token, device, Some(all))]
        .into_iter()
        .chain((0..10).map(|_| wire::client_frame::Op::Sync(wire::Sync { after: 0, limit: 0 })));
    for (id, op) in ops.enumerate() {
        let frame = wire::ClientFrame { id: id as u64 + 1, op: Some(op) };
        stream.write_all(&ws_frame(2, &frame.encode_to_vec())).await.unwrap();
    }
    stream
}

/// Gives every user what its devices will be owed.
async fn owe(server: &Server) {
    let (mut sender, _) = Talk::hello(server, Form::Protobuf, "sender", "d").await;
    let body = "x".repeat(BODY_BYTES);
    for user in 0..USERS {
        let mut asked = Vec::new();
        for _ in 0..OWED {
            asked.push(sender.put(send(&format!("stalled-{user}"), &body)).await);
        }
        for id in asked {
            ack(sender.answer(id).await);
        }
        // What it is pushed itself is read away.
        let head = sender.settle().await.inbox_head;
        sender.ack(head).await;
    }
    for user in 0..USERS {
        let (mut there, _) = Talk::hello(server, Form::Protobuf, &format!("stalled-{user}"), "d").await;
        if there.settle().await.inbox_head < OWED as u64 {
            there.entry_with(|entry| (entry.seq == OWED as u64).then_some(())).await;
        }
    }
}

async fn closed_as_slow(server: &Server) -> u64 {
    let text = server.metrics().await;
    let line = text.lines().find(|line| line.starts_with("tidings_connections_closed_total{reason=\"slow, resume\"}"));
    line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn two_hundred_clients_that_never_read_are_closed_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let rates = [("TIDINGS_LIMITS_USER_SENDS_PER_S", "100000"), ("TIDINGS_LIMITS_CONNECTION_FRAMES_PER_S", "100000")];
    let mut server = Server::start(dir.path(), &rates).await;
    owe(&server).await;
    // What writing all that left in memory is not what is measured.
    server.terminate().await;
    server.restart().await;

    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    let (mut bob, _) = Talk::hello(&server, Form::Protobuf, "bob", "d").await;
    let (mut chatted, mut slowest) = (0_u64, Duration::ZERO);
    for _ in 0..BEFORE {
        slowest = slowest.max(chat(&mut alice, &mut bob, &mut chatted).await);
    }
    let (mut disturbed, undisturbed) = (Duration::ZERO, slowest * TIMES_SLOWER_MAX + SLOWER_MAX);
    let before = server.rss_bytes();
    let mut stalled = Vec::new();
    for n in 0..STALLED {
        let uid = format!("stalled-{}", n / DEVICES);
        let token = server.token(&uid).await;
        stalled.push(stall(&server, &uid, &format!("never-{}", n % DEVICES), &token).await);
    }
    let mut most = server.rss_bytes();
    let all_closed = async {
        while closed_as_slow(&server).await < STALLED as u64 {
            disturbed = disturbed.max(chat(&mut alice, &mut bob, &mut chatted).await);
            most = most.max(server.rss_bytes());
        }
    };
    let ended = timeout(CLOSED_WITHIN, all_closed).await;
    let slow = closed_as_slow(&server).await;
    assert!(ended.is_ok(), "{slow} closed as slow: {}", server.metrics().await);
    let more = most.saturating_sub(before);
    assert!(more <= RSS_MORE_MAX, "{} MB more", more / 1024 / 1024);
    assert!(chatted > 100, "{chatted} messages of the healthy pair");
    assert!(disturbed <= undisturbed, "{disturbed:?} there and back, {slowest:?} before the others stalled");
    drop(stalled);
}

/// One message there and one back; how long they took.
async fn chat(alice: &mut Talk, bob: &mut Talk, chatted: &mut u64) -> Duration {
    *chatted += 1;
    let begin = tokio::time::Instant::now();
    let words = chatted.to_string();
    alice.send("bob", &words).await;
    let seq = bob.entry_with(|entry| arrived(entry, &words)).await;
    bob.ack(seq).await;
    bob.send("alice", &words).await;
    let own = |entry: &wire::Entry| from_bob(entry, &words);
    let seq = alice.entry_with(own).await;
    alice.ack(seq).await;
    begin.elapsed()
}

fn arrived(entry: &wire::Entry, words: &str) -> Option<u64> {
    (crate::operations::talk::words(entry).as_deref() == Some(words)).then_some(entry.seq)
}

fn from_bob(entry: &wire::Entry, words: &str) -> Option<u64> {
    let Some(wire::entry::Body::Message(message)) = &entry.body else { return None };
    (message.from == "bob").then(|| arrived(entry, words)).flatten()
}
