//! Strangers that take their time before they are anybody: a byte a second, or ten thousand handshakes that never end.

use std::time::Duration;

use prost::Message as _;
use tidings_schema::{error_code::ErrorCode, wire};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    bad_input::ws_frame,
    operations::talk::{Form, Talk, error, hello, is},
    server::Server,
};

const HALF_OPEN: usize = 10_000;
/// Files this test and its server each have open besides.
const FILES_BESIDES: u64 = 1_000;
/// What an HTTP connection that has not said its request may cost, with room for what comes and goes.
const HALF_OPEN_BYTES_MAX: u64 = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);
const SLOWLY: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_hello_of_a_byte_a_second_ends_as_no_hello_does() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let token = server.token("alice").await;
    let frame = wire::ClientFrame { id: 1, op: Some(hello(&token, "d", None)) };
    let mut talk = Talk::silent(&server, Form::Protobuf).await;
    for byte in ws_frame(2, &frame.encode_to_vec()).chunks(1) {
        // Paced by waiting for the server to say something.
        if talk.write_bytes(byte).await.is_err() || talk.spoken_within(SLOWLY).await {
            break;
        }
    }
    assert_eq!(talk.closed().await, 4005);
    is(&error(talk.push().await), ErrorCode::HelloTimeout);
    assert_eq!(server.labelled("tidings_connections_closed_total{reason=\"no hello\"}").await, 1.0);
}

#[tokio::test]
async fn an_upgrade_of_a_byte_a_second_is_answered_408() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let mut answer = Vec::new();
    for byte in b"GET /v1/ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n".chunks(1) {
        if stream.write_all(byte).await.is_err() {
            break;
        }
        if timeout(SLOWLY, stream.read_buf(&mut answer)).await.is_ok() {
            break;
        }
    }
    // A byte that crossed the answer may have reset the connection.
    let _rest = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains(" 408 "), "{answer}");
    assert_eq!(server.metric("tidings_connections_count").await, 0.0);
}

/// As many open files as the system lets this process and those it starts have.
fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
    limit.maximum.unwrap_or(u64::MAX)
}

#[tokio::test]
async fn ten_thousand_handshakes_that_never_end_disturb_nobody_and_are_closed() {
    let files = raise_open_files();
    let half_open = HALF_OPEN.min(usize::try_from(files.saturating_sub(FILES_BESIDES)).unwrap_or(usize::MAX));
    assert_eq!(half_open, HALF_OPEN, "this test needs a hard limit of {} open files", HALF_OPEN as u64 + FILES_BESIDES);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let (mut alice, _) = Talk::hello(&server, Form::Protobuf, "alice", "d").await;
    let (mut said, before) = (0, server.rss_bytes());
    let (mut most, mut strangers) = (before, Vec::with_capacity(half_open));
    for number in 0..half_open {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        // The server may have closed it already when the machine is slow.
        let _ = stream.write_all(b"GET /v1/ws HTTP/1.1\r\nhost: a\r\nconnection: upgr").await;
        strangers.push(stream);
        if number % 500 == 0 {
            said += 1;
            assert_eq!(alice.send("alice", "undisturbed").await.seq, said);
            alice.ack(said).await;
            most = most.max(server.rss_bytes());
        }
    }
    most = most.max(server.rss_bytes());
    let each = most.saturating_sub(before) / HALF_OPEN as u64;
    assert!(each <= HALF_OPEN_BYTES_MAX, "{each} bytes each");
    let all_closed = async {
        for mut stream in strangers {
            // The end, or a reset: both are.
            let _ended = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    timeout(PATIENCE, all_closed).await.expect("all are closed");
    assert_eq!(alice.send("alice", "still here").await.seq, said + 1);
    server.until_connections(1.0).await;
}
